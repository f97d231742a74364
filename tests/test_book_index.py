"""Every function of the book's tables is called in the notebooks of its chapter.

`book_index.json` lists the tables. A table of kind `call` is looked for in code, not in
words: a name in a comment or in a string does not count. A name of a table of kind
`text` stands somewhere in the chapter's text, code or outputs. A table comes alive when
its chapter's folder gets notebooks.
"""

import ast
import functools
import itertools
import json
import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.notebooks import ROOT, Cell, all_code_cells, code_cells, name_of, read

TABLES = json.loads(Path(__file__).with_name("book_index.json").read_text("utf-8"))
OF_VALUES = {"2-2"}  # data types: they are named, not called


class Names(ast.NodeVisitor):
    """The dotted names that the cells of one notebook call, and all that they mention.

    Decorators and base classes count as called. Imports are followed (`nn.Linear` after
    `from torch import nn`), and so are objects: after `writer = SummaryWriter()`,
    `writer.close()` calls `SummaryWriter.close`.
    """

    def __init__(self) -> None:
        self.called: set[str] = set()
        self.mentioned: set[str] = set()
        self._meaning: dict[str, str] = {}  # of a variable: the dotted name behind it

    def dotted(self, node: ast.AST | None) -> str:
        if isinstance(node, ast.Attribute):
            return f"{self.dotted(node.value)}.{node.attr}"
        if isinstance(node, ast.Call):  # what it returns goes by the name of the maker
            return self.dotted(node.func)
        if isinstance(node, ast.Name):
            return self._meaning.get(node.id, node.id)
        return "?"

    def visit_Import(self, node: ast.Import) -> None:
        for name in node.names:
            self._meaning |= {name.asname: name.name} if name.asname else {}

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        for name in node.names:
            self._meaning[name.asname or name.name] = f"{node.module}.{name.name}"

    def visit_Call(self, node: ast.Call) -> None:
        self.called.add(self.dotted(node.func))
        self.generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self.called |= set(map(self.dotted, [*node.bases, *node.decorator_list]))
        self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self.called |= set(map(self.dotted, node.decorator_list))
        self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self.mentioned.add(self.dotted(node))  # `a.b.c` mentions neither `a.b` nor `a`
        while isinstance(node, ast.Attribute):
            node = node.value
        if not isinstance(node, ast.Name):
            self.visit(node)

    def visit_Name(self, node: ast.Name) -> None:
        self.mentioned.add(self.dotted(node))

    def visit_Assign(self, node: ast.Assign) -> None:
        self.generic_visit(node)
        for target in node.targets:
            self._now_means(target, node.value)

    def visit_withitem(self, node: ast.withitem) -> None:
        self.generic_visit(node)
        self._now_means(node.optional_vars, node.context_expr)

    def _now_means(self, target: ast.AST | None, value: ast.AST) -> None:
        if isinstance(target, ast.Name) and isinstance(value, ast.Call):
            self._meaning[target.id] = self.dotted(value)


def parsed(cell: Cell) -> ast.Module:
    try:
        return ast.parse(cell.python, cell.where)
    except SyntaxError:
        if cell.source.startswith("%%"):  # %%bash and the like: not Python
            return ast.Module([], [])
        raise


def missing(table: dict, cells: Iterable[Cell]) -> list[str]:
    """What a reader of `table` does not find in the code of `cells`."""
    called, mentioned = set(), set()
    for _, notebook in itertools.groupby(cells, key=lambda cell: cell.notebook):
        names = Names()
        for cell in notebook:
            names.visit(parsed(cell))
        called |= names.called
        mentioned |= names.mentioned
    seen, how = (called, "called")
    if table["table"] in OF_VALUES:
        seen, how = (mentioned, "named")
    lacking = []
    for entry in table["names"]:
        now = entry.get("today", [entry["name"]])
        lacking += [f"{name} is not {how}" for name in now if name not in seen]
        if entry["name"] not in mentioned | set(now):
            lacking.append(f"{entry['name']} does not stand beside its successor")
    return lacking


@functools.cache
def cells_by_chapter() -> dict[str, list[Cell]]:
    by_folder = itertools.groupby(all_code_cells(), key=lambda cell: cell.notebook[:4])
    return {folder: list(cells) for folder, cells in by_folder}


@pytest.mark.parametrize(
    "table", [pytest.param(t, id=t["table"]) for t in TABLES if t["kind"] == "call"]
)
def test_every_name_of_the_table_is_called(table):
    cells = cells_by_chapter().get(f"ch{table['chapter']:02d}")
    if not cells:
        pytest.skip(f"chapter {table['chapter']} has no notebooks yet")
    lacking = missing(table, cells)
    assert not lacking, "\n".join(lacking)


def test_the_index_is_sound():
    numbers = [table["table"] for table in TABLES]
    assert len(set(numbers)) == len(numbers) == 50
    for table in TABLES:
        assert table["table"].startswith(f"{table['chapter']}-")
        assert table["kind"] in ("call", "text")
        names = [entry["name"] for entry in table["names"]]
        assert names and len(set(names)) == len(names)
        assert all(entry.get("today", ["-"]) for entry in table["names"])


# ---- The function that looks ---------------------------------------------------------


def looked_for(name: str, *sources: str, today: list[str] | None = None) -> list[str]:
    """`missing` for a table of one name, and one notebook with these cells."""
    entry = {"name": name} | ({"today": today} if today else {})
    cells = [
        Cell("ch09_made_up/01_a.ipynb", number, source, frozenset(), [], None)
        for number, source in enumerate(sources, start=1)
    ]
    return missing({"table": "9-1", "names": [entry]}, cells)


@pytest.mark.parametrize(
    "source",
    [
        "y = torch.add(a, b)",
        "%%reference\na = 1\ntorch.add(a, a)  # a note",
        "print(torch.add(torch.sub(a, b), c)[0].shape)",
        "import torch as t\nt.add(a, b)",
        "from torch import add as plus\n[plus(a, a) for a in b]",
        "@torch.add\ndef f(): ...",
        "class Net(torch.add): ...",
    ],
)
def test_a_call_counts(source):
    assert looked_for("torch.add", source) == []


@pytest.mark.parametrize(
    "source",
    [
        "# torch.add(a, b)",
        "'torch.add(a, b)'",
        "%%reference\na  # torch.add(a, a)",
        "%timeit torch.add(a, b)",
        "f = torch.add",
        "a.add(b)",
        "torch.add_(a)",
        "torch.add.out(a)",
        "torch.special.add(a)",
        "from other import add\nadd(a, b)",
        "from other import torch\ntorch.add(a, b)",
    ],
)
def test_other_things_do_not_count(source):
    assert looked_for("torch.add", source) == ["torch.add is not called"]


@pytest.mark.parametrize(
    ("name", "first", "second"),
    [
        ("torch.nn.Conv2d", "from torch import nn", "nn.Conv2d(1, 2, 3)"),
        ("torch.nn.Conv2d", "from torch.nn import Conv2d", "Conv2d(1, 2, 3)"),
        ("torch.nn.Conv2d", "import torch.nn", "torch.nn.Conv2d(1, 2, 3)"),
        ("torch.nn.functional.relu", "import torch.nn.functional as F", "F.relu(x)"),
        ("a.Writer.add", "from a import Writer\nw = Writer()", "w.add(1)"),
        ("a.Writer.add", "from a import Writer", "with Writer() as w:\n    w.add(1)"),
        ("a.Writer.add", "import a", "a.Writer().add(1)"),
    ],
)
def test_imports_and_objects_are_followed_from_cell_to_cell(name, first, second):
    assert looked_for(name, first, second) == []
    assert looked_for(name, first) == [f"{name} is not called"]


def test_imports_of_one_notebook_say_nothing_about_the_next():
    cells = [
        Cell("ch09/01.ipynb", 1, "from torch import nn", frozenset(), [], None),
        Cell("ch09/02.ipynb", 1, "nn.Linear(1, 1)", frozenset(), [], None),
    ]
    table = {"table": "9-1", "names": [{"name": "torch.nn.Linear"}]}
    assert missing(table, cells) == ["torch.nn.Linear is not called"]


def test_a_retired_name_stands_beside_what_replaces_it():
    today = ["torch.fft.fft"]
    assert looked_for("torch.fft", "torch.fft(x); torch.fft.fft(x)", today=today) == []
    assert looked_for("torch.fft", "torch.fft(x)", today=today) == [
        "torch.fft.fft is not called"
    ]
    assert looked_for("torch.fft", "torch.fft.fft(x)", today=today) == [
        "torch.fft does not stand beside its successor"
    ]


def test_data_types_are_only_named():
    cell = Cell("ch02/01.ipynb", 1, "x.to(torch.int8)", frozenset(), [], None)
    names = [{"name": "torch.int8"}, {"name": "torch.int16"}]
    assert missing({"table": "2-2", "names": names}, [cell]) == [
        "torch.int16 is not named"
    ]


def test_cells_in_other_languages_are_passed_over_and_broken_python_is_not():
    assert looked_for("torch.add", "%%bash\nls -l | wc", "torch.add(a, b)") == []
    with pytest.raises(SyntaxError):
        looked_for("torch.add", "torch.add(a b)")


def spoken(chapter: int) -> str:
    """All that the notebooks of a chapter say, in text, code and outputs."""
    words = []
    for path in sorted(ROOT.glob(f"ch{chapter:02d}_*/[0-9][0-9]_*.ipynb")):
        notebook = read(path)
        words += [cell.source for cell in notebook.cells]
        for cell in code_cells(notebook, name_of(path)):
            words += cell.texts
    return "\n".join(words).lower()


def unspoken(table: dict, text: str) -> list[str]:
    """The names that `text` never says; of `a.b.c` it is enough to say `c`."""
    shorts = {
        entry["name"]: re.sub(r" \(.*\)$", "", entry["name"]).rsplit(".", 1)[-1].lower()
        for entry in table["names"]
    }
    return [
        f"{name} is not spoken of"
        for name, short in shorts.items()
        if not re.search(rf"(?<!\w){re.escape(short)}(?!\w)", text)
    ]


@pytest.mark.parametrize(
    "table", [pytest.param(t, id=t["table"]) for t in TABLES if t["kind"] == "text"]
)
def test_every_name_of_the_table_is_spoken_of(table):
    text = spoken(table["chapter"])
    if not text:
        pytest.skip(f"chapter {table['chapter']} has no notebooks yet")
    assert not (lacking := unspoken(table, text)), "\n".join(lacking)


def test_what_is_not_spoken_of_is_found():
    table = {"names": [{"name": "a.b.Vocab"}, {"name": "Deep Graph (DGL)"}]}
    assert unspoken(table, "a vocab and a deep graph") == []
    assert unspoken(table, "vocabulary") == [
        "a.b.Vocab is not spoken of",
        "Deep Graph (DGL) is not spoken of",
    ]
