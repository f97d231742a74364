"""A data set in three steps: the disk, a download, a stand-in.

`ThreeSteps` is mixed into a data set class of torchvision. It decides which step it is
and says so; how files are found, fetched and read is for the class itself.
"""

from collections.abc import Callable
from pathlib import Path

from torchvision.datasets import VisionDataset

from ch01_intro.assets import Asset, AssetUnavailable, Source, data_home


class ThreeSteps(VisionDataset):
    """Constructor, `source` and repr of a data set that has files, or a stand-in.

    A subclass has `title` and `names`, and defines the five methods at the end.
    """

    title: str
    names: tuple[str, ...]  # of all the files

    def __init__(
        self,
        root: Path | str | None = None,
        train: bool = True,
        transform: Callable | None = None,
        target_transform: Callable | None = None,
        download: bool = False,
        *,
        verbose: bool = True,
    ) -> None:
        """`root`: a folder in torchvision's layout, `data_home()` by default.

        Prints its source unless told not to. Raises `DamagedFile` where a file is not
        what it should be, `AssetUnavailable` where some files are there and some not.
        """
        root = Path(data_home() if root is None else root).expanduser()
        VisionDataset.__init__(  # not torchvision's own: it knows one step
            self, root, transform=transform, target_transform=target_transform
        )
        self.train = train
        kind, why = Source.DISK, ""
        try:
            if self._missing():
                kind = self._fetch(download)
        except AssetUnavailable as error:
            if len(missing := self._missing()) < len(self.names):
                raise AssetUnavailable(
                    f"{self._folder} has only a part of {self.title}, it lacks "
                    f"{', '.join(missing)}: pass download=True, or put them there, or "
                    f"move the folder away.\n{error}"
                ) from error
            kind, why = Source.STAND_IN, error.reason
            self._use_digits()
            note = f"{len(self):,} handwritten digits ({why})"
        else:
            remark = self._read()
            note = f"{len(self):,} images{remark}"
        name = f"{self.title}, {'training' if train else 'test'} set"
        path = None if kind is Source.STAND_IN else self._folder
        self.source = Asset(name, kind, path, note)
        if verbose:
            print(self.source)

    def extra_repr(self) -> str:
        return f"Split: {'Train' if self.train else 'Test'}\nSource: {self.source}"

    def download(self) -> None:
        """Download the files that are missing; `download=True` does so by itself."""
        if self._missing():
            self._fetch(True)

    @property
    def _folder(self) -> Path:
        """Where the files are."""
        raise NotImplementedError

    def _missing(self) -> list[str]:
        """Those of `names` that are not on disk."""
        raise NotImplementedError

    def _fetch(self, download: bool) -> Source:
        """Get what is missing, or raise `AssetUnavailable`."""
        raise NotImplementedError

    def _read(self) -> str:
        """Set `data`, `targets`, `classes`, or raise `DamagedFile`; return a remark."""
        raise NotImplementedError

    def _use_digits(self) -> None:
        """Set `data`, `targets`, `classes` from the stand-in."""
        raise NotImplementedError
