"""Scenes for object detection: cut-outs of photographs pasted on photographs.

Each scene is composed when it is asked for: there is no end of them, and their boxes
are exact. To cut, paste and learn from the result is the method of Dwibedi, Misra and
Hebert, "Cut, Paste and Learn" (ICCV 2017).
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.random import Generator
from PIL import Image, ImageEnhance
from torch import Tensor
from torch.utils.data import Dataset
from torchvision import tv_tensors

from ch04_reference_designs.cutouts import CLASSES, cutouts, photograph

BACKGROUNDS = {
    True: ("grass.png", "brick.png", "china.jpg", "hubble_deep_field.jpg", "ihc.png"),
    False: ("gravel.png", "flower.jpg", "moon.png"),
}


def compose(
    random: Generator,
    *,
    train: bool = True,
    size: tuple[int, int] = (96, 96),
    objects: tuple[int, int] = (1, 4),
    sides: tuple[int, int] = (28, 60),
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """One scene: image, boxes, labels and masks of its n objects.

    image: (3, H, W) uint8, `size` = (H, W); boxes: (n, 4) float32, pixels x1 y1 x2 y2,
    each the smallest around its mask; labels: (n,) int64, indices of `CLASSES`;
    masks: (n, H, W) bool, the pixels of each object that can be seen. `objects` is the
    fewest and the most to paste (fewer where there is no room: 70 % of each stays
    visible), `sides` the range of its longer side before it is turned a little.
    """
    height, width = size
    scene = _background(random, train, size)
    masks, labels, areas = np.zeros((0, height, width), bool), [], np.zeros(0)
    for _ in range(random.integers(objects[0], objects[1] + 1)):
        label = int(random.integers(1, len(CLASSES)))
        piece = _piece(random, CLASSES[label], train, sides)
        for _ in range(10):  # places, until one leaves the others visible
            x = int(random.integers(0, max(1, width - piece.width + 1)))
            y = int(random.integers(0, max(1, height - piece.height + 1)))
            layer = Image.new("L", (width, height))
            layer.paste(piece.getchannel("A"), (x, y))
            mask = np.asarray(layer) > 127
            seen = np.concatenate([masks & ~mask, mask[None]])
            whole = np.append(areas, mask.sum())
            if (seen.sum((1, 2)) >= 0.7 * whole).all() and mask.any():
                scene.paste(piece, (x, y), piece)
                masks, areas = seen, whole
                labels.append(label)
                break
    image = torch.from_numpy(np.array(scene)).permute(2, 0, 1).contiguous()
    found = torch.from_numpy(masks)
    return image, boxes_of(found), torch.tensor(labels, dtype=torch.int64), found


def boxes_of(masks: Tensor) -> Tensor:
    """The smallest box around each mask: (n, H, W) bool -> (n, 4) float32, x1 y1 x2 y2.

    Edges lie between pixels: a mask of the pixel in column 3 alone has x1 = 3, x2 = 4.
    (`torchvision.ops.masks_to_boxes` gives the last pixel, here x2 = 3: no width.)
    Raises `ValueError` for a mask without a pixel.
    """
    if len(masks) and not masks.flatten(1).any(1).all():
        raise ValueError("a mask without a pixel has no box: leave such objects out")
    boxes = [
        [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
        for mask in masks
        for rows, columns in [
            (mask.any(1).nonzero()[:, 0], mask.any(0).nonzero()[:, 0])
        ]
    ]
    return torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)


def _background(random: Generator, train: bool, size: tuple[int, int]) -> Image.Image:
    picture = photograph(str(random.choice(BACKGROUNDS[train])))
    height, width = size
    most = min(picture.width / width, picture.height / height)
    scale = random.uniform(min(1, most), min(3, most))  # pixels of it for one of ours
    w, h = width * scale, height * scale
    x, y = random.uniform(0, picture.width - w), random.uniform(0, picture.height - h)
    part = picture.resize((width, height), Image.BILINEAR, (x, y, x + w, y + h))
    return _recoloured(random, part)


def _piece(
    random: Generator, name: str, train: bool, sides: tuple[int, int]
) -> Image.Image:
    """A cut-out of that class: resized, turned, perhaps mirrored, in other light."""
    choices = cutouts(name, train)
    piece = choices[random.integers(len(choices))]
    scale = random.integers(sides[0], sides[1] + 1) / max(piece.size)
    piece = piece.resize([max(1, round(side * scale)) for side in piece.size])
    piece = piece.rotate(random.uniform(-20, 20), Image.BICUBIC, expand=True)
    piece = piece.crop(piece.getchannel("A").point(lambda a: a > 127).getbbox())
    if random.random() < 0.5:
        piece = piece.transpose(Image.FLIP_LEFT_RIGHT)
    lit = _recoloured(random, piece.convert("RGB"))
    lit.putalpha(piece.getchannel("A"))
    return lit


def _recoloured(random: Generator, picture: Image.Image) -> Image.Image:
    for change in (ImageEnhance.Brightness, ImageEnhance.Color):
        picture = change(picture).enhance(random.uniform(0.7, 1.2))
    return picture


class Scenes(Dataset):
    """`count` scenes, each the same whenever, and by whichever worker, it is asked for.

    Items are an image, `tv_tensors.Image` (3, H, W) uint8, and a dictionary of `boxes`,
    `tv_tensors.BoundingBoxes` (n, 4), `labels` (n,) and, with `masks=True`, `masks`,
    `tv_tensors.Mask` (n, H, W); after `transforms`, which takes and returns both. A
    scene depends on `seed`, `train`, the epoch that was set last and its index, and so
    does what `transforms` draws from PyTorch's generator. More arguments go to
    `compose`. Raises `ValueError` where `count` or `sides` are out of range.
    """

    def __init__(
        self,
        count: int,
        *,
        train: bool = True,
        seed: int = 0,
        transforms: Callable | None = None,
        masks: bool = False,
        **options: Any,
    ) -> None:
        low, high = options.get("sides", (28, 60))
        if count < 1:
            raise ValueError(f"count={count} has to be at least one scene")
        if not 4 <= low <= high <= min(options.get("size", (96, 96))):
            raise ValueError(
                f"sides={low, high} have to lie between 4 pixels and the scene's side"
            )
        self.count, self.train, self.seed, self.epoch = count, train, seed, 0
        self.transforms, self.masks, self.options = transforms, masks, options

    def set_epoch(self, epoch: int) -> None:
        """Other scenes for another epoch; workers that live on do not hear of it."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[tv_tensors.Image, dict[str, Tensor]]:
        if not 0 <= index < self.count:
            raise IndexError(f"there are scenes 0 to {self.count - 1}, not {index}")
        random = np.random.default_rng([self.seed, self.train, self.epoch, index])
        image, boxes, labels, masks = compose(random, train=self.train, **self.options)
        size = image.shape[-2:]
        target = {
            "boxes": tv_tensors.BoundingBoxes(boxes, format="XYXY", canvas_size=size),
            "labels": labels,
        }
        if self.masks:
            target["masks"] = tv_tensors.Mask(masks)
        if self.transforms is None:
            return tv_tensors.Image(image), target
        with torch.random.fork_rng(devices=[]):  # the global generator is left alone
            torch.default_generator.manual_seed(int(random.integers(2**31)))
            return self.transforms(tv_tensors.Image(image), target)
