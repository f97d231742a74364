"""The book's recipe and this chapter's, on the same machine in the same run.

    python -m ch03_deep_learning.benchmark                # all, some ten minutes
    python -m ch03_deep_learning.benchmark quick good     # without the book's
    python -m ch03_deep_learning.benchmark best           # for hours, without a GPU
    python -m ch03_deep_learning.benchmark --limit 2000   # a trial of the command
    python -m ch03_deep_learning.benchmark --save         # into benchmark.json, too

Each recipe starts from nothing and is timed from the images in memory to the trained
network; reading the files and measuring the accuracy on the 10,000 test images are left
out. `best` is one of all only where there is a GPU. Nothing else should run meanwhile.
Needs the real CIFAR-10 on disk.
"""

import argparse
import json
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from ch01_intro.devices import pick_device, seed_everything
from ch01_intro.network import MEAN, STD, SixViews, SmallResNet, normalize
from ch03_deep_learning import train_network
from ch03_deep_learning.lenet import LeNet5
from ch03_deep_learning.real_data import Data, real_data
from ch03_deep_learning.recipe import Recipe, accuracy_of, train

QUICK = Recipe(epochs=1, small_epochs=0, widths=(16, 32, 64), residual=False,
               batch_size=250, turn=0.2, padding=1, cutout=0)  # fmt: skip
GOOD = Recipe(epochs=5, small_epochs=4, widths=(32, 96, 128), residual=False,
              turn=0.1, padding=2, cutout=0)  # fmt: skip
BOOK_EPOCHS, BEST_EPOCHS = 10, 30
RESULTS = Path(__file__).with_name("benchmark.json")  # what notebook 28 shows


@dataclass(frozen=True)
class Result:
    """One row of the table."""

    name: str
    seconds: float
    accuracy: float  # on the test images, in [0, 1]


class Pictures(Dataset):
    """The items of torchvision's CIFAR-10: a PIL image, transformed, and a label."""

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        self.arrays = images.permute(0, 2, 3, 1).contiguous().numpy()  # (N, 32, 32, 3)
        self.labels = labels.tolist()
        to_float = v2.ToDtype(torch.float32, scale=True)
        self.transform = v2.Compose([v2.ToImage(), to_float, v2.Normalize(MEAN, STD)])

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.arrays[index])), self.labels[index]


def book(data: Data, test: Data, device: torch.device) -> Result:
    """LeNet-5, batches of 16, SGD with 0.001 and momentum 0.9, ten epochs."""
    pictures = Pictures(*data)
    start = time.perf_counter()
    loader = DataLoader(pictures, batch_size=16, shuffle=True)
    model = LeNet5().to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.001, momentum=0.9)
    for _ in range(BOOK_EPOCHS):
        for inputs, targets in loader:
            inputs, targets = inputs.to(device), targets.to(device)
            optimizer.zero_grad()
            loss = F.cross_entropy(model(inputs), targets)
            loss.backward()
            optimizer.step()
    seconds = time.perf_counter() - start
    name = f"the book's: LeNet-5, {BOOK_EPOCHS} epochs, batches of 16"
    return Result(name, seconds, accuracy_of(model, *test))


def shrink(images: Tensor) -> Tensor:
    """(N, 3, H, W) uint8 -> (N, 3, H / 2, W / 2) uint8, means of 2 x 2 pixels."""
    halves = [F.avg_pool2d(part.float(), 2) for part in images.split(5000)]
    return torch.cat(halves).round().to(torch.uint8)


def quick(data: Data, test: Data, device: torch.device) -> Result:
    """As good as the book's, as fast as it goes: images of 16 x 16, one epoch."""
    start = time.perf_counter()
    model = train(QUICK, shrink(data[0]), data[1], device=device)
    seconds = time.perf_counter() - start
    name = f"quick: {parameters(model)}, 16 x 16 pixels, {QUICK.epochs} epoch"
    return Result(name, seconds, accuracy_of(model, shrink(test[0]), test[1]))


def good(data: Data, test: Data, device: torch.device) -> Result:
    """As good as it gets in about the time that the book's takes."""
    start = time.perf_counter()
    model = train(GOOD, *data, device=device)
    seconds = time.perf_counter() - start
    name = f"good: {parameters(model)}, {GOOD.epochs} epochs, six views"
    return Result(name, seconds, accuracy_of(SixViews(model), *test))


def best(data: Data, test: Data, device: torch.device) -> Result:
    """Chapter 1's network, three times as wide: too much for the cores of a CPU."""
    start = time.perf_counter()
    model = SmallResNet(widen=3).to(device)
    fast = device.type == "cuda"
    settings = dict(epochs=BEST_EPOCHS, batch_size=512, peak_lr=0.5, fast=fast)
    train_network.train(model, *data, **settings)
    seconds = time.perf_counter() - start
    name = f"best: {parameters(model)}, {BEST_EPOCHS} epochs, six views"
    return Result(name, seconds, accuracy_of(SixViews(model), *test))


def parameters(model: nn.Module) -> str:
    return f"{sum(p.numel() for p in model.parameters()) / 1000:.0f} k parameters"


RECIPES: dict[str, Callable[[Data, Data, torch.device], Result]] = {
    "book": book,
    "quick": quick,
    "good": good,
    "best": best,
}


def warm_up(device: torch.device) -> None:
    """What is computed for the first time only: libraries are loaded, threads begin."""
    model = LeNet5().to(device)
    x = normalize(torch.rand(16, 3, 32, 32)).to(device)
    for _ in range(3):
        model(x).sum().backward()


def table(results: list[Result]) -> str:
    """Aligned; the last column says how much faster each is than the first."""
    width = max(len(result.name) for result in results)
    lines = [f"{'recipe':{width}s}  seconds  test accuracy  faster by"]
    for r in results:
        ratio = f"{results[0].seconds / r.seconds:.1f} x"
        lines.append(
            f"{r.name:{width}s}  {r.seconds:7.1f}  {r.accuracy:13.1%}  {ratio:>9s}"
        )
    return "\n".join(lines)


def name_of(device: torch.device) -> str:
    """On what was measured, in a few words."""
    return f"{device.type}, {torch.get_num_threads()} threads, {platform.machine()}"


def main(argv: list[str] | None = None) -> list[Result]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipes", nargs="*", help=f"of {', '.join(RECIPES)}")
    parser.add_argument("--limit", type=int, help="train on the first LIMIT images")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", action="store_true", help=f"write {RESULTS.name}")
    args = parser.parse_args(argv)
    if unknown := set(args.recipes) - set(RECIPES):
        parser.error(f"no recipe {', '.join(sorted(unknown))}: {', '.join(RECIPES)}")
    data, test = real_data("benchmark", args.limit)
    device = pick_device()
    machine = name_of(device)
    print(f"{machine}, torch {torch.__version__}")
    results = []
    usual = [name for name in RECIPES if name != "best" or device.type != "cpu"]
    for name in args.recipes or usual:
        seed_everything(args.seed)
        warm_up(device)
        results.append(RECIPES[name](data, test, device))
        print(f"{name} done", flush=True)
    print(table(results))
    if args.save:
        content = {
            "measured": date.today().isoformat(),
            "machine": machine,
            "torch": str(torch.__version__),
            "results": [asdict(result) for result in results],
        }
        RESULTS.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return results


if __name__ == "__main__":
    main()
