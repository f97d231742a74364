"""A residual network that learns quickly on a CPU; `recipe.py` trains it.

After K. He et al., "Deep residual learning" (2016), in the short forms of D. Page, "How
to train your ResNet" (2018), and K. Jordan, "94% on CIFAR-10 in 3.29 seconds" (2024): a
first layer that is computed and not trained, no stride but pooling, no bias in front of
a batch norm. Imports PyTorch only: this module can be copied alone.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Stage(nn.Module):
    """Halve the picture, widen it, look again: (N, in, H, W) -> (N, out, H/2, W/2).

    With `residual`, a third convolution is added to what the second one found.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, residual: bool = True
    ) -> None:
        super().__init__()
        self.conv1, self.norm1 = conv3x3(in_channels, out_channels)
        self.conv2, self.norm2 = conv3x3(out_channels, out_channels)
        self.residual = residual
        if residual:
            self.conv3, self.norm3 = conv3x3(out_channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        x = F.silu(self.norm1(F.max_pool2d(self.conv1(x), 2)))  # (N, out, H/2, W/2)
        x = F.silu(self.norm2(self.conv2(x)))
        if self.residual:
            x = F.silu(x + self.norm3(self.conv3(x)))
        return x


def conv3x3(in_channels: int, out_channels: int) -> tuple[nn.Conv2d, nn.BatchNorm2d]:
    """A convolution that keeps height and width, and the batch norm behind it."""
    conv = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
    return conv, nn.BatchNorm2d(out_channels, momentum=0.4)


class QuickNet(nn.Module):
    """(N, 3, H, W) normalised images -> (N, num_classes) logits, H and W from 9 up.

    widths: channels of the three stages; with the defaults and ten classes the network
    has 924,024 parameters. Of the last map the maximum of each channel is taken.
    `whiten` is set by `recipe.prepare`. `forward` raises `ValueError` for other shapes.
    """

    def __init__(
        self,
        num_classes: int = 10,
        *,
        widths: tuple[int, int, int] = (48, 128, 144),
        residual: bool = True,
    ) -> None:
        super().__init__()
        self.whiten = nn.Conv2d(3, 24, kernel_size=2)
        self.whiten.weight.requires_grad_(False)
        self.features = nn.Sequential(
            Stage(24, widths[0], residual=False),
            Stage(widths[0], widths[1], residual=residual),
            Stage(widths[1], widths[2], residual=residual),
        )
        self.fc = nn.Linear(widths[2], num_classes, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim != 4 or x.shape[1] != 3 or min(x.shape[2:]) < 9:
            raise ValueError(
                f"needs images (N, 3, H, W), 9 x 9 or larger, not {tuple(x.shape)}"
            )
        with torch.autocast(x.device.type, enabled=False):
            x = self.whiten(x)  # in 32 bits: 16 would drown the weakest patterns
        x = F.silu(x)  # (N, 24, H - 1, W - 1)
        x = self.features(x)  # (N, C, H / 8, W / 8)
        x = x.amax(dim=(2, 3))  # (N, C)
        return self.fc(x) / x.shape[1]  # (N, num_classes)
