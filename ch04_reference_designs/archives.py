"""Unpack a zip archive that came from somewhere else, without being tricked by it."""

import zipfile
import zlib
from pathlib import Path, PurePosixPath

from ch01_intro.download import DamagedFile

LARGEST = 200_000_000  # bytes


def unpack(archive: Path, into: Path, *, largest: int = LARGEST) -> None:
    """Unpack a zip; its own checksums are compared on the way.

    Raises `DamagedFile`, before anything is written, for a path that leads out of
    `into` and for more than `largest` bytes; and where a checksum is wrong.
    """
    try:
        with zipfile.ZipFile(archive) as packed:
            members = packed.infolist()
            for name in (member.filename for member in members):
                path = PurePosixPath(name.replace("\\", "/"))
                if path.is_absolute() or ".." in path.parts or ":" in name:
                    raise DamagedFile(f"{archive} would write outside: {name!r}")
            if sum(member.file_size for member in members) > largest:
                raise DamagedFile(f"{archive} holds more than {largest:,} bytes")
            for member in members:
                packed.extract(member, into)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise DamagedFile(
            f"{archive} is damaged ({error}). Delete it and get it again."
        ) from error
