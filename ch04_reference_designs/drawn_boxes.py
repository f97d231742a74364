"""Images with boxes, names and scores drawn on them, and a sheet of such images."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from matplotlib.font_manager import findfont
from torch import Tensor
from torchvision.utils import draw_bounding_boxes

# Light enough for black letters; told apart with any colour vision (Okabe and Ito).
COLOURS = ("#F0E442", "#56B4E9", "#E69F00", "#009E73", "#CC79A7")


def draw_boxes(
    image: Tensor,
    boxes: Tensor,
    labels: Tensor | None = None,
    *,
    classes: Sequence[str] = (),
    scores: Tensor | None = None,
    colours: str | Sequence[str] | None = None,
    zoom: int = 3,
) -> Tensor:
    """The image, `zoom` times as large, uint8 (3, H, W), with boxes and their names.

    image: (3, h, w) uint8 or floats in [0, 1]; boxes: (n, 4) in its pixels. Each class
    has its colour unless `colours` says otherwise.
    """
    image = image.detach().cpu()
    if image.is_floating_point():
        image = (image.clamp(0, 1) * 255).round().to(torch.uint8)
    large = F.interpolate(image[None].float(), scale_factor=zoom, mode="bilinear")
    large = large[0].round().to(torch.uint8).as_subclass(Tensor)
    boxes = boxes.detach().cpu().as_subclass(Tensor) * zoom
    if not len(boxes):
        return large
    names = [""] * len(boxes)
    if labels is not None:
        numbers = labels.tolist()
        names = [classes[number] for number in numbers]
        colours = colours or [COLOURS[n % len(COLOURS)] for n in numbers]
    if scores is not None:
        names = [f"{name} {s:.2f}" for name, s in zip(names, scores, strict=True)]
    unit = max(1.0, max(large.shape[1:]) / 480)  # lines and letters grow with it
    return draw_bounding_boxes(
        large,
        boxes,
        names,
        colors=colours,
        width=round(2 * unit),
        font=findfont("DejaVu Sans"),  # comes with matplotlib
        font_size=round(13 * unit),
        fill_labels=True,
        label_colors="black",
    )


def show_pictures(
    pictures: Sequence[Tensor],
    titles: Sequence[str] | None = None,
    *,
    columns: int = 4,
) -> None:
    """Draw pictures (3, H, W) uint8 side by side, `columns` in a row, under titles."""
    rows = -(-len(pictures) // columns)
    shape = pictures[0].shape
    width = 10.4 / columns
    height = width * shape[1] / shape[2] + (0.25 if titles else 0)
    figure = plt.figure(
        figsize=(10.4, height * rows), facecolor="white", layout="constrained"
    )
    for i, picture in enumerate(pictures):
        axes = figure.add_subplot(rows, columns, i + 1)
        axes.imshow(picture.permute(1, 2, 0).numpy())
        axes.set_title(titles[i] if titles else "", fontsize=10)
        axes.axis("off")
    plt.show()
