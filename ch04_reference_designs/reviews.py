"""IMDB reviews, from the disk, a checked download, or a stand-in.

    train = Reviews(train=True)                # 25,000; download=True to get them
    text, label = train[0]                     # label: 0 negative, 1 positive

The data set is that of Maas et al., "Learning word vectors for sentiment analysis"
(2011): `aclImdb/{train,test}/{pos,neg}/*.txt`, one review in each file. Without the
files, a small generator makes reviews up (`invented_reviews.py`).
"""

import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

from torch.utils.data import Dataset

from ch01_intro.assets import (
    Asset,
    AssetUnavailable,
    DamagedFile,
    Source,
    data_home,
    obtain,
)
from ch04_reference_designs.invented_reviews import invent_reviews

FOLDER = "aclImdb"
ARCHIVE = "aclImdb_v1.tar.gz"
URL = f"https://ai.stanford.edu/~amaas/data/sentiment/{ARCHIVE}"
SHA256 = "c40f74a18d3b61f90feba1e17730e0d38e8b97c05fde7008942e91923d1658fe"
SIZE = 84_125_825  # bytes
CLASSES = ("neg", "pos")  # the label is the place in here
PARTS = tuple(f"{split}/{name}" for split in ("train", "test") for name in CLASSES)
WHOLE = 25_000  # reviews in each half
INVENTED = {True: (4000, 0), False: (1000, 1)}  # how many, and the seed


class Reviews(Dataset[tuple[str, int]]):
    """Items `(text, label)`: the review as it was written, and 0 or 1.

    `texts`: list of N strings; `labels`: list of N whole numbers; `classes`; `source`:
    which of the three steps it was. All negative reviews come first: shuffle them.
    """

    classes = ("negative", "positive")

    def __init__(
        self,
        root: Path | str | None = None,
        train: bool = True,
        download: bool = False,
        *,
        verbose: bool = True,
    ) -> None:
        """`root`: the folder that holds `aclImdb`, `data_home()` by default.

        Prints its source unless told not to. Raises `AssetUnavailable` where one of the
        two folders of this half is missing or empty, `DamagedFile` where a file is
        empty or not UTF-8, or the archive is not the right one.
        """
        self.root = Path(data_home() if root is None else root).expanduser()
        self.train = train
        kind, folder, note = Source.DISK, self.root / FOLDER, ""
        try:
            if not folder.exists():
                kind = fetch(self.root, download)
        except AssetUnavailable as error:
            kind, folder = Source.STAND_IN, None
            note = f"invented reviews ({error.reason})"
            self.texts, self.labels = invent_reviews(*INVENTED[train])
        else:
            self.texts, self.labels = read_reviews(folder, train)
            note = "reviews" if len(self) == WHOLE else f"reviews of {WHOLE:,}"
        name = f"IMDB, {'training' if train else 'test'} set"
        self.source = Asset(name, kind, folder, f"{len(self):,} {note}")
        if verbose:
            print(self.source)

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, index: int) -> tuple[str, int]:
        return self.texts[index], self.labels[index]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.source})"


def read_reviews(folder: Path | str, train: bool = True) -> tuple[list[str], list[int]]:
    """All texts and labels of one half of `aclImdb`, ordered by label, then by name.

    Other files than `*.txt` and hidden ones are passed over. A file takes some 50
    microseconds, less than a thread or a cache would cost. Raises as `Reviews` does.
    """
    folder = Path(folder)
    texts, labels = [], []
    for label, name in enumerate(CLASSES):
        part = folder / ("train" if train else "test") / name
        paths = sorted(_review_files(part))
        if not paths:
            raise AssetUnavailable(
                f"{part} holds no review: put {name}'s .txt files there, or move "
                f"{folder} away, so that it is downloaded again"
            )
        texts += map(_read, paths)
        labels += [label] * len(paths)
    return texts, labels


def fetch(root: Path | str, download: bool = True) -> Source:
    """Make `root / aclImdb` of the archive: the one there, or a download if allowed.

    Only the four folders with labels are unpacked, into a folder beside; it gets its
    name when it is whole. Raises `AssetUnavailable`, `DamagedFile`.
    """
    root = Path(root)
    found = obtain(
        ARCHIVE, urls=URL if download else (), sha256=SHA256, size=SIZE, folder=root
    )
    with (
        tempfile.TemporaryDirectory(dir=root, prefix="unpacked-") as beside,
        tarfile.open(found.path) as packed,
    ):
        packed.extractall(beside, _wanted(packed), filter="data")
        try:
            (Path(beside) / FOLDER).replace(root / FOLDER)
        except OSError:
            if not (root / FOLDER).is_dir():  # else another process was faster
                raise
    return found.source


def _wanted(packed: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """Without the 50,000 reviews that have no label, and without the word counts."""
    for member in packed:
        name = member.name.removeprefix("./")
        if member.isfile() and name.startswith(tuple(f"{FOLDER}/{p}/" for p in PARTS)):
            yield member


def _review_files(part: Path) -> Iterator[Path]:
    if not part.is_dir():
        return
    for path in part.glob("*.txt"):
        if not path.name.startswith(".") and path.is_file():
            yield path


def _read(path: Path) -> str:
    try:
        text = path.read_bytes().decode("utf-8").strip()
    except UnicodeDecodeError as error:
        raise DamagedFile(
            f"{path} is not UTF-8 text (byte {error.start}). Delete it, or save it as "
            "UTF-8."
        ) from error
    if not text:
        raise DamagedFile(f"{path} is empty. Delete it, or put a good copy there.")
    return text


if __name__ == "__main__":
    for half in (True, False):
        Reviews(train=half, download=True)
