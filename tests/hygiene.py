"""What a notebook of this repository has to be, one function for each rule.

A rule takes a notebook and its name, as in `ch02_tensors/01_creating.ipynb`, and
returns its problems in words: which notebook, which cell, what to do.
"""

import ast
import re
from collections.abc import Callable, Iterator

from nbformat import NotebookNode

from tests import gpu
from tests.colab_cell import colab_cell
from tests.imports import forbidden, imported, magically_imported
from tests.links import broken_links
from tests.notebooks import BADGE, COLAB, METADATA, ROOT, TAGS, Cell, code_cells

Rule = Callable[[NotebookNode, str], list[str]]

LINES, COLUMNS = 20, 88
IGNORED_SHARE = 0.2
AGAIN = "execute the notebook again (python -m tests.execute)"
ABSOLUTE_PATH = re.compile(
    r"(?:(?<![\w.~:/<-])|file://)/(?:home|root|work|tmp|Users|private|content|mnt"
    r"|var/folders)\b|(?<![\w.~:/<-])/(?:[\w.+-]+/)+(?:site|dist)-packages\b"
    r"|\b[A-Za-z]:(?:\\{1,2}|/)(?:Users|Windows|Program|Temp)",
)
ADDRESS = re.compile(r"\bat 0x[0-9a-fA-F]{6,}|\b0x(?:7f|5[56])[0-9a-f]{10}\b")
ORDERED = re.compile(r"OrderedDict\([\[{]")
SHELL = re.compile(
    r"(?m)^\s*!|^\s*[\w, ]+=\s*!\S|get_ipython\(\)\.(?:system|getoutput|run_)"
    r"|^\s*(?:[\w, ]+=\s*)?%+(?:pip|conda|mamba|micromamba|uv|sx|system|bash|sh|cmd"
    r"|script|ruby|perl)\b|\bos\.(?:system|popen)\("
)
NBVAL_COMMENT = re.compile(r"(?m)^\s*#+\s*(?:NBVAL_|PYTEST_VALIDATE_)\w+")
HEADING = re.compile(r"(?m)^(#+) +\S")
FENCED = re.compile(r"(?ms)^ *(```|~~~).*?^ *\1")
WIDGET = "application/vnd.jupyter.widget-view+json"


def executed_in_order(notebook: NotebookNode, name: str) -> list[str]:
    return [
        f"{cell.where}: execution count {cell.execution_count}, not {count}; {AGAIN}"
        for count, cell in enumerate(code_cells(notebook, name), start=1)
        if cell.execution_count != count
    ]


def no_errors(notebook: NotebookNode, name: str) -> list[str]:
    return [
        f"{cell.where}: ended in {output.ename}; mend the cell"
        for cell, output in _outputs(notebook, name)
        if output.output_type == "error"
    ]


def no_stderr(notebook: NotebookNode, name: str) -> list[str]:
    return [
        f"{cell.where}: wrote to stderr, {output.text[:60]!r}; make it silent"
        for cell, output in _outputs(notebook, name)
        if output.get("name") == "stderr"
    ]


def no_widgets(notebook: NotebookNode, name: str) -> list[str]:
    problems = [
        f"{cell.where}: shows a widget, which the web does not; print or draw instead"
        for cell, output in _outputs(notebook, name)
        if WIDGET in output.get("data", {})
    ]
    if "widgets" in notebook.metadata:
        problems.append(f"{name}: keeps the state of widgets; {AGAIN}")
    return problems


def no_absolute_paths(notebook: NotebookNode, name: str) -> list[str]:
    said = [(_where(name, n), cell.source) for n, cell in _numbered(notebook)]
    for cell in code_cells(notebook, name):
        said += [(cell.where, text) for text in cell.texts]
    return [
        f"{where}: the absolute path {found[0]}...; use a path below the data folder"
        for where, text in said
        if (found := ABSOLUTE_PATH.search(text))
    ]


def no_addresses(notebook: NotebookNode, name: str) -> list[str]:
    return [
        f"{cell.where}: shows the address {found[0]}, another one in each run; "
        "show something that stays"
        for cell, found in _compared(notebook, name, ADDRESS)
    ]


def same_in_each_python(notebook: NotebookNode, name: str) -> list[str]:
    return [
        f"{cell.where}: shows an OrderedDict, which Python 3.12 writes otherwise than "
        "3.11; show a dict"
        for cell, _ in _compared(notebook, name, ORDERED)
    ]


def short_cells(notebook: NotebookNode, name: str) -> list[str]:
    return [
        f"{cell.where}: {lines} lines, {LINES} at most; split it or write a helper"
        for cell in code_cells(notebook, name)
        if (lines := len(cell.source.splitlines())) > LINES
    ]


def narrow_cells(notebook: NotebookNode, name: str) -> list[str]:
    return [
        f"{cell.where}: a line of {widest} columns, {COLUMNS} at most; break it"
        for cell in code_cells(notebook, name)
        if (widest := max(map(len, cell.source.splitlines()), default=0)) > COLUMNS
    ]


def first_cell_complete(notebook: NotebookNode, name: str) -> list[str]:
    first = notebook.cells[0]
    parts = {
        r"\A# \S": "a title, '# ...', on its first line",
        rf"(?m)^{re.escape(BADGE.format(name))}$": f"the badge {BADGE.format(name)}",
        r"(?m)^\*\*Book:\*\* \S": "a line '**Book:** ...'",
        r"(?m)^\*\*You will be able to:\*\*": "a line '**You will be able to:** ...'",
        r"(?m)^\*\*Time:\*\* about \d+ s on 2 CPU cores": (
            "a line '**Time:** about N s on 2 CPU cores' "
            "(write '?' for N; python -m tests.execute measures it)"
        ),
    }
    source = first.source if first.cell_type == "markdown" else ""
    return [
        f"{_where(name, 1)}: lacks {what}"
        for pattern, what in parts.items()
        if not re.search(pattern, source)
    ]


def works_on_colab(notebook: NotebookNode, name: str) -> list[str]:
    if notebook.cells[1].source == colab_cell(name):
        return []
    return [
        f"{_where(name, 2)}: is not the one that makes the notebook work on Colab; "
        "python -m tests.colab_cell puts it there"
    ]


def last_cell_to_copy(notebook: NotebookNode, name: str) -> list[str]:
    before, last = notebook.cells[-2:]
    problems = []
    if not before.source.startswith("## In one cell"):
        problems.append("no '## In one cell' stands above it")
    if last.cell_type != "code" or "snippet" not in last.metadata.get("tags", []):
        problems.append("it is no code cell with the tag snippet")
    elif not last.outputs:
        problems.append("it shows nothing; print the result")
    where = _where(name, len(notebook.cells))
    return [f"{where}, the last: {problem}" for problem in problems]


def links_true(notebook: NotebookNode, name: str) -> list[str]:
    return [
        f"{_where(name, n)}: the link {link} leads nowhere; write the file's real path"
        for n, cell in _numbered(notebook, "markdown")
        for link in broken_links(cell.source, (ROOT / name).parent)
        if not (n == 1 and link.startswith(COLAB))  # first_cell_complete
    ]


def headings_nested(notebook: NotebookNode, name: str) -> list[str]:
    problems, level = [], 0
    for n, cell in _numbered(notebook, "markdown"):
        for marks in HEADING.findall(FENCED.sub("", cell.source)):
            if len(marks) == 1 and level:
                problems.append(f"{_where(name, n)}: a second title; use '##'")
            elif len(marks) > level + 1 and level:
                problems.append(f"{_where(name, n)}: {marks} below {'#' * level}")
            level = len(marks)
    return problems


def tags_known(notebook: NotebookNode, name: str) -> list[str]:
    return [
        f"{_where(name, n)}: unknown tags {sorted(unknown)}; there are {sorted(TAGS)}"
        for n, cell in _numbered(notebook)
        if (unknown := set(cell.metadata.get("tags", [])) - TAGS)
    ] + [
        f"{cell.where}: {found[0].strip()} steers nbval past the tags; use a tag"
        for cell in code_cells(notebook, name)
        if (found := NBVAL_COMMENT.search(cell.source))
    ]


def metadata_clean(notebook: NotebookNode, name: str) -> list[str]:
    kept = {k: v for k, v in notebook.metadata.items() if k != "widgets"}  # no_widgets
    problems = [] if kept == METADATA else [f"{name}: metadata {kept}; {AGAIN}"]
    return problems + [
        f"{_where(name, n)}: metadata {sorted(cell.metadata)}, not only tags; {AGAIN}"
        for n, cell in _numbered(notebook)
        if set(cell.metadata) - {"tags"}
    ]


def ids_present(notebook: NotebookNode, name: str) -> list[str]:
    ids = [cell.get("id") for cell in notebook.cells]
    return [
        f"{_where(name, n)}: its id {id!r} is missing or not the only one; {AGAIN}"
        for n, id in enumerate(ids, start=1)
        if not id or id in ids[: n - 1]
    ]


def no_shell(notebook: NotebookNode, name: str) -> list[str]:
    return [
        f"{cell.where}: runs {found[0].strip()!r} in a shell; write Python, "
        "and what is to be installed into requirements.txt"
        for cell in code_cells(notebook, name)
        if (found := SHELL.search(cell.source))
    ]


def gpu_cells_gated(notebook: NotebookNode, name: str) -> list[str]:
    """A cell that needs CUDA has the tag and the question, or neither."""
    problems = []
    for cell in code_cells(notebook, name):
        if cell.source.startswith(("%%reference", "%%layers")):  # they show the error
            continue
        body = gpu.body(cell.tree)
        gated = bool(body) and all(map(gpu.is_gate, body))
        if "gpu" in cell.tags and not gated:
            problems.append(f"{cell.where}: put all of it under 'if {gpu.QUESTION}:'")
        elif gated and not all(map(gpu.says_left_out, body)):
            problems.append(f"{cell.where}: let 'else' print that it was left out")
        elif gated and "gpu" not in cell.tags:
            problems.append(f"{cell.where}: needs CUDA; give it the tag gpu")
        elif not gated and (uses := gpu.cuda_uses(cell.tree)):
            problems.append(
                f"{cell.where}: {uses[0]} needs CUDA; choose the device by a function, "
                f"or put the cell under 'if {gpu.QUESTION}:' and give it the tag gpu"
            )
    return problems


def ignored_cells_hold(notebook: NotebookNode, name: str) -> list[str]:
    return [
        f"{cell.where}: its output is not compared; assert what must hold, or draw"
        for cell in code_cells(notebook, name)
        if "nbval-ignore-output" in cell.tags and not (_asserts(cell) or _draws(cell))
    ]


def imports_one_way(notebook: NotebookNode, name: str) -> list[str]:
    return [
        f"{cell.where}: imports {module}; a chapter uses itself and earlier chapters"
        for cell in code_cells(notebook, name)
        for module in forbidden(
            [*imported(cell.tree), *magically_imported(cell.source)], name.split("/")[0]
        )
    ]


RULES: tuple[Rule, ...] = (
    executed_in_order,
    no_errors,
    no_stderr,
    no_widgets,
    no_absolute_paths,
    no_addresses,
    same_in_each_python,
    short_cells,
    narrow_cells,
    first_cell_complete,
    works_on_colab,
    last_cell_to_copy,
    links_true,
    headings_nested,
    tags_known,
    metadata_clean,
    ids_present,
    no_shell,
    gpu_cells_gated,
    ignored_cells_hold,
    imports_one_way,
)


def too_many_ignored(cells: list[Cell]) -> list[str]:
    """The one rule over all notebooks: most outputs are compared.

    The cell for Colab, which is everywhere and shows nothing, does not count.
    """
    cells = [cell for cell in cells if cell.source != colab_cell(cell.notebook)]
    ignored = [cell.where for cell in cells if "nbval-ignore-output" in cell.tags]
    if len(ignored) <= IGNORED_SHARE * len(cells):
        return []
    share = f"{len(ignored)} of {len(cells)} outputs are not compared"
    return [f"{share}, {IGNORED_SHARE:.0%} may be: {'; '.join(ignored)}"]


def _where(name: str, number: int) -> str:
    return f"{name}, cell {number}"


def _numbered(
    notebook: NotebookNode, kind: str | None = None
) -> Iterator[tuple[int, NotebookNode]]:
    for number, cell in enumerate(notebook.cells, start=1):
        if kind in (None, cell.cell_type):
            yield number, cell


def _outputs(notebook: NotebookNode, name: str) -> Iterator[tuple[Cell, NotebookNode]]:
    for cell in code_cells(notebook, name):
        for output in cell.outputs:
            yield cell, output


def _compared(
    notebook: NotebookNode, name: str, pattern: re.Pattern
) -> Iterator[tuple[Cell, re.Match]]:
    """The cells in whose outputs, if they are compared, the pattern is found."""
    for cell in code_cells(notebook, name):
        found = pattern.search("\n".join(cell.texts))
        if found and "nbval-ignore-output" not in cell.tags:
            yield cell, found


def _asserts(cell: Cell) -> bool:
    return any(
        isinstance(node, ast.Assert)
        or (isinstance(node, ast.Call) and "assert_" in ast.unparse(node.func))
        for node in ast.walk(cell.tree)
    )


def _draws(cell: Cell) -> bool:
    kinds = [kind for output in cell.outputs for kind in output.get("data", {})]
    shows = any(ast.unparse(node) == "plt.show()" for node in ast.walk(cell.tree))
    return "image/png" in kinds or shows
