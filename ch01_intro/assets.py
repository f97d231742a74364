"""Where data and weights come from: the disk, a checked download, or a stand-in.

    PYTORCH_BOOK_DATA      the folder of the files; by default data/ at the root
    PYTORCH_BOOK_OFFLINE   1: download nothing

`obtain` takes these three steps for one file. What is made of several files, or kept
unpacked, calls it for each file without a stand-in; where one raises `AssetUnavailable`
it builds the stand-in itself and says so with an `Asset` of its own.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from urllib.parse import urlsplit

from ch01_intro.download import (
    AssetUnavailable,
    DamagedFile,
    download,
    offline,
    verify,
)

__all__ = [
    "Asset",
    "AssetUnavailable",
    "DamagedFile",
    "Source",
    "data_home",
    "download",
    "obtain",
    "offline",
    "verify",
]


class Source(Enum):
    """Which of the three steps it was, in words."""

    DISK = "found on disk"
    DOWNLOAD = "downloaded"
    STAND_IN = "stand-in"


@dataclass(frozen=True)
class Asset:
    """Something and its source; `str` gives the one line to show to the reader."""

    name: str
    source: Source
    path: Path | None = None  # None for a stand-in that is not a file
    note: str = ""

    def __str__(self) -> str:
        return ", ".join(filter(None, [f"{self.name}: {self.source.value}", self.note]))


def data_home() -> Path:
    """The folder of all data and weights; it need not exist.

    `$PYTORCH_BOOK_DATA`, else `data/` beside the nearest `pyproject.toml` above this
    file, else `data/` in the working directory.
    """
    if chosen := os.environ.get("PYTORCH_BOOK_DATA"):
        return Path(chosen).expanduser()
    above = Path(__file__).resolve().parents
    root = next((p for p in above if (p / "pyproject.toml").is_file()), Path.cwd())
    return root / "data"


def obtain(
    name: str,
    *,
    urls: str | Iterable[str],
    sha256: str | None = None,
    size: int | None = None,
    folder: Path | str | None = None,
    also: Iterable[Path | str] = (),
    stand_in: str | None = None,
    stand_in_path: Path | None = None,
    timeout: float = 10.0,
    progress: bool = True,
) -> Asset:
    """The file `folder / name`, by the first of three steps that succeeds.

    1. disk: there, or one of the paths in `also`; checked with `verify`;
    2. download: from the first of `urls` that sends the right file;
    3. stand-in: says in words what takes its place; with its path if it is a file.

    `folder` is `data_home()` by default. Raises `DamagedFile` where the file on disk is
    not the right one, `AssetUnavailable` where there is no stand-in either.
    """
    path = Path(folder or data_home()).expanduser() / name
    places = [path, *(Path(place).expanduser() for place in also)]
    check = "checksum agrees" if sha256 else "no checksum to compare"
    for place in filter(_is_file, places):
        return Asset(name, Source.DISK, verify(place, sha256, size), check)

    urls = [urls] if isinstance(urls, str) else list(urls)
    reasons = {} if urls else {"no download was asked for": None}  # an ordered set
    if offline():
        urls, reasons = [], {"PYTORCH_BOOK_OFFLINE is set": None}
    for url in urls:
        try:
            download(
                url, path, sha256=sha256, size=size, timeout=timeout, progress=progress
            )
        except (AssetUnavailable, DamagedFile) as error:
            reasons[str(error)] = None
        else:
            note = f"from {urlsplit(url).hostname}, {check}"
            return Asset(name, Source.DOWNLOAD, path, note)

    why = "; ".join(reasons)
    if stand_in is not None:
        return Asset(name, Source.STAND_IN, stand_in_path, f"{stand_in} ({why})")
    raise AssetUnavailable(
        f"{name} is neither on disk nor downloaded: {why}\n"
        f"Looked for: {', '.join(map(str, places))}\n"
        "What to do: put the file there, or set PYTORCH_BOOK_DATA to the folder that\n"
        "has it, or allow the download (be online, unset PYTORCH_BOOK_OFFLINE)."
    )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # below a folder that may not be looked into
        return False
