import json
from pathlib import Path

import pytest

from ch04_reference_designs import benchmark
from ch04_reference_designs.benchmark import report, shortened


@pytest.fixture(autouse=True)
def no_data(monkeypatch, tmp_path):
    monkeypatch.setenv("PYTORCH_BOOK_DATA", str(tmp_path))
    monkeypatch.setattr(benchmark, "RESULTS", tmp_path / "results.json")
    return tmp_path


def test_the_command_compares_and_says_who_wins(no_data, capsys):
    content = benchmark.main(["--limit", "200", "--save"])
    out = capsys.readouterr().out
    assert "invented reviews" in out and "400 to learn from, 400 to test" in out
    assert len(content["results"]) == 3
    assert all(0.5 < row["accuracy"] <= 1 for row in content["results"])
    assert all(row["seconds"] > 0 for row in content["results"])
    assert json.loads(benchmark.RESULTS.read_text(encoding="utf-8")) == content
    assert benchmark.load(benchmark.RESULTS) == content
    assert out.endswith(report(content) + "\n") and "most accurate: " in out


def content(*rows, tested=4000):
    results = [{"name": n, "accuracy": a, "seconds": s} for n, a, s in rows]
    about = {"data": "IMDB", "measured": "today", "machine": "cpu", "learned": 9}
    return about | {"tested": tested, "results": results}


def test_the_report_knows_what_chance_can_do():
    rows = ("first", 0.880, 9.0), ("second", 0.885, 2.0), ("third", 0.7, 1.0)
    close = report(content(*rows))
    assert "second,\n    0.5 points ahead of first,\n    which is no more" in close
    assert close.endswith("fastest: third")
    assert "chance" not in report(content(*rows, tested=1_000_000))


def test_what_is_committed_can_be_shown():
    saved = benchmark.load(Path(benchmark.__file__).with_name("benchmark.json"))
    assert "most accurate" in report(saved) and len(saved["results"]) == 3


def test_the_first_of_each_label():
    assert shortened(["a", "b", "c", "d"], [0, 0, 1, 1], 1) == (["a", "c"], [0, 1])
    assert shortened(["a", "b"], [1, 0], None) == (["b", "a"], [0, 1])
    with pytest.raises(ValueError, match="at least 1"):
        shortened(["a"], [0], 0)
