"""Say what is on a photograph.

    python -m ch01_intro.classify PHOTO                 # the top five, as bars
    python -m ch01_intro.classify PHOTO --model small   # this repository's network
    python -m ch01_intro.classify PHOTO --model resnet50

Any classifier of torchvision will do. Without `--model` it is ResNet-18 where its
ImageNet weights are on disk or can be downloaded, else the small network, which knows
CIFAR-10's ten classes. The first line of the answer says which.
"""

import argparse
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor, nn
from torchvision.transforms import v2

from ch01_intro.assets import AssetUnavailable
from ch01_intro.devices import pick_device
from ch01_intro.network import CLASSES, MEAN, STD, named_network
from ch01_intro.pretrained import imagenet_model

MAX_PIXELS = 150_000_000  # a photograph of 150 megapixels takes 450 MB as RGB


@dataclass(frozen=True)
class Classifier:
    """A network and what belongs to it: the transform before, the names after."""

    name: str
    model: nn.Module
    transform: Callable[[Image.Image], Tensor]  # PIL image -> (3, H, W)
    categories: Sequence[str]


@dataclass(frozen=True)
class Prediction:
    label: str
    probability: float  # in [0, 1]


def open_photo(path: Path | str) -> Image.Image:
    """A photograph as an upright 8-bit RGB image, whatever its file holds.

    Grey, palette, CMYK and 16-bit files are converted, transparent parts become white,
    the camera's rotation (EXIF) is applied, of an animation the first frame is taken.
    Raises `FileNotFoundError`, or `ValueError` where the file is no image, is cut off
    or has more than `MAX_PIXELS` (a small file can unpack to any size).
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                width, height = image.size
                if width * height > MAX_PIXELS:
                    raise Image.DecompressionBombError
                image.load()
                return _to_rgb(ImageOps.exif_transpose(image))
    except Image.DecompressionBombError as error:
        raise ValueError(
            f"{path} has more than {MAX_PIXELS / 1e6:.0f} megapixels; scale it down"
        ) from error
    except Image.UnidentifiedImageError as error:
        raise ValueError(f"{path} is not an image that Pillow can read") from error
    except Exception as error:  # damaged bytes can raise almost anything
        reason = str(error) or type(error).__name__
        raise ValueError(f"{path} is cut off or damaged ({reason})") from error


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):  # 16 or 32 bits a pixel: scale to 8
        values = np.asarray(image, dtype=np.float64)
        deep = image.mode.startswith("I;16") or values.max() > 255  # "I": a guess
        top = 65535.0 if image.mode.startswith("I") and deep else 255.0
        image = Image.fromarray((values.clip(0, top) / top * 255).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert("RGB")


def small_classifier(*, six_views: bool = False) -> Classifier:
    """The network that this repository carries, for CIFAR-10's ten classes.

    With `six_views` it is right more often, for six times the arithmetic.
    """
    transform = v2.Compose(
        [
            v2.Resize(32),  # the short side
            v2.CenterCrop(32),
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),  # [0, 255] -> [0, 1]
            v2.Normalize(MEAN, STD),
        ]
    )
    model, name = named_network(six_views=six_views)
    return Classifier(name, model, transform, CLASSES)


def imagenet_classifier(name: str = "resnet18") -> Classifier:
    """A torchvision model with its ImageNet weights, for 1000 classes.

    Raises `AssetUnavailable` where the weights can not be had, `ValueError` for a name
    that torchvision does not know.
    """
    model, weights = imagenet_model(name)
    title = f"{name}, ImageNet ({weights.name})"
    return Classifier(title, model, weights.transforms(), weights.meta["categories"])


def pick_classifier(name: str = "auto") -> tuple[Classifier, str]:
    """The classifier of that name, and one line that says which it is and why."""
    if name == "small":
        classifier = small_classifier(six_views=True)
        return classifier, f"Model: {classifier.name}"
    try:
        classifier = imagenet_classifier("resnet18" if name == "auto" else name)
    except AssetUnavailable as error:
        if name != "auto":
            raise
        classifier = small_classifier(six_views=True)
        reason = str(error).splitlines()[0]
        return classifier, f"Model: {classifier.name} (stand-in: {reason})"
    return classifier, f"Model: {classifier.name}"


@torch.inference_mode()
def classify(
    photo: Image.Image,
    classifier: Classifier,
    *,
    top: int = 5,
    device: torch.device | str | None = None,
) -> list[Prediction]:
    """The `top` most probable classes of a photograph, most probable first."""
    device = pick_device(device)
    model = classifier.model.to(device).eval()
    batch = classifier.transform(photo).unsqueeze(0).to(device)  # (1, 3, H, W)
    probabilities = model(batch).softmax(dim=1).squeeze(0).cpu()  # (classes,)
    best = probabilities.topk(min(top, len(probabilities)))
    return [
        Prediction(classifier.categories[index], value)
        for value, index in zip(
            best.values.tolist(), best.indices.tolist(), strict=True
        )
    ]


def bars(predictions: Sequence[Prediction], *, width: int = 40, mark: str = "█") -> str:
    """A line for each prediction: label, a bar of up to `width` marks, percentage."""
    column = max((len(p.label) for p in predictions), default=0)
    return "\n".join(
        f"{p.label:{column}s}  {mark * round(p.probability * width):{width}s} "
        f"{p.probability:6.1%}"
        for p in predictions
    )


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photo", type=Path)
    parser.add_argument("--model", default="auto", help="auto, small or torchvision's")
    parser.add_argument("--top", type=int, default=5)
    parser.add_argument("--device", help="default: an accelerator if there is one")
    args = parser.parse_args(argv)
    if args.top < 1:
        parser.error(f"--top has to be 1 or more, not {args.top}")
    try:
        photo = open_photo(args.photo)
        device = pick_device(args.device)
        classifier, line = pick_classifier(args.model)
    except (OSError, ValueError, AssetUnavailable) as error:
        print(f"classify: {error}", file=sys.stderr)
        return 2
    predictions = classify(photo, classifier, top=args.top, device=device)
    encoding = sys.stdout.encoding or "ascii"
    plain = not encoding.lower().startswith("utf")
    print(line)
    print(bars(predictions, mark="#" if plain else "█"))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
