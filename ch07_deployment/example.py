"""The model that this chapter deploys, and real images to compare its copies on.

Both come inside the installed packages: every way to deploy works offline, and its
answers can be checked against eager PyTorch.
"""

from collections.abc import Callable
from pathlib import Path

import skimage
import torch
from PIL import Image
from torch import Tensor, nn
from torchvision.transforms import v2

from ch01_intro.classify import open_photo, small_classifier
from ch01_intro.network import CLASSES, small_network

PHOTOS = ("chelsea.png", "coffee.png", "astronaut.png", "rocket.jpg", "camera.png",
          "motorcycle_left.png", "hubble_deep_field.jpg", "ihc.png")  # fmt: skip


def example_model() -> nn.Module:
    """Chapter 1's network with its weights, in `eval()` mode, on the CPU.

    Takes (N, 3, 32, 32) normalised images, gives (N, 10) logits for `CLASSES`.
    """
    return small_network()


def photo_path(name: str = "chelsea.png") -> Path:
    """Where a photograph lies that scikit-image carries; the default is a cat.

    Raises `FileNotFoundError` with the names that there are.
    """
    path = Path(skimage.__file__).parent / "data" / name
    if not path.is_file():
        raise FileNotFoundError(f"No photograph {name}; there are {', '.join(PHOTOS)}")
    return path


def photos() -> list[Image.Image]:
    """The photographs of `PHOTOS` that this version of scikit-image carries, as RGB."""
    folder = Path(skimage.__file__).parent / "data"
    return [open_photo(folder / name) for name in PHOTOS if (folder / name).is_file()]


def real_images(n: int = 32) -> Tensor:
    """(n, 3, 32, 32) float32, normalised for `example_model`; the same in each call.

    First the photographs as the classifier sees them, then random crops of them.
    Raises `ValueError` where `n` is less than 1.
    """
    if n < 1:
        raise ValueError(f"needs at least one image, not {n}")
    whole = photos()
    crop = v2.RandomResizedCrop(320, scale=(0.2, 0.9))
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        transform = small_classifier().transform
        images = [transform(photo) for photo in whole[:n]]  # each (3, 32, 32)
        while len(images) < n:
            images.append(transform(crop(whole[len(images) % len(whole)])))
    return torch.stack(images)  # (n, 3, 32, 32)


@torch.inference_mode()
def largest_difference(
    run: Callable[[Tensor], Tensor], images: Tensor, *, model: nn.Module | None = None
) -> float:
    """The largest absolute difference of logits between `run(images)` and eager.

    Raises `ValueError` where the shapes differ.
    """
    expected = (model or example_model())(images)  # (N, 10)
    actual = torch.as_tensor(run(images))
    if actual.shape != expected.shape:
        raise ValueError(f"{tuple(actual.shape)} is not {tuple(expected.shape)}")
    return (actual.float() - expected).abs().max().item()


def names_of(logits: Tensor) -> list[str]:
    """(N, 10) logits -> the name of each image's most probable class."""
    return [CLASSES[index] for index in logits.argmax(dim=1).tolist()]
