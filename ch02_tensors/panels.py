"""A sheet of small plots, one beside the other, each with a title."""

from collections.abc import Iterable

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK, GREY = "#111111", "#767676"


def small_plots(
    titles: Iterable[str],
    *,
    columns: int,
    size: tuple[float, float],
    share: bool = True,
    room_above: float = 0.0,
    fontsize: float = 9,
) -> tuple[Figure, list[Axes]]:
    """A white sheet and its axes, row by row; places left over stay empty.

    size: width and height of one plot in inches; `room_above` is for a legend. With
    `share` all have the same limits, and only the outer ones show numbers. Raises
    `ValueError` where there is no title or no column.
    """
    titles = list(titles)
    if not titles or columns < 1:
        raise ValueError("needs at least one title and one column")
    rows = -(-len(titles) // columns)
    figure, grid = plt.subplots(
        rows,
        columns,
        figsize=(size[0] * columns, size[1] * rows + room_above),
        facecolor="white",
        layout="constrained",
        sharex=share,
        sharey=share,
        squeeze=False,
    )
    for axes in grid.flat[len(titles) :]:
        axes.axis("off")
    used = list(grid.flat[: len(titles)])
    for axes, title in zip(used, titles, strict=True):
        axes.set_title(title, fontsize=fontsize, color=INK)
        axes.tick_params(labelsize=8, colors=INK)
    return figure, used


def label_outer(
    used: list[Axes], *, columns: int, x: str | None = None, y: str | None = None
) -> None:
    """Name the x axis below the lowest plot of each column, the y axis at the left."""
    for axes in used[-columns:] if x else ():
        axes.tick_params(labelbottom=True)
        axes.set_xlabel(x, fontsize=9, color=INK)
    for axes in used[::columns] if y else ():
        axes.set_ylabel(y, fontsize=9, color=INK)
