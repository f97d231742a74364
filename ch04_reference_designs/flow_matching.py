"""Flow matching on straight paths: a velocity network, and solvers that follow it.

Of the papers on "flow matching" (Lipman et al., 2022) and "rectified flow" (Liu et al.,
2022). Notebook 06 writes the parts out and explains them. Noise is at t = 0, images at
t = 1.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Field = Callable[[Tensor, Tensor], Tensor]  # x (N, ...), t (N,) -> velocity (N, ...)


class TimeEmbedding(nn.Module):
    """Times (N,) in [0, 1] -> (N, width): sines and cosines, then a small network."""

    def __init__(self, width: int, waves: int = 16) -> None:
        super().__init__()
        self.register_buffer("rates", torch.logspace(0, 2, waves))
        self.mix = nn.Sequential(nn.Linear(2 * waves, width), nn.SiLU())

    def forward(self, t: Tensor) -> Tensor:
        angles = t[:, None] * self.rates  # (N, waves)
        return self.mix(torch.cat([angles.sin(), angles.cos()], dim=1))


class Block(nn.Module):
    """A residual block (N, C, H, W) that is told the time by (N, width)."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, channels)
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.scale_shift = nn.Linear(width, 2 * channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.second.weight)  # at first it only adds the bias

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        scale, shift = self.scale_shift(time)[:, :, None, None].chunk(2, dim=1)
        h = self.norm(x) * (1 + scale) + shift
        return x + self.second(F.silu(self.first(F.silu(h))))


class VelocityNet(nn.Module):
    """A small U-Net: x (N, 1, S, S) and t (N,) -> velocity (N, 1, S, S).

    The side S has to be a multiple of 4. Pixels are packed two by two into channels,
    so that the widest layers see only S/2 and S/4 pixels a side. Inside, the image is
    predicted, and the velocity follows from it (Li and He, 2025): images are simpler
    than noise, so a small network gets on better. `predict` returns that image.
    """

    def __init__(self, channels: int = 16, deep: int = 48, blocks: int = 2) -> None:
        super().__init__()
        width = 2 * deep
        self.time = TimeEmbedding(width)
        self.enter = nn.Conv2d(4, channels, 3, padding=1)
        self.down = nn.Conv2d(channels, deep, 2, stride=2)
        self.middle = nn.ModuleList(Block(deep, width) for _ in range(blocks))
        self.up = nn.ConvTranspose2d(deep, channels, 2, stride=2)
        self.join = nn.Conv2d(2 * channels, channels, 3, padding=1)
        self.leave = nn.Conv2d(channels, 4, 3, padding=1)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        if x.ndim != 4 or x.shape[1] != 1 or x.shape[2] % 4 or x.shape[3] % 4:
            raise ValueError(
                f"needs images (N, 1, S, S), S a multiple of 4, not {tuple(x.shape)}"
            )
        left = (1 - t).clamp(min=0.05).view(-1, 1, 1, 1)  # time that is left
        return (self.predict(x, t) - x) / left

    def predict(self, x: Tensor, t: Tensor) -> Tensor:
        time = self.time(t)  # (N, width)
        high = F.silu(self.enter(F.pixel_unshuffle(x, 2)))  # (N, channels, S/2, S/2)
        low = self.down(high)  # (N, deep, S/4, S/4)
        for block in self.middle:
            low = block(low, time)
        both = torch.cat([self.up(F.silu(low)), high], dim=1)
        return F.pixel_shuffle(self.leave(F.silu(self.join(both))), 2).tanh()


def straight_path(noise: Tensor, images: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """Where x is at the times t (N,), and its velocity, both (N, ...).

    x_t = (1 - t) noise + t images, so dx/dt = images - noise, at every t.
    """
    if noise.shape != images.shape or t.shape != (len(images),):
        raise ValueError(
            f"noise {tuple(noise.shape)} has to have the shape of the images "
            f"{tuple(images.shape)}, and t {tuple(t.shape)} one number for each"
        )
    t = t.view(-1, *[1] * (images.ndim - 1))  # (N, 1, 1, 1)
    return (1 - t) * noise + t * images, images - noise


def flow_matching_loss(net: Field, images: Tensor) -> Tensor:
    """Mean squared error of the velocity, at one random time for each image.

    The times are sigmoids of normal numbers (Esser et al., 2024): most lie in the
    middle, somewhat nearer to the noise, where it is decided what the image will show.
    """
    t = (torch.randn(len(images), device=images.device) - 0.4).sigmoid()  # (N,)
    x, velocity = straight_path(torch.randn_like(images), images, t)
    return F.mse_loss(net(x, t), velocity)


def euler(field: Field, x: Tensor, steps: int) -> Tensor:
    """From t = 0 to 1 in `steps` straight pieces; `steps` calls of the field."""
    _check(steps)
    h = 1 / steps
    for i in range(steps):
        t = torch.full((len(x),), i * h).to(x)
        x = x + h * field(x, t)
    return x


def heun(field: Field, x: Tensor, steps: int) -> Tensor:
    """As `euler`, with the mean of the velocities at both ends of a step.

    The last step is Euler's, so that the field is never asked at t = 1, where one that
    predicts images has no velocity: 2 * steps - 1 calls.
    """
    _check(steps)
    h = 1 / steps
    for i in range(steps):
        t = torch.full((len(x),), i * h).to(x)
        velocity = field(x, t)
        if i < steps - 1:
            velocity = (velocity + field(x + h * velocity, t + h)) / 2
        x = x + h * velocity
    return x


@torch.inference_mode()
def sample(
    net: nn.Module,
    noise: Tensor,
    *,
    steps: int = 10,
    solver: Callable[[Field, Tensor, int], Tensor] = heun,
    batch_size: int = 250,
) -> Tensor:
    """Noise (N, 1, S, S) -> images (N, 1, S, S) in [-1, 1], on the CPU.

    The same noise gives the same images. The net is left in the mode in which it came.
    """
    was_training, device = net.training, next(net.parameters()).device
    net.eval()
    parts = noise.split(batch_size)
    images = [solver(net, part.to(device), steps).clamp(-1, 1).cpu() for part in parts]
    net.train(was_training)
    return torch.cat(images)


def cosine_to_zero(step: int, steps: int, warmup: int = 20) -> float:
    """The learning rate's factor: up over `warmup` steps, then down along a cosine."""
    if step < warmup:
        return (step + 1) / warmup
    share = (step - warmup) / max(1, steps - warmup)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, share)))


def _check(steps: int) -> None:
    if not isinstance(steps, int) or steps < 1:
        raise ValueError(f"steps has to be a whole number, 1 or more, not {steps!r}")
