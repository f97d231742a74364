"""A small classifier whose inner features measure how far generated images are off.

    net = train_features(images, labels)  # seconds on a CPU
    features = net.features(others)  # (N, 64)

The Inception features of the usual Fréchet Inception Distance (Heusel et al., 2017)
come from photographs and from 100 MB of weights. For small grey images a classifier
of these very images sees more, and costs little. `python -m
ch04_reference_designs.features` trains it and prints its accuracy on the test images.
"""

import time

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SIDE, WIDTH = 28, 64


class FeatureNet(nn.Module):
    """Grey images (N, 1, H, W) in [-1, 1] -> logits (N, classes).

    Images that are not 28 x 28 are resized to it first, so that generators of any size
    are measured alike. `features` gives the 64 numbers before the last layer.
    """

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 16, 5, stride=2, padding=2, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU(),  # (N, 16, 14, 14)
            nn.Conv2d(16, 32, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(32),
            nn.ReLU(),  # (N, 32, 7, 7)
            nn.Conv2d(32, WIDTH, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(WIDTH),
            nn.ReLU(),  # (N, 64, 4, 4)
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),  # (N, 64)
        )
        self.head = nn.Linear(WIDTH, classes)

    def forward(self, images: Tensor) -> Tensor:
        if images.ndim != 4 or images.shape[1] != 1:
            raise ValueError(
                f"needs grey images (N, 1, H, W), not {tuple(images.shape)}"
            )
        return self.head(self.body(_resized(images)))

    @torch.inference_mode()
    def features(self, images: Tensor, batch_size: int = 500) -> Tensor:
        """(N, 1, H, W) -> (N, 64) float64 on the CPU, always in eval mode."""
        was_training = self.training
        device = self.head.weight.device
        self.eval()
        parts = [
            self.body(_resized(part.to(device))).cpu()
            for part in images.split(batch_size)
        ]
        self.train(was_training)
        return torch.cat(parts).double()


def train_features(
    images: Tensor,
    labels: Tensor,
    *,
    steps: int = 300,
    batch_size: int = 64,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> FeatureNet:
    """Train a `FeatureNet` on images (N, 1, H, W) in [-1, 1] and labels (N,) int64.

    Returns it in eval mode, with parameters that ask for no gradient. The same seed
    gives the same network on the same machine, and the caller's random numbers go on
    as if nothing had been drawn. Raises `ValueError` for values outside [-1, 1] and for
    labels that do not fit.
    """
    if not len(images) or len(images) != len(labels) or labels.min() < 0:
        raise ValueError(
            f"{len(images)} images need as many labels from 0 up, not {len(labels)}"
        )
    if images.min() < -1.001 or images.max() > 1.001:
        raise ValueError("the pixels have to be in [-1, 1]: scale them, 2 * x - 1")
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        net = FeatureNet(max(10, int(labels.max()) + 1))
    net.to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=0.01, total_steps=steps + 1
    )
    for _ in range(steps):
        chosen = torch.randint(len(images), (batch_size,), generator=generator)
        inputs, targets = images[chosen].to(device), labels[chosen].to(device)
        optimizer.zero_grad()
        F.cross_entropy(net(inputs), targets).backward()
        optimizer.step()
        schedule.step()
    return net.eval().requires_grad_(False)


def _resized(images: Tensor) -> Tensor:
    if images.shape[-2:] == (SIDE, SIDE):
        return images
    size = (SIDE, SIDE)
    return F.interpolate(images, size, mode="bilinear", antialias=True)


def main() -> None:
    from ch03_deep_learning.datasets import FashionMNIST, as_tensors

    (images, labels), (others, truth) = (
        as_tensors(FashionMNIST(train=train)) for train in (True, False)
    )
    start = time.perf_counter()
    net = train_features(images / 127.5 - 1, labels)
    seconds = time.perf_counter() - start
    with torch.inference_mode():
        right = (net(others / 127.5 - 1).argmax(1) == truth).double().mean()
    print(f"{right:.1%} of {len(truth)} test images, trained in {seconds:.1f} s")


if __name__ == "__main__":
    main()
