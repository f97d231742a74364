"""Requests that a careless or hostile client sends, made by chance from a seed.

Images of every kind that Pillow writes, whole, cut off, with flipped bytes, with sizes
that lie, and things that are no images; as a raw body or in forms, half of them broken.

Imports NumPy and Pillow only: this module can be copied alone.
"""

import io
import random
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

NAMES = (
    *(b"cat.jpg", b"", b"\xff\xfe\xfa.png", b"k\xe4tzchen.jpg", "🐈.png".encode()),
    *(b"a\x00b.png", b"../../etc/passwd", b"x" * 5000, b"C:\\cat.bmp", b"%00%ff.gif"),
    b"cat.jpg; filename*=x",
)
TYPES = (
    *("image/jpeg", "image/png", "image/x-unknown", "application/octet-stream"),
    *("", "IMAGE/JPEG; q=1", "text/html", "application/json", "a" * 300, ";;;"),
    *("multipart/mixed; boundary=x", "multipart/form-data"),
    "multipart/form-data; boundary=",
)


@dataclass(frozen=True)
class Hostile:
    """A request to POST, and what it is, to be told where it does harm."""

    kind: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


def whole_images() -> dict[str, bytes]:
    """A small image in every format and mode that a camera or a program may write."""
    pixels = np.random.default_rng(0).integers(0, 255, (40, 60, 4), dtype=np.uint8)
    rgba = Image.fromarray(pixels)
    rgb = rgba.convert("RGB")
    deep = Image.fromarray(pixels[..., 0].astype(np.uint16) * 257)
    exif = Image.Exif()
    exif[0x0112] = 6  # lay the camera on its side
    more = [rgb.rotate(90 * i) for i in range(1, 3)]
    return {
        "jpeg": _saved(rgb, "JPEG"),
        "jpeg-cmyk": _saved(rgb.convert("CMYK"), "JPEG"),
        "jpeg-exif": _saved(rgb, "JPEG", exif=exif),
        "jpeg-progressive": _saved(rgb, "JPEG", progressive=True),
        "png": _saved(rgb, "PNG"),
        "png-alpha": _saved(rgba, "PNG"),
        "png-16-bit": _saved(deep, "PNG"),
        "png-palette": _saved(rgb.quantize(7), "PNG", transparency=0),
        "png-1-bit": _saved(rgb.convert("1"), "PNG"),
        "png-animated": _saved(rgb, "PNG", save_all=True, append_images=more),
        "png-1x1": _saved(rgb.crop((0, 0, 1, 1)), "PNG"),
        "png-strip": _saved(rgb.resize((1, 60_000)), "PNG"),
        "gif-animated": _saved(rgb, "GIF", save_all=True, append_images=more),
        "webp": _saved(rgb, "WEBP"),
        "bmp": _saved(rgb, "BMP"),
        "tiff": _saved(rgb, "TIFF"),
        "tiff-lzw": _saved(rgba, "TIFF", compression="tiff_lzw"),
        "tiff-float": _saved(rgb.convert("F"), "TIFF"),
    }


def _saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png_bomb(width: int, height: int, *, honest: bool = False) -> bytes:
    """A black 1-bit PNG; its rows are all there only where it is `honest`."""
    rows = b"\0" * ((width + 7) // 8 + 1) * (height if honest else 1)
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data
        + struct.pack(">I", zlib.crc32(name + data))
        for name, data in parts
    )  # fmt: skip


def text_bomb() -> bytes:
    """A PNG with a compressed comment of 50 MB."""
    data = b"Comment\0\0" + zlib.compress(b"\0" * 50_000_000, 1)
    chunk = struct.pack(">I", len(data)) + b"zTXt" + data
    chunk += struct.pack(">I", zlib.crc32(b"zTXt" + data))
    png = png_bomb(8, 8, honest=True)
    return png[:33] + chunk + png[33:]


class Maker:
    """Makes one request after the other; the same ones for the same seed."""

    def __init__(self, seed: int = 0) -> None:
        self.random = random.Random(seed)
        self.whole = whole_images()
        self.bombs = {
            "bomb-claimed": png_bomb(100_000, 100_000),
            "bomb-line": png_bomb(2_000_000_000, 1),
            "bomb-allowed": png_bomb(4000, 4000, honest=True),
            "bomb-unpacked": png_bomb(12_000, 12_000, honest=True),
            "bomb-text": text_bomb(),
        }
        self.none = {
            "empty": b"",
            "text": b"no image",
            "html": b"<img src=x onerror=alert(1)>",
            "svg": b'<svg xmlns="http://www.w3.org/2000/svg"/>',
            "zip": b"PK\x03\x04" * 9,
            "pdf": b"%PDF-1.7\n",
            "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
            "magic": b"\x89PNG\r\n\x1a\n",
            "soi": b"\xff\xd8\xff",
            "riff": b"RIFF\0\0\0\0WEBP",
        }

    def request(self) -> Hostile:
        """The next one."""
        kind, data = self.file()
        if self.random.random() < 0.5:
            kinds = TYPES[:4] if self.random.random() < 0.8 else TYPES
            headers = {"content-type": self.random.choice(kinds)}
            return Hostile(f"{kind}, raw", data, headers)
        return self.form(kind, data)

    def file(self) -> tuple[str, bytes]:
        """What the file holds; one in ten is whole."""
        choice = self.random
        name, data = choice.choice(list(self.whole.items()))
        how: dict[str, Callable[[bytes], bytes]] = {
            "whole": lambda d: d,
            "cut": lambda d: d[: choice.randrange(len(d))],
            "flipped": self._flipped,
            "header flipped": lambda d: self._flipped(d[:64]) + d[64:],
            "spliced": lambda d: (
                d[: len(d) // 2]
                + choice.choice(list(self.whole.values()))[len(d) // 3 :]
            ),
            "with a tail": lambda d: d + choice.randbytes(choice.randrange(1, 2000)),
            "a piece doubled": lambda d: d[: len(d) // 2] + d[len(d) // 4 :],
        }
        draw = choice.random()
        if draw < 0.02:
            return choice.choice(list(self.bombs.items()))
        if draw < 0.12:
            return choice.choice(list(self.none.items()))
        if draw < 0.17:
            return "noise", choice.randbytes(choice.randrange(1, 3000))
        if draw < 0.171:
            return "too long", bytes(11_000_000)
        way = choice.choice(list(how))
        return f"{name} {way}", how[way](data)

    def _flipped(self, data: bytes) -> bytes:
        changed = bytearray(data)
        for _ in range(self.random.choice((1, 3, 10, 50))):
            changed[self.random.randrange(len(changed))] = self.random.randrange(256)
        return bytes(changed)

    def form(self, kind: str, data: bytes) -> Hostile:
        """The file in a form, which is broken in half of the cases."""
        choice = self.random
        name = choice.choice(NAMES)
        disposition = b'form-data; name="file"; filename="' + name + b'"'
        part = b"Content-Disposition: " + disposition + b"\r\n\r\n" + data
        header = "multipart/form-data; boundary=b0"
        body = b"--b0\r\n" + part + b"\r\n--b0--\r\n"
        text = b'--b0\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'
        broken = {
            "no end": (header, body[:-8]),
            "other boundary": ("multipart/form-data; boundary=other", body),
            "no boundary": ("multipart/form-data", body),
            "strange charset": (f"{header}; charset=latin-1000", body),
            "UTF-16": (f"{header}; charset=utf-16", body),
            "other field": (header, body.replace(b'name="file"', b'name="\xff"', 1)),
            "no name": (header, body.replace(b' name="file";', b"", 1)),
            "text field": (header, body.replace(b"filename", b"other", 1)),
            "two files": (header, b"--b0\r\n" + part + b"\r\n" + body),
            "many fields": (header, text * 20 + body),
            "bad header": (header, body.replace(b"Content-Disp", b"\xff\0: ", 1)),
            "nothing": (header, b""),
            "only an end": (header, b"--b0--\r\n"),
        }
        if choice.random() < 0.5:
            return Hostile(f"{kind}, form", body, {"content-type": header})
        way = choice.choice(list(broken))
        header, body = broken[way]
        return Hostile(f"{kind}, form: {way}", body, {"content-type": header})
