"""Optimizers at work on two numbers, where each step can be drawn.

Two surfaces with known minima, a function that lets an optimizer walk down one of them,
and a sheet of small maps with the paths.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer

from ch02_tensors.panels import GREY, INK, label_outer, small_plots

Function = Callable[[Tensor], Tensor]
MakeOptimizer = Callable[[list[nn.Parameter]], Optimizer]
LINE = "#D55E00"


def valley(points: Tensor) -> Tensor:
    """A long narrow valley at 30 degrees to the axes: (..., 2) to (...).

    Its minimum is 0 at (1, 0.5); across, it is 25 times as steep as along.
    """
    x, y = (points - points.new_tensor([1.0, 0.5])).unbind(-1)
    cos, sin = 3**0.5 / 2, 0.5
    along, across = cos * x + sin * y, cos * y - sin * x
    return (along**2 + 25 * across**2) / 2


def rosenbrock(points: Tensor) -> Tensor:
    """Rosenbrock's curved valley (The Computer Journal 3, 1960): (..., 2) to (...).

    Its floor follows y = x**2, almost level, to the minimum 0 at (1, 1).
    """
    x, y = points.unbind(-1)
    return (1 - x) ** 2 + 100 * (y - x**2) ** 2


class Descent(NamedTuple):
    """Where an optimizer went, and how often it asked for a gradient."""

    path: Tensor  # (steps + 1, 2), the start first
    evaluations: int


def descend(
    make_optimizer: MakeOptimizer,
    function: Function,
    start: tuple[float, float],
    steps: int,
) -> Descent:
    """Call `step` `steps` times and note each point.

    The point is the only row of a matrix, one parameter of shape (1, 2), so that
    optimizers for matrices (Muon) take it too. Each gets a closure, without which LBFGS
    cannot work: it calls it several times a step, the others once. Where the optimizer
    is SparseAdam the row is looked up in an embedding whose gradient is sparse.

    `make_optimizer` gets a list with the parameter. The point may go to infinity or
    become nan; then the path says so. Raises `ValueError` for a start that is not two
    numbers, fewer than 0 steps, and an optimizer that does not hold the parameter.
    """
    if len(start) != 2:
        raise ValueError(f"start has to be two numbers, not {len(start)}")
    if steps < 0:
        raise ValueError(f"steps has to be 0 or more, not {steps}")
    weight = nn.Parameter(torch.tensor([start], dtype=torch.float32))  # (1, 2)
    optimizer = make_optimizer([weight])
    held = [p for group in optimizer.param_groups for p in group["params"]]
    if len(held) != 1 or held[0] is not weight:
        raise ValueError("make_optimizer has to pass on the parameters that it gets")
    sparse = isinstance(optimizer, torch.optim.SparseAdam)
    row, evaluations = torch.tensor(0), 0

    def closure() -> Tensor:
        nonlocal evaluations
        evaluations += 1
        optimizer.zero_grad()
        point = F.embedding(row, weight, sparse=sparse) if sparse else weight[0]
        loss = function(point)
        loss.backward()
        return loss

    path = [weight.detach()[0].clone()]
    for _ in range(steps):
        optimizer.step(closure)
        path.append(weight.detach()[0].clone())
    return Descent(torch.stack(path), evaluations)


def draw_paths(
    function: Function,
    paths: Mapping[str, Tensor],
    *,
    minimum: tuple[float, float],
    x: tuple[float, float],
    y: tuple[float, float],
    columns: int = 4,
) -> None:
    """One map of `function` for each title, with its path (steps + 1, 2) in it.

    The lines are at equal distances of the logarithm of `function`, which must be
    positive. A circle is the start, a cross the minimum, a disc the last point.
    """
    _, grid = small_plots(paths, columns=columns, size=(2.5, 2.35))
    across, up = torch.linspace(*x, 81), torch.linspace(*y, 81)
    points = torch.cartesian_prod(across, up).view(81, 81, 2)
    height = (function(points) + 1e-3).log10().mT  # (81, 81), row by row
    for axes, path in zip(grid, paths.values(), strict=True):
        axes.contour(across, up, height, levels=10, colors=GREY, linewidths=0.5)
        axes.plot(*path.mT, "-", color=LINE, linewidth=1.3, marker=".", markersize=3)
        axes.plot(*path[0], "o", color=INK, markerfacecolor="white")
        axes.plot(*minimum, "x", color=INK, markersize=9, markeredgewidth=2)
        axes.plot(*path[-1], "o", color=LINE, markeredgecolor=INK, markersize=6)
        axes.set(xlim=x, ylim=y)
    label_outer(grid, columns=columns, x="first number", y="second number")
