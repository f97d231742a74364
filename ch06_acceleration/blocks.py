"""A network large enough to be worth splitting in small, and its batches.

A stack of equal residual blocks, as the feed-forward half of a Transformer is: what
sharding, tensor and pipeline parallelism are made for. The scripts beside this file
split it in different ways and train it on the same batches, so that their losses have
to be the same. Imports public packages only: this module can be copied alone.
"""

import argparse
import importlib.util
from functools import cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Block(nn.Module):
    """x + down(gelu(up(norm(x)))): (N, width) -> (N, width), `hidden` wide inside."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, hidden)
        self.down = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.down(F.gelu(self.up(self.norm(x))))


class Blocks(nn.Module):
    """Images as vectors (N, 64) -> scores of ten classes (N, 10); `depth` blocks.

    `first` and `last` may be None: then it takes or gives (N, width), as a stage of a
    pipeline does. `hidden` is 4 `width` where it is not given.
    """

    def __init__(self, width: int = 64, depth: int = 4, hidden: int | None = None):
        super().__init__()
        self.first: nn.Module | None = nn.Linear(64, width)
        self.blocks = nn.ModuleList(
            Block(width, hidden or 4 * width) for _ in range(depth)
        )
        self.last: nn.Module | None = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        if self.first is not None:
            x = self.first(x)  # (N, width)
        for block in self.blocks:
            x = block(x)
        return x if self.last is None else self.last(x)  # (N, 10)


def seeded(width: int = 64, depth: int = 4, seed: int = 0) -> Blocks:
    """The same `Blocks` with the same weights in every process that calls it."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return Blocks(width, depth)


def batch_of(step: int, size: int) -> tuple[Tensor, Tensor]:
    """The batch of a step, the same everywhere: images (size, 64), labels (size,).

    Handwritten digits, drawn with a generator seeded by the step: a run that goes on at
    step 11 needs to know nothing else, in however many processes.
    """
    images, labels = _digits()
    chosen = torch.Generator().manual_seed(step)
    rows = torch.randint(len(images), (size,), generator=chosen)
    return images[rows], labels[rows]


def share_of(
    batch: tuple[Tensor, Tensor], index: int, count: int
) -> tuple[Tensor, ...]:
    """The part of a batch for process `index` of `count`: every count-th example.

    Raises `ValueError` where the parts would differ in size: then the mean of their
    losses would not be the loss of the batch.
    """
    size = len(batch[0])
    if size % count:
        raise ValueError(
            f"a batch of {size} cannot be shared by {count} processes: choose --batch "
            f"{size // count * count or count} or another multiple of {count}"
        )
    return tuple(part[index::count] for part in batch)


def run_options(description: str) -> argparse.ArgumentParser:
    """What every script that trains `Blocks` can be told on the command line."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch", type=int, default=48, help="of all processes")
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--depth", type=int, default=4)
    parser.add_argument("--lr", type=float, default=1e-3)
    return parser


@cache
def _digits() -> tuple[Tensor, Tensor]:
    """From scikit-learn's file; to import scikit-learn as well would take seconds."""
    package = importlib.util.find_spec("sklearn")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("the digits are in scikit-learn: pip install it")
    file = Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz"
    table = torch.from_numpy(np.loadtxt(file, delimiter=",", dtype=np.float32))
    return table[:, :64] / 8 - 1, table[:, 64].long()  # (1797, 64), (1797,)
