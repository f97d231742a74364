"""Turn bytes that a stranger sent into an upright RGB image, or say why not.

Imports NumPy and Pillow only: this module can be copied alone.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from PIL import Image, ImageOps

MAX_PIXELS = 25_000_000  # 75 MB as RGB
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")  # none that starts a program
Image.init()  # registers all formats; by itself Pillow does so only when it fails


class BadImage(ValueError):
    """The bytes can not be used; `code` says why in one word, the message in a line."""

    code = "bad_image"


class NotAnImage(BadImage):
    code = "not_an_image"


class DamagedImage(BadImage):
    code = "damaged_image"


class TooManyPixels(BadImage):
    code = "too_many_pixels"


def decode(
    data: bytes, *, max_pixels: int = MAX_PIXELS, enough: int | None = None
) -> Image.Image:
    """The image in `data` as 8-bit RGB: `unpack(open_image(data))`; errors as there."""
    return unpack(open_image(data, max_pixels=max_pixels), enough=enough)


def open_image(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Read the header only: an image that knows its size, its pixels still packed.

    Raises `NotAnImage`, `DamagedImage`, or `TooManyPixels` above `max_pixels`: a small
    file can unpack to any size.
    """
    with _reasons():
        image = Image.open(io.BytesIO(data), formats=FORMATS)
        width, height = image.size
        if width * height > max_pixels:
            raise TooManyPixels(
                f"{width} x {height} pixels, {max_pixels / 1e6:g} million at most"
            )
        return image


def unpack(image: Image.Image, *, enough: int | None = None) -> Image.Image:
    """The pixels as upright 8-bit RGB; of an animation the first frame.

    The camera's rotation (EXIF) is applied, transparent parts become white; grey,
    palette, CMYK and 16-bit images are converted. A JPEG may be unpacked at a half, a
    quarter or an eighth of its size while both sides stay at least `enough`, which is
    much faster for a large photograph. Raises `DamagedImage`.
    """
    with _reasons(), image:
        if enough is not None and image.format in ("JPEG", "MPO"):
            image.draft(None, (enough, enough))
        image.load()
        return _to_rgb(ImageOps.exif_transpose(image))


@contextmanager
def _reasons() -> Iterator[None]:
    """Whatever Pillow raises on a stranger's bytes, as a `BadImage`."""
    try:
        yield
    except BadImage:
        raise
    except Image.UnidentifiedImageError:
        kinds = ", ".join(FORMATS)
        raise NotAnImage(f"no image that can be read here ({kinds})") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise TooManyPixels("far too many pixels") from None
    except Exception as error:  # damaged bytes can raise almost anything
        raise DamagedImage(f"cut off or damaged ({type(error).__name__})") from error


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and not image.has_transparency_data:
        return image
    if image.mode.startswith(("I", "F")):  # 16 or 32 bits a pixel: scale to 8
        values = np.nan_to_num(np.asarray(image, dtype=np.float32))
        deep = image.mode.startswith("I;16") or values.max() > 255  # "I": a guess
        top = 65535.0 if image.mode.startswith("I") and deep else 255.0
        scaled = (values.clip(0, top) * (255 / top)).astype(np.uint8)
        return Image.fromarray(scaled).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGB", image.size, "white")
        white.paste(image, mask=image.getchannel("A"))
        return white
    return image.convert("RGB")
