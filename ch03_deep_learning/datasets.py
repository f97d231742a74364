"""CIFAR-10 and Fashion-MNIST, from the disk, a checked download, or a stand-in.

    from ch03_deep_learning.datasets import CIFAR10  # for torchvision.datasets.CIFAR10

Subclasses of torchvision's classes: the same arguments, items and attributes, and one
attribute more, `source`, which says which of the three it was. A data set with files
missing or damaged is an error, not a reason for the stand-in.
"""

import gzip
import hashlib
import os
import shutil
import tarfile
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Subset
from torchvision import datasets

from ch01_intro.assets import DamagedFile, Source, obtain
from ch01_intro.cifar10 import BATCHES, FOLDER, read_batch
from ch03_deep_learning.digits import CLASSES as DIGITS
from ch03_deep_learning.digits import digits
from ch03_deep_learning.idx import read_idx
from ch03_deep_learning.three_steps import ThreeSteps

NAMES = "airplane automobile bird cat deer dog frog horse ship truck"
CIFAR10_CLASSES = tuple(NAMES.split())


class CIFAR10(ThreeSteps, datasets.CIFAR10):
    """`torchvision.datasets.CIFAR10`: items (RGB PIL image of 32 x 32, int in 0..9).

    `data`: array (N, 32, 32, 3) uint8; `targets`: list of N; N = 50,000 or 10,000.
    """

    title = "CIFAR-10"
    names = (*BATCHES[True], *BATCHES[False])
    sha256 = "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"

    @property
    def _folder(self) -> Path:
        return self.root / FOLDER

    @property
    def class_to_idx(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.classes)}

    def _missing(self) -> list[str]:
        return [name for name in self.names if not (self._folder / name).is_file()]

    def _fetch(self, download: bool) -> Source:
        urls = self.url if download else ()
        archive = obtain(self.filename, urls=urls, sha256=self.sha256, folder=self.root)
        with (
            tempfile.TemporaryDirectory(dir=self.root, prefix="unpacked-") as beside,
            tarfile.open(archive.path) as packed,
        ):
            packed.extractall(beside, filter="data")
            self._folder.mkdir(exist_ok=True)
            for path in (Path(beside) / FOLDER).iterdir():
                if not (self._folder / path.name).exists():
                    path.replace(self._folder / path.name)
        return archive.source

    def _read(self) -> str:
        checksums = {md5 for _, md5 in self.train_list + self.test_list}
        paths = [self._folder / name for name in BATCHES[self.train]]
        try:
            parts = [read_batch(path) for path in paths]
        except ValueError as error:
            raise DamagedFile(str(error)) from error
        images, labels = zip(*parts, strict=True)
        self.data, self.targets = np.concatenate(images), np.hstack(labels).tolist()
        self.classes = list(CIFAR10_CLASSES)
        published = {_md5(path) for path in paths} <= checksums
        return "" if published else ", not the original files"

    def _use_digits(self) -> None:
        images, labels = digits(32, train=self.train)
        self.data = np.repeat(images[..., None], 3, axis=3)
        self.targets, self.classes = labels.tolist(), list(DIGITS)


class FashionMNIST(ThreeSteps, datasets.FashionMNIST):
    """`torchvision.datasets.FashionMNIST`: items (grey PIL image of 28 x 28, int).

    `data`: tensor (N, 28, 28) uint8; `targets`: tensor (N,) int64; N = 60,000 or
    10,000, or what the files hold. They may be packed (.gz).
    """

    title = "Fashion-MNIST"
    mirrors = (
        *datasets.FashionMNIST.mirrors,
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    )
    names = tuple(
        name.removesuffix(".gz") for name, _ in datasets.FashionMNIST.resources
    )
    sha256 = (  # of the packed files
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    )

    @property
    def _folder(self) -> Path:
        return Path(self.raw_folder)

    def _path(self, name: str) -> Path | None:
        """The file, plain or packed, if it is there."""
        paths = self._folder / name, self._folder / f"{name}.gz"
        return next((path for path in paths if path.is_file()), None)

    def _missing(self) -> list[str]:
        return [name for name in self.names if self._path(name) is None]

    def _fetch(self, download: bool) -> Source:
        missing = self._missing()
        for name, sha256 in zip(self.names, self.sha256, strict=True):
            if name not in missing:
                continue
            packed = f"{name}.gz"
            urls = [mirror + packed for mirror in self.mirrors] if download else ()
            found = obtain(packed, urls=urls, sha256=sha256, folder=self._folder)
            part = self._folder / f"{name}.{os.getpid()}.part"
            with gzip.open(found.path) as source, part.open("wb") as target:
                shutil.copyfileobj(source, target)
            part.replace(self._folder / name)  # torchvision looks for this one
        return Source.DOWNLOAD

    def _read(self) -> str:
        first = 0 if self.train else 2
        paths = [self._path(name) for name in self.names[first : first + 2]]
        try:
            images, labels = map(read_idx, paths)
            if images.shape[1:] != (28, 28) or labels.shape != images.shape[:1]:
                found = f"arrays of {images.shape} and {labels.shape}"
                raise ValueError(f"not images of 28 x 28 and their labels, {found}")
            if labels.size == 0 or labels.max() > 9:
                raise ValueError("no labels, or some out of the range 0..9")
        except ValueError as error:
            files = " or ".join(map(str, paths))
            raise DamagedFile(
                f"{files} is damaged ({error}). Delete it and get it again."
            ) from error
        self.data, self.targets = torch.from_numpy(images), torch.from_numpy(labels)
        self.targets = self.targets.long()
        whole = 60_000 if self.train else 10_000
        return "" if len(labels) == whole else ", not the original files"

    def _use_digits(self) -> None:
        images, labels = digits(28, train=self.train)
        self.data, self.targets = torch.from_numpy(images), torch.from_numpy(labels)
        self.classes = list(DIGITS)


def as_tensors(dataset: Dataset) -> tuple[Tensor, Tensor]:
    """All images (N, C, H, W) uint8 and labels (N,) int64, without the transforms.

    Takes a data set with torchvision's `data`, (N, H, W, C) or (N, H, W), and
    `targets`, or a `Subset` of one; the result may share its memory. Raises
    `TypeError` for others.
    """
    if isinstance(dataset, Subset):
        images, labels = as_tensors(dataset.dataset)
        return images[dataset.indices], labels[dataset.indices]
    if not hasattr(dataset, "data") or not hasattr(dataset, "targets"):
        raise TypeError(
            f"{type(dataset).__name__} has no data and targets as CIFAR10 and "
            "FashionMNIST have; stack its items with a DataLoader instead"
        )
    images = torch.as_tensor(dataset.data)
    images = images[:, None] if images.ndim == 3 else images.permute(0, 3, 1, 2)
    return images.contiguous(), torch.as_tensor(dataset.targets, dtype=torch.int64)


def _md5(path: Path) -> str:
    """To recognise a file; it is no protection."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False))
    return digest.hexdigest()
