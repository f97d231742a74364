"""A classifier as a server wants it: cheap to prepare for, one call for a batch."""

import argparse
import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ch01_intro.network import CLASSES, MEAN, STD, named_network

if TYPE_CHECKING:
    from ch01_intro.classify import Classifier

OWN = {"small": False, "six-views": True}  # names, and whether it looks six times


@dataclass(frozen=True)
class ServedModel:
    """`prepare` runs for each image, in any thread; `model` for a stack of them."""

    name: str
    prepare: Callable[[Image.Image], Tensor]  # RGB image -> (3, H, W)
    model: Callable[[Tensor], Tensor]  # (N, 3, H, W) -> (N, classes) probabilities
    categories: Sequence[str]


def folded(model: nn.Module) -> nn.Module:
    """A copy whose batch norms are folded into the convolutions before them.

    In `eval()` mode a batch norm is a factor and a summand for each channel, which the
    convolution can take over. Looks at neighbours in each `nn.Sequential`.
    """
    model = copy.deepcopy(model).eval()
    for module in list(model.modules()):
        if not isinstance(module, nn.Sequential):
            continue
        children = list(module.named_children())
        for (name, first), (next_name, second) in pairwise(children):
            if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                setattr(module, name, fuse_conv_bn_eval(first, second))
                setattr(module, next_name, nn.Identity())
    return model


class FromBytes(nn.Module):
    """(N, 3, H, W) uint8 -> (N, classes) probabilities: normalising is part of it.

    A byte is a quarter of a float, and one call normalises the whole batch. Batch norms
    are folded, and the weights lie in memory as the CPU's convolutions like them best.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = folded(model).to(memory_format=torch.channels_last)
        self.register_buffer("mean", 255 * torch.tensor(MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", 255 * torch.tensor(STD).view(1, 3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        x = (images - self.mean) / self.std
        return self.model(x.contiguous(memory_format=torch.channels_last)).softmax(1)


def central_square(photo: Image.Image, size: int = 32) -> Tensor:
    """The middle of a photograph as (3, size, size) uint8.

    What `v2.Resize(size)` and `v2.CenterCrop(size)` give, without the parts that the
    crop would throw away: of a strip of 1 x 1,000,000 pixels they are gigabytes.
    """
    short = min(photo.size)
    box = []
    for side in photo.size:
        resized = int(size * side / short)
        start = round((resized - size) / 2)
        box.append((start * side / resized, (start + size) * side / resized))
    (left, right), (top, bottom) = box
    small = photo.resize(
        (size, size), Image.Resampling.BILINEAR, box=(left, top, right, bottom)
    )
    pixels = torch.frombuffer(bytearray(small.tobytes()), dtype=torch.uint8)
    return pixels.view(size, size, 3).permute(2, 0, 1)  # (3, size, size)


def small_served(*, six_views: bool = False) -> ServedModel:
    """Chapter 1's network, for CIFAR-10's ten classes.

    With `six_views` it is right more often, for six times the arithmetic.
    """
    network, name = named_network(six_views=six_views)
    return ServedModel(name, central_square, FromBytes(network).eval(), CLASSES)


def served(classifier: "Classifier") -> ServedModel:
    """Any classifier of chapter 1; it keeps its own transform."""

    def prepare(photo: Image.Image) -> Tensor:
        return classifier.transform(_without_ends(photo))

    def model(images: Tensor) -> Tensor:
        return classifier.model(images).softmax(dim=1)

    classifier.model.eval()
    return ServedModel(classifier.name, prepare, model, classifier.categories)


def served_model(name: str = "small") -> ServedModel:
    """`small`, `six-views`, or one of torchvision's with its ImageNet weights.

    Raises `AssetUnavailable` where the weights can not be had, `ValueError` for a name
    that torchvision does not know.
    """
    if name in OWN:
        return small_served(six_views=OWN[name])
    # only here: torchvision takes as long to import as torch
    from ch01_intro.classify import imagenet_classifier

    return served(imagenet_classifier(name))


def _without_ends(photo: Image.Image) -> Image.Image:
    """Cut to 4 : 1 at most: resizing a long strip by its short side takes gigabytes."""
    width, height = photo.size
    new_width, new_height = min(width, 4 * height), min(height, 4 * width)
    if (new_width, new_height) == (width, height):
        return photo
    left, top = (width - new_width) // 2, (height - new_height) // 2
    return photo.crop((left, top, left + new_width, top + new_height))


def port_number(text: str) -> int:
    """For argparse: a port, 0 for any that is free."""
    if not text.isdecimal() or int(text) > 65_535:
        raise argparse.ArgumentTypeError("ports begin at 0 and end at 65535")
    return int(text)
