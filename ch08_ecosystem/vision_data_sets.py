"""The data sets of torchvision: what their classes say, beside what is known of them.

    python -m ch08_ecosystem.vision_data_sets  # the table, in the terminal

`vision_data_sets.toml` holds the facts that no class tells (how many items, how large a
download, does its link still answer), each with its source.
"""

import inspect
import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from torchvision import datasets

from ch08_ecosystem.facts import is_source
from ch08_ecosystem.plain_table import PlainTable

FACTS = Path(__file__).with_suffix(".toml")
TODAY = ("itself", "trouble", "refuses", "by hand", "none")
NO_DATA = {"VisionDataset", "LSUNClass"}  # a base class; a part of LSUN
SAME = ("transform", "target_transform", "transforms", "loader")  # of all, or nearly


@dataclass(frozen=True)
class DataSet:
    """One entry: the facts of the file, merged with what the first class says."""

    name: str  # the classes, as in "VOCDetection, VOCSegmentation"
    book: str | None  # in the book's table 8-10
    field: str
    items: str
    classes: int | None
    size: str
    today: str  # one of TODAY
    note: str
    constructor: str
    offers_download: bool
    hosts: tuple[str, ...]  # of the addresses in the source of the class


def all_classes() -> dict[str, type]:
    """The data set classes that `torchvision.datasets` exports, by name."""
    exported = {name: getattr(datasets, name) for name in datasets.__all__}
    return {
        name: thing
        for name, thing in exported.items()
        if inspect.isclass(thing) and name not in NO_DATA
    }


def constructor(cls: type) -> str:
    """The arguments of its own, as in `root, split='train', download=False`.

    Types, private arguments and those that nearly all have (`SAME`) are left out.
    """
    shown = []
    for argument in inspect.signature(cls).parameters.values():
        if argument.name.startswith("_") or argument.name in SAME:
            continue
        if argument.kind is argument.VAR_KEYWORD:
            shown.append(f"**{argument.name}")
        elif argument.default is argument.empty:
            shown.append(argument.name)
        else:
            shown.append(f"{argument.name}={argument.default!r}")
    return ", ".join(shown)


def offers_download(cls: type) -> bool:
    """Does it, or the class to which it passes its `**kwargs`, take `download`?"""
    arguments = inspect.signature(cls).parameters
    if "kwargs" in arguments:
        return any(offers_download(base) for base in cls.__bases__)
    return "download" in arguments


def hosts(cls: type) -> tuple[str, ...]:
    """The hosts of the addresses in its source; the home page is one of them."""
    found = re.findall(r"https?://([\w.-]+\w)", inspect.getsource(cls))
    return tuple(sorted(set(found) - {"docs.scipy.org"}))


def load_facts(path: Path = FACTS) -> dict[str, dict]:
    """The entries of the file, by name; raises `ValueError` for one that lacks a fact.

    An item count, a size and a state need a source each, unless they say that they are
    not verified.
    """
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    named = content.pop("sources")
    for name, entry in content.items():
        for fact in ("items", "size", "today"):
            source = entry.get(f"{fact}_from", "")
            known = is_source(source, {"class", *named})
            if entry.get(fact) != "not verified" and not (fact in entry and known):
                raise ValueError(f"{path.name}, [{name}]: {fact} lacks its source")
        if entry["today"] not in TODAY:
            raise ValueError(f"{path.name}, [{name}]: today is not one of {TODAY}")
    return content


def data_sets() -> list[DataSet]:
    """All of them, those of the book's table first and by its names.

    Raises `ValueError` where the file and this torchvision do not name the same ones.
    """
    facts, classes = load_facts(), all_classes()
    named = {
        one: key
        for key, entry in facts.items()
        for one in entry.get("class", key).replace("\n", " ").split(", ")
    }
    if unlike := {name.strip() for name in named} ^ set(classes):
        raise ValueError(f"only in one of torchvision and {FACTS.name}: {unlike}")
    found = []
    for key, entry in facts.items():
        members = [n.strip() for n in named if named[n] == key]
        cls = classes[members[0]]
        found.append(
            DataSet(
                name=", ".join(members),
                **{fact: entry.get(fact) for fact in ("book", "classes")},
                **{fact: entry[fact] for fact in ("field", "items", "size", "today")},
                note=entry.get("note", ""),
                constructor=constructor(cls),
                offers_download=offers_download(cls),
                hosts=hosts(cls),
            )
        )
    return sorted(found, key=lambda one: (not one.book, (one.book or one.name).lower()))


def facts_sheet(chosen: Iterable[DataSet]) -> PlainTable:
    """Name, field, items, classes, size of the download, state of it, a note."""
    columns = ("data set", "field", "items", "classes", "download", "today", "note")
    return PlainTable(
        columns,
        (
            (d.book or d.name, d.field, d.items, d.classes, d.size, d.today, d.note)
            for d in chosen
        ),
    )


if __name__ == "__main__":
    print(facts_sheet(data_sets()))
