"""A picture of what a tensor's dimensions mean: cells, rows, sheets, stacks."""

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

DARK = "#222222"
# One tint for each sheet of a stack, from the front: vermilion, green, blue, orange.
TINTS = ("#F6C9A8", "#BFE5D6", "#BBD9EE", "#FAE3B4")
SHIFT = 0.7  # how far each sheet stands up and to the right of the one before it
GAP = 1.6  # between tensors, in cells


def draw_ranks(tensors: dict[str, torch.Tensor]) -> Figure:
    """Draw small tensors of rank 0 to 4 side by side, their names and shapes below.

    A tensor (N, C, H, W) is drawn as N stacks of C sheets of H rows and W columns; the
    values stand in the cells that are not hidden. Dimensions that are not there count
    as 1. Raises `ValueError` for a rank above 4 or an empty tensor.
    """
    figure, axes = plt.subplots(figsize=(11, 2.6), layout="constrained")
    figure.set_facecolor("white")
    left = top = 0.0
    for name, tensor in tensors.items():
        right, height = _draw(axes, tensor, left)
        middle = (left + right) / 2
        shape = ", ".join(map(str, tensor.shape))
        shape = f"({shape},)" if tensor.ndim == 1 else f"({shape})"
        axes.text(middle, -0.35, name, ha="center", va="top", size=10, color=DARK)
        axes.text(
            middle,
            -1.0,
            shape,
            ha="center",
            va="top",
            size=11,
            color=DARK,
            weight="bold",
        )
        left, top = right + GAP, max(top, height)
    axes.set(xlim=(-GAP / 2, left - GAP / 2), ylim=(-1.8, top + 0.2), aspect="equal")
    axes.axis("off")
    return figure


def _draw(axes: Axes, tensor: torch.Tensor, left: float) -> tuple[float, float]:
    """Draw one tensor from `left`; return its right edge and its height."""
    if tensor.ndim > 4 or tensor.numel() == 0:
        raise ValueError(f"cannot draw a tensor of shape {tuple(tensor.shape)}")
    stacks = tensor.reshape((1,) * (4 - tensor.ndim) + tensor.shape)  # (N, C, H, W)
    n, c, h, w = stacks.shape
    depth = SHIFT * (c - 1)
    for i, stack in enumerate(stacks):
        start = left + i * (w + depth + GAP / 2)
        for j in reversed(range(c)):  # the last sheet stands farthest back
            tint = TINTS[j % len(TINTS)] if c > 1 else TINTS[2]
            _draw_sheet(
                axes, stack[j], start + SHIFT * j, SHIFT * j, tint, zorder=c - j
            )
    return left + n * (w + depth) + (n - 1) * GAP / 2, h + depth


def _draw_sheet(
    axes: Axes, sheet: torch.Tensor, x: float, y: float, tint: str, zorder: int
) -> None:
    """Draw one sheet (H, W), lower left corner at `x`, `y`, over lower `zorder`s."""
    look = {"fc": tint, "ec": DARK, "lw": 1, "zorder": zorder}
    write = {"ha": "center", "va": "center", "size": 9, "color": DARK}
    h, w = sheet.shape
    for row in range(h):
        for column in range(w):
            corner = (x + column, y + h - 1 - row)
            axes.add_patch(Rectangle(corner, 1, 1, **look))
            middle = (corner[0] + 0.5, corner[1] + 0.5)
            text = f"{sheet[row, column].item():g}"
            axes.text(*middle, text, zorder=zorder, **write)
