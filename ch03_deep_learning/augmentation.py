"""Shift, mirror and blank out the images of a batch, each in its own way, all at once.

A few calls of PyTorch a batch, instead of some dozen calls of Python an image. Imports
PyTorch only: this module can be copied alone to another project.
"""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

Augment = Callable[[Tensor, Generator | None], Tensor]


def reflect(index: Tensor, size: int) -> Tensor:
    """Fold places from -(size - 1) to 2 (size - 1) back into 0 .. size - 1."""
    last = size - 1
    return last - (last - index.abs()).abs()


def crop_and_flip(
    padding: int = 4,
    *,
    size: int | None = None,
    cutout: int = 0,
    flip: float = 0.5,
    fill: float | None = None,
) -> Augment:
    """Make a function that shifts, mirrors and blanks out, each image in its own way.

    The function takes images (B, C, H, W) of any dtype on any device, and optionally
    the CPU generator to draw from; it returns a new tensor of that shape (with `size`,
    (B, C, size, size)) and dtype, channels-last.

    padding: the largest shift in pixels, up, down, left and right; what comes in from
        outside is the reflection of the image (as `RandomCrop(padding=4,
        padding_mode="reflect")` does it for one image).
    size: cut out a square of that side, anywhere within the padded image; None: keep
        height and width. Small squares cost less and are more different pictures.
    cutout: the side in pixels of a square to blank out, which may hang over the edge
        (DeVries and Taylor, arXiv:1708.04552); 0: none.
    flip: the share of images to mirror left to right; 0.0 for digits and text.
    fill: the value inside the square; None: 128 for uint8 and 0 for the others.

    Raises `ValueError` for such settings out of range; the function does for images
    that are no batch or not larger than the padding.
    """
    if padding < 0 or cutout < 0:
        raise ValueError(f"padding={padding} and cutout={cutout} are pixels, from 0 up")
    if size is not None and size < 1:
        raise ValueError(f"size={size} has to be at least one pixel")
    if not 0 <= flip <= 1:
        raise ValueError(f"flip={flip} is a share of the images, in [0, 1]")

    def augment(images: Tensor, generator: Generator | None = None) -> Tensor:
        if images.ndim != 4:
            raise ValueError(f"needs a batch (B, C, H, W), not {tuple(images.shape)}")
        b, c, h, w = images.shape
        if padding >= min(h, w):
            raise ValueError(f"padding={padding} reflects more than {h} x {w} pixels")
        device = images.device

        def draw(low: int, high: int) -> Tensor:  # (B, 1), low .. high
            return torch.randint(low, high + 1, (b, 1), generator=generator).to(device)

        mirrored = (torch.rand(b, 1, generator=generator) < flip).to(device)
        tall, wide = size or h, size or w  # of what comes out
        if max(tall - h, wide - w) > 0:
            raise ValueError(f"size={size} is more than the {h} x {w} pixels there are")
        y = torch.arange(tall, device=device)
        x = torch.arange(wide, device=device)
        rows = reflect(y + draw(-padding, h - tall + padding), h)  # (B, H): from where
        columns = reflect(x + draw(-padding, w - wide + padding), w)  # (B, W)
        columns = torch.where(mirrored, w - 1 - columns, columns)

        first = h * w * torch.arange(b, device=device).view(-1, 1, 1)
        places = first + w * rows[:, :, None] + columns[:, None, :]  # (B, H, W)
        pixels = images.permute(0, 2, 3, 1).reshape(-1, c)  # (B·H·W, C)
        out = pixels.index_select(0, places.view(-1)).view(b, tall, wide, c)

        if cutout:
            down = y - draw(-(cutout // 2), tall - 1 - cutout // 2)  # (B, H)
            right = x - draw(-(cutout // 2), wide - 1 - cutout // 2)  # (B, W)
            down = (down >= 0) & (down < cutout)
            right = (right >= 0) & (right < cutout)
            square = down[:, :, None, None] & right[:, None, :, None]  # (B, H, W, 1)
            grey = 128 if images.dtype == torch.uint8 else 0
            out.masked_fill_(square, grey if fill is None else fill)
        return out.permute(0, 3, 1, 2)

    return augment
