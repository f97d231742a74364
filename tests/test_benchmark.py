import json

import pytest
import torch

from ch03_deep_learning import benchmark
from ch03_deep_learning.benchmark import Pictures, Result, shrink, table
from tests.fake_cifar10 import easy, write_cifar10


def test_the_command_runs_each_recipe_and_prints_a_table(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PYTORCH_BOOK_DATA", str(tmp_path))
    monkeypatch.setattr(benchmark, "BOOK_EPOCHS", 1)
    monkeypatch.setattr(benchmark, "RESULTS", tmp_path / "results.json")
    write_cifar10(tmp_path, 20)
    monkeypatch.setattr(benchmark, "pick_device", lambda: torch.device("cpu"))
    results = benchmark.main(["--limit", "20", "--save"])
    assert len(results) == 3
    assert all(0 <= r.accuracy <= 1 and r.seconds > 0 for r in results)
    lines = capsys.readouterr().out.splitlines()
    saved = json.loads((tmp_path / "results.json").read_text())
    assert [Result(**row) for row in saved["results"]] == results
    assert lines[-4].startswith("recipe") and lines[-3].rstrip().endswith("1.0 x")


def test_the_one_for_a_gpu(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTORCH_BOOK_DATA", str(tmp_path))
    monkeypatch.setattr(benchmark, "BEST_EPOCHS", 1)
    settings = {}

    def trained(model, images, labels, **given):
        settings.update(given)

    monkeypatch.setattr(benchmark.train_network, "train", trained)
    write_cifar10(tmp_path, 20)
    (result,) = benchmark.main(["best", "--limit", "20"])
    assert result.name.startswith("best: 7269 k parameters, 1 epochs")
    assert 0 <= result.accuracy <= 1 and result.seconds > 0
    assert settings == dict(epochs=1, batch_size=512, peak_lr=0.5, fast=False)


def test_the_table_compares_with_the_first():
    lines = table(
        [Result("slow", 30.0, 0.6), Result("faster", 2.0, 0.634)]
    ).splitlines()
    assert lines[1].split() == ["slow", "30.0", "60.0%", "1.0", "x"]
    assert lines[2].split() == ["faster", "2.0", "63.4%", "15.0", "x"]
    assert len({len(line) for line in lines}) == 1


def test_items_are_those_of_the_data_set():
    images, labels = easy(3)
    image, label = Pictures(images, labels)[2]
    assert label == 2 and image.shape == (3, 32, 32) and image.dtype == torch.float32


def test_shrinking_takes_means():
    image = torch.tensor([[0, 2], [4, 6]], dtype=torch.uint8).expand(1, 3, 2, 2)
    assert shrink(image).equal(torch.full((1, 3, 1, 1), 3, dtype=torch.uint8))


def test_without_data_it_says_where_to_put_them(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTORCH_BOOK_DATA", str(tmp_path))
    with pytest.raises(SystemExit, match="PYTORCH_BOOK_DATA"):
        benchmark.main([])


def test_an_unknown_recipe(capsys):
    with pytest.raises(SystemExit):
        benchmark.main(["long"])
    assert "no recipe long: book, quick, good, best" in capsys.readouterr().err
