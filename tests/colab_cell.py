"""The first code cell of every notebook, which makes it work on Colab.

python -m tests.colab_cell   # put it into the notebooks that lack it
"""

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

from tests.notebooks import REPOSITORY, name_of, notebook_paths, read, write

OWNER, REPOSITORY_NAME = REPOSITORY.split("/")[-2:]
CELL = f"""\
import sys

if "google.colab" in sys.modules:  # fetch this repository and what Colab lacks
    from urllib.request import urlretrieve

    url = "https://raw.githubusercontent.com/{OWNER}/"
    url += "{REPOSITORY_NAME}/main/ch01_intro/colab.py"
    urlretrieve(url, "colab.py")
    import colab

    colab.prepare("{{name}}")"""


def colab_cell(name: str) -> str:
    """The cell's source in the notebook of that name."""
    return CELL.format(name=name)


def put_first(notebook: NotebookNode, name: str) -> bool:
    """Make it the second cell, after the title; tell whether anything changed."""
    source = colab_cell(name)
    second = notebook.cells[1]
    if "google.colab" in second.source:
        changed = second.source != source
        second.source = source
        return changed
    notebook.cells.insert(1, new_code_cell(source, id="colab", execution_count=1))
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    if any(cell.execution_count for cell in code[1:]):
        for count, cell in enumerate(code, start=1):
            cell.execution_count = count
            for output in cell.outputs:
                if "execution_count" in output:
                    output.execution_count = count
    return True


def main() -> None:
    for path in notebook_paths():
        notebook = read(path)
        if put_first(notebook, name_of(path)):
            write(notebook, path)
            print(name_of(path))


if __name__ == "__main__":
    main()
