"""The notebooks of this repository, and their cells, as the tests see them."""

import ast
import os
import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nbformat

from ch08_ecosystem.reading import notebook_paths

ROOT = Path(__file__).resolve().parent.parent
CHAPTERS = tuple(sorted(path.name for path in ROOT.glob("ch0*_*") if path.is_dir()))
TAGS = {"snippet", "gpu", "nbval-ignore-output"}
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
# What the executor and the tests set, where it is not set already, for themselves and
# for every kernel, worker and subprocess.
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",  # several kernels at a time: one thread each
    "MKL_NUM_THREADS": "1",
    "CUDA_VISIBLE_DEVICES": "",  # outputs are those of a CPU, on every machine
    "PYTORCH_BOOK_DEVICE": "cpu",
    "PYTORCH_BOOK_OFFLINE": "1",  # no download in the middle of a cell
    "http_proxy": "http://127.0.0.1:9",  # nobody listens there: what asks the network
    "https_proxy": "http://127.0.0.1:9",  # is refused at once, on every machine
    "no_proxy": "127.0.0.1,localhost",
    "TQDM_DISABLE": "1",  # progress bars go to stderr, which has to stay empty
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # the debugger's greeting goes there as well
}
if sys.platform == "darwin":
    # A note about redirects where parts of torch.distributed are imported; a name of
    # the machine that has no address.
    ENVIRONMENT |= {"TORCH_LOGS": "-distributed", "GLOO_SOCKET_IFNAME": "lo0"}
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
REPOSITORY = PYPROJECT["project"]["urls"]["Repository"]
COLAB = REPOSITORY.replace("//github.com", "//colab.research.google.com/github")
BADGE = (
    "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]"
    f"({COLAB}/blob/main/{{}})"  # the notebook's path goes between the braces
)


def set_environment() -> None:
    """Set `ENVIRONMENT`, and keep bytecode even where the machine's settings forbid it.

    Else each of a hundred kernels and of all their workers compiles its imports anew.
    """
    for variable, value in ENVIRONMENT.items():
        os.environ.setdefault(variable, value)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False


@dataclass(frozen=True)
class Cell:
    """One code cell: where it stands, what it says, its tags and its outputs."""

    notebook: str
    number: int  # counts all cells from 1, as they stand in the notebook
    source: str
    tags: frozenset[str]
    outputs: list
    execution_count: int | None

    @property
    def where(self) -> str:
        return f"{self.notebook}, cell {self.number}"

    @property
    def python(self) -> str:
        """The source without the lines that are magics; empty if it is no Python."""
        if re.match(r"\s*%%(?!reference|layers|time|capture)", self.source):
            return ""
        return re.sub(r"(?m)^\s*([\w, ]+= *)?[%!]+\w.*\n?", "", self.source)

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.python)

    @property
    def texts(self) -> Iterator[str]:
        """Everything that the outputs say in text: streams, results, HTML."""
        for output in self.outputs:
            yield output.get("text", "")
            for kind, content in output.get("data", {}).items():
                if kind.startswith("text/"):
                    yield content


def read(path: Path) -> nbformat.NotebookNode:
    """The notebook as it is on disk: what `nbformat.read` would mend stays as it is."""
    return nbformat.v4.reads(path.read_text(encoding="utf-8"))


def write(notebook: nbformat.NotebookNode, path: Path) -> None:
    """Write beside and rename, so that a notebook is never half a file."""
    beside = path.with_suffix(f".{os.getpid()}.part")
    nbformat.write(notebook, beside)
    beside.replace(path)


def name_of(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def code_cells(notebook: nbformat.NotebookNode, name: str) -> Iterator[Cell]:
    for number, cell in enumerate(notebook.cells, start=1):
        if cell.cell_type == "code":
            yield Cell(
                notebook=name,
                number=number,
                source=cell.source,
                tags=frozenset(cell.metadata.get("tags", [])),
                outputs=cell.outputs,
                execution_count=cell.execution_count,
            )


def all_code_cells() -> Iterator[Cell]:
    for path in notebook_paths():
        yield from code_cells(read(path), name_of(path))
