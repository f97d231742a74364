"""How to train a small network fast on a CPU.

What each part is for: the images stay in memory and are augmented a batch at a time
(`loader.py`); most epochs see crops of 24 x 24 pixels, which cost half; the first layer
is computed from the images instead of trained; filters are turned by `ConvMuon`, all
else takes plain SGD; the learning rate falls in a straight line to 0; labels are
smoothed. After K. Jordan, "94% on CIFAR-10 in 3.29 seconds" (2024), and the record for
it with Muon.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from ch01_intro.devices import pick_device
from ch01_intro.network import MEAN, STD, normalize
from ch03_deep_learning.augmentation import crop_and_flip
from ch03_deep_learning.loader import BatchLoader
from ch03_deep_learning.muon import ConvMuon
from ch03_deep_learning.placement import fast_dtype
from ch03_deep_learning.quicknet import QuickNet
from ch03_deep_learning.training import fit


@dataclass(frozen=True)
class Recipe:
    """The settings of one training; the defaults are those of a long one."""

    epochs: int = 24
    small_epochs: int = 20  # of them, on crops of 24 x 24 pixels
    widths: tuple[int, int, int] = (48, 128, 144)
    residual: bool = True
    batch_size: int = 500
    turn: float = 0.05  # the angle by which filters turn in the first step, in radians
    momentum: float = 0.6
    bias_lr: float = 0.05  # SGD's rate, for a loss that is a sum, at the first step
    head_lr: float = 0.5  # the same; fewer channels before the head need less of both
    padding: int = 3  # the largest shift, in pixels
    cutout: int = 6  # the side of the square that is blanked out, in pixels
    smoothing: float = 0.2  # of the labels

    def __post_init__(self) -> None:
        if not 0 <= self.small_epochs <= self.epochs or self.epochs < 1:
            raise ValueError(
                f"{self.small_epochs} of {self.epochs} epochs can not be small ones"
            )


def train(
    recipe: Recipe,
    images: Tensor,
    labels: Tensor,
    *,
    device: torch.device | str | None = None,
    checkpoint: Path | str | None = None,
    after_epoch: Callable[[QuickNet, dict[str, float]], None] | None = None,
) -> QuickNet:
    """A network trained on images (N, 3, 32, 32) uint8 and labels (N,) int64.

    checkpoint: a file beside which `.small` and `.full` are written after each epoch;
    a run that finds them goes on from there. `after_epoch` gets the network and `fit`'s
    row. Raises what `BatchLoader` and `fit` raise.
    """
    device = torch.device(device) if device is not None else pick_device()
    batch_size = min(recipe.batch_size, len(images))
    model = QuickNet(widths=recipe.widths, residual=recipe.residual)
    prepare(model, images[:3000])
    model.to(device, memory_format=torch.channels_last)

    settings = dict(batch_size=batch_size, shuffle=True, drop_last=True, mean=MEAN,
                    std=STD, device=device)  # fmt: skip
    cut = dict(padding=recipe.padding, cutout=recipe.cutout)
    stages = {
        "small": (recipe.small_epochs, crop_and_flip(size=24, **cut)),
        "full": (recipe.epochs - recipe.small_epochs, crop_and_flip(**cut)),
    }
    optimizers = make_optimizers(model, recipe, batch_size)
    steps = recipe.epochs * (len(images) // batch_size)
    falling = [LambdaLR(o, lambda step: max(0.0, 1 - step / steps)) for o in optimizers]
    for name, (epochs, augment) in stages.items():
        if epochs:
            fit(
                model,
                BatchLoader(images, labels, augment=augment, **settings),
                optimizer=optimizers,
                scheduler=falling,
                epochs=epochs,
                loss=partial(F.cross_entropy, label_smoothing=recipe.smoothing),
                device=device,
                amp=fast_dtype(device) if device.type != "cpu" else None,
                checkpoint=f"{checkpoint}.{name}" if checkpoint else None,
                after_epoch=partial(after_epoch, model) if after_epoch else None,
            )
    return model.eval()


def make_optimizers(
    model: QuickNet, recipe: Recipe, batch_size: int
) -> list[torch.optim.Optimizer]:
    """`ConvMuon` for the filters, SGD with Nesterov's momentum for all else.

    SGD's rates are meant for a sum over the batch; `fit` gives it means.
    """
    trained = [p for p in model.parameters() if p.requires_grad]
    filters = [p for p in trained if p.ndim == 4]
    others = [p for p in trained if p.ndim == 1]  # batch norm, and whiten's bias
    decay = 2e-6 * batch_size  # of the weights themselves, a step
    groups = [
        {
            "params": params,
            "lr": lr * batch_size,
            "weight_decay": decay / lr / batch_size,
        }
        for params, lr in (
            (others, recipe.bias_lr),
            ([model.fc.weight], recipe.head_lr),
        )
    ]
    return [
        ConvMuon(filters, lr=recipe.turn, momentum=recipe.momentum),
        torch.optim.SGD(groups, momentum=0.85, nesterov=True),
    ]


@torch.no_grad()
def prepare(model: QuickNet, images: Tensor) -> None:
    """Set the network up to learn fast, from a few images (N, 3, H, W) uint8.

    The first layer becomes the whitening of 2 x 2 patches: its outputs are uncorrelated
    and of variance 1, each pattern with both signs. The others begin as the identity
    for as many channels as came in.
    """
    patches = F.unfold(normalize(images.float() / 255), 2)  # (N, 12, patches)
    patches = patches.transpose(1, 2).flatten(0, 1).double()  # (N * patches, 12)
    covariance = patches.mT @ patches / len(patches)  # (12, 12)
    variance, patterns = torch.linalg.eigh(covariance)  # (12,), (12, 12) in columns
    filters = (patterns / (variance + 5e-4).sqrt()).mT.view(12, 3, 2, 2)
    model.whiten.weight.copy_(torch.cat([filters, -filters]))
    model.whiten.bias.zero_()
    for layer in model.features.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.dirac_(layer.weight[: layer.in_channels])
    model.fc.weight.div_(model.fc.weight.std())


@torch.inference_mode()
def accuracy_of(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """The share of images (N, 3, 32, 32) uint8 whose class is right, in [0, 1]."""
    was_training = model.training
    model.eval()
    device = next(model.parameters()).device
    correct = 0
    for part, target in zip(images.split(500), labels.split(500), strict=True):
        x = normalize(part.to(device).float() / 255)
        x = x.contiguous(memory_format=torch.channels_last)
        correct += (model(x).argmax(1).cpu() == target).sum().item()
    model.train(was_training)
    return correct / len(labels)
