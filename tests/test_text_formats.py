import json
from functools import partial

import pytest
import torch
from torch.utils.data import DataLoader

from ch08_ecosystem.text_formats import (
    Shared,
    batchify,
    read_columns,
    read_labelled_csv,
    read_parallel,
    read_squad,
    windows,
)


@pytest.fixture
def written(tmp_path):
    def write(text, name="file.txt"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_csv(written):
    path = written('"3","A ""fine"" day","It, too"\n\n"1","b","c\nd"\n')
    assert list(read_labelled_csv(path)) == [(2, 'A "fine" day It, too'), (0, "b c\nd")]
    for bad in ('"0","a"', '"x","a"', '"1"'):
        with pytest.raises(ValueError, match="line 2"):
            list(read_labelled_csv(written(f'"1","a"\n{bad}\n')))


def test_columns(written):
    path = written("He PRP B-NP\nran VBD B-VP\n\n\nOh UH O")
    assert list(read_columns(path)) == [
        [["He", "ran"], ["PRP", "VBD"], ["B-NP", "B-VP"]],
        [["Oh"], ["UH"], ["O"]],
    ]
    path = written("New York\tPROPN\n\n")
    assert list(read_columns(path, "\t")) == [[["New York"], ["PROPN"]]]
    with pytest.raises(ValueError, match="line 2: 1 columns, 2 before"):
        list(read_columns(written("a b\nc\n")))


def squad(answers):
    qas = [{"question": "Who?", "answers": answers}]
    return json.dumps({"data": [{"paragraphs": [{"context": "Ann ran.", "qas": qas}]}]})


def test_squad(written):
    path = written(squad([{"text": "ran", "answer_start": 4}]))
    assert list(read_squad(path)) == [("Ann ran.", "Who?", ["ran"], [4])]
    assert list(read_squad(written(squad([])))) == [("Ann ran.", "Who?", [""], [-1])]
    with pytest.raises(ValueError, match="does not stand at 3"):
        list(read_squad(written(squad([{"text": "ran", "answer_start": 3}]))))
    with pytest.raises(ValueError, match="stand at -4"):
        list(read_squad(written(squad([{"text": "ran", "answer_start": -4}]))))
    number = squad([{"text": "ran", "answer_start": 4}]).replace('"Ann ran."', "5")
    for bad in ("{}", "[]", "no json", squad([{"text": "ran"}]), number):
        with pytest.raises(ValueError, match="SQuAD's format"):
            list(read_squad(written(bad)))


def test_parallel(written):
    one, two = written("a\nb\n", "x.de"), written("A\nB\n", "x.en")
    assert list(read_parallel(one, two)) == [("a", "A"), ("b", "B")]
    long = written("1\n2\n3\n", "long")
    with pytest.raises(ValueError, match="ends before line 3"):
        list(read_parallel(long, two))
    with pytest.raises(ValueError, match="ends after line 2"):
        list(read_parallel(one, long))


@pytest.mark.parametrize("workers", [0, 2])
def test_workers_share(written, workers):
    path = written("".join(f'"1","t{i}"\n' for i in range(20)))
    shared = Shared(partial(read_labelled_csv, path))
    loader = DataLoader(shared, batch_size=None, num_workers=workers)
    assert sorted(text for _, text in loader) == sorted(f"t{i}" for i in range(20))


def test_batchify_and_windows():
    columns = batchify(torch.arange(11), 2)
    assert columns.T.tolist() == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]
    pairs = list(windows(columns, 3))
    assert [len(x) for x, _ in pairs] == [3, 1]
    for inputs, targets in pairs:
        assert torch.equal(inputs + 1, targets)
    read = torch.cat([x for x, _ in pairs])
    assert torch.equal(read, columns[:-1])  # each once, in order
    for count, size in ((3, 2), (5, 0)):
        with pytest.raises(ValueError, match="too few"):
            batchify(torch.arange(count), size)


def test_an_empty_source_beside_a_target(written):
    with pytest.raises(ValueError, match="ends after line 0"):
        list(read_parallel(written("", "a.txt"), written("one\n", "b.txt")))


def test_a_long_text_in_a_table(written):
    long = "word " * 40_000  # csv's own limit is 131,072 characters
    assert list(read_labelled_csv(written(f'"1","{long}"\n'))) == [(0, long)]
