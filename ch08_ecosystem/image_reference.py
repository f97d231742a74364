"""A cell magic for calls that make pictures: a sheet, and a table with TorchScript.

    %load_ext ch08_ecosystem.image_reference

    %%reference_images
    transforms.CenterCrop(100)(photo)  # the middle

It is `%%reference` of `ch02_tensors` with three things added. What a call returns is
drawn, after the picture that went in. A column says whether the same call works under
TorchScript, found out by scripting it. And the seed is set before each line, so that a
line's result does not depend on those above; `%%reference_images seed=3 columns=5`
chooses another one, and how many pictures stand in a row.
"""

import ast
import inspect
import random
import re
import textwrap
from typing import ClassVar, NamedTuple

import torch
from PIL import Image
from torch import nn

from ch02_tensors import reference
from ch08_ecosystem.scripting import works_under_torchscript
from ch08_ecosystem.sheets import Picture, draw_sheet, is_picture

ORIGINAL = "original"


class ImageRow(NamedTuple):
    """One line of the table; a heading has no call."""

    call: str
    result: str
    torchscript: str
    note: str


class ImageTable(reference.Table):
    """The rows of one cell, shown as aligned text or as HTML, and their pictures."""

    columns: ClassVar = ("call", "result", "TorchScript", "note")

    def __init__(self, rows=(), pictures: dict[str, Picture] | None = None) -> None:
        super().__init__(rows)
        self.pictures = pictures or {}

    def __repr__(self) -> str:
        rows = [ImageRow(*self.columns), *self] if self else []
        return reference.Table.__repr__(ImageTable(rows))


def kind(value: object) -> str:
    """A picture in a few words: `uint8 (3, 160, 160)`, `PIL RGB 160 × 160`."""
    if isinstance(value, Image.Image):
        return f"PIL {value.mode} {value.height} × {value.width}"
    if torch.is_tensor(value) and value.numel() > reference.MANY:
        name = "" if type(value) is torch.Tensor else f"{type(value).__name__} "
        return f"{name}{str(value.dtype)[6:]} {tuple(value.shape)}"
    if isinstance(value, list | tuple) and value and is_picture(value):
        return f"{len(value)} of {kind(value[0])}"
    return reference.show(value)


def caption(call: ast.Call) -> str:
    """What a picture is called: `CenterCrop(100)` for `T.CenterCrop(100)(photo)`."""
    if isinstance(call.func, ast.Call):
        call = call.func
        given = call.args
    else:
        given = call.args[1:]  # the first is the picture
    options = [f"{option.arg}={ast.unparse(option.value)}" for option in call.keywords]
    text = ", ".join([*map(ast.unparse, given), *options])
    text = re.sub(r"\b[A-Za-z]\w*\.(?=[A-Za-z])", "", text)  # without the modules
    text = f"({text})" if text else ""
    return textwrap.shorten(
        ast.unparse(call.func).split(".")[-1] + text, 60, placeholder=" ..."
    )


def evaluate(cell: str, namespace: dict, *, seed: int = 0) -> ImageTable:
    """Run the cell's statements in `namespace`, one by one; return table and pictures.

    Raises `SyntaxError` where the cell as a whole is not plain Python.
    """
    verdicts: list[str] = []  # one for each statement
    pictures: dict[str, Picture] = {}

    def value(node: ast.stmt, names: dict) -> str:
        verdicts.append("")
        _seed(seed)
        call, target = _plain_call(node)
        if call is None:
            return reference.value_of(node, names)
        function, *inputs = (
            eval(ast.unparse(part), names) for part in (call.func, *call.args)
        )
        options = {o.arg: eval(ast.unparse(o.value), names) for o in call.keywords}
        _seed(seed)
        result = function(*inputs, **options)
        if target:
            names[target] = result
        if _could_be_scripted(function):
            verdict = works_under_torchscript(function, *inputs, **options)
            verdicts[-1] = "no" if not verdict else str(verdict)
            given = next(filter(is_picture, inputs), None)
            if given is not None and is_picture(result):
                pictures.setdefault(ORIGINAL, given)
                pictures[caption(call)] = result
        return kind(result)

    table = reference.evaluate(cell, namespace, value)
    said = iter(verdicts)
    rows = (ImageRow(c, r, next(said) if c else "", n) for c, r, n in table)
    return ImageTable(rows, pictures)


def _plain_call(node: ast.stmt) -> tuple[ast.Call | None, str]:
    """The call of `f(x)` or `y = f(x)`, and `y`; no call where it is anything else."""
    targets, call = getattr(node, "targets", []), getattr(node, "value", None)
    named = [target.id for target in targets if isinstance(target, ast.Name)]
    if not isinstance(call, ast.Call) or len(targets) > 1 or len(named) < len(targets):
        return None, ""
    if isinstance(node, ast.Expr | ast.Assign) and not (
        any(isinstance(part, ast.Starred) for part in call.args)
        or any(option.arg is None for option in call.keywords)
    ):
        return call, "".join(named)
    return None, ""


def _could_be_scripted(function: object) -> bool:
    """Whether it is torchvision's, or a module; a class only makes one."""
    if inspect.isclass(function):
        return False
    owner = function if inspect.isroutine(function) else type(function)
    of_torchvision = (getattr(owner, "__module__", "") or "").startswith("torchvision")
    return of_torchvision or isinstance(function, nn.Module)


def _seed(seed: int) -> None:
    torch.manual_seed(seed)
    random.seed(seed)


def load_ipython_extension(shell) -> None:
    """Register the magic; called by `%load_ext ch08_ecosystem.image_reference`."""

    def magic(line: str, cell: str) -> ImageTable:
        options = dict(part.split("=") for part in line.split())
        columns = int(options.pop("columns", 6))
        seed = int(options.pop("seed", 0))
        if options:
            raise ValueError(f"no option {', '.join(options)}; there are columns, seed")
        table = evaluate(cell, shell.user_ns, seed=seed)
        if table.pictures:
            draw_sheet(table.pictures, columns=columns)
        return table

    shell.register_magic_function(magic, "cell", "reference_images")
