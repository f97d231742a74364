"""A CIFAR-10 that is learned in a moment, and where the real one is."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from ch01_intro.cifar10 import BATCHES, FOLDER

DATA = Path(os.environ.get("PYTORCH_BOOK_DATA", "data"))
real_data = pytest.mark.skipif(
    not (DATA / FOLDER / "test_batch").is_file(),
    reason="real CIFAR-10 is not on disk (PYTORCH_BOOK_DATA)",
)


def easy(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Images whose class is their brightness: (n, 3, 32, 32) uint8, (n,) int64."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(n) % 10
    noise = torch.randint(0, 10, (n, 3, 32, 32), generator=generator)
    return (labels.view(-1, 1, 1, 1) * 25 + noise).to(torch.uint8), labels


def write_cifar10(root: Path, n: int = 200) -> None:
    """torchvision's layout below `root`, `n` images in each file."""
    images, labels = easy(n)
    content = {"data": np.asarray(images.flatten(1)), "labels": labels.tolist()}
    (root / FOLDER).mkdir(parents=True)
    for name in BATCHES[True] + BATCHES[False]:
        (root / FOLDER / name).write_bytes(pickle.dumps(content))
