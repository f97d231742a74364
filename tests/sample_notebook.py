"""The smallest notebook that breaks no rule, for tests to run or to damage."""

from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from tests.colab_cell import colab_cell
from tests.notebooks import BADGE, METADATA

NAME = "ch01_intro/99_sample.ipynb"  # there is no such file

FIRST_CELL = f"""\
# Adding numbers

{BADGE.format(NAME)}

**Book:** chapter 1, "Adding"; [the devices](devices.py)

**You will be able to:** add two numbers.

**Time:** about 2 s on 2 CPU cores
"""


def printed(text: str, name: str = "stdout") -> NotebookNode:
    return new_output("stream", name=name, text=text)


def code(
    source: str, *outputs: NotebookNode, tags: tuple[str, ...] = ()
) -> NotebookNode:
    return new_code_cell(
        source,
        outputs=list(outputs),
        execution_count=1,
        metadata={"tags": list(tags)} if tags else {},
    )


def result(text: str) -> NotebookNode:
    return new_output("execute_result", data={"text/plain": text}, execution_count=1)


def sample(*extra: NotebookNode) -> NotebookNode:
    """The good notebook, executed, with `extra` cells before its last two."""
    notebook = new_notebook(
        metadata=METADATA,
        cells=[
            new_markdown_cell(FIRST_CELL),
            code(colab_cell(NAME)),
            new_markdown_cell("## Two numbers\n\nTheir sum is shown."),
            code("first = 1\nfirst + 1", result("2")),
            *extra,
            new_markdown_cell("## In one cell"),
            code("print(1 + 1)", printed("2\n"), tags=("snippet",)),
        ],
    )
    cells = (cell for cell in notebook.cells if cell.cell_type == "code")
    for count, cell in enumerate(cells, start=1):
        cell.execution_count = count
    return notebook


def save(notebook: NotebookNode, path: Path) -> Path:
    nbformat.write(notebook, path)
    return path
