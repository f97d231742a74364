"""What workers do: `ch03_deep_learning.workers`."""

import pytest
import torch
from torch.utils.data import DataLoader

from ch03_deep_learning.workers import MAIN, Draws, Waits, seed_own_generator


def test_in_the_main_process_there_is_no_worker():
    torch.manual_seed(0)
    item = Draws(5)[3]
    assert item.dtype == torch.int64 and item.shape == (len(Draws.columns),)
    assert item[:2].tolist() == [3, MAIN]
    assert ((item[2:] >= 0) & (item[2:] < 100)).all()
    assert len(Draws(5)) == 5


def test_the_own_generator_has_the_seed_it_was_given():
    assert [Draws(9, seed=4)[i][-1] for i in range(9)] == [
        Draws(9, seed=4)[i][-1] for i in range(9)
    ]
    one, other = Draws(9, seed=4), Draws(9, seed=5)
    assert [one[i][-1] for i in range(9)] != [other[i][-1] for i in range(9)]


def test_waiting_takes_its_time():
    worker, begin, end = Waits(1, seconds=0.02)[0].tolist()
    assert worker == MAIN and end - begin > 0.015


def test_seeding_outside_of_a_worker_is_an_error():
    with pytest.raises(RuntimeError, match="worker_init_fn"):
        seed_own_generator(0)


def test_a_spawned_worker_imports_them_and_seeds_its_generator(spawning):
    loader = DataLoader(
        Draws(4),
        num_workers=1,
        multiprocessing_context="spawn",
        worker_init_fn=seed_own_generator,
        generator=torch.Generator().manual_seed(0),
    )
    rows = torch.cat(list(loader))
    assert rows[:, :2].tolist() == [[i, 0] for i in range(4)]
    unseeded = Draws(4)
    assert rows[:, -1].tolist() != [unseeded[i][-1].item() for i in range(4)]
