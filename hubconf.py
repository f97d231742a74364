"""The networks of this repository, by name, for PyTorch Hub.

    torch.hub.load("pytorch-pocket-reference/pytorch-pocket-reference", "small_cifar10")
    torch.hub.load("path/to/this/folder", "small_cifar10", source="local")

While `torch.hub` loads, this folder is the first of `sys.path`: nothing here has to be
installed. Every public callable of this file is an entry point, imported ones included;
so the functions import what they need themselves.
"""

from torch import nn

dependencies = ["torch", "torchvision"]  # names as in `import`, not as in `pip install`


def small_cifar10(pretrained: bool = True) -> nn.Module:
    """A small residual network for CIFAR-10, in eval mode on the CPU.

    (N, 3, 32, 32) float32 images, normalised as `cifar10_transform` does it, become
    (N, 10) logits in the order of `cifar10_classes`.

    pretrained: with the weights that this repository carries and has trained itself
        (nothing more is downloaded); False: with random ones.
    Raises `FileNotFoundError` or `ValueError` where the file of the weights is missing
    or damaged.
    """
    from ch01_intro.network import small_network

    return small_network(pretrained=pretrained)


def cifar10_transform() -> nn.Module:
    """What a photograph goes through for `small_cifar10`: PIL image -> (3, 32, 32).

    Scaled to 32 pixels along its short side, cropped in the middle, float32, normalised
    with the mean and deviation of CIFAR-10.
    """
    import torch
    from torchvision.transforms import v2

    from ch01_intro.network import MEAN, STD

    return v2.Compose(
        [
            v2.Resize(32),
            v2.CenterCrop(32),
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(MEAN, STD),
        ]
    )


def cifar10_classes() -> tuple[str, ...]:
    """The names of CIFAR-10's ten classes, in the order of the logits."""
    from ch01_intro.network import CLASSES

    return CLASSES


def lenet5(num_classes: int = 10, in_channels: int = 3) -> nn.Module:
    """LeNet-5 for images of 32 x 32 pixels, with random weights, in training mode.

    (N, in_channels, 32, 32) images become (N, num_classes) logits. Raises `ValueError`
    for less than one class or channel.
    """
    from ch03_deep_learning.lenet import LeNet5

    return LeNet5(num_classes=num_classes, in_channels=in_channels)
