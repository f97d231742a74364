"""From the book's recipe to its accuracy in seconds: one acceleration after another.

    python -m ch06_acceleration.waterfall                 # all rungs, some ten minutes
    python -m ch06_acceleration.waterfall 3 4 5 6         # the short ones only
    python -m ch06_acceleration.waterfall --limit 2000    # a trial of the command
    python -m ch06_acceleration.waterfall --save          # into waterfall.json, too

Each rung is the one before with one thing changed, and as many epochs as it then needs
to pass the book's 63.2 % (in the mean of its runs); that number was fixed before the
run, so a rung may miss it, and the table says so. The first two get the ten epochs of
the book, whatever they reach: they train in the same way. The clock runs from the
images in memory to the trained network; reading files and measuring the accuracy on the
10,000 test images are left out. Nothing else should run meanwhile. Needs the real
CIFAR-10.
"""

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path

import matplotlib.pyplot as plt
import torch

from ch01_intro.devices import pick_device, seed_everything
from ch02_tensors.panels import GREY, INK
from ch03_deep_learning.benchmark import name_of, shrink
from ch03_deep_learning.real_data import Data, real_data
from ch03_deep_learning.recipe import accuracy_of
from ch06_acceleration.rungs import Rung, ladder, train

TARGET = 0.632  # the accuracy that the book publishes for its recipe
RESULTS = Path(__file__).with_name("waterfall.json")  # what notebook 11 draws
BAR, SAVED = "#0072B2", "#D9E6EF"


@dataclass(frozen=True)
class Result:
    """One line of the table: all runs of a rung."""

    name: str
    epochs: float
    seconds: list[float]
    accuracy: list[float]  # on the test images, in [0, 1]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def right(self) -> float:
        """The mean accuracy of the runs."""
        return statistics.mean(self.accuracy)


def measure(rung: Rung, data: Data, test: Data, device: torch.device) -> Result:
    """Train as often as the rung says; first, a few steps to warm up."""
    train(replace(rung, epochs=1), data[0][:256], data[1][:256], device)
    seconds, accuracy = [], []
    seen = shrink(test[0]) if rung.small else test[0]
    for seed in range(rung.runs):
        seed_everything(seed)
        start = time.perf_counter()
        model = train(rung, *data, device)
        if device.type != "cpu":
            torch.accelerator.synchronize()
        seconds.append(time.perf_counter() - start)
        accuracy.append(accuracy_of(model, seen, test[1]))
    return Result(rung.name, rung.epochs, seconds, accuracy)


def table(results: list[Result]) -> str:
    """Aligned; the last columns: faster than the rung before, and than the first."""
    width = max(len(result.name) for result in results)
    lines = [f"{'':{width}}  epochs  seconds  accuracy   step  in all"]
    before = results[0]
    for r in results:
        step, whole = before.median / r.median, results[0].median / r.median
        mark = " " if r.right >= TARGET else "*"
        lines.append(
            f"{r.name:{width}}  {r.epochs:6g}  {r.median:7.1f}  {r.right:7.1%}"
            f"{mark}  {step:4.1f}x  {whole:5.1f}x"
        )
        before = r
    below = any(r.right < TARGET for r in results)
    return "\n".join(lines + [f"* below {TARGET:.1%}"] * below)


def rounded(value: float) -> str:
    """One decimal below 10, none from there on."""
    return f"{value:.1f}" if value < 10 else f"{value:.0f}"


def draw(results: Sequence[Result]) -> None:
    """A bar of seconds for each rung, on a log scale; pale is what the rung saved.

    Raises `ValueError` where there is nothing to draw.
    """
    if not results:
        raise ValueError("no results to draw: measure some rungs first")
    size = (8, 0.5 * len(results) + 0.9)
    _, axes = plt.subplots(figsize=size, facecolor="white", layout="constrained")
    first, before = results[0].median, results[0].median
    left = min(r.median for r in results) / 2
    for place, now in enumerate(r.median for r in results):
        axes.barh(place, now - left, left=left, color=BAR)
        axes.barh(place, max(before - now, 0), left=now, color=SAVED)
        text = f"{rounded(now)} s" + (f",  {rounded(first / now)}x" if place else "")
        end = 1.06 * max(now, before)
        axes.text(end, place, text, va="center", color=INK)
        before = now
    axes.set_yticks(range(len(results)), [r.name for r in results], color=INK)
    axes.invert_yaxis()
    axes.set(xscale="log", xlim=(left, 5 * max(r.median for r in results)))
    axes.set_xlabel("seconds, log scale; x: times as fast as the first", color=INK)
    axes.grid(axis="x", color=GREY, alpha=0.25)
    axes.set_axisbelow(True)


def main(argv: list[str] | None = None) -> list[Result]:
    rungs = ladder()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rungs", nargs="*", type=int, help=f"of 0 to {len(rungs) - 1}")
    parser.add_argument("--limit", type=int, help="train on the first LIMIT images")
    parser.add_argument("--save", action="store_true", help=f"write {RESULTS.name}")
    args = parser.parse_args(argv)
    if unknown := set(args.rungs) - set(range(len(rungs))):
        parser.error(f"no rung {', '.join(map(str, sorted(unknown)))}")
    data, test = real_data("waterfall", args.limit)
    device = pick_device()
    machine = name_of(device)
    print(f"{machine}, torch {torch.__version__}")
    results = []
    for number in args.rungs or range(len(rungs)):
        results.append(measure(rungs[number], data, test, device))
        print(f"rung {number} done", flush=True)
    print(table(results))
    if args.save:
        content = {
            "measured": date.today().isoformat(),
            "machine": machine,
            "torch": str(torch.__version__),
            "images": len(data[0]),
            "target": TARGET,
            "results": [asdict(result) for result in results],
        }
        RESULTS.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return results


if __name__ == "__main__":
    main()
