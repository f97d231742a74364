"""A trained network to build on, and what one has to know of it to do so.

ResNet-18 with ImageNet weights where they are on disk or can be downloaded, else the
small network of chapter 1, which was trained on CIFAR-10. Both end in `fc`, a linear
layer on features that were averaged over the image, so both are used in the same way.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from torch import nn
from torchvision import models

from ch01_intro.assets import Asset, AssetUnavailable, Source
from ch01_intro.network import MEAN, STD, SmallResNet, small_network
from ch01_intro.pretrained import imagenet_model


@dataclass(frozen=True)
class Layout:
    """Names of modules, from the image upwards; the head is always `fc`."""

    parts: dict[str, tuple[str, ...]]  # "stem", "lower", "upper": all but the head
    last: str  # its output is the last feature map (N, C, H, W)
    mean: tuple[float, ...]  # of the training set, RGB in [0, 1]
    std: tuple[float, ...]
    smallest: int  # pixels


LAYOUTS = {
    "resnet18": Layout(
        {
            "stem": ("conv1", "bn1"),
            "lower": ("layer1", "layer2"),
            "upper": ("layer3", "layer4"),
        },
        last="layer4",
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        smallest=32,
    ),
    "small": Layout(
        {
            "stem": ("features.0", "features.1"),
            "lower": ("features.3", "features.4"),
            "upper": tuple(f"features.{i}" for i in (6, 7, 8, 9)),
        },
        last="features",
        mean=MEAN,
        std=STD,
        smallest=8,
    ),
}


@dataclass(frozen=True)
class Backbone:
    """A network in eval mode with trained weights, its layout, and where it is from."""

    name: str
    model: nn.Module
    layout: Layout
    source: Asset

    @property
    def width(self) -> int:
        """How many features the head gets."""
        return self.model.fc.in_features


def build(name: str, num_classes: int) -> nn.Module:
    """The network with random weights and a head for `num_classes`, in train mode.

    For training from scratch, and to load a `state_dict` into. Raises `ValueError` for
    a name that is not in `LAYOUTS`.
    """
    if name not in LAYOUTS:
        raise ValueError(f"no backbone {name!r}; there are {', '.join(LAYOUTS)}")
    if name == "small":
        return SmallResNet(num_classes)
    return models.get_model(name, weights=None, num_classes=num_classes)


def pick_backbone(name: str | None = None, *, download: bool = True) -> Backbone:
    """ResNet-18 if its weights can be had, else the small network; or the one named.

    Raises `AssetUnavailable` where ResNet-18 was named and can not be had,
    `DamagedFile` where its file on disk is not the right one, `ValueError` for another
    name.
    """
    if name not in (None, *LAYOUTS):
        raise ValueError(f"no backbone {name!r}; there are {', '.join(LAYOUTS)}")
    why = "asked for"
    if name != "small":
        try:
            model, weights = imagenet_model("resnet18", download=download)
        except AssetUnavailable as error:
            if name is not None:
                raise
            why = error.reason
        else:
            source = Asset("ResNet-18, ImageNet", Source.DISK, note=weights.name)
            return Backbone("resnet18", model, LAYOUTS["resnet18"], source)
    note = f"chapter 1's network, CIFAR-10 ({why})"
    kind = Source.DISK if name else Source.STAND_IN
    source = Asset("Backbone", kind, note=note)
    return Backbone("small", small_network(), LAYOUTS["small"], source)


def parameters_of(model: nn.Module, names: tuple[str, ...]) -> list[nn.Parameter]:
    """The parameters of the modules with these names."""
    return [p for name in names for p in model.get_submodule(name).parameters()]


def check_labels(labels: Iterable[int], num_classes: int) -> None:
    """Raise `ValueError` where a label has no output of the model that could be it.

    On a GPU the error names nothing, and the process can not use the GPU any more.
    """
    found = sorted({int(label) for label in labels})
    if outside := [label for label in found if not 0 <= label < num_classes]:
        raise ValueError(
            f"the labels {outside} are outside 0..{num_classes - 1}: the model has "
            f"{num_classes} outputs. Give it a head with one for each class."
        )
