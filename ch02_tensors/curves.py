"""The shapes of functions: several small plots on one sheet."""

from collections.abc import Mapping

import torch
from torch import Tensor

from ch02_tensors.panels import GREY, small_plots

# Told apart with any colour vision (Okabe and Ito).
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")


def without_jumps(y: Tensor, *, jump: float = 0.5) -> Tensor:
    """A copy of `y` (N,) with nan at each place that is more than `jump` off the last.

    A line drawn through it ends at a step or a pole and begins again behind it.
    """
    if y.ndim != 1:
        raise ValueError(f"needs the values along one line, not {y.ndim} dimensions")
    if not y.is_floating_point():
        raise ValueError(f"needs floats, which can be nan, not {y.dtype}")
    y = y.clone()
    y[1:][y.diff().abs() > jump] = torch.nan
    return y


def draw_curves(
    x: Tensor,
    panels: Mapping[str, Mapping[str, Tensor]],
    *,
    columns: int = 4,
    limit: float = 3.5,
) -> None:
    """One panel for each title, one line for each named value of `x` (N,) in it.

    Axes run from -`limit` to `limit` and both have the same scale. The line y = x,
    given under any name, is drawn dotted and grey. `x` must rise and be dense: a step
    of `y` by more than 0.5 from one point to the next is taken for a jump. Raises
    `ValueError` for more curves in a panel than there are colours (four).
    """
    for title, curves in panels.items():
        if sum(not torch.equal(y, x) for y in curves.values()) > len(COLOURS):
            raise ValueError(f"{title}: at most {len(COLOURS)} curves in a panel")
    _, grid = small_plots(
        panels, columns=columns, size=(2.7, 2.9), share=False, fontsize=10
    )
    for axes, curves in zip(grid, panels.values(), strict=True):
        colours = iter(COLOURS)
        for name, y in curves.items():
            same = torch.equal(y, x)
            style = dict(color=GREY, linestyle=":", linewidth=1.2)
            if not same:
                style = dict(color=next(colours), linewidth=2)
            axes.plot(x, without_jumps(y.to(x.dtype)), label=name, **style)
        axes.axhline(0, color=GREY, linewidth=0.5)
        axes.axvline(0, color=GREY, linewidth=0.5)
        axes.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal")
        axes.legend(
            fontsize=9, loc="best", handlelength=1.2, borderpad=0.3, framealpha=1
        )
