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
import re
import textwrap
import tokenize
import warnings
from typing import NamedTuple

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

    def __repr__(self) -> str:
        split = [[text.split("\n") for text in row] for row in self]
        widths = [max((len(s) for r in split for s in r[i]), default=0) for i in (0, 1)]
        lines = []
        for row, cells in zip(self, split, strict=True):
            if not row.expression:
                lines += ["", row.note, "-" * len(row.note)]
                continue
            for k in range(max(map(len, cells))):
                left, middle, right = (c[k] if k < len(c) else "" for c in cells)
                lines.append(f"{left:{widths[0]}}  {middle:{widths[1]}}  {right}")
        return "\n".join(line.rstrip() for line in lines).lstrip("\n")

    def _repr_html_(self) -> str:
        left = 'style="text-align:left;vertical-align:top"'
        heads = "".join(f"<th {left}>{name}</th>" for name in Row._fields)
        lines = [f"<table><thead><tr>{heads}</tr></thead><tbody>"]
        for code, result, note in (map(html.escape, row) for row in self):
            if not code:
                lines.append(f'<tr><th colspan="3" {left}>{note}</th></tr>')
                continue
            code = f'<pre style="{PLAIN}:pre-wrap">{code}</pre>'
            result = f'<pre style="{PLAIN}:pre">{result}</pre>'
            note = f'<div style="min-width:11em">{note}</div>'
            cells = f"</td><td {left}>".join([code, result, note])
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


def evaluate(cell: str, namespace: dict) -> Table:
    """Run the cell's statements one after the other in `namespace`; return the table.

    Raises `SyntaxError` where the cell as a whole is not plain Python.
    """
    table, done, statements = Table(), 0, ast.parse(cell).body
    comments = {
        token.start[0]: token.string.lstrip("#").strip()
        for token in tokenize.generate_tokens(io.StringIO(cell).readline)
        if token.type == tokenize.COMMENT
    }
    for node in statements:
        alone = (n for n in range(done + 1, node.lineno) if n in comments)
        table += [Row("", "", comments[n]) for n in alone]
        done = node.end_lineno
        code = textwrap.dedent(ast.get_source_segment(cell, node, padded=True))
        table.append(Row(code, _run(node, namespace), comments.get(done, "")))
    return table


def _run(node: ast.stmt, namespace: dict) -> str:
    """The statement's value, or its error, and then its warnings."""
    before = torch.is_warn_always_enabled()
    with warnings.catch_warnings(record=True, action="always") as caught:
        torch.set_warn_always(True)  # some of PyTorch's come once a process otherwise
        try:
            said = _value(node, namespace)
        except Exception as error:
            said = _shorten(error)
        finally:
            torch.set_warn_always(before)
    return "\n".join([said, *(_shorten(warning.message) for warning in caught)])


def _value(node: ast.stmt, namespace: dict) -> str:
    if isinstance(node, ast.Expr):
        code = compile(ast.Expression(node.value), "<reference>", "eval")
        return show(eval(code, namespace))
    exec(compile(ast.Module([node], []), "<reference>", "exec"), namespace)
    if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign) and node.value:
        target = node.targets[-1] if isinstance(node, ast.Assign) else node.target
        return show(eval(ast.unparse(target), namespace))
    return "(runs; a statement has no value to show)"


def load_ipython_extension(shell) -> None:
    """Register `%%reference`; called by `%load_ext ch02_tensors.reference`."""
    shell.register_magic_function(
        lambda line, cell: evaluate(cell, shell.user_ns), "cell", "reference"
    )
