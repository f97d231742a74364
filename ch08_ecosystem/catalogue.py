"""The catalogue of what the notebooks show: made from them, kept in one file.

    python -m ch08_ecosystem.catalogue         # make catalogue.json anew

`find` only reads the file, so that it starts at once; this module imports PyTorch, to
learn from each function's documentation which words describe it.
"""

import importlib
import inspect
import json
import logging
import re
import sys
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from ch08_ecosystem.reading import ROOT, CodeCell, code_cells, notebook_paths, plain
from ch08_ecosystem.words import words

FILE = Path(__file__).with_name("catalogue.json")
ABOUT_FINDING = "15_finding.ipynb"  # it quotes questions: it would answer them all


@dataclass(frozen=True)
class Place:
    """A code cell in which something is shown, without its code."""

    notebook: str
    number: int  # counts all cells from 1
    title: str
    heading: str
    text: str  # the words of the prose above it, of comments and of strings
    code: str  # the words of its names

    @property
    def key(self) -> str:
        """How synonyms.toml calls it: `dropout#three mistakes`."""
        topic = self.notebook.split("/")[1].removesuffix(".ipynb")[3:]
        return f"{topic}#{self.heading}"


@dataclass(frozen=True)
class Function:
    """A function, class or constant of a package, and where it is used."""

    name: str  # "torch.nn.functional.pad"
    text: str  # the words of its documentation's summary and of comments beside it
    places: list[list[int]]  # [index of the place, line, line, ...], lines from 1


@cache
def cells_of(path: Path) -> tuple[CodeCell, ...]:
    """The code cells of a notebook, read once."""
    return tuple(code_cells(path))


@cache
def make(root: Path = ROOT) -> tuple[list[Place], list[Function]]:
    """Read all notebooks below `root`, once."""
    places: list[Place] = []
    used: dict[str, list[list[int]]] = {}
    said: dict[str, list[str]] = {}
    for path in notebook_paths(root):
        if path.name == ABOUT_FINDING:
            continue
        for cell in cells_of(path):
            for name, lines in cell.names.items():
                used.setdefault(name, []).append([len(places), *sorted(set(lines))])
                said.setdefault(name, []).extend(beside(cell, lines))
            places.append(place(cell))
    functions = [
        Function(name, unique(" ".join([summary(name), *said[name]])), where)
        for name, where in sorted(used.items())
    ]
    return places, functions


def place(cell: CodeCell) -> Place:
    comments = re.findall(r"#+ ?(.+)", cell.code)
    names = re.sub(r"#.*|\"[^\"\n]*\"", " ", cell.code)
    return Place(cell.notebook, cell.number, cell.title, cell.heading,
                 unique(" ".join([cell.prose, *comments])), unique(names))  # fmt: skip


def beside(cell: CodeCell, lines: list[int]) -> list[str]:
    """The comments at the end of those lines: in a reference table, what it does."""
    source = cell.code.splitlines()
    return [
        comment[1]
        for line in lines
        if (comment := re.search(r"  # (.+)$", source[line - 1]))
    ]


def unique(text: str) -> str:
    return " ".join(dict.fromkeys(words(text)))


def resolve(name: str) -> object | None:
    """What a full name stands for, or None where there is no such thing any more."""
    logging.getLogger("torch.utils.cpp_extension").setLevel("ERROR")  # no CUDA
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            value = importlib.import_module(".".join(parts[:cut]))
        except ImportError:
            continue
        try:
            for part in parts[cut:]:
                value = getattr(value, part)
        except (AttributeError, RuntimeError):
            return None
        return value
    return None


def summary(name: str) -> str:
    """The first sentence of its documentation, without a line that is its signature.

    Of PyTorch and torchvision only: to import all packages would take half a minute.
    """
    value = resolve(name) if name.startswith(("torch.", "torchvision.")) else None
    if value is None or inspect.ismodule(value) or _says_its_type(value):
        return ""
    short = name.rsplit(".", 1)[-1]
    lines = (inspect.getdoc(value) or "").strip().splitlines()
    lines = [line for line in lines if not line.strip().startswith((f"{short}(", ".."))]
    text = " ".join(line.strip() for line in lines if ">>>" not in line).strip()
    text = re.sub(r":\w+:`~?([^`]*)`", r"\1", text)
    first = re.split(r"(?<=[a-z)])\. |:: ", text, maxsplit=1)[0]
    return plain(first)[:300]


def _says_its_type(value: object) -> bool:
    """Whether its documentation is that of a type of Python's own, such as `bool`.

    That says nothing about the value, and each version of Python words it anew.
    """
    kind = type(value)
    own = kind.__module__.partition(".")[0] in sys.stdlib_module_names
    return own and value.__doc__ == kind.__doc__


def write(path: Path = FILE) -> None:
    places, functions = make()
    lines = [json.dumps({"places": len(places), "functions": len(functions)})]
    lines += [json.dumps(list(asdict(row).values()), ensure_ascii=False)
              for row in [*places, *functions]]  # fmt: skip
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")


def load(path: Path = FILE) -> tuple[list[Place], list[Function]]:
    """What `write` wrote. Raises an error that says how to make the file anew."""
    help_ = "`python -m ch08_ecosystem.catalogue` makes it anew"
    try:
        head, *rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
        if len(rows) != head["places"] + head["functions"]:
            raise ValueError("it is cut off")
        places = [Place(*row) for row in rows[: head["places"]]]
        return places, [Function(*row) for row in rows[head["places"] :]]
    except FileNotFoundError as error:
        raise FileNotFoundError(f"No catalogue at {path}: {help_}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged ({error}): {help_}") from error


if __name__ == "__main__":
    write()
    places, functions = load()
    print(f"{len(places)} cells, {len(functions)} functions in {FILE.name}")
