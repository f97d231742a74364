"""Objects cut out of photographs that come inside scikit-image and scikit-learn.

    python -m ch04_reference_designs.cutouts sheet.png   # draws all of them

Four outlines were traced by hand; the coins lie on a dark table and are found by their
brightness.
"""

import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

CLASSES = ("background", "cup", "cat", "astronaut", "motorcycle", "coin")
OUTLINES = {  # x and y of each corner, in pixels of the photograph
    "cup": (
        "coffee.png",
        "175 69 143 87 110 123 87 163 77 207 79 240 90 277 113 313 147 347 193 373 "
        "247 387 293 389 347 382 393 367 433 340 460 307 477 267 480 230 473 193 457 "
        "157 421 110 423 73 403 67 400 73 383 50 353 30 320 20 287 17 253 21 220 32 "
        "193 50",
    ),
    "cat": (
        "chelsea.png",
        "33 0 39 40 30 73 37 120 50 167 80 200 120 230 167 257 200 273 233 280 267 279 "
        "293 267 308 243 317 213 340 190 360 160 363 127 357 80 377 60 400 0",
    ),
    "astronaut": (
        "astronaut.png",
        "200 20 240 16 280 30 300 73 293 120 275 137 260 173 293 200 305 240 333 257 "
        "353 287 363 350 400 343 440 353 473 387 497 433 512 460 512 512 40 512 23 453 "
        "27 373 40 293 73 240 113 210 113 187 133 160 180 148 177 127 157 110 155 60 "
        "173 33",
    ),
    "motorcycle": (
        "motorcycle_left.png",
        "100 200 153 207 139 167 150 147 163 150 180 160 233 167 287 190 353 190 387 "
        "160 333 130 373 110 400 133 427 123 460 137 473 117 500 107 495 73 517 77 533 "
        "100 573 117 580 140 557 173 543 193 580 263 627 287 643 307 667 347 683 400 "
        "677 433 647 450 600 443 560 413 533 380 513 340 480 293 477 333 453 367 400 "
        "383 347 377 350 403 327 437 320 380 267 380 227 403 180 400 143 367 123 327 "
        "123 287 143 253 157 243 113 247 100 227",
    ),
}


@cache
def photograph(name: str) -> Image.Image:
    """A photograph of scikit-image or scikit-learn by its file name, RGB.

    Raises `FileNotFoundError` where neither package has it.
    """
    folders = (
        Path(find_spec("skimage").origin).parent / "data",  # not imported: that is slow
        Path(find_spec("sklearn").origin).parent / "datasets" / "images",
    )
    for folder in folders:
        if (folder / name).is_file():
            return Image.open(folder / name).convert("RGB")
    raise FileNotFoundError(
        f"neither scikit-image nor scikit-learn carries {name}: install the versions "
        "that requirements.txt names"
    )


@cache
def cutouts(name: str, train: bool = True) -> tuple[Image.Image, ...]:
    """The RGBA pictures of a class, transparent outside the object, cut to it.

    There is one cup, cat, astronaut and motorcycle, whatever `train` is. Of the 24
    coins the upper two rows are for training, the lower two for testing. The longer
    side is at most 192 pixels. Raises `ValueError` for a name not in `CLASSES[1:]`.
    """
    if name == "coin":
        return _coins(train)
    if name not in OUTLINES:
        raise ValueError(
            f"there is no {name!r} to cut out; there are {', '.join(CLASSES[1:])}"
        )
    file, corners = OUTLINES[name]
    picture = photograph(file)
    mask = Image.new("L", picture.size)
    ImageDraw.Draw(mask).polygon([*map(int, corners.split())], fill=255)
    return (_cut(picture, mask),)


def _coins(train: bool) -> tuple[Image.Image, ...]:
    from skimage import filters, measure, morphology

    picture = photograph("coins.png")
    grey = np.asarray(picture.convert("L"), dtype=float)
    bright = grey > filters.threshold_local(grey, 101, offset=-12)
    bright = morphology.closing(bright, morphology.disk(3))
    bright = morphology.opening(bright, morphology.disk(6))
    labels = measure.label(bright)
    found = [r for r in measure.regionprops(labels) if (r.centroid[0] < 150) == train]
    masks = [morphology.convex_hull_image(labels == region.label) for region in found]
    return tuple(_cut(picture, Image.fromarray(mask).convert("L")) for mask in masks)


def _cut(picture: Image.Image, mask: Image.Image) -> Image.Image:
    cut = picture.convert("RGBA")
    cut.putalpha(mask)
    cut = cut.crop(mask.getbbox())
    cut.thumbnail((192, 192))  # resizing it again and again is then cheap
    return cut


def sheet(columns: int = 8, side: int = 96) -> Image.Image:
    """All cut-outs on one white picture, RGB, each in a square of `side` pixels."""
    pieces = [piece for name in OUTLINES for piece in cutouts(name)] + [
        piece for train in (True, False) for piece in cutouts("coin", train)
    ]
    rows = -(-len(pieces) // columns)
    page = Image.new("RGB", (columns * side, rows * side), "white")
    for i, piece in enumerate(pieces):
        small = piece.copy()
        small.thumbnail((side - 8, side - 8))
        page.paste(small, (i % columns * side + 4, i // columns * side + 4), small)
    return page


if __name__ == "__main__":
    sheet().save(sys.argv[1])
