"""The facts on torchvision's data sets fit the classes of this torchvision."""

import json
from pathlib import Path

import pytest
from torchvision import datasets

from ch08_ecosystem.vision_data_sets import (
    FACTS,
    all_classes,
    constructor,
    data_sets,
    facts_sheet,
    hosts,
    load_facts,
    offers_download,
)


def test_every_class_has_its_facts_and_every_name_of_the_book_stands_there():
    tables = json.loads(Path(__file__).with_name("book_index.json").read_text("utf-8"))
    table = next(table for table in tables if table["table"] == "8-10")
    found = data_sets()
    assert {entry["name"] for entry in table["names"]} == {
        one.book for one in found if one.book
    }
    named = [name for one in found for name in one.name.split(", ")]
    assert sorted(named) == sorted(
        name for name in all_classes() if name in datasets.__all__
    )


def test_what_downloads_by_itself_has_a_download():
    for one in data_sets():
        if one.today in ("itself", "trouble", "refuses"):
            assert one.offers_download, one.name
        elif one.today == "none":
            assert not one.offers_download, one.name


def test_a_class_is_read_and_not_called():
    assert constructor(datasets.CIFAR10) == "root, train=True, download=False"
    assert constructor(datasets.EMNIST) == "root, split, **kwargs"
    assert "_" not in constructor(datasets.Kinetics).split("(")[0].split(", ")[0]
    assert offers_download(datasets.EMNIST)  # through **kwargs to MNIST
    assert not offers_download(datasets.ImageNet)  # its **kwargs go to ImageFolder
    assert "www.cs.toronto.edu" in hosts(datasets.CIFAR10)


@pytest.mark.parametrize("refusing", [datasets.StanfordCars, datasets.LFWPeople])
def test_what_refuses_refuses(refusing, tmp_path):
    with pytest.raises(ValueError, match="download"):
        refusing(tmp_path, download=True)


def test_a_fact_without_a_source_and_a_missing_class_are_errors(tmp_path, monkeypatch):
    text = FACTS.read_text(encoding="utf-8")
    bad = tmp_path / "bad.toml"
    bad.write_text(text.replace('size_from = "tfds"', "", 1), encoding="utf-8")
    with pytest.raises(ValueError, match="size lacks its source"):
        load_facts(bad)
    bad.write_text(text.replace('today = "itself"', 'today = "?"', 1), encoding="utf-8")
    with pytest.raises(ValueError, match="today is not one of"):
        load_facts(bad)
    monkeypatch.setattr(datasets, "__all__", ("CIFAR10", "FakeData"))
    with pytest.raises(ValueError, match="only in one of"):
        data_sets()


def test_all_facts_are_one_table():
    text = repr(facts_sheet(data_sets()))
    assert "CelebA" in text and len(text.splitlines()) == 2 + len(data_sets())
