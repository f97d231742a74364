"""The small classifier that this repository carries: a residual network for CIFAR-10.

Its weights (`weights/cifar10.pt`, under 1 MB) were trained by
`python -m ch03_deep_learning.train_network`, so that every example works offline.
"""

import os
import zipfile
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WEIGHTS = Path(__file__).with_name("weights") / "cifar10.pt"
CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)  # of CIFAR-10, RGB


def conv_block(in_channels: int, out_channels: int) -> nn.Sequential:
    """3x3 convolution, batch norm, ReLU: (N, in, H, W) -> (N, out, H, W)."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


class Residual(nn.Module):
    """Two blocks around which the input is carried: (N, C, H, W) -> (N, C, H, W)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            conv_block(channels, channels), conv_block(channels, channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class SmallResNet(nn.Module):
    """(N, 3, 32, 32) normalised images -> (N, 10) logits, with 810,178 parameters.

    `depth` counts the residual blocks on the 8 x 8 maps, `widen` multiplies the
    channels. Any height and width from 8 up will do: the last feature map is averaged.
    After He et al., "Deep residual learning" (2016), in the short form of D. Page's
    "How to train your ResNet" (2018).
    """

    def __init__(
        self, num_classes: int = len(CLASSES), *, depth: int = 4, widen: int = 1
    ) -> None:
        super().__init__()
        a, b, c = 24 * widen, 64 * widen, 96 * widen  # channels
        self.features = nn.Sequential(
            conv_block(3, a),
            conv_block(a, b),
            nn.MaxPool2d(2),  # 16 x 16
            Residual(b),
            conv_block(b, c),
            nn.MaxPool2d(2),  # 8 x 8
            *(Residual(c) for _ in range(depth)),
        )
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(c, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.features(x)  # (N, 96, H / 4, W / 4)
        x = self.pool(x).flatten(1)  # (N, 96)
        return self.fc(x)  # (N, num_classes)


class SixViews(nn.Module):
    """A classifier that looks six times and gives the mean of its logits.

    (N, 3, H, W) -> (N, classes). Mirrored, or moved by a pixel, a picture shows the
    same, but what the network takes it for changes a little, and the mistakes of the
    views differ. Six times the arithmetic, not one parameter more. The views are those
    of K. Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU" (2024),
    arXiv:2404.00498.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    @staticmethod
    def views(images: Tensor) -> Tensor:
        """(N, 3, H, W) -> (6, N, 3, H, W): as it is, moved up and left, moved down and
        right; and the same three of the mirrored image."""
        views = []
        for image in (images, images.flip(-1)):
            wide = F.pad(image, (1, 1, 1, 1), mode="reflect")
            views += [image, wide[..., 2:, 2:], wide[..., :-2, :-2]]
        return torch.stack(views)

    def forward(self, images: Tensor) -> Tensor:
        return torch.stack([self.model(view) for view in self.views(images)]).mean(0)


def small_network(
    *, pretrained: bool = True, path: Path | str = WEIGHTS
) -> SmallResNet:
    """The network in `eval()` mode, float32, on the CPU.

    Raises `FileNotFoundError` where there is no file, `ValueError` where the file is
    damaged or holds the weights of another network.
    """
    model = SmallResNet()
    if pretrained:
        try:
            model.load_state_dict(load_file(path)["state_dict"])
        except (RuntimeError, AttributeError) as error:
            raise ValueError(f"{path} does not fit SmallResNet: {error}") from error
    return model.eval()


def named_network(*, six_views: bool = False) -> tuple[nn.Module, str]:
    """`small_network()`, where wanted looking in six views, and what it is called."""
    model, name = small_network(), "SmallResNet, CIFAR-10"
    if six_views:
        return SixViews(model).eval(), f"{name}, six views"
    return model, name


def facts(path: Path | str = WEIGHTS) -> dict[str, str]:
    """How the weights in a file were trained, and what they reach."""
    return load_file(path)["facts"]


def load_file(path: Path | str = WEIGHTS) -> dict[str, dict]:
    """What `save_file` wrote: `{"state_dict": ..., "facts": ...}`; errors as above."""
    try:
        with zipfile.ZipFile(path) as archive:  # torch.load compares no checksums
            if archive.testzip() is not None:
                raise zipfile.BadZipFile
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"No weights at {path}. They are part of the repository: "
            f"`git checkout -- ch01_intro/weights` brings them back, "
            f"`python -m ch03_deep_learning.train_network` trains them anew."
        ) from error
    except Exception as error:  # damaged bytes can raise almost anything
        raise ValueError(
            f"{path} is damaged ({type(error).__name__}). Delete it and get it again: "
            f"`git checkout -- ch01_intro/weights`."
        ) from error
    if not isinstance(content, dict) or not {"state_dict", "facts"} <= content.keys():
        raise ValueError(f"{path} holds something else than this network's weights")
    state = {name: unpack(value) for name, value in content["state_dict"].items()}
    return content | {"state_dict": state}


def save_file(model: nn.Module, path: Path | str, facts: dict[str, str]) -> None:
    """Write the weights, those of convolutions in 8 bits, and `facts`.

    The file is written beside `path` and renamed, so that `path` is never half a file.
    """
    path = Path(path)
    state = {
        name: pack(value) if value.ndim == 4 else value.cpu()
        for name, value in model.state_dict().items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        torch.save({"state_dict": state, "facts": facts}, beside)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def pack(weight: Tensor) -> tuple[Tensor, Tensor]:
    """(out, in, H, W) -> int8 numbers of that shape, and a scale for each output.

    The largest number of each output channel becomes 127 or -127: a quarter of the size
    for a rounding error of half a step. Chapter 6 computes with such numbers, too.
    """
    scale = weight.abs().amax(dim=(1, 2, 3), keepdim=True).clamp(min=1e-12) / 127
    return (weight / scale).round().to(torch.int8).contiguous().cpu(), scale.cpu()


def unpack(value: Tensor | tuple[Tensor, Tensor]) -> Tensor:
    """The float32 weight of what `pack` made; what is no pair stays as it is."""
    return value[0] * value[1] if isinstance(value, tuple) else value


def normalize(images: Tensor) -> Tensor:
    """(N, 3, H, W) in [0, 1] -> the same, with CIFAR-10's mean 0 and deviation 1."""
    shape = (1, 3, 1, 1)
    mean = torch.tensor(MEAN, device=images.device).view(shape)
    std = torch.tensor(STD, device=images.device).view(shape)
    return (images - mean) / std
