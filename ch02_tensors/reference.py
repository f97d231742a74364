"""A cell magic that turns lines of Python into a reference table.

    %load_ext ch02_tensors.reference

    %%reference
    torch.sort(torch.tensor([3, 1, 2]))  # values and indices

A statement becomes a row *expression, result, note*: the note is the comment at the end
of its line; a comment alone on a line becomes a heading. What raises shows its error,
what warns its warning, and the table goes on. Names that are assigned stay defined.

What it cannot show, and says so: statements without a value (`for`, `with`, `def` ...;
they run), and other magics or shell commands (a syntax error here).
"""

import ast
import html
import io
import itertools
import re
import textwrap
import tokenize
import warnings
from collections.abc import Callable
from typing import ClassVar, NamedTuple

import torch

WIDTH = 56  # columns of a result in the text table
MANY = 40  # a tensor of more elements is shown by its dtype and shape
PLAIN = "margin:0;background:none;font-family:monospace;word-break:normal;white-space"
ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


class Row(NamedTuple):
    """One line of the table; a heading has no expression."""

    expression: str
    result: str
    note: str


class Table(list[Row]):
    """The rows of one cell, shown as aligned text or as HTML."""

    columns: ClassVar = Row._fields

    def __repr__(self) -> str:
        split = [[text.split("\n") for text in row] for row in self]
        widths = [max(map(len, itertools.chain(*c))) for c in zip(*split, strict=True)]
        lines = []
        for row, cells in zip(self, split, strict=True):
            if not row[0]:
                lines += ["", row[-1], "-" * len(row[-1])]
                continue
            for parts in itertools.zip_longest(*cells, fillvalue=""):
                lines.append("  ".join(map(str.ljust, parts, widths)))
        return "\n".join(line.rstrip() for line in lines).lstrip("\n")

    def _repr_html_(self) -> str:
        left = 'style="text-align:left;vertical-align:top"'
        heads = "".join(f"<th {left}>{name}</th>" for name in self.columns)
        lines = [f"<table><thead><tr>{heads}</tr></thead><tbody>"]
        for code, *results, note in (map(html.escape, row) for row in self):
            if not code:
                lines += [f'<tr><th colspan="{len(self[0])}" {left}>{note}</th></tr>']
                continue
            code = f'<pre style="{PLAIN}:pre-wrap">{code}</pre>'
            results = [f'<pre style="{PLAIN}:pre">{text}</pre>' for text in results]
            note = f'<div style="min-width:11em">{note}</div>'
            cells = f"</td><td {left}>".join([code, *results, note])
            lines.append(f"<tr><td {left}>{cells}</td></tr>")
        return "\n".join([*lines, "</tbody></table>"])


def show(value: object) -> str:
    """A short text for a value, without object addresses."""
    if isinstance(value, torch.Tensor) and value.numel() > MANY:
        return f"{value.dtype} tensor of shape {tuple(value.shape)}"
    if isinstance(value, tuple | list) and any(torch.is_tensor(v) for v in value):
        if hasattr(value, "__match_args__"):  # a named tuple
            named = zip(value.__match_args__, value, strict=True)
            return "\n".join(_hang(f"{name}=", show(item)) for name, item in named)
        ends = "[]" if isinstance(value, list) else ("(", ")" if value[1:] else ",)")
        return _hang(ends[0], ",\n".join(map(show, value))) + ends[1]
    with torch._tensor_str.printoptions(precision=4, linewidth=WIDTH):
        text = repr(value)
    if ADDRESS.search(text):
        return f"a {type(value).__module__}.{type(value).__qualname__}"
    return text


def _hang(head: str, text: str) -> str:
    return head + textwrap.indent(text, " " * len(head)).lstrip(" ")


def _shorten(problem: Exception | Warning) -> str:
    message = re.split(r"\(Triggered internally|\nException raised from", str(problem))
    text = ADDRESS.sub("", f"{type(problem).__name__}: {' '.join(message[0].split())}")
    return textwrap.fill(text, WIDTH, max_lines=5, placeholder=" ...")


def value_of(node: ast.stmt, namespace: dict) -> str:
    """Run one statement; return its value as text."""
    if isinstance(node, ast.Expr):
        return show(eval(ast.unparse(node.value), namespace))
    exec(compile(ast.Module([node], []), "<reference>", "exec"), namespace)
    if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign) and node.value:
        target = node.targets[-1] if isinstance(node, ast.Assign) else node.target
        return show(eval(ast.unparse(target), namespace))
    return "(runs; a statement has no value to show)"


def evaluate(cell: str, namespace: dict, value: Callable = value_of) -> Table:
    """Run the cell's statements in `namespace`, one by one through `value`.

    Raises `SyntaxError` where the cell as a whole is not plain Python.
    """
    table, done, statements = Table(), 0, ast.parse(cell).body
    tokens = tokenize.generate_tokens(io.StringIO(cell).readline)
    notes = (token for token in tokens if token.type == tokenize.COMMENT)
    comments = {note.start[0]: note.string.lstrip("#").strip() for note in notes}
    for node in statements:
        alone = (n for n in range(done + 1, node.lineno) if n in comments)
        table += [Row("", "", comments[n]) for n in alone]
        done = node.end_lineno
        code = textwrap.dedent(ast.get_source_segment(cell, node, padded=True))
        table.append(Row(code, _run(node, namespace, value), comments.get(done, "")))
    table += [Row("", "", text) for n, text in comments.items() if n > done]
    return table


def _run(node: ast.stmt, namespace: dict, value: Callable) -> str:
    """The statement's value, or its error, and then its warnings."""
    before = torch.is_warn_always_enabled()
    with warnings.catch_warnings(record=True, action="always") as caught:
        torch.set_warn_always(True)  # some of PyTorch's come once a process otherwise
        try:
            said = value(node, namespace)
        except Exception as error:
            said = _shorten(error)
        finally:
            torch.set_warn_always(before)
    return "\n".join([said, *(_shorten(warning.message) for warning in caught)])


def load_ipython_extension(shell) -> None:
    """Register `%%reference`; called by `%load_ext ch02_tensors.reference`."""
    shell.register_magic_function(
        lambda line, cell: evaluate(cell, shell.user_ns), "cell", "reference"
    )
