"""What changed since the book, as rows: changes.toml beside the notebooks' notes.

    python -m ch08_ecosystem.changes    # notes without a row, rows without a note

A row says in a few words what a *Since the book* block of a notebook says in full. Each
note has a row at least; each row belongs to a note that has its old call in it.
"""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from ch08_ecosystem.reading import ROOT, notebook_paths, since_the_book

FILE = Path(__file__).with_name("changes.toml")
STATES = (
    "as it was",
    "runs",
    "runs, with a warning",
    "does something else",
    "renamed or moved",
    "raises",
    "no longer developed",
    "gone",
    "new since then",
)


@dataclass(frozen=True)
class Change:
    """One row. `old` and `new` are Markdown, code in backticks; `new` may be empty."""

    notebook: str
    old: str
    today: str  # one of STATES
    new: str
    note: int = 0  # of all notes in the book's order, from 1
    heading: str = ""


def notes(root: Path = ROOT) -> list:
    """All *Since the book* blocks, in the book's order."""
    return [note for path in notebook_paths(root) for note in since_the_book(path)]


def codes(markdown: str) -> list[str]:
    return re.findall(r"`([^`]+)`", markdown)


def load(path: Path = FILE, root: Path = ROOT) -> list[Change]:
    """The rows in the order of their notes.

    Raises `ValueError` with a line for each row that fits no note, that has an unknown
    state or a missing field, and for each note without a row.
    """
    try:
        rows = tomllib.loads(path.read_text(encoding="utf-8"))["change"]
    except (tomllib.TOMLDecodeError, KeyError) as error:
        raise ValueError(f"{path.name} is damaged: {error}") from error
    there = notes(root)
    changes, problems = [], []
    for row in rows:
        try:
            changes.append(placed(row, there))
        except ValueError as error:
            problems.append(str(error))
    with_row = {change.note for change in changes}
    problems += [
        f"{note.notebook}, {note.heading}: no row for {note.text[:60]!r}"
        for number, note in enumerate(there, start=1)
        if number not in with_row
    ]
    if problems:
        raise ValueError(f"{path.name}:\n" + "\n".join(problems))
    return sorted(changes, key=lambda change: change.note)


def placed(row: dict[str, str], there: list) -> Change:
    """The row with the first note that has all code of `old`, under its heading."""
    if set(row) - {"heading"} != {"notebook", "old", "today", "new"}:
        raise ValueError(f"{row}: needs notebook, old, today and new")
    if row["today"] not in STATES:
        raise ValueError(f"{row['old']}: {row['today']!r} is none of {STATES}")
    for number, note in enumerate(there, start=1):
        if (
            note.notebook == row["notebook"]
            and row.get("heading", note.heading) == note.heading
            and all(code in note.text for code in codes(row["old"]))
        ):
            return Change(**row | {"heading": note.heading}, note=number)
    raise ValueError(f"{row['notebook']}: no note has {row['old']}")


def main() -> int:
    try:
        print(f"{len(load())} rows for {len(notes())} notes, all well")
    except ValueError as error:
        print(error)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
