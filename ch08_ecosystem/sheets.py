"""Sheets of small pictures with captions, all at one scale.

Imports PyTorch, Pillow and matplotlib only: this module can be copied alone.
"""

import math
import textwrap
from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import torch
from PIL import Image
from torch import Tensor

WIDTH = 10.4  # inches: the width of a notebook's text
INK, GREY = "#111111", "#999999"
GAP = 4  # white pixels between the pieces of one picture
Picture = Image.Image | Tensor | list | tuple  # a list or tuple: of pictures


def is_picture(value: object) -> bool:
    """Whether `as_array` can make a picture of it."""
    if isinstance(value, list | tuple):
        return bool(value) and all(map(is_picture, value))
    if torch.is_tensor(value) and value.numel() and not value.is_complex():
        channels = value.shape[-3] if value.ndim > 2 else 1
        return value.ndim in (2, 3, 4) and channels in (1, 3) and min(value.shape) > 0
    return isinstance(value, Image.Image)


def as_array(picture: Picture) -> np.ndarray:
    """A picture as (H, W, 3) uint8.

    Takes PIL images, tensors (H, W), (C, H, W) or (N, C, H, W) with C = 1 or 3, and
    lists of those, which become one picture with white gaps. Integers count from 0 to
    255, floats from 0 to 1 (what lies outside is cut off), booleans are black and
    white. Raises `ValueError` for anything else.
    """
    if not is_picture(picture):
        shape = getattr(picture, "shape", "")
        raise ValueError(
            "a picture is a PIL image, a tensor (C, H, W), C = 1 or 3, or a list of "
            f"those, not {type(picture).__name__} {tuple(shape) if shape else ''}"
        )
    if isinstance(picture, Image.Image):
        return np.array(picture.convert("RGB"))
    if isinstance(picture, list | tuple) or picture.ndim == 4:
        return _together([as_array(piece) for piece in picture])
    x = picture.detach().cpu().as_subclass(Tensor)
    if x.is_floating_point() or x.dtype == torch.bool:
        x = (x.float().clamp(0, 1) * 255).round()
    x = x.clamp(0, 255).to(torch.uint8)
    x = x.expand(3, *x.shape[-2:])  # a single channel is grey
    return x.permute(1, 2, 0).numpy()


def draw_sheet(
    pictures: Mapping[str, Picture], *, columns: int = 6, width: float = WIDTH
) -> None:
    """Draw the pictures side by side under their captions, `columns` in a row.

    All have the same scale, so that a crop is smaller than what it was cut from; a thin
    frame shows where each ends. Long captions are broken. Raises `ValueError` where
    there is nothing to draw, or something that is no picture.
    """
    if not pictures:
        raise ValueError("a sheet needs at least one picture")
    arrays = {caption: as_array(picture) for caption, picture in pictures.items()}
    columns = min(columns, len(arrays))
    letters = int(15 * width / columns)
    captions = ["\n".join(textwrap.wrap(text, letters)) for text in arrays]
    lines = max(caption.count("\n") + 1 for caption in captions)
    high, wide = (max(a.shape[side] for a in arrays.values()) for side in (0, 1))
    rows = -(-len(arrays) // columns)
    cell = width / columns
    _, grid = plt.subplots(
        *(rows, columns),
        figsize=(width, rows * (cell * high / wide + 0.16 * lines + 0.08)),
        facecolor="white",
        layout="constrained",
        squeeze=False,
    )
    for axes in grid.flat:
        axes.axis("off")
    for axes, caption, array in zip(grid.flat, captions, arrays.values(), strict=False):
        height, breadth = array.shape[:2]
        axes.imshow(array)
        frame = dict(fill=False, edgecolor=GREY, linewidth=0.6)
        axes.add_patch(plt.Rectangle((-0.5, -0.5), breadth, height, **frame))
        x, y = (breadth - 1) / 2, (height - 1) / 2  # the middle
        axes.set_xlim(x - wide / 2 - 1, x + wide / 2 + 1)
        axes.set_ylim(y + high / 2 + 1, y - high / 2 - 1)
        axes.set_title(caption, fontsize=8.5, color=INK, pad=3)
    plt.show()


def _together(pieces: list[np.ndarray]) -> np.ndarray:
    columns = math.ceil(math.sqrt(len(pieces)))
    rows = -(-len(pieces) // columns)
    high, wide = (max(piece.shape[side] for piece in pieces) + GAP for side in (0, 1))
    page = np.full((rows * high - GAP, columns * wide - GAP, 3), 255, np.uint8)
    for number, piece in enumerate(pieces):
        top, left = number // columns * high, number % columns * wide
        page[top : top + piece.shape[0], left : left + piece.shape[1]] = piece
    return page
