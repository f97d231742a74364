"""A roofline: what a machine can do at most, and how near to it a piece of work comes.

After S. Williams et al., "Roofline: an insightful visual performance model for
multicore architectures" (2009).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import matplotlib.pyplot as plt
import torch

from ch02_tensors.panels import INK
from ch05_customizing.timing import seconds_of_each

ROOF, POINT = "#0072B2", "#D55E00"


@dataclass(frozen=True)
class Work:
    """A measured piece of work: operations, bytes moved at least, and seconds."""

    name: str
    flops: float
    bytes: float
    seconds: float

    @property
    def intensity(self) -> float:
        """Operations for each byte that has to be moved."""
        return self.flops / self.bytes

    @property
    def speed(self) -> float:
        """Operations a second."""
        return self.flops / self.seconds


@dataclass(frozen=True)
class Machine:
    """The two limits: operations a second, and bytes a second from memory."""

    peak: float
    bandwidth: float

    @property
    def ridge(self) -> float:
        """Below this number of operations for a byte, memory is what one waits for."""
        return self.peak / self.bandwidth

    def limit(self, intensity: float) -> float:
        """The operations a second that are possible at this intensity."""
        return min(self.peak, intensity * self.bandwidth)


def measure(call: Callable[[], object], *, rounds: int = 7) -> float:
    """The median seconds of one call, after some to warm up."""
    (seconds,) = seconds_of_each({"call": call}, rounds=rounds).values()
    return seconds


def measure_machine(*, size: int = 1024, numbers: int = 2**24) -> Machine:
    """The best that was seen: a product of two matrices, a sum of two long vectors.

    size: rows and columns of the float32 matrices. numbers: of each float32 vector,
    which must be far larger than the caches hold.
    """
    a, b = torch.rand(size, size), torch.rand(size, size)
    product = torch.empty(size, size)
    peak = 2 * size**3 / measure(lambda: torch.mm(a, b, out=product))
    x, y, total = torch.rand(numbers), torch.rand(numbers), torch.rand(numbers)
    moved = 3 * 4 * numbers  # two are read, one is written
    return Machine(peak, moved / measure(lambda: torch.add(x, y, out=total)))


def draw_roofline(machine: Machine, works: Sequence[Work]) -> None:
    """Speed over intensity, both logarithmic: the roof, and a numbered dot each."""
    _, axes = plt.subplots(figsize=(8, 4.2), facecolor="white", layout="constrained")
    lowest = min([work.intensity for work in works] + [machine.ridge]) / 3
    highest = max([work.intensity for work in works] + [machine.ridge]) * 3
    corners = [lowest, machine.ridge, highest]
    roof = [machine.limit(x) / 1e9 for x in corners]
    axes.plot(corners, roof, color=ROOF, linewidth=2.5)
    axes.annotate(
        f"memory: {machine.bandwidth / 1e9:.0f} GB/s",
        ((lowest * machine.ridge) ** 0.5, roof[0] ** 0.5 * roof[1] ** 0.5),
        xytext=(-6, 8), textcoords="offset points", ha="right", color=ROOF,
    )  # fmt: skip
    axes.annotate(
        f"arithmetic: {machine.peak / 1e9:.0f} GFLOP/s",
        (highest, roof[2]),
        xytext=(-4, 6), textcoords="offset points", ha="right", color=ROOF,
    )  # fmt: skip
    for number, work in enumerate(works, 1):
        point = work.intensity, work.speed / 1e9
        axes.plot(*point, "o", color=POINT, markersize=7)
        axes.annotate(f"{number}", point, xytext=(6, -10), textcoords="offset points")
    axes.set(xscale="log", yscale="log", xlim=(lowest, highest))
    axes.set_ylim(top=machine.peak / 1e9 * 3)
    axes.set_xlabel("operations for each byte", color=INK)
    axes.set_ylabel("GFLOP/s", color=INK)
    axes.grid(color="#E5E5E5", which="major")
    axes.set_axisbelow(True)
