"""Three pictures of a training: loss curves, a confusion matrix, a sheet of images."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import torch
from matplotlib.ticker import MaxNLocator
from torch import Tensor

# Told apart with any colour vision (Okabe and Ito), and by their markers.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
MARKERS = ("o", "s", "^", "D")
INK, GREY = "#111111", "#767676"


def draw_loss_curves(
    history: Mapping[str, Sequence[float]] | Sequence[Mapping[str, float]],
    *,
    best: int | None = None,
    ylabel: str = "loss",
) -> None:
    """One line for each name, one value for each epoch; epochs count from 1.

    `history` is `{"training": [2.3, 1.9], ...}`, or one row for each epoch, as `fit`
    returns them: then `loss` and `val_loss` are drawn, in the epochs that have them.
    `best` marks an epoch with a dotted line. Raises `ValueError` where there is nothing
    to draw.
    """
    if isinstance(history, Mapping):
        curves = {name: dict(enumerate(ys, 1)) for name, ys in history.items()}
    else:
        names = {"loss": "training", "val_loss": "validation"}
        curves = {
            title: points
            for name, title in names.items()
            if (points := {i: r[name] for i, r in enumerate(history, 1) if name in r})
        }
    if not any(curves.values()):
        raise ValueError(
            "nothing to draw: history needs values, as in {'training': [2.3, 1.9]}"
        )
    _, axes = plt.subplots(figsize=(6, 3.5), facecolor="white", layout="constrained")
    for i, (name, points) in enumerate(curves.items()):
        axes.plot(
            list(points),
            list(points.values()),
            label=name,
            color=COLOURS[i % len(COLOURS)],
            marker=MARKERS[i % len(MARKERS)],
            markersize=4,
            linewidth=1.8,
        )
    if best is not None:
        axes.axvline(best, color=GREY, linestyle=":", label=f"best: epoch {best}")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("epoch", color=INK)
    axes.set_ylabel(ylabel, color=INK)
    axes.grid(color=GREY, alpha=0.25, linewidth=0.6)
    axes.legend(framealpha=1)


def draw_confusion_matrix(matrix: Tensor, classes: Sequence[str]) -> None:
    """Counts (C, C), rows true, columns predicted; the shade is the share of the row.

    Raises `ValueError` where there is not one name for each row and column.
    """
    if tuple(matrix.shape) != (len(classes), len(classes)):
        raise ValueError(
            f"{len(classes)} classes need a matrix of that many rows and columns, "
            f"not {tuple(matrix.shape)}"
        )
    matrix = matrix.cpu()
    shares = matrix / matrix.sum(1, keepdim=True).clamp(min=1)  # (C, C) in [0, 1]
    side = max(3.5, 0.62 * len(classes) + 0.9)
    _, axes = plt.subplots(
        figsize=(side, side), facecolor="white", layout="constrained"
    )
    axes.imshow(shares.numpy(), cmap="Blues", vmin=0, vmax=1)
    for i, row in enumerate(matrix.tolist()):
        for j, count in enumerate(row):
            ink = "white" if shares[i, j] > 0.55 else INK if count else GREY
            axes.text(j, i, count, ha="center", va="center", color=ink, fontsize=9)
    axes.set_xticks(range(len(classes)), classes, rotation=45, ha="right")
    axes.set_yticks(range(len(classes)), classes)
    axes.set_xlabel("predicted", color=INK)
    axes.set_ylabel("true", color=INK)


def draw_images(
    images: Tensor, titles: Sequence[str] | None = None, *, columns: int = 8
) -> None:
    """A sheet of images (N, C, H, W), uint8 or float in [0, 1], C = 1 or 3.

    One title stands above each. Floats outside [0, 1] are cut off: draw images as they
    were before normalisation. Raises `ValueError` for another shape, no image, or a
    number of titles that is not N.
    """
    if images.ndim != 4 or images.shape[1] not in (1, 3) or not len(images):
        raise ValueError(
            f"needs images (N, C, H, W) with C = 1 or 3 and N > 0, "
            f"not {tuple(images.shape)}"
        )
    titles = [""] * len(images) if titles is None else list(titles)
    if len(titles) != len(images):
        raise ValueError(f"{len(images)} images need as many titles, not {len(titles)}")
    images = images.detach().cpu()
    if images.is_floating_point():
        images = (images.clamp(0, 1) * 255).round().to(torch.uint8)
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    lines = max(title.count("\n") + 1 for title in titles) if any(titles) else 0
    _, grid = plt.subplots(
        rows,
        columns,
        figsize=(1.25 * columns, (1.25 + 0.18 * lines) * rows),
        facecolor="white",
        layout="constrained",
        squeeze=False,
    )
    for axes in grid.flat:
        axes.axis("off")
    for axes, image, title in zip(grid.flat, images, titles, strict=False):
        picture = image.permute(1, 2, 0).squeeze(-1)  # (H, W, 3) or (H, W)
        axes.imshow(picture.numpy(), cmap="gray", vmin=0, vmax=255)
        axes.set_title(title, fontsize=9, color=INK)
