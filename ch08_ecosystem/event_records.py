"""The records of a TensorBoard event file, one by one, with their checksums looked at.

A record: its length (8 bytes, little end first), a checksum of that (4), the event (so
many bytes), a checksum of it (4). It is TensorFlow's TFRecord format.
"""

import struct
from collections.abc import Iterator
from pathlib import Path

from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c


class DamagedEventFile(ValueError):
    """A record whose checksum is wrong; the message names the file and the place."""


def records(path: Path | str) -> Iterator[bytes]:
    """Each complete event of the file, as bytes (a serialized `Event`).

    A last record that is incomplete is left out. Raises `DamagedEventFile`.
    """
    data, start = Path(path).read_bytes(), 0
    while start + 12 <= len(data):
        length, check = struct.unpack_from("<QI", data, start)
        event = data[start + 12 : start + 12 + length]
        end = start + 12 + length + 4
        good = check == masked_crc32c(data[start : start + 8])
        if good and end > len(data):
            return
        if good:
            (check,) = struct.unpack_from("<I", data, end - 4)
        if not good or check != masked_crc32c(event):
            raise DamagedEventFile(
                f"{path} is damaged at byte {start:,} of {len(data):,}; TensorBoard "
                "shows nothing from there on. Delete it, or get it again."
            )
        yield event
        start = end


def is_whole(path: Path | str) -> bool:
    """Whether the last record is complete; if not, its writer is at work or was killed.

    Raises `DamagedEventFile` where a record before it is wrong.
    """
    size = sum(12 + len(event) + 4 for event in records(path))
    return size == Path(path).stat().st_size
