"""The executor, on notebooks of a few lines."""

import itertools
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests import execute
from tests.hygiene import RULES
from tests.notebooks import read
from tests.sample_notebook import NAME, code, sample, save

ROW = "| [adding]({}) | adds | ? s | ? MB |\n"


@pytest.fixture
def readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A README of its own, with a row for the notebook, and a clock of its own."""
    path = tmp_path / "README.md"
    path.write_text("| notebook | |\n" + ROW.format(NAME) + ROW.format("ch01/other"))
    monkeypatch.setattr(execute, "README", path)
    clock = itertools.count(0, 7)  # each notebook takes seven seconds
    monkeypatch.setattr(execute, "time", SimpleNamespace(perf_counter=clock.__next__))
    return path


@pytest.fixture
def notebook(tmp_path: Path) -> Path:
    """The sample as its author wrote it: nothing run, nothing measured."""
    written = sample(code("print(1)\nprint(2, flush=True)\nprint(3)"))
    written.cells[0].source = written.cells[0].source.replace("about 2 s", "about ? s")
    for cell in written.cells:
        cell.metadata["collapsed"] = True
        if cell.cell_type == "code":
            cell.update(outputs=[], execution_count=None)
    path = tmp_path / NAME
    path.parent.mkdir()
    return save(written, path)


def test_it_saves_what_ran_and_leaves_what_failed(
    notebook: Path, readme: Path, capfd: pytest.CaptureFixture[str]
):
    failing = save(sample(code("1 / 0")), notebook.with_name("98_failing.ipynb"))
    before = failing.read_bytes()

    assert execute.main([str(failing), str(notebook)]) == 1
    said = capfd.readouterr()
    assert "98_failing.ipynb failed" in said.err and "ZeroDivisionError" in said.err
    above = said.err.partition("\nch01_intro/98_failing.ipynb failed")[0]
    # A kernel's last message can come when its socket is closed already.
    assert not above.partition("ERROR:tornado.general")[0], "more than the failures"
    assert "99_sample.ipynb" in said.out
    assert failing.read_bytes() == before
    assert set(notebook.parent.iterdir()) == {failing, notebook}

    executed = read(notebook)
    assert [problem for rule in RULES for problem in rule(executed, NAME)] == []
    assert executed.cells[3].outputs[0].data["text/plain"] == "2"
    assert [output.text for output in executed.cells[4].outputs] == ["1\n2\n3\n"]
    assert "**Time:** about 7 s on 2 CPU cores" in executed.cells[0].source
    row, other = readme.read_text().splitlines(keepends=True)[1:]
    assert re.search(r"\| 7 s \| \d+ MB \|", row)
    assert other == ROW.format("ch01/other")

    files = notebook, readme
    first = [path.read_bytes() for path in files]
    assert execute.main([str(notebook)]) == 0
    assert [path.read_bytes() for path in files] == first


def test_a_number_before_a_word_with_s_is_no_time():
    row = "| [23 schedulers](ch03/23.ipynb) | 23 s, 970 MB |"
    assert execute.updated(row, 15, 500) == row.replace("23 s,", "15 s,").replace(
        "970 MB", "500 MB"
    )


def test_a_cell_that_takes_too_long_fails(notebook: Path, readme: Path):
    save(sample(code("import time\ntime.sleep(60)")), notebook)
    before = notebook.read_bytes()
    assert execute.main([str(notebook), "--timeout", "2"]) == 1
    assert notebook.read_bytes() == before
    assert "? s" in readme.read_text()


def test_an_unknown_path_is_an_error(
    notebook: Path, readme: Path, capfd: pytest.CaptureFixture[str]
):
    with pytest.raises(SystemExit) as stopped:
        execute.main([str(notebook), "nowhere.ipynb"])
    assert stopped.value.code == 2
    assert "no such notebook" in capfd.readouterr().err
    assert read(notebook).cells[3].execution_count is None  # none was run


@pytest.mark.parametrize(
    ("text", "new"),
    [
        ("about ? s", "about 10 s"),
        ("about 12 s", "about 12 s"),  # less than a quarter off
        ("about 20 s", "about 10 s"),
        ("| 10 s | ? MB |", "| 10 s | 320 MB |"),
        ("no figure", "no figure"),
    ],
)
def test_only_figures_that_moved_are_written_anew(text: str, new: str):
    assert execute.updated(text, 10.2, 324.0) == new
