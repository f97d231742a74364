"""Finding: by name, in a person's words, in time, and with what is not there."""

import json
import subprocess
import sys
import time

import pytest

from ch08_ecosystem.catalogue import load
from ch08_ecosystem.find import Finder, finder, main, statements
from ch08_ecosystem.reading import ROOT
from ch08_ecosystem.words import tasks, words

QUESTIONS = {
    "gather": "torch.gather",
    "nn.Conv2d": "torch.nn.Conv2d",
    "F.cross_entropy": "torch.nn.functional.cross_entropy",
    "cosine learning rate": "torch.optim.lr_scheduler.CosineAnnealingLR",
    "pad sequences of different length": "Sequences of different lengths",
    "how do I freeze some layers?": "Freeze the rest",
    "exploding gradients": "torch.nn.utils.clip_grad_norm_",
    "which class has the highest score": "torch.argmax",
    "pictures in one folder per class": "torchvision.datasets.ImageFolder",
    "my loss is nan": "Gradients that are nan",
    "resume training after a crash": "Go on after a kill",
    "add a batch axis": "torch.unsqueeze",
}


@pytest.mark.parametrize(("question", "answer"), QUESTIONS.items())
def test_the_answer_is_among_the_first_three(question, answer):
    hits = finder().search(question, limit=3)
    assert answer in {name for hit in hits for name in (hit.name, hit.heading)}


def test_hits_are_true():
    for question in QUESTIONS:
        for hit in finder().search(question, limit=10):
            assert (ROOT / hit.notebook).is_file()
            assert hit.lines and hit.heading
            if hit.name:
                lines = hit.lines + (ROOT / hit.notebook).read_text(encoding="utf-8")
                assert hit.name.rpartition(".")[2] in lines


def test_the_lines_to_copy_are_those_of_the_function():
    for name in ("nn.LazyConv2d", "nn.GRUCell", "torch.addcmul"):  # in tables
        assert name in finder().search(name, limit=1)[0].lines


def test_an_exact_name_comes_first_and_no_function_twice():
    assert finder().search("view")[0].name == "torch.Tensor.view"
    names = [hit.name for hit in finder().search("learning rate", limit=40) if hit.name]
    assert len(names) == len(set(names)) > 3


def test_limit():
    assert len(finder().search("learning rate", limit=7)) == 7


def test_nothing_found_gives_the_nearest_names(capsys):
    assert finder().search("lagsumexp") == []
    assert main(["lagsumexp"]) == 1
    assert "torch.logsumexp" in capsys.readouterr().out
    assert "torch.nn.Conv2d" in finder().nearest("nn.conv2dd")
    assert main(["qqqqqqqqq"]) == 1
    assert "nothing spelt like it" in capsys.readouterr().out


@pytest.mark.parametrize("question", ['"', "a AND (b", "ch03*", "ü -- x", "NEAR(a b)"])
def test_signs_of_the_query_language_are_only_letters(question):
    finder().search(question)


def test_bad_input(capsys):
    with pytest.raises(ValueError, match="ask for something"):
        finder().search("  ")
    with pytest.raises(ValueError, match="at least 1"):
        finder().search("gather", limit=0)
    assert main(["gather", "--limit", "0"]) == 2
    assert "at least 1" in capsys.readouterr().err


def test_json(capsys):
    assert main(["gather", "--json", "--limit", "2"]) == 0
    answer = json.loads(capsys.readouterr().out)
    first = answer["hits"][0]
    assert first["name"] == "torch.gather" and "gather(" in first["lines"]
    assert first["link"].startswith(first["notebook"] + "#")
    assert len(answer["hits"]) == 2


def test_it_starts_without_pytorch_and_finds_from_anywhere(tmp_path):
    code = (
        "import sys; from ch08_ecosystem.find import main; "
        "code = main(['gather']); assert 'torch' not in sys.modules; sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "torch.gather" in done.stdout


def test_a_search_takes_no_longer_than_reading_the_catalogue():
    """A ratio, as machines differ: the index is not made anew for each question."""
    finder()
    start = time.perf_counter()
    load()
    reading = time.perf_counter() - start
    start = time.perf_counter()
    finder().search("learning rate of a network")
    assert time.perf_counter() - start < 5 * reading


def test_synonyms_speak_of_what_is_there():
    """But for what later chapters still have to show."""
    places, functions = load()
    known = {f.name for f in functions} | {p.key.lower() for p in places}
    cells = {target for target in tasks() if "#" in target}
    assert {cell for cell in cells if cell.lower() not in known} == set()
    names = {target for target in tasks() if "#" not in target}
    assert len(names & known) > 0.9 * len(names)


def test_words_of_a_person_and_of_a_name_meet():
    assert set(words("cosine learning rate")) <= set(words("CosineAnnealingLR"))
    assert words("How do I use the GPU?") == words("gpus") == ["gpu"]
    assert "relu" in words("LeakyReLU") and "grad" not in words("no_grad")


def test_statements_are_whole():
    code = "a = 1\nwith x:\n    f(\n        a,\n    )\nb = 2"
    assert statements(code, [4]) == "with x:\n    f(\n        a,\n    )"
    assert statements("not python (", [1]) == "not python ("


def test_a_damaged_or_missing_catalogue_says_what_to_do(tmp_path, monkeypatch, capsys):
    file = tmp_path / "catalogue.json"
    with pytest.raises(FileNotFoundError, match="makes it anew"):
        load(file)
    whole = (ROOT / "ch08_ecosystem" / "catalogue.json").read_text(encoding="utf-8")
    for damaged in ("", "{}", "[1", whole[: len(whole) // 2], "\0" * 20):
        file.write_text(damaged, encoding="utf-8")
        with pytest.raises(ValueError, match="makes it anew"):
            load(file)
    monkeypatch.setattr("ch08_ecosystem.find.finder", lambda: Finder(*load(file)))
    assert main(["gather"]) == 2
    assert "makes it anew" in capsys.readouterr().err
