"""What stands in the notebooks: headings, cells, and the functions that cells use.

Reads the files as JSON and the code as a syntax tree; nothing is imported or run.
Imports the standard library only: this module can be copied alone.
"""

import ast
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote

ROOT = Path(__file__).resolve().parent.parent
HEADING_OR_NOTE = re.compile(
    r"(?m)^#+ +(?P<heading>.+)$|^> \*\*Since the book\.\*\*(?P<note>.*(?:\n>.*)*)"
)
PLAIN = "!$&'*+,;=:@/?~"  # stay in an anchor: JupyterLab does not decode it
COMMON = {name for kind in (str, list, dict, set, tuple, bytes, int, float, Path)
          for name in dir(kind)}  # fmt: skip


@dataclass(frozen=True)
class CodeCell:
    """One code cell: where it stands, what stands above it, what it says and uses."""

    notebook: str  # "ch02_tensors/06_pointwise.ipynb"
    title: str
    number: int  # counts all cells from 1
    heading: str  # the last one above it; the title where there is none
    prose: str  # the markdown between the cell before and this one
    code: str  # without a first line such as %%reference
    names: dict[str, list[int]] = field(hash=False)  # full name -> its lines, from 1


def notebook_paths(root: Path = ROOT) -> list[Path]:
    """All notebooks, in the book's order."""
    return sorted(root.glob("ch0*_*/[0-9][0-9]_*.ipynb"))


def link(notebook: str, heading: str) -> str:
    """A notebook's path with the anchor of a heading, fit for a link in Markdown."""
    return f"{notebook}#{quote(anchor(heading), safe=PLAIN)}"


def anchor(heading: str) -> str:
    """What Jupyter and GitHub make of a heading without marks: dashes for spaces."""
    return heading.strip().replace(" ", "-")


def plain(markdown: str) -> str:
    """Markdown without its marks: what a reader sees of a heading or a sentence."""
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", markdown)
    return re.sub(r"[*`]|^> ?|\$", "", text, flags=re.MULTILINE)


def read_notebook(path: Path) -> list[dict]:
    """Its cells. Raises `ValueError`, naming the file, where it is no notebook."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))["cells"]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is not a notebook: {error!r}") from error


def code_cells(path: Path) -> Iterator[CodeCell]:
    """The code cells of a notebook, with the functions that each uses."""
    cells = read_notebook(path)
    known = Names(
        python(cell["source"]) for cell in cells if cell["cell_type"] == "code"
    )
    title = heading = ""
    prose: list[str] = []
    for number, cell in enumerate(cells, start=1):
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            for line in re.findall(r"(?m)^#{1,4} +(.+)$", source):
                heading = plain(line)
                title = title or heading
            prose.append(
                plain(re.sub(r"(?m)^(#.*|\[!.*|\*\*(Book|Time).*)$", "", source))
            )
        elif cell["cell_type"] == "code" and "google.colab" not in source:
            name = f"{path.parent.name}/{path.name}"
            code = python(source)
            yield CodeCell(name, title, number, heading, "\n".join(prose).strip(),
                           code, known.used(code))  # fmt: skip
            prose = []


def python(source: str | list[str]) -> str:
    """A cell's Python: magic lines become empty, so that line numbers stay true."""
    return re.sub(r"(?m)^\s*([\w, ]+= *)?[%!]+\w.*$", "", "".join(source))


def parsed(code: str) -> ast.Module:
    try:
        return ast.parse(code)
    except SyntaxError:  # a cell of another language, such as a shell's or C++
        return ast.parse("")


class Names:
    """Full names of what the cells of one notebook use, by their imports."""

    def __init__(self, cells: Iterator[str]) -> None:
        self.known: dict[str, str] = {}
        for code in cells:
            for node in ast.walk(parsed(code)):
                if isinstance(node, ast.Import):
                    for name in node.names:
                        head = name.asname or name.name.split(".")[0]
                        self.known[head] = name.name if name.asname else head
                elif isinstance(node, ast.ImportFrom) and node.module:
                    for name in node.names:
                        self.known[name.asname or name.name] = (
                            f"{node.module}.{name.name}"
                        )

    def used(self, code: str) -> dict[str, list[int]]:
        """Full name -> the lines in which it stands, in the order of appearance."""
        found: dict[str, list[int]] = {}
        tree = parsed(code)
        inner = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
        for node in ast.walk(tree):
            if not isinstance(node, ast.Attribute | ast.Name) or id(node) in inner:
                continue
            name = self._full(node)
            if name and (node.lineno not in found.setdefault(name, [])):
                found[name].append(node.lineno)
        for node in ast.walk(tree):  # x.relu() on something that is no module
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                called = node.func
                owner = methods().get(called.attr)
                if owner and not self._full(called):
                    lines = found.setdefault(f"{owner}.{called.attr}", [])
                    lines.extend({called.lineno} - set(lines))
        return dict(sorted(found.items(), key=lambda item: item[1]))

    def _full(self, node: ast.expr) -> str:
        """`F.relu` -> `torch.nn.functional.relu`; "" for what comes from no package."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name) or node.id not in self.known:
            return ""
        name = ".".join([self.known[node.id], *reversed(parts)])
        return "" if name.split(".")[0] in sys.stdlib_module_names else name


@cache
def methods() -> dict[str, str]:
    """Methods that no string, list, dictionary or path has -> the class they are of."""
    import torch

    owners = {
        "torch.nn.Module": torch.nn.Module,
        "torch.optim.Optimizer": torch.optim.Optimizer,
        "torch.Tensor": torch.Tensor,
    }
    found = {
        name: owner
        for owner, kind in owners.items()
        for name in dir(kind)
        if not name.startswith("_") and name not in COMMON
    }
    return found | dict.fromkeys(["state_dict", "load_state_dict"], "torch.nn.Module")


def since_the_book(path: Path) -> Iterator[SimpleNamespace]:
    """Each *Since the book* block of a notebook: its `text` and the `heading` above."""
    heading = ""
    for cell in read_notebook(path):
        if cell["cell_type"] != "markdown":
            continue
        source = "".join(cell["source"])
        for match in HEADING_OR_NOTE.finditer(source):
            if match["heading"]:
                heading = plain(match["heading"])
            else:
                block = re.sub(r"\n> ?", " ", match["note"]).strip()
                name = f"{path.parent.name}/{path.name}"
                yield SimpleNamespace(text=block, heading=heading, notebook=name)
