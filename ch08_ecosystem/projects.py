"""The projects around PyTorch: alive, renamed, archived, and what people use today.

    python -m ch08_ecosystem.projects                    # the tables, in the terminal
    python -m ch08_ecosystem.projects --check            # newer releases? asks PyPI
    python -m ch08_ecosystem.projects --check timm ray   # these only

`projects.toml` holds the facts, each with its source; `load` checks them.
"""

import argparse
import re
import sys
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from importlib import metadata
from pathlib import Path

from ch01_intro.download import offline
from ch08_ecosystem.facts import is_source
from ch08_ecosystem.releases import check, newest_on_pypi

FACTS = Path(__file__).with_suffix(".toml")
STATES = ("active", "maintenance", "renamed", "merged", "archived", "dormant")
NEEDED = ("name", "field", "repository", "released", "state", "now")
KNOWN = {*NEEDED, "table", "pypi", "version", "since", "verified",
         "released_from", "state_from"}  # fmt: skip
YEAR = timedelta(days=366)


@dataclass(frozen=True)
class Project:
    """One entry of the file; what a project has not is an empty string."""

    key: str
    name: str
    table: str  # of the book, as in "8-1"; empty: it came since
    field: str
    repository: str  # owner/name on GitHub
    pypi: str
    version: str
    released: date
    released_from: str  # its source, in words or as an address
    state: str  # one of STATES
    since: str
    state_from: str
    now: str  # what people use today
    verified: bool
    checked: date

    @property
    def age(self) -> float:
        """Years from its last release to the day of the check."""
        return (self.checked - self.released).days / 365.25

    @property
    def installed(self) -> str:
        """The version that is installed here, or an empty string."""
        try:
            return metadata.version(self.pypi) if self.pypi else ""
        except metadata.PackageNotFoundError:
            return ""


def day(text: str) -> date:
    """`2026`, `2026-10` or `2026-10-05`; a month or a year counts from its start.

    Raises `ValueError` for anything else.
    """
    if not re.fullmatch(r"\d{4}(-\d\d){0,2}", text):
        raise ValueError(f"{text!r} is no date; write 2026, 2026-10 or 2026-10-05")
    return date(*(int(part) for part in f"{text}-01-01".split("-")[:3]))


def load(path: Path | str = FACTS) -> tuple[Project, ...]:
    """All projects, in the order of the file.

    Raises `ValueError` with the file, the section and the remedy where a fact or its
    source is missing, a state or a field unknown, a date none, or where state and date
    contradict each other.
    """
    path = Path(path)
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    missing = {"checked", "fields", "sources"} - content.keys()
    if missing:
        raise ValueError(f"{path.name} lacks {sorted(missing)} above its first project")
    checked, fields, sources = (
        content.pop(k) for k in ("checked", "fields", "sources")
    )
    found = []
    for key, entry in content.items():
        where = f"{path.name}, [{key}]"
        try:
            found.append(_project(key, entry, day(checked), fields, sources))
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from None
    return tuple(found)


def _project(key: str, entry: dict, checked: date, fields: dict, sources: dict):
    if lacking := [name for name in NEEDED if not entry.get(name)]:
        raise ValueError(f"lacks {', '.join(lacking)}")
    if unknown := sorted(entry.keys() - KNOWN):
        raise ValueError(f"{', '.join(unknown)} is no fact of a project")
    if entry["state"] not in STATES:
        raise ValueError(f"the state {entry['state']!r} is not one of {STATES}")
    if entry["field"] not in fields.values():
        raise ValueError(f"the field {entry['field']!r} is not one of `fields`")
    if entry.get("table") and fields.get(entry["table"]) != entry["field"]:
        raise ValueError(f"table {entry['table']} is not about {entry['field']}")
    for fact in ("released", "state"):
        source = entry.get(f"{fact}_from", "")
        if not is_source(source, sources):
            raise ValueError(f"{fact} lacks its source: {fact}_from is {source!r}")
    if entry["state"] != "active" and not entry.get("since"):
        raise ValueError(f"{entry['state']} since when? write `since`")
    released = day(entry["released"])
    if released > checked or day(entry.get("since", "1970")) > checked:
        raise ValueError("a date lies after the day of the check")
    recent = checked - released <= YEAR
    if (entry["state"], recent) in {("active", False), ("dormant", True)}:
        raise ValueError(f"{entry['state']}, with a last release of {released}?")
    words = {f"{fact}_from": entry[f"{fact}_from"] for fact in ("released", "state")}
    words = {name: sources.get(source, source) for name, source in words.items()}
    empty = dict.fromkeys(("table", "pypi", "version", "since"), "")
    facts = empty | {"verified": True} | entry | words
    return Project(key=key, checked=checked, **facts | {"released": released})


def choose(
    projects: Iterable[Project],
    *,
    field: str | None = None,
    state: str | None = None,
    book: bool | None = None,
) -> list[Project]:
    """Those of a field, of a state, of the book (or not); raises for unknown ones."""
    projects = list(projects)
    if state is not None and state not in STATES:
        raise ValueError(f"the state {state!r} is not one of {STATES}")
    if field is not None and field not in (known := {p.field for p in projects}):
        raise ValueError(f"the field {field!r} is not one of {sorted(known)}")
    return [
        project
        for project in projects
        if field in (None, project.field)
        and state in (None, project.state)
        and book in (None, bool(project.table))
    ]


def table(projects: Iterable[Project]):
    """*project, state, last release, today*: aligned text, or HTML in a notebook.

    What is not in the book stands below a heading of its own.
    """
    from ch02_tensors.reference import Table  # imports torch, which --check needs not

    class Projects(Table):
        columns = ("project", "state", "last release", "today")

    rows, projects = Projects(), list(projects)
    for book, heading in ((True, "in the book"), (False, "not in the book")):
        chosen = choose(projects, book=book)
        rows += [("", "", "", heading)] * bool(chosen)
        rows += [(p.name, _state(p), _release(p), p.now) for p in chosen]
    return rows


def _state(project: Project) -> str:
    since = f" {project.since[:7]}" if project.since else ""
    return project.state + since + ("" if project.verified else "\n(not verified)")


def _release(project: Project) -> str:
    month = f"{project.released:%Y-%m}"
    return f"{month}  {project.version or '(a commit)'}"


def main(arguments: list[str] | None = None, newest=newest_on_pypi) -> int:
    """0: nothing to do; 1: newer releases, or a package
    that PyPI does not know; 2: PyPI was not asked or did not answer."""
    parser = argparse.ArgumentParser(prog="python -m ch08_ecosystem.projects")
    parser.add_argument("--check", action="store_true", help="ask PyPI for newer ones")
    parser.add_argument("--state", choices=STATES)
    parser.add_argument("keys", nargs="*", metavar="KEY", help="as in projects.toml")
    chosen = parser.parse_args(arguments)
    projects = load()
    if unknown := sorted(set(chosen.keys) - {project.key for project in projects}):
        parser.error(f"no project {', '.join(unknown)} in {FACTS.name}")
    projects = choose(projects, state=chosen.state)
    projects = [p for p in projects if not chosen.keys or p.key in chosen.keys]
    if not chosen.check:
        for field in dict.fromkeys(project.field for project in projects):
            print(f"{field.upper()}\n{table(choose(projects, field=field))}\n")
        return 0
    if offline():
        print("PYTORCH_BOOK_OFFLINE is set: PyPI was not asked")
        return 2
    try:
        found = check(projects, newest)
    except ConnectionError as error:
        print(f"{error}: nothing was checked")
        return 2
    print(*found["newer"], *found["unknown"], sep="\n")
    print(f"newer releases: {len(found['newer'])}")
    return 1 if found["newer"] or found["unknown"] else 0


if __name__ == "__main__":
    sys.exit(main())
