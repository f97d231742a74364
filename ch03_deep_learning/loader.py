"""A loader for images that fit into memory: whole batches instead of single items.

The set stays in memory as bytes. A batch is one index, one augmentation and one
conversion to float for all of its images, so Python is called a few times a batch
and not many times an image. The idea is that of Keller Jordan's airbench (2024).
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Generator, Tensor
from torch.utils.data import TensorDataset

from ch03_deep_learning.augmentation import Augment


class BatchLoader:
    """Batches of images (B, C, H, W) float32, channels-last, and labels (B,) int64.

    images, labels: the whole set, (N, C, H, W) uint8 and (N,) int64. It is copied to
        `device` once (None: where the images are), and the batches are made there.
    shuffle: a new order for each pass; drop_last: without the last batch if it is not
        full.
    augment: a function of a batch (B, C, H, W) uint8 and a generator, such as the one
        that `crop_and_flip()` makes; it returns a batch of images.
    mean, std: one number a channel, for pixels in [0, 1]; without them the pixels are
        only divided by 255.
    generator: the CPU generator to draw from; None: PyTorch's global one. The order is
        drawn when a pass begins, the augmentation with each batch, all in the calling
        process: one seed, one sequence of batches, on every device.

    It stands in for a `DataLoader` in a training loop: `len(loader)` is the number of
    batches and `len(loader.dataset)` the number of images. Raises `TypeError` and
    `ValueError`, saying what to do, for a set or a number that can not be right.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        *,
        batch_size: int,
        shuffle: bool = False,
        drop_last: bool = False,
        augment: Augment | None = None,
        mean: Sequence[float] | Tensor | None = None,
        std: Sequence[float] | Tensor | None = None,
        device: str | torch.device | None = None,
        generator: Generator | None = None,
    ) -> None:
        _check(images, labels, batch_size, drop_last)
        if generator is not None and generator.device.type != "cpu":
            raise ValueError(f"generator is on {generator.device}: give one on the CPU")
        device = images.device if device is None else torch.device(device)
        images = images.to(device, memory_format=torch.channels_last)
        self.dataset = TensorDataset(images, labels.to(device))
        self.batch_size, self.drop_last, self.shuffle = batch_size, drop_last, shuffle
        self.augment, self.generator, self.device = augment, generator, device
        self._scale, self._offset = _normalisation(images.shape[1], mean, std, device)

    def __len__(self) -> int:
        """The number of batches in one pass."""
        whole, rest = divmod(len(self.dataset), self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """One pass over the set; its order is drawn here and now."""
        n = len(self.dataset)
        if self.shuffle:
            order = torch.randperm(n, generator=self.generator)
        else:
            order = torch.arange(n)
        chosen = order.to(self.device).split(self.batch_size)
        return map(self._batch, chosen[: len(self)])

    def _batch(self, chosen: Tensor) -> tuple[Tensor, Tensor]:
        images, labels = self.dataset.tensors
        pixels = images.permute(0, 2, 3, 1).index_select(0, chosen)  # (B, H, W, C)
        batch = pixels.permute(0, 3, 1, 2)  # (B, C, H, W), channels-last
        if self.augment is not None:
            batch = self.augment(batch, self.generator)
        batch = batch.to(torch.float32, memory_format=torch.channels_last, copy=True)
        size = batch.shape[1:]
        batch.mul_(_full(self._scale, size)).add_(_full(self._offset, size))
        return batch, labels.index_select(0, chosen)

    def __repr__(self) -> str:
        n, *size = self.dataset.tensors[0].shape
        about = f"{n} images {tuple(size)} on {self.device}"
        about += f", {len(self)} batches of {self.batch_size}"
        about += ", shuffled" if self.shuffle else ""
        return f"BatchLoader({about}{', augmented' if self.augment else ''})"


def _full(values: Tensor, size: torch.Size) -> Tensor:
    """(C, 1, 1) -> (1, C, H, W), channels-last.

    Ten times as fast as to let one value a channel broadcast, along the innermost
    dimension, over each pixel of each image.
    """
    full = values.expand(size).unsqueeze(0)
    return full.contiguous(memory_format=torch.channels_last)


def _normalisation(
    channels: int,
    mean: Sequence[float] | Tensor | None,
    std: Sequence[float] | Tensor | None,
    device: torch.device,
) -> tuple[Tensor, Tensor]:
    """(pixel / 255 - mean) / std as pixel * scale + offset; both (C, 1, 1) float32."""
    if (mean is None) != (std is None):
        raise ValueError("mean and std go together: give both, or none of them")
    centre = torch.as_tensor(0.0 if mean is None else mean).cpu().double()
    spread = torch.as_tensor(1.0 if std is None else std).cpu().double()
    for name, values in (("mean", centre), ("std", spread)):
        if values.numel() not in (1, channels):
            raise ValueError(
                f"{name} has {values.numel()} numbers, the images have {channels} "
                "channels: give one number for each"
            )
    if not (spread > 0).all():
        raise ValueError(f"std has to be above 0, not {spread.tolist()}")
    scale, offset = (
        values.float().reshape(-1, 1, 1).expand(channels, 1, 1).to(device)
        for values in (1 / (255 * spread), -centre / spread)
    )
    return scale, offset


def _check(images: Tensor, labels: Tensor, batch_size: int, drop_last: bool) -> None:
    for name, value, dtype in zip(
        ("images", "labels"), (images, labels), (torch.uint8, torch.int64), strict=True
    ):
        if not isinstance(value, Tensor):
            raise TypeError(
                f"{name} is a {type(value).__name__}: make a tensor of it, for example "
                "by ch03_deep_learning.datasets.as_tensors(dataset)"
            )
        if value.dtype != dtype:
            raise TypeError(f"{name} has to be {dtype}, not {value.dtype}: convert it")
    n, size = len(images), tuple(images.shape)
    if images.ndim != 4:
        problem = f"images has to be (N, C, H, W), not {size}; grey: images[:, None]"
    elif labels.shape != (n,):
        problem = f"{n} images need labels ({n},), not {tuple(labels.shape)}"
    elif images.numel() == 0:
        problem = f"images is empty: its shape is {size}"
    elif not isinstance(batch_size, int) or batch_size < 1:
        problem = f"batch_size={batch_size!r} has to be a whole number, 1 or more"
    elif drop_last and batch_size > n:
        problem = f"drop_last leaves no batch of {batch_size} from {n} images"
    else:
        return
    raise ValueError(problem)
