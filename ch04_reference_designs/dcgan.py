"""A DCGAN (Radford, Metz and Chintala, 2015): two networks and a step of their game.

Notebook 04 writes all of this out and explains it. Here it stands for those who import
it: the notebook on flow matching, the tests, and a program that loads a generator.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer


def generator(latent: int, channels: Sequence[int], first: int) -> nn.Sequential:
    """Latents (N, latent) -> grey images (N, 1, S, S) in [-1, 1].

    The first transposed convolution makes `first` x `first` pixels of channels[0]
    channels, and each of the others doubles the side: S = first * 2 ** len(channels).
    """
    _check(channels, first)
    layers = [
        nn.Unflatten(1, (latent, 1, 1)),
        nn.ConvTranspose2d(latent, channels[0], first, bias=False),
        nn.BatchNorm2d(channels[0]),
        nn.ReLU(),
    ]
    for wide, narrow in pairwise(channels):
        up = nn.ConvTranspose2d(wide, narrow, 4, stride=2, padding=1, bias=False)
        layers += [up, nn.BatchNorm2d(narrow), nn.ReLU()]
    last = nn.ConvTranspose2d(channels[-1], 1, 4, stride=2, padding=1)
    return nn.Sequential(*layers, last, nn.Tanh())


def discriminator(channels: Sequence[int], first: int) -> nn.Sequential:
    """Grey images (N, 1, S, S) -> logits (N,), above 0 for "real"; a mirror image."""
    _check(channels, first)
    layers = [
        nn.Conv2d(1, channels[-1], 4, stride=2, padding=1),
        nn.LeakyReLU(0.2),
    ]
    for narrow, wide in pairwise(reversed(channels)):
        down = nn.Conv2d(narrow, wide, 4, stride=2, padding=1, bias=False)
        layers += [down, nn.BatchNorm2d(wide), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Conv2d(channels[0], 1, first), nn.Flatten(0))


@torch.no_grad()
def init_weights(module: nn.Module) -> None:
    """For `model.apply`: N(0, 0.02) in convolutions, N(1, 0.02) in batch norm."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)


def adversarial_step(
    G: nn.Module,
    D: nn.Module,
    G_optimizer: Optimizer,
    D_optimizer: Optimizer,
    real: Tensor,
    latents: Tensor,
) -> dict[str, float]:
    """One step of each player with real images (N, 1, S, S) and latents (N, latent).

    Returns both losses, and the mean probability "real" that D gives to real images,
    `D(x)`, and to generated ones before its step, `D(G(z))`.
    """
    ones, zeros = torch.ones_like(real[:, 0, 0, 0]), torch.zeros(len(latents)).to(real)
    fake = G(latents)

    D_optimizer.zero_grad()
    real_logits, fake_logits = D(real), D(fake.detach())
    D_loss = F.binary_cross_entropy_with_logits(
        real_logits, ones
    ) + F.binary_cross_entropy_with_logits(fake_logits, zeros)
    D_loss.backward()
    D_optimizer.step()

    G_optimizer.zero_grad()
    D.requires_grad_(False)
    G_loss = F.binary_cross_entropy_with_logits(D(fake), ones)
    G_loss.backward()
    D.requires_grad_(True)
    G_optimizer.step()
    chances = real_logits.sigmoid().mean(), fake_logits.sigmoid().mean()
    values = torch.stack([D_loss, G_loss, *chances]).tolist()  # one wait for the GPU
    return dict(zip(("D loss", "G loss", "D(x)", "D(G(z))"), values, strict=True))


@torch.inference_mode()
def generate(G: nn.Module, latents: Tensor, batch_size: int = 500) -> Tensor:
    """Latents (N, latent) -> images (N, 1, S, S) in [-1, 1], on the CPU.

    In eval mode: an image depends on its own latent vector alone. G is left in the mode
    in which it came.
    """
    was_training, device = G.training, next(G.parameters()).device
    G.eval()
    images = [G(part.to(device)).cpu() for part in latents.split(batch_size)]
    G.train(was_training)
    return torch.cat(images)


def slerp(start: Tensor, end: Tensor, steps: int) -> Tensor:
    """Points (steps, D) on the great arc from `start` to `end`, both (D,).

    Lengths are interpolated, too. Latents of many dimensions lie near a sphere; a
    straight line between two runs inside it, where hardly any training latent was.
    """
    if start.shape != end.shape or start.ndim != 1 or steps < 2:
        raise ValueError("needs two vectors of one length, and two steps or more")
    t = torch.linspace(0, 1, steps).to(start)[:, None]  # (steps, 1)
    lengths = torch.lerp(start.norm(), end.norm(), t)
    a, b = F.normalize(start, dim=0), F.normalize(end, dim=0)
    angle = (a @ b).clamp(-1, 1).acos()
    if angle.sin() < 1e-4:  # parallel: the arc is a line
        return torch.lerp(start, end, t)
    return lengths * (((1 - t) * angle).sin() * a + (t * angle).sin() * b) / angle.sin()


def nearest(images: Tensor, among: Tensor) -> tuple[Tensor, Tensor]:
    """For each of images (N, ...) the nearest of `among` (M, ...): index and distance.

    Euclidean, over all pixels; both results are (N,).
    """
    distances = torch.cdist(images.flatten(1).float(), among.flatten(1).float())
    found = distances.min(dim=1)
    return found.indices, found.values


def _check(channels: Sequence[int], first: int) -> None:
    if not channels or min(channels) < 1 or first < 1:
        raise ValueError(f"channels {channels} and first {first} have to be 1 or more")
