"""The data sets of torchtext: what was in them, and where they are today.

    python -m ch08_ecosystem.text_data_sets  # the table, in the terminal

`text_data_sets.toml` holds the facts, each with its source.
"""

import tomllib
from pathlib import Path

from ch08_ecosystem.facts import is_source
from ch08_ecosystem.plain_table import PlainTable

FACTS = Path(__file__).with_suffix(".toml")
BASE = "base class"
FORMS = ("parquet", "script")
UNKNOWN = "not verified"


def load_facts(path: Path = FACTS) -> dict[str, dict]:
    """The entries by name, in the order of the book's table.

    Raises `ValueError` that names the entry which lacks a fact or a source of one.
    """
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    named = content.pop("sources")

    for name, entry in content.items():
        needed = ["field", "format"]
        if entry.get("field") != BASE:
            needed += ["splits", "size", "original", "verified"]
        if "hub" in entry:
            needed += ["hub_form", "hub_from"]
        if lacking := [fact for fact in needed if fact not in entry]:
            raise ValueError(f"{path.name}, [{name}] lacks {', '.join(lacking)}")
        size_from = entry.get("size_from", "")
        if entry.get("size", UNKNOWN) != UNKNOWN and not is_source(size_from, named):
            raise ValueError(f"{path.name}, [{name}]: size lacks its source")
        if entry.get("hub_form", FORMS[0]) not in FORMS:
            raise ValueError(f"{path.name}, [{name}]: hub_form is one of {FORMS}")
        if entry.get("verified") and not is_source(entry.get("hub_from", ""), named):
            raise ValueError(f"{path.name}, [{name}]: verified, and without a source")
    return content


def hub_call(entry: dict) -> str:
    """How `datasets` loads it, as in `load_dataset("a/b", "c")`; "" without a name."""
    names = ", ".join(f'"{part}"' for part in entry.get("hub", "").split())
    return f"load_dataset({names})" if names else ""


def sheet(facts: dict[str, dict], *fields: str) -> PlainTable:
    """Those of some fields, or all: items, classes, size, the hub's name, a note.

    The items stand in the order of the parts: training + validation + test.
    """
    rows = []
    for name, entry in facts.items():
        if fields and entry["field"] not in fields:
            continue
        remarks = ["script"] if entry.get("hub_form") == "script" else []
        if "hub" in entry and not entry["verified"]:
            remarks.append(UNKNOWN)
        remark = f" ({', '.join(remarks)})" if remarks else ""
        rows.append(
            (
                name,
                " + ".join(f"{count:,}" for count in entry.get("splits", {}).values()),
                entry.get("classes"),
                entry.get("size"),
                entry.get("hub", "-") + remark,
                entry["format"],
                entry.get("note"),
            )
        )
    columns = ("data set", "items", "classes", "size", "on the hub", "files", "note")
    return PlainTable(columns, rows)


if __name__ == "__main__":
    print(sheet(load_facts()))
