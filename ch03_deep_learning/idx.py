"""Read the IDX files of MNIST and its relatives, with their header checked.

Source of the format: the section "File formats for the MNIST database" of
http://yann.lecun.com/exdb/mnist/. Can be copied alone to another project.
"""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

BYTES = 0x08  # the code of unsigned bytes, the only type that these data sets have


def read_idx(path: Path | str) -> np.ndarray:
    """The array of one file, plain or packed (.gz): uint8, its shape from the header.

    The header is two zero bytes, the code of the type, the number of dimensions, and
    each dimension as a big-endian int32. Raises `ValueError`, naming the file, where
    the header is not that or does not agree with the length of the file.
    """
    path = Path(path)
    try:
        raw = path.read_bytes()
        if path.suffix == ".gz":
            raw = gzip.decompress(raw)
        if len(raw) < 4 or raw[:3] != bytes([0, 0, BYTES]):
            raise ValueError("it does not begin as an IDX file of bytes does")
        start = 4 + 4 * raw[3]
        if len(raw) < start:
            raise ValueError("it ends within its header")
        shape = [int.from_bytes(raw[i : i + 4], "big") for i in range(4, start, 4)]
        if (found := len(raw) - start) != (promised := math.prod(shape)):
            raise ValueError(f"{promised:,} bytes of data promised, {found:,} found")
    except (ValueError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{path.name}: {error}") from error
    return np.frombuffer(raw, np.uint8, offset=start).reshape(shape).copy()
