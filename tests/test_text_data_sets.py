import json
from pathlib import Path

import pytest

from ch08_ecosystem import text_formats
from ch08_ecosystem.text_data_sets import BASE, FACTS, hub_call, load_facts, sheet


def test_every_name_of_the_book_stands_there():
    tables = json.loads(Path(__file__).with_name("book_index.json").read_text("utf-8"))
    table = next(table for table in tables if table["table"] == "8-18")
    names = [entry["name"].rsplit(".", 1)[-1] for entry in table["names"]]
    assert list(load_facts()) == names


def test_the_formats_have_readers():
    for name, entry in load_facts().items():
        if entry["format"].startswith("read_"):
            assert callable(getattr(text_formats, entry["format"])), name


def test_the_call_and_the_sheet():
    facts = load_facts()
    assert hub_call(facts["WikiText2"]) == (
        'load_dataset("Salesforce/wikitext", "wikitext-2-v1")'
    )
    assert hub_call(facts["AmazonReviewFull"]) == ""
    assert len(sheet(facts).rows) == len(facts) == 22
    rows = {row[0]: row for row in sheet(facts, "question answering").rows}
    assert set(rows) == {"SQuAD1", "SQuAD2"}
    assert "not verified" in rows["SQuAD1"][4] and rows["SQuAD2"][4].endswith("v2")
    assert len(sheet(facts, BASE).rows) == 4


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ('size_from = "tfds"\n', "", r"\[IMDB\]: size lacks"),
        ('format = "folders pos and neg"\n', "", r"\[IMDB\] lacks format"),
        ('hub_form = "parquet"', 'hub_form = "zip"', r"\[IMDB\]: hub_form"),
        ('hub_from = "https', 'hub_from = "ht', r"\[IMDB\]: verified"),
    ],
)
def test_a_fact_that_is_missing_is_an_error(old, new, what, tmp_path):
    text = FACTS.read_text(encoding="utf-8")
    assert old in text
    bad = tmp_path / "bad.toml"
    bad.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ValueError, match=what):
        load_facts(bad)
