"""Read CIFAR-10's batch files without running anything that a pickle could hold.

torchvision's layout: `ROOT/cifar-10-batches-py/{data_batch_1..5,test_batch}`.
Source of the format: https://www.cs.toronto.edu/~kriz/cifar.html
"""

import io
import pickle
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

FOLDER = "cifar-10-batches-py"
BATCHES = {True: [f"data_batch_{i}" for i in range(1, 6)], False: ["test_batch"]}
ALLOWED = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("_codecs", "encode"),
}


class ArraysOnly(pickle.Unpickler):
    """An unpickler that knows arrays, numbers, strings and containers, and no code."""

    def find_class(self, module: str, name: str):
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(f"{module}.{name} has no place in this file")
        if name == "_reconstruct":  # its home moved in NumPy 2
            return np._core.multiarray._reconstruct
        return super().find_class(module, name)


def read_batch(path: Path | str) -> tuple[np.ndarray, np.ndarray]:
    """One file -> images (N, 32, 32, 3) uint8 RGB, labels (N,) int64 in 0..9.

    Raises `ValueError`, naming the file, where it is cut off, damaged or holds
    anything but arrays.
    """
    path = Path(path)
    try:
        batch = ArraysOnly(io.BytesIO(path.read_bytes()), encoding="latin1").load()
        pixels = np.asarray(batch["data"])
        labels = np.asarray(batch["labels"], dtype=np.int64)
        if pixels.dtype != np.uint8 or pixels.shape != (len(labels), 3 * 32 * 32):
            raise ValueError(f"pixels are {pixels.dtype} of shape {pixels.shape}")
        if labels.size == 0 or labels.min() < 0 or labels.max() > 9:
            raise ValueError("labels are missing or out of the range 0..9")
    except FileNotFoundError:
        raise
    except Exception as error:  # a damaged pickle can raise almost anything
        raise ValueError(
            f"{path} is not a CIFAR-10 batch ({error}). Delete it and get it again."
        ) from error
    return pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), labels


def load_cifar10(root: Path | str, *, train: bool) -> tuple[Tensor, Tensor]:
    """Images (50000 or 10000, 3, 32, 32) uint8 and labels (N,) int64, in memory.

    Raises `FileNotFoundError` where `root` lacks a batch file.
    """
    parts = [read_batch(Path(root) / FOLDER / name) for name in BATCHES[train]]
    images = np.concatenate([images for images, _ in parts])
    labels = np.concatenate([labels for _, labels in parts])
    images = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    return torch.from_numpy(images), torch.from_numpy(labels)
