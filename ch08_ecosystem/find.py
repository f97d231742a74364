"""Find any function in this repository, by its name or in your own words.

    python -m ch08_ecosystem.find gather
    python -m ch08_ecosystem.find nn.Conv2d
    python -m ch08_ecosystem.find "pad sequences of different length" --limit 3
    python -m ch08_ecosystem.find "cosine learning rate" --json

Works offline and imports no PyTorch. The ranking is BM25, as SQLite's full-text search
(FTS5) computes it: https://www.sqlite.org/fts5.html
"""

import argparse
import ast
import difflib
import json
import re
import sqlite3
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path

from ch08_ecosystem.catalogue import Function, Place, load
from ch08_ecosystem.reading import ROOT, link, python, read_notebook
from ch08_ecosystem.words import tasks, words

COLUMNS = {"name": 6.0, "said": 8.0, "heading": 4.0, "text": 2.0, "code": 0.5}
SHOWN = 12  # lines of a cell


@dataclass(frozen=True)
class Hit:
    """One answer: what to use, where it is shown, and the lines to copy."""

    name: str  # "" where the answer is a whole cell
    notebook: str
    heading: str
    cell: int  # counts all cells of the notebook from 1
    lines: str

    @property
    def link(self) -> str:
        return link(self.notebook, self.heading)

    def repeats(self, other: "Hit") -> bool:
        """The same function, or a second cell under one heading."""
        if self.name:
            return self.name == other.name
        same_place = (self.notebook, self.heading) == (other.notebook, other.heading)
        return same_place and (not other.name or self.cell == other.cell)


class Finder:
    """The catalogue in a full-text index in memory."""

    def __init__(self, places: list[Place], functions: list[Function]) -> None:
        self.places, self.functions = places, functions
        self.index = sqlite3.connect(":memory:", check_same_thread=False)
        self.index.execute(
            f"CREATE VIRTUAL TABLE docs USING fts5(row UNINDEXED, {','.join(COLUMNS)}, "
            "tokenize='porter unicode61')"
        )
        self.index.executemany(
            f"INSERT INTO docs VALUES (?{',?' * len(COLUMNS)})", self._documents()
        )

    def search(self, question: str, *, limit: int = 5) -> list[Hit]:
        """The best answers first; none where no word is known.

        Raises `ValueError` where the question is empty or `limit` less than 1.
        """
        if not question.strip():
            raise ValueError("ask for something: a name, or what you want to do")
        if limit < 1:
            raise ValueError(f"limit has to be at least 1, not {limit}")
        asked = words(question)
        found: list[tuple[Hit, list[int]]] = []
        for row in [*self._named(question), *self._ranked(asked)]:
            hit, numbers = self._hit(row, asked)
            if not any(hit.repeats(other) for other, _ in found):
                found.append((hit, numbers))
            if len(found) == limit:
                break
        return [replace(hit, lines=excerpt(hit, numbers)) for hit, numbers in found]

    def nearest(self, question: str, *, limit: int = 5) -> list[str]:
        """Names that are spelt almost so."""
        last = question.strip().rsplit(".", 1)[-1].lower()
        short: dict[str, list[str]] = {}
        for function in self.functions:
            end = function.name.rsplit(".", 1)[-1].lower()
            short.setdefault(end, []).append(function.name)
        near = difflib.get_close_matches(last, short, limit)
        return [name for end in near for name in short[end]][:limit]

    def _documents(self) -> Iterator[tuple]:
        said = {target.lower(): phrases for target, phrases in tasks().items()}
        for number, place in enumerate(self.places):
            phrases = said.get(place.key.lower(), "")
            yield (number, "", " ".join(words(phrases)),
                   " ".join(words(f"{place.heading} {place.title}")),
                   place.text, place.code)  # fmt: skip
        for number, function in enumerate(self.functions):
            phrases = said.get(function.name.lower(), "")
            name = " ".join(function.name.split(".")[-2:])
            yield (-1 - number, " ".join(words(name)), " ".join(words(phrases)), "",
                   function.text, "")  # fmt: skip

    def _named(self, question: str) -> list[int]:
        """Functions whose name ends as the question does, shortest first."""
        asked = question.strip().rstrip("()").lower()
        if not re.fullmatch(r"[\w.]+", asked):
            return []
        rows = [
            (len(f.name), -1 - number)
            for number, f in enumerate(self.functions)
            if f.name.lower() == asked or f.name.lower().endswith(f".{asked}")
        ]
        return [row for _, row in sorted(rows)]

    def _ranked(self, asked: list[str]) -> list[int]:
        if not asked:
            return []
        weights = ", ".join(str(weight) for weight in COLUMNS.values())
        query = " OR ".join(f'"{word}"' for word in dict.fromkeys(asked))
        rows = self.index.execute(
            f"SELECT row FROM docs WHERE docs MATCH ? "
            f"ORDER BY bm25(docs, 0, {weights}) LIMIT 100",
            [query],
        )
        return [row for (row,) in rows]

    def _hit(self, row: int, asked: list[str]) -> tuple[Hit, list[int]]:
        """What a row of the index stands for, and its lines' numbers in the cell.

        The notebook is not read yet: most rows are not shown.
        """
        name, index, numbers = "", row, []
        if row < 0:
            function = self.functions[-1 - row]
            index, *numbers = max(
                function.places, key=lambda where: self._fits(where[0], asked)
            )
            name = function.name
        place = self.places[index]
        return Hit(name, place.notebook, place.heading, place.number, ""), numbers

    def _fits(self, index: int, asked: list[str]) -> int:
        """How many of the words that were asked for a cell and its heading have."""
        place = self.places[index]
        there = set(words(f"{place.heading} {place.title}")) | set(place.text.split())
        return len(there & set(asked))


def excerpt(hit: Hit, numbers: list[int]) -> str:
    """Of a function the statements with these lines, else the beginning of the cell."""
    code = source(hit.notebook, hit.cell)
    if hit.name:
        return statements(code, numbers)
    rows = code.strip("\n").splitlines()
    return "\n".join([*rows[:SHOWN], "..."] if len(rows) > SHOWN else rows)


def source(notebook: str, cell: int, root: Path = ROOT) -> str:
    """The cell's code as it is in the notebook now, without magics."""
    return python(read_notebook(root / notebook)[cell - 1]["source"])


def statements(code: str, lines: list[int]) -> str:
    """The statements that hold those lines, the first three at the most."""
    try:
        body = ast.parse(code).body
    except SyntaxError:
        return code
    rows = code.splitlines()
    found = [
        "\n".join(rows[node.lineno - 1 : node.end_lineno][:SHOWN])
        for node in body
        if any(node.lineno <= line <= node.end_lineno for line in lines)
    ]
    return "\n".join(found[:3])


@cache
def finder() -> Finder:
    return Finder(*load())


def show(hit: Hit, number: int) -> str:
    lines = "\n".join(f"     {line}" for line in hit.lines.splitlines())
    where = f"{hit.notebook}, cell {hit.cell} · {hit.heading}"
    return f"{number:2}  {hit.name or hit.heading}\n    {where}\n{lines}\n"


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("question", nargs="+", help="a name, or what you want to do")
    parser.add_argument("--limit", type=int, default=5, help="how many answers (5)")
    parser.add_argument("--json", action="store_true", help="for a program to read")
    args = parser.parse_args(argv)
    question = " ".join(args.question)
    try:
        hits = finder().search(question, limit=args.limit)
    except (OSError, ValueError) as error:
        print(f"find: {error}", file=sys.stderr)
        return 2
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")
    near = [] if hits else finder().nearest(question)
    if args.json:
        rows = [asdict(hit) | {"link": hit.link} for hit in hits]
        print(json.dumps({"hits": rows, "nearest": near}, ensure_ascii=False, indent=1))
    elif hits:
        print("\n".join(show(hit, number) for number, hit in enumerate(hits, start=1)))
    else:
        names = ", ".join(near) or "nothing spelt like it either"
        print(f"Nothing found for {question!r}. The nearest names: {names}")
    return 0 if hits else 1


if __name__ == "__main__":
    raise SystemExit(main())
