"""The file of projects is sound; newer releases are found, here without a network."""

import json
import re
import subprocess
import sys
import urllib.error
from datetime import date
from pathlib import Path

import pytest

from ch08_ecosystem import projects
from ch08_ecosystem.projects import STATES, choose, day, load, main, table

BOOK = json.loads(Path(__file__).with_name("book_index.json").read_text("utf-8"))
NAMES = {
    entry["name"]: index["table"]
    for index in BOOK
    if re.fullmatch("8-[1-9]", index["table"])
    for entry in index["names"]
}
GOOD = """
checked = "2026-11-25"
[fields]
"8-1" = "vision"
"8-2" = "audio"
[sources]
pypi = "PyPI, in November"
[one]
name = "One"
table = "8-1"
field = "vision"
repository = "someone/one"
pypi = "one"
version = "1.10"
released = "2026-03"
released_from = "pypi"
state = "active"
state_from = "https://example.org"
now = "itself"
"""


@pytest.fixture
def written(tmp_path):
    """Write the good file with one line replaced, and load it."""

    def write(old="", new=""):
        assert old in GOOD
        path = tmp_path / "projects.toml"
        path.write_text(GOOD.replace(old, new), encoding="utf-8")
        return load(path)

    return write


def test_every_project_of_the_book_is_there_once():
    found = {p.name: p.table for p in choose(load(), book=True)}
    assert found == NAMES and len(choose(load(), book=True)) == len(NAMES) == 51


def test_the_file_says_how_it_knows():
    for project in load():
        assert project.checked == date(2026, 11, 25)
        assert project.released_from and project.state_from and project.now
        assert re.fullmatch(r"[\w.-]+/[\w.-]+", project.repository), project.key
        assert project.pypi or not project.version or project.key == "detectron2"
        assert len(project.now) <= 60, f"{project.key}: too long for the table"
    assert {p.state for p in load()} == set(STATES)


def test_the_file_names_no_registry_but_pypi():
    text = projects.FACTS.read_text(encoding="utf-8")
    hosts = set(re.findall(r"https?://([^/\"]+)", text))
    assert hosts <= {"github.com", "docs.pytorch.org"}


def test_a_good_file_is_read(written):
    (one,) = written()
    assert (one.key, one.released, one.since) == ("one", date(2026, 3, 1), "")
    assert one.released_from == "PyPI, in November" and one.verified
    assert one.age == pytest.approx(0.74, abs=0.01) and one.installed == ""


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"active"', '"alive"', "the state 'alive' is not one of"),
        ('now = "itself"', "", "lacks now"),
        ('released_from = "pypi"', "", "released lacks its source"),
        ('"https://example.org"', '"hearsay"', "state_from is 'hearsay'"),
        ('field = "vision"', 'field = "smell"', "the field 'smell'"),
        ('table = "8-1"', 'table = "8-2"', "table 8-2 is not about vision"),
        ('"2026-03"', '"March"', "'March' is no date"),
        ('"2026-03"', '"2027"', "after the day of the check"),
        ('"2026-03"', '"2024-03"', "active, with a last release of 2024-03-01"),
        ('"active"', '"archived"', "archived since when"),
        ('pypi = "one"', 'pip = "one"', "pip is no fact"),
    ],
)
def test_a_wrong_entry_is_named(written, old, new, says):
    with pytest.raises(ValueError, match=r"projects\.toml, \[one\]: .*") as raised:
        written(old, new)
    assert says in str(raised.value)


def test_a_file_without_its_head(written):
    with pytest.raises(ValueError, match=r"lacks \['checked'\]"):
        written('checked = "2026-11-25"')


def test_days():
    assert [day(t) for t in ("2026", "2026-05", "2026-05-04")] == [
        date(2026, 1, 1),
        date(2026, 5, 1),
        date(2026, 5, 4),
    ]


def test_selection():
    everything = load()
    archived = choose(everything, state="archived", book=True)
    assert {p.name for p in archived} >= {"AllenNLP", "ParlAI", "Torchtext"}
    assert len(choose(everything, field="inference", book=True)) == 2
    for wrong in ({"state": "dead"}, {"field": "cooking"}):
        with pytest.raises(ValueError, match="is not one of"):
            choose(everything, **wrong)


def test_the_table_shows_what_is_not_verified():
    shown = table(choose(load(), field="reinforcement learning"))
    text = repr(shown)
    assert re.search(r"ELF +dormant 2019-06 .*\n +\(not verified\)", text)
    assert "not in the book" in text and "<td" in shown._repr_html_()


# ---- Newer releases ------------------------------------------------------------------


def test_the_command_ends_with_1(monkeypatch, capsys):
    monkeypatch.delenv("PYTORCH_BOOK_OFFLINE", raising=False)
    versions = {"timm": "99.0", "ray": "0.1"}
    assert main(["--check", "timm", "ray"], newest=versions.get) == 1
    assert "timm: 99.0 is out" in (said := capsys.readouterr().out)
    assert said.endswith("newer releases: 1\n")
    assert main(["--check", "ray"], newest=versions.get) == 0


def test_the_command_without_a_network(monkeypatch, capsys):
    monkeypatch.delenv("PYTORCH_BOOK_OFFLINE", raising=False)
    asked = []

    def newest(package):
        asked.append(package)
        raise urllib.error.URLError("no route")

    assert main(["--check"], newest=newest) == 2
    said = capsys.readouterr().out
    assert said.count("\n") == 1 and "no route" in said and len(asked) == 1


def test_the_command_that_may_not_ask(monkeypatch, capsys):
    monkeypatch.setenv("PYTORCH_BOOK_OFFLINE", "1")
    assert main(["--check"], newest=lambda package: pytest.fail("asked")) == 2
    assert "was not asked" in capsys.readouterr().out


def test_the_command_prints_the_tables(capsys):
    assert main(["--state", "archived"]) == 0
    said = capsys.readouterr().out
    assert "AllenNLP" in said and "timm" not in said
    with pytest.raises(SystemExit):
        main(["--check", "nothing"])


def test_asking_needs_no_torch():
    code = "import sys, ch08_ecosystem.projects; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
