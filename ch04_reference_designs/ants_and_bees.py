"""Ants and bees: photographs in folders, from the disk, a checked download, a stand-in.

    from ch04_reference_designs.ants_and_bees import AntsAndBees

244 training and 153 validation photographs, in the layout that any set of photographs
can have: `hymenoptera_data/{train,val}/{ants,bees}/*.jpg`. Put photographs of your own
in folders like these, and the same class reads them.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image
from torchvision.datasets import ImageFolder, VisionDataset
from torchvision.datasets.folder import IMG_EXTENSIONS

from ch01_intro.assets import (
    Asset,
    AssetUnavailable,
    DamagedFile,
    Source,
    data_home,
    obtain,
)
from ch01_intro.classify import open_photo
from ch04_reference_designs.archives import unpack

FOLDER, SPLITS = "hymenoptera_data", ("train", "val")
COUNTS = {"train": [123, 121], "val": [70, 83]}  # of the published set: ants, bees
PLACEHOLDER = "imageNotFound"  # the published set has one such file among the ants


class AntsAndBees(ImageFolder):
    """`torchvision.datasets.ImageFolder`: items (RGB PIL image, int); 0 ants, 1 bees.

    Its attributes `classes`, `class_to_idx`, `samples`, `imgs` and `targets`, and one
    more: `source` says which of the three steps it was. The stand-in has 100 faces and
    100 other pictures of 25 x 25 grey pixels (scikit-image), 7 of 10 for training.
    """

    url = "https://download.pytorch.org/tutorial/hymenoptera_data.zip"
    sha256 = "fbc41b31d544714d18dd1230b1e2b455e1557766e13e67f9f5a7a23af7c02209"
    size = 47_286_322

    def __init__(
        self,
        root: Path | str | None = None,
        split: str = "train",
        transform: Callable | None = None,
        target_transform: Callable | None = None,
        download: bool = False,
        *,
        verbose: bool = True,
    ) -> None:
        """`root`: the folder that holds `hymenoptera_data`, `data_home()` by default.

        Prints its source unless told not to. Raises `AssetUnavailable` where a split is
        missing, `DamagedFile` where a class has no images, where the splits differ in
        their classes, or where the archive is not the published one; and when an item
        is read whose file is damaged.
        """
        if split not in SPLITS:
            raise ValueError(f"split has to be one of {SPLITS}, not {split!r}")
        home = Path(data_home() if root is None else root).expanduser()
        self.split, self._folder = split, home / FOLDER
        kind = Source.DISK
        try:
            if not self._folder.is_dir():
                kind = _fetch(self, home, download)
            _check_splits(self._folder)
        except AssetUnavailable as error:
            if self._folder.is_dir():
                raise
            kind = Source.STAND_IN
            note = f"{self._use_faces(transform, target_transform)} ({error.reason})"
        else:
            _check_classes(self._folder)
            folder = self._folder / split
            super().__init__(
                folder, transform, target_transform, _read, is_valid_file=is_photo
            )
            note = self._describe(folder)
        path = None if kind is Source.STAND_IN else self._folder
        self.source = Asset(f"Ants and bees, {split}", kind, path, note)
        if verbose:
            print(self.source)

    def extra_repr(self) -> str:
        return f"Split: {self.split}\nSource: {self.source}"

    def _describe(self, folder: Path) -> str:
        counts = np.bincount(self.targets, minlength=len(self.classes)).tolist()
        here = sum(path.is_file() for path in folder.glob("*/**/*"))
        others = here - len(self)
        note = f"{len(self)} images"
        if others:
            note += f" ({others} other file{'s' * (others > 1)} left out)"
        known = self.classes == ["ants", "bees"] and counts == COUNTS[self.split]
        return note if known else f"{note}, not the published set"

    def _use_faces(self, transform, target_transform) -> str:
        VisionDataset.__init__(self, self._folder, None, transform, target_transform)
        self.loader, self.extensions = Faces(), None
        self.classes = ["faces", "others"]
        self.class_to_idx = {"faces": 0, "others": 1}
        first, last = (0, 7) if self.split == "train" else (7, 10)
        chosen = [i for i in range(200) if first <= i % 10 < last]
        self.samples = self.imgs = [(f"{i:03d}", i // 100) for i in chosen]
        self.targets = [label for _, label in self.samples]
        return f"{len(self)} small pictures, of faces and of others"


class Faces:
    """The loader of the stand-in: "000" to "199" -> RGB PIL image of 25 x 25."""

    def __init__(self) -> None:
        pixels = skimage.data.lfw_subset()  # (200, 25, 25) float in [0, 1]
        self.pixels = (pixels * 255).round().astype(np.uint8)

    def __call__(self, name: str) -> Image.Image:
        return Image.fromarray(self.pixels[int(name)]).convert("RGB")


def is_photo(path: Path | str) -> bool:
    """Whether the name is that of an image, and not of the placeholder for one."""
    path = Path(path)
    return path.suffix.lower() in IMG_EXTENSIONS and path.stem != PLACEHOLDER


def check_images(dataset: ImageFolder) -> int:
    """Decode every image once, and return their number: for before a long run.

    Raises `DamagedFile`, naming each file that is cut off or no image at all.
    """
    bad = []
    for path, _ in dataset.samples:
        try:
            dataset.loader(path)
        except (OSError, ValueError) as error:
            bad.append(str(error))
    if bad:
        files = "\n".join(bad)
        raise DamagedFile(f"delete or replace {len(bad)} of {len(dataset)}:\n{files}")
    return len(dataset)


def _read(path: str) -> Image.Image:
    try:
        return open_photo(path)
    except ValueError as error:
        raise DamagedFile(f"{error}. Delete it, or put a good copy there.") from error


def _check_splits(folder: Path) -> None:
    if missing := [split for split in SPLITS if not (folder / split).is_dir()]:
        raise AssetUnavailable(
            f"{folder} lacks the folder {' and '.join(missing)}: put it there, or move "
            f"{folder.name} away and pass download=True."
        )


def _check_classes(folder: Path) -> None:
    names = {
        split: sorted(path.name for path in (folder / split).iterdir() if path.is_dir())
        for split in SPLITS
    }
    if names["train"] != names["val"] or not names["train"]:
        raise DamagedFile(
            f"{folder}: train has the classes {names['train']}, val {names['val']}. "
            "They have to be the same, or the labels mean different things."
        )
    for split in SPLITS:
        for name in names[split]:
            if not any(map(is_photo, (folder / split / name).rglob("*"))):
                raise DamagedFile(
                    f"{folder / split / name} holds no image: put some there, or "
                    "delete the folder in both splits if there is no such class."
                )


def _fetch(data: AntsAndBees, home: Path, download: bool) -> Source:
    """Unpack the archive beside its place, check it, and rename it."""
    archive = obtain(
        "hymenoptera_data.zip",
        urls=data.url if download else (),
        sha256=data.sha256,
        size=data.size,
        folder=home,
    )
    with tempfile.TemporaryDirectory(dir=home, prefix="unpacked-") as beside:
        unpack(archive.path, Path(beside))
        _check_splits(Path(beside) / FOLDER)
        _check_classes(Path(beside) / FOLDER)
        try:
            (Path(beside) / FOLDER).rename(home / FOLDER)
        except OSError:
            if not (home / FOLDER).is_dir():  # else another process was faster
                raise
    return archive.source
