"""The generated pages and the catalogue are those of today's notebooks."""

import re
from functools import cache
from urllib.parse import unquote

import pytest
import torch

from ch08_ecosystem import catalogue, pages
from ch08_ecosystem.reading import ROOT, plain, read_notebook

HOW = "run `python -m ch08_ecosystem.pages`"
PINNED = re.search(r"(?m)^torch==([\d.]+)", (ROOT / "requirements.txt").read_text())[1]
pinned = pytest.mark.skipif(
    not torch.__version__.startswith(PINNED), reason=f"made with torch {PINNED}"
)


@pinned
def test_the_catalogue_is_up_to_date():
    assert catalogue.load() == catalogue.make(), HOW


@pinned
def test_the_pages_are_up_to_date():
    for path, text in pages.pages().items():
        assert path.read_text(encoding="utf-8") == text, HOW


@cache
def headings(notebook: str) -> set[str]:
    cells = read_notebook(ROOT / notebook)
    text = "\n".join(
        "".join(c["source"]) for c in cells if c["cell_type"] == "markdown"
    )
    return {
        plain(line).replace(" ", "-") for line in re.findall(r"(?m)^#+ +(.+)$", text)
    }


def test_links_lead_to_headings_that_are_there():
    count = 0
    for name in (pages.INDEX, pages.SINCE):
        text = (pages.FOLDER / name).read_text(encoding="utf-8")
        for notebook, anchor in re.findall(r"\]\(\.\./([^)#]+)(?:#([^)]*))?\)", text):
            there = not anchor or unquote(anchor) in headings(notebook)
            assert there, f"{notebook}#{anchor}"
            count += 1
    assert count > 1000


def test_notes_are_linked_from_the_functions_that_they_speak_of():
    index = (pages.FOLDER / pages.INDEX).read_text(encoding="utf-8")
    since = (pages.FOLDER / pages.SINCE).read_text(encoding="utf-8")
    anchors = set(re.findall(r'<a id="(note-\d+)">', since))
    linked = set(re.findall(rf"\({pages.SINCE}#(note-\d+)\)", index))
    assert linked <= anchors and len(linked) > 20
    row = next(
        line for line in index.splitlines() if line.startswith("| `chain_matmul`")
    )
    assert "◆" in row


def test_tables_have_the_same_number_of_columns_everywhere():
    for name, columns in ((pages.INDEX, 2), (pages.SINCE, 4)):
        text = (pages.FOLDER / name).read_text(encoding="utf-8")
        rows = [line for line in text.splitlines() if line.startswith("|")]
        assert {len(re.findall(r"(?<!\\)\|", row)) - 1 for row in rows} == {columns}
