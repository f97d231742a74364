"""The waterfall's command, table and picture, and the numbers that are committed."""

import json

import matplotlib.pyplot as plt
import pytest

from ch06_acceleration import waterfall
from ch06_acceleration.rungs import ladder
from ch06_acceleration.waterfall import RESULTS, TARGET, Result, draw, main, table
from tests.fake_cifar10 import write_cifar10

THREE = [
    Result("slow", 10, [300.0], [0.62]),
    Result("fast", 2, [29.0, 31.0, 30.0], [0.64, 0.633, 0.65]),
    Result("fastest", 0.5, [3.0], [0.632]),
]


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTORCH_BOOK_DATA", str(tmp_path))
    monkeypatch.setattr(waterfall, "RESULTS", tmp_path / "waterfall.json")
    write_cifar10(tmp_path, 10)
    return tmp_path


def test_the_command_measures_all_rungs_and_saves_them(root, capsys):
    results = main(["--limit", "16", "--save"])
    assert [r.name for r in results] == [rung.name for rung in ladder()]
    assert [len(r.seconds) for r in results] == [rung.runs for rung in ladder()]
    assert all(s > 0 for r in results for s in r.seconds)
    saved = json.loads((root / "waterfall.json").read_text(encoding="utf-8"))
    assert [Result(**row) for row in saved["results"]] == results
    assert saved["images"] == 16 and saved["target"] == TARGET
    assert {"measured", "machine", "torch"} <= saved.keys()
    assert "rung 6 done" in capsys.readouterr().out


def test_single_rungs_and_one_that_is_not_there(root, capsys):
    assert len(main(["5", "6", "--limit", "16"])) == 2
    with pytest.raises(SystemExit):
        main(["1", "12"])
    assert "no rung 12" in capsys.readouterr().err


def test_the_table_by_hand():
    lines = table(THREE).splitlines()
    assert lines[1].split() == ["slow", "10", "300.0", "62.0%*", "1.0x", "1.0x"]
    assert lines[2].split() == ["fast", "2", "30.0", "64.1%", "10.0x", "10.0x"]
    assert lines[3].split() == ["fastest", "0.5", "3.0", "63.2%", "10.0x", "100.0x"]
    assert lines[-1] == "* below 63.2%"
    assert len({len(line) for line in lines[1:-1]}) == 1


def test_a_bar_for_each_rung_and_what_it_saved():
    draw(THREE)
    axes = plt.gca()
    ends = [bar.get_x() + bar.get_width() for bar in axes.patches]
    assert ends == pytest.approx([300, 300, 30, 300, 3, 30])
    texts = [text.get_text() for text in axes.texts]
    assert texts == ["300 s", "30 s,  10x", "3.0 s,  100x"]
    plt.close("all")


def test_nothing_to_draw():
    with pytest.raises(ValueError, match="measure some rungs"):
        draw([])


def test_without_data_it_says_where_to_put_them(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTORCH_BOOK_DATA", str(tmp_path))
    with pytest.raises(SystemExit, match="PYTORCH_BOOK_DATA"):
        main([])


def test_the_numbers_that_are_committed():
    saved = json.loads(RESULTS.read_text(encoding="utf-8"))
    results = [Result(**row) for row in saved["results"]]
    epochs = {rung.name: rung.epochs for rung in ladder()}
    assert [results[0].name, results[-1].name] == [*epochs][:: len(epochs) - 1]
    assert [r.epochs for r in results] == [epochs[r.name] for r in results]
    assert saved["images"] == 50_000
    assert all(r.right >= TARGET for r in results[2:])  # the first two: ten epochs
    assert results[0].median > 25 * results[-1].median
