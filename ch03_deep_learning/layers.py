"""A cell magic that turns lines of layer calls into a table of shapes and parameters.

    %load_ext ch03_deep_learning.layers

    %%layers
    nn.Conv2d(3, 6, 5)(images)  # six filters

A call of a module becomes a row *layer and call, input → output, parameters, note*: the
shapes of the tensors that go in and come out, and how many trainable numbers the module
has after the call, so that lazy layers count as well. Every other line is a row as in
`%%reference`, its sister in `ch02_tensors`: its value, its error, its warnings.
"""

import ast
from typing import ClassVar, NamedTuple

import torch
from torch import nn

from ch02_tensors import reference

CALLED = "__called__"  # stands for the function, while a line runs


class LayerRow(NamedTuple):
    """One line of the table; a heading has no call."""

    call: str
    shapes: str
    parameters: str
    note: str


class LayerTable(reference.Table):
    """The rows of one cell, shown as aligned text or as HTML."""

    columns: ClassVar = ("layer and call", "input → output", "parameters", "note")

    def __repr__(self) -> str:
        rows = [LayerRow(*self.columns), *self] if self else []
        return reference.Table.__repr__(LayerTable(rows))


class Recorder:
    """Calls a module, and then says what went in and what came out."""

    def __init__(self, module: nn.Module) -> None:
        self.module, self.said = module, ""

    def __call__(self, *args: object, **kwargs: object) -> object:
        given = [value for value in (*args, *kwargs.values()) if _holds_tensor(value)]
        before = shapes(given[0] if len(given) == 1 else tuple(given))
        result = self.module(*args, **kwargs)
        self.said = f"{before} → {shapes(result)}"
        if len(self.said) > reference.WIDTH:
            self.said = f"{before}\n→ {shapes(result)}"
        return result


def shapes(value: object) -> str:
    """The shape of a tensor; for tuples, lists and dictionaries those of their items.

    What is no tensor goes by the name of its type, `None` by its own.
    """
    if isinstance(value, torch.Tensor):
        return str(tuple(value.shape))
    if isinstance(value, dict):
        items = (f"{key}: {shapes(item)}" for key, item in value.items())
        return f"{{{', '.join(items)}}}"
    if not isinstance(value, tuple | list):
        return "None" if value is None else type(value).__name__
    name = type(value).__name__  # of a named tuple, as PackedSequence
    inside = ", ".join(map(shapes, value)) + "," * (len(value) == 1)
    return f"{name * (name not in ('tuple', 'list', 'Size'))}({inside})"


def _holds_tensor(value: object) -> bool:
    items = value.values() if isinstance(value, dict) else value
    return torch.is_tensor(value) or (
        isinstance(value, tuple | list | dict) and any(map(_holds_tensor, items))
    )


def trainable(module: nn.Module) -> int:
    """How many numbers of the module an optimizer may change; shared ones count once.

    Raises `ValueError` where a lazy layer has not seen an input yet.
    """
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def evaluate(cell: str, namespace: dict) -> LayerTable:
    """Run the cell's statements in `namespace`, one by one; return the table.

    Raises `SyntaxError` where the cell as a whole is not plain Python.
    """
    counts: list[str] = []  # one for each statement

    def value(node: ast.stmt, names: dict) -> str:
        counts.append("")
        if not isinstance(getattr(node, "value", None), ast.Call):
            return reference.value_of(node, names)
        called = eval(ast.unparse(node.value.func), names)
        recorder = Recorder(called) if isinstance(called, nn.Module) else None
        names[CALLED] = recorder or called  # already evaluated: not a second time
        node.value.func = ast.copy_location(ast.Name(CALLED, ast.Load()), node)
        text = reference.value_of(node, names)
        if not recorder:
            return text
        counts[-1] = f"{trainable(called):,}"
        return recorder.said

    try:
        table = reference.evaluate(cell, namespace, value)
    finally:
        namespace.pop(CALLED, None)
    parameters = iter(counts)
    return LayerTable(
        LayerRow(call, said, next(parameters) if call else "", note)
        for call, said, note in table
    )


def load_ipython_extension(shell) -> None:
    """Register `%%layers`; called by `%load_ext ch03_deep_learning.layers`."""
    shell.register_magic_function(
        lambda line, cell: evaluate(cell, shell.user_ns), "cell", "layers"
    )
