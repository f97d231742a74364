"""Ways to train on CIFAR-10: the book's, and faster ones, each made from the last.

`waterfall.py` measures them. Whitening and the identity as a start are K. Jordan's,
"94% on CIFAR-10 in 3.29 seconds" (2024); Muon is chapter 3's.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader

from ch01_intro.network import MEAN, STD, normalize
from ch03_deep_learning.benchmark import Pictures, shrink
from ch03_deep_learning.lenet import LeNet5
from ch03_deep_learning.loader import BatchLoader
from ch03_deep_learning.muon import ConvMuon


@dataclass(frozen=True)
class Rung:
    """A way to train; the defaults are the book's."""

    name: str = "the book's recipe"
    epochs: float = 10  # 0.5: one pass over half of the images
    in_memory: bool = False  # as tensors, not as PIL images one by one
    batch_size: int = 16
    lr: float = 0.001
    one_cycle: bool = False  # the rate rises and falls instead of staying
    small: bool = False  # pictures of 16 x 16, and `ShortNet`
    channels_last: bool = False
    prepared: bool = False  # first layer computed, the others begin as the identity
    muon: bool = False  # for the filters; `lr` is then their angle
    runs: int = 1  # how often it is measured


def ladder() -> list[Rung]:
    """The rungs, each made from the one before."""
    book = Rung()
    memory = replace(book, name="images in memory", in_memory=True)
    batches = replace(
        memory, name="larger batches, one cycle",
        batch_size=125, lr=0.05, one_cycle=True, epochs=8,
    )  # fmt: skip
    small = replace(
        batches, name="16 x 16 pixels, batch norm", small=True, lr=0.3, epochs=1, runs=3
    )
    last = replace(small, name="channels last", channels_last=True)
    prepared = replace(last, name="computed first layer", prepared=True, epochs=0.75)
    muon = replace(
        prepared, name="Muon", muon=True, batch_size=250, lr=0.2, epochs=0.5, runs=5
    )
    return [book, memory, batches, small, last, prepared, muon]


class ShortNet(nn.Module):
    """(N, 3, H, W) normalised images -> (N, num_classes) logits, H and W from 9 up.

    Four convolutions, the first of which `prepare` can compute, and a head: 56,800
    parameters. On 16 x 16 pixels the maps have sides of 15, 7, 3 and 1.
    """

    def __init__(
        self, num_classes: int = 10, widths: tuple[int, ...] = (16, 24, 48, 96)
    ) -> None:
        super().__init__()
        self.whiten = nn.Conv2d(3, widths[0], kernel_size=2)
        pairs = list(pairwise(widths))
        self.convs = nn.ModuleList(
            nn.Conv2d(i, o, 3, padding=1, bias=False) for i, o in pairs
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(o, momentum=0.4) for _, o in pairs)
        self.fc = nn.Linear(widths[-1], num_classes, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = F.silu(self.whiten(x))
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = F.silu(norm(F.max_pool2d(conv(x), 2)))
        return self.fc(x.amax(dim=(2, 3)))


@torch.no_grad()
def prepare(model: ShortNet, images: Tensor) -> None:
    """Whiten patches in the first layer, once for all; begin as the identity elsewhere.

    images: some of the training set, (N, 3, H, W) uint8. The first layer keeps the
    strongest of the twelve patterns, each with both signs.
    """
    patches = F.unfold(normalize(images.float() / 255), 2).mT.flatten(0, 1).double()
    variance, patterns = torch.linalg.eigh(patches.mT @ patches / len(patches))
    filters = (patterns / (variance + 5e-4).sqrt()).mT.view(12, 3, 2, 2).flip(0)
    filters = filters[: model.whiten.out_channels // 2]
    model.whiten.weight.copy_(torch.cat([filters, -filters]))
    model.whiten.bias.zero_()
    model.whiten.requires_grad_(False)
    for conv in model.convs:
        nn.init.dirac_(conv.weight[: conv.in_channels])
    nn.init.normal_(model.fc.weight, std=1 / model.fc.in_features)


def batches_of(
    rung: Rung, images: Tensor, labels: Tensor, device: torch.device
) -> Iterator[tuple[Tensor, Tensor]]:
    """All batches of a training, on the device; images (B, 3, H, W) float32."""
    size = min(rung.batch_size, len(images))
    if rung.in_memory:
        settings = dict(mean=MEAN, std=STD, device=device, drop_last=rung.one_cycle)
        loader = BatchLoader(images, labels, batch_size=size, shuffle=True, **settings)
    else:
        loader = DataLoader(Pictures(images, labels), batch_size=size, shuffle=True)
    layout = torch.channels_last if rung.channels_last else torch.contiguous_format
    left = steps_of(rung, len(images))
    while left:
        for _, (x, y) in zip(range(left), loader, strict=False):
            yield x.to(device).contiguous(memory_format=layout), y.to(device)
            left -= 1


def steps_of(rung: Rung, images: int) -> int:
    """How many batches a training on so many images takes, one epoch at least."""
    size = min(rung.batch_size, images)
    per_epoch = images // size if rung.one_cycle else -(-images // size)
    return round(max(rung.epochs, 1) * per_epoch)


def optimizers_of(rung: Rung, model: nn.Module) -> list[torch.optim.Optimizer]:
    """SGD as in the book; with `muon` only for what is no filter, by chapter 3's rates.

    Those are meant for a loss summed over the batch and logits divided by the width.
    """
    trained = [p for p in model.parameters() if p.requires_grad]
    if not rung.muon:
        return [torch.optim.SGD(trained, lr=rung.lr, momentum=0.9)]
    norms, filters = ([p for p in trained if p.ndim == n] for n in (1, 4))
    size, head = rung.batch_size, model.fc.weight
    rates = (norms, 0.05 * size), ([head], 0.5 * size / head.shape[1] ** 2)
    groups = [dict(params=p, lr=lr, weight_decay=2e-6 * size / lr) for p, lr in rates]
    return [
        ConvMuon(filters, lr=rung.lr, momentum=0.6),
        torch.optim.SGD(groups, momentum=0.85, nesterov=True),
    ]


def share(step: int, steps: int, rise: float) -> float:
    """Up in a line for `rise` steps, then down to 0: the share of the highest rate."""
    return max(0.0, min((step + 1) / (rise + 1), (steps - step) / (steps - rise)))


def train(
    rung: Rung, images: Tensor, labels: Tensor, device: torch.device
) -> nn.Module:
    """The network that a rung makes of (N, 3, 32, 32) uint8 and (N,) int64.

    With less than one epoch, only the first images are looked at.
    """
    part = max(1, round(min(rung.epochs, 1) * len(images)))
    images, labels = images[:part], labels[:part]
    images = shrink(images) if rung.small else images
    model = ShortNet() if rung.small else LeNet5()
    if rung.prepared:
        prepare(model, images[:3000])
    layout = torch.channels_last if rung.channels_last else torch.contiguous_format
    model.to(device, memory_format=layout)
    optimizers = optimizers_of(rung, model)
    steps = steps_of(rung, len(images))
    rise, smoothing = (0, 0.2) if rung.muon else (steps / 4, 0.0)
    cycled = optimizers if rung.one_cycle else []
    schedules = [LambdaLR(o, lambda n: share(n, steps, rise)) for o in cycled]
    for x, y in batches_of(rung, images, labels, device):
        F.cross_entropy(model(x), y, label_smoothing=smoothing).backward()
        for stepped in (*optimizers, *schedules):
            stepped.step()
        model.zero_grad()
    return model
