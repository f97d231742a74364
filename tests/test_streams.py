"""Data sets that are read from the front to the back: `ch03_deep_learning.streams`."""

import pytest
import torch
from torch.utils.data import DataLoader

from ch03_deep_learning.streams import Lines, SharedLines, Shuffled

WORDS = [f"word {i}" for i in range(11)]


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("Data", [Lines, SharedLines])
def test_lines_one_after_another(Data, path):
    data = Data(path)
    assert list(data) == WORDS and list(data) == WORDS  # a second pass, too
    assert list(DataLoader(data, batch_size=None)) == WORDS


def test_only_shared_lines_come_once_from_two_workers(path):
    twice = list(DataLoader(Lines(path), batch_size=None, num_workers=2))
    assert sorted(twice) == sorted(WORDS * 2)
    once = list(DataLoader(SharedLines(path), batch_size=None, num_workers=2))
    assert sorted(once) == sorted(WORDS)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.txt is no file"):
        Lines(tmp_path / "none.txt")


@pytest.mark.parametrize("size", [1, 4, 11, 50])
def test_shuffled_loses_nothing(size):
    torch.manual_seed(0)
    data = Shuffled(range(11), size)
    first, second = list(data), list(data)
    assert sorted(first) == sorted(second) == list(range(11))
    assert (first == second) == (size == 1)
    assert all(item - place < size for place, item in enumerate(first))
    torch.manual_seed(0)
    assert list(data) == first


def test_shuffled_nothing_and_bad_sizes():
    assert list(Shuffled([], 3)) == []
    with pytest.raises(ValueError, match="size >= 1"):
        Shuffled(range(3), 0)


def test_a_large_buffer_shuffles_evenly():
    torch.manual_seed(0)
    firsts = [next(iter(Shuffled(range(5), 5))) for _ in range(500)]
    assert torch.bincount(torch.tensor(firsts)).min() > 60  # 100 each on the average
