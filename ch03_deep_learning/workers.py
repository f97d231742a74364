"""Data sets that show what the worker processes of a `DataLoader` do.

They stand in a module because a worker has to import them: a process that is spawned
gets the name of a class, not its code.
"""

import random
import time

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, get_worker_info

MAIN = -1  # in place of a worker's number: the process that has the loader itself


def this_worker() -> int:
    """The number of the worker process that this runs in, or `MAIN`."""
    info = get_worker_info()
    return MAIN if info is None else info.id


class Draws(Dataset[Tensor]):
    """Item i is (6,) int64: i, the worker, and numbers below 100 drawn in it by
    `random`, NumPy's global functions, PyTorch, and a NumPy generator of its own.
    """

    columns = ("index", "worker", "random", "numpy", "torch", "own")

    def __init__(self, size: int, seed: int = 0) -> None:
        self.size = size
        self.rng = np.random.default_rng(seed)

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Tensor:
        drawn = (
            random.randrange(100),
            np.random.randint(100),  # noqa: NPY002 - what older transforms draw from
            torch.randint(100, ()).item(),
            self.rng.integers(100),
        )
        return torch.tensor([index, this_worker(), *map(int, drawn)])


def seed_own_generator(worker_id: int) -> None:
    """A `worker_init_fn` for `Draws`: another seed for `rng` in each worker.

    Raises `RuntimeError` where it is not called in a worker.
    """
    info = get_worker_info()
    if info is None:
        raise RuntimeError("pass it as worker_init_fn; it is called in the workers")
    info.dataset.rng = np.random.default_rng(info.seed)


class Waits(Dataset[Tensor]):
    """Item i takes `seconds` of waiting, as for a disk or a network.

    It is (3,) float64: the worker, and when the item was begun and ended, in seconds
    by the clock that all processes share.
    """

    def __init__(self, size: int, seconds: float) -> None:
        self.size, self.seconds = size, seconds

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Tensor:
        begin = time.time()
        time.sleep(self.seconds)
        return torch.tensor([this_worker(), begin, time.time()], dtype=torch.float64)
