"""Data that come one after another: a file read by lines, alone or by several workers.

They stand here and not in a notebook because a worker that is spawned (Windows, macOS)
imports the class of its data set. Can be copied alone to another project.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TypeVar

import torch
from torch.utils.data import IterableDataset, get_worker_info

T = TypeVar("T")


class Lines(IterableDataset[str]):
    """The lines of a text file without their ends. Each worker reads all of them."""

    def __init__(self, path: Path | str) -> None:
        """Raises `FileNotFoundError` here, and not later in a worker."""
        self.path = Path(path)
        if not self.path.is_file():
            raise FileNotFoundError(f"{self.path} is no file: nothing to read lines of")

    def __iter__(self) -> Iterator[str]:
        with self.path.open(encoding="utf-8") as file:
            for line in file:
                yield line.rstrip("\n")


class SharedLines(Lines):
    """The same lines, dealt out like cards: worker k of n has k, k + n, k + 2 n ..."""

    def __iter__(self) -> Iterator[str]:
        worker = get_worker_info()  # None outside of a worker
        first, step = (worker.id, worker.num_workers) if worker else (0, 1)
        return islice(super().__iter__(), first, None, step)


class Shuffled(IterableDataset[T]):
    """The items of a stream in nearly random order, with `size` of them in memory.

    Each item goes into a full buffer, in the place of a random one that comes out. The
    order follows `torch.manual_seed`, or in a worker the seed it was given. An item
    never comes out more than `size` places too early. `source` has to begin again with
    each loop: a list, a range, a data set; a generator is empty the second time.
    """

    def __init__(self, source: Iterable[T], size: int) -> None:
        if size < 1:
            raise ValueError(f"a buffer for {size} items holds nothing; size >= 1")
        self.source, self.size = source, size

    def __iter__(self) -> Iterator[T]:
        items = iter(self.source)
        buffer = list(islice(items, self.size))
        for item in items:
            place = int(torch.randint(len(buffer), ()))
            yield buffer[place]
            buffer[place] = item
        for place in torch.randperm(len(buffer)).tolist():
            yield buffer[place]
