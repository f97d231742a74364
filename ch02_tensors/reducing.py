"""A picture of a reduction: which elements of a matrix go into which element."""

import itertools
from collections.abc import Mapping

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from torch import Tensor

# Five of the colours by Okabe and Ito, told apart with any colour vision, made lighter.
COLOURS = ("#F3C766", "#9AD2F2", "#66C5AB", "#E3BCD4", "#E89E66")
INK, GREY = "#111111", "#666666"
GAP = 0.9  # between the matrix and its result, in cells

Cell = tuple[int, int]  # row, column


def groups(x: Tensor, result: Tensor) -> dict[Cell, Cell]:
    """For each cell of `x` (R, C) the cell of `result` that it is reduced into.

    `result` has kept its dimensions (keepdim=True): each is 1 or as long as in `x`.
    Raises `ValueError` where it is not so.
    """
    kept = tuple(result.shape)
    fits = x.ndim == len(kept) == 2 and all(
        after in (1, before) for before, after in zip(x.shape, kept, strict=True)
    )
    if not fits:
        raise ValueError(
            f"{tuple(x.shape)} does not reduce to {kept} with keepdim=True"
        )
    return {
        (row, column): (row if kept[0] > 1 else 0, column if kept[1] > 1 else 0)
        for row, column in itertools.product(*map(range, x.shape))
    }


def draw_reductions(x: Tensor, results: Mapping[str, Tensor]) -> None:
    """One panel for each named result of `x` (R, C), reduced with keepdim=True.

    What is reduced together has one colour, in the matrix and in the result. The result
    stands below the matrix where rows were reduced, to its right where columns were.
    """
    height, width = x.shape
    panel = width + GAP + 2.2, height + GAP + 2.8  # in cells
    inches = 0.5 * panel[0] * len(results), 0.5 * panel[1]
    figure, axes = plt.subplots(figsize=inches, facecolor="white")
    figure.subplots_adjust(0, 0, 1, 1)
    axes.set(xlim=(0, panel[0] * len(results)), ylim=(panel[1], 0), aspect="equal")
    axes.axis("off")
    for i, (name, result) in enumerate(results.items()):
        goes_to = groups(x, result)
        ends = sorted(set(goes_to.values()))
        shade = {end: COLOURS[k % len(COLOURS)] for k, end in enumerate(ends)}
        left, top = 0.7 + i * panel[0], 1.5
        down, right = result.shape[0] < height, result.shape[1] < width
        title = f"{name}\n{tuple(x.shape)} to {tuple(result.shape)}"
        middle = left + width / 2
        axes.text(
            middle, top - 0.3, title, ha="center", va="bottom", color=INK, size=10
        )
        _cells(axes, x, {c: shade[end] for c, end in goes_to.items()}, (left, top))
        shift = right * (width + GAP), down * (height + GAP)
        _cells(axes, result, shade, (left + shift[0], top + shift[1]))
        for row, column in ends:
            u = left + (width if right else column + 0.5)
            v = top + (height if down else row + 0.5)
            style = dict(arrowstyle="-|>", color=GREY, shrinkA=2, shrinkB=2)
            end = u + right * GAP, v + down * GAP
            axes.annotate("", end, (u, v), arrowprops=style)


def _cells(
    axes: Axes, values: Tensor, colours: Mapping[Cell, str], at: tuple[float, float]
) -> None:
    for row, column in itertools.product(*map(range, values.shape)):
        x, y = at[0] + column, at[1] + row
        shade = colours[row, column]
        axes.add_patch(plt.Rectangle((x, y), 1, 1, facecolor=shade, edgecolor=INK))
        text = f"{values[row, column].item():g}"
        axes.text(x + 0.5, y + 0.5, text, ha="center", va="center", color=INK, size=11)
