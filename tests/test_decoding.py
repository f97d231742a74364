"""Bytes of strangers: every kind of image, and every kind of damage."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from ch01_intro.classify import open_photo, small_classifier
from ch07_deployment.decoding import (
    BadImage,
    DamagedImage,
    NotAnImage,
    TooManyPixels,
    decode,
    open_image,
)
from ch07_deployment.example import photo_path
from ch07_deployment.hostile import Maker, png_bomb, text_bomb, whole_images
from ch07_deployment.served_model import central_square

WHOLE = whole_images()


@pytest.mark.parametrize("kind", WHOLE)
def test_every_kind_becomes_the_rgb_that_the_classifier_of_chapter_1_sees(
    kind, tmp_path
):
    path = tmp_path / "image"
    path.write_bytes(WHOLE[kind])
    image = decode(WHOLE[kind])
    assert image.mode == "RGB"
    difference = np.asarray(image).astype(int) - np.asarray(open_photo(path))
    assert np.abs(difference).max() <= 1


@pytest.mark.parametrize("value", [0, 255, 256, 65535])
def test_16_bits_are_scaled_alike_however_dark_the_image(value, tmp_path):
    path = tmp_path / "dark.png"
    Image.fromarray(np.full((4, 4), value, dtype=np.uint16)).save(path)
    expected = (value // 257,) * 3
    assert decode(path.read_bytes()).getpixel((0, 0)) == expected
    assert open_photo(path).getpixel((0, 0)) == expected


def test_exif_turns_it_and_transparency_is_white():
    assert decode(WHOLE["jpeg-exif"]).size == (40, 60)
    buffer = io.BytesIO()
    Image.new("RGBA", (4, 4), (255, 0, 0, 0)).save(buffer, "PNG")
    assert decode(buffer.getvalue()).getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", NotAnImage),
        (b"no image", NotAnImage),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", NotAnImage),
        (WHOLE["png"][:200], DamagedImage),
        (WHOLE["jpeg"][:300], DamagedImage),
        (png_bomb(100_000, 100_000), TooManyPixels),
        (png_bomb(10_000, 10_000), TooManyPixels),
        (text_bomb(), BadImage),
    ],
)
def test_what_can_not_be_used_says_why(data, error):
    with pytest.raises(error) as raised:
        decode(data)
    assert str(raised.value) and raised.value.code.isidentifier()


def test_the_header_alone_is_read_first():
    claimed = open_image(png_bomb(4000, 4000))  # its pixels are missing
    assert claimed.size == (4000, 4000)
    with pytest.raises(TooManyPixels, match="4000 x 4000 pixels, 1 million at most"):
        open_image(png_bomb(4000, 4000), max_pixels=1_000_000)


def test_nothing_but_bad_image_is_raised():
    maker, outcomes = Maker(1), set()
    for _ in range(300):
        _, data = maker.file()
        if len(data) < 100_000:
            try:
                outcomes.add(decode(data, max_pixels=1_000_000).mode)
            except BadImage as error:
                outcomes.add(type(error))
    assert outcomes == {"RGB", NotAnImage, DamagedImage, TooManyPixels}


def test_a_large_jpeg_is_unpacked_smaller_and_looks_the_same():
    buffer = io.BytesIO()
    Image.open(photo_path()).convert("RGB").resize((2000, 1400)).save(buffer, "JPEG")
    whole, small = decode(buffer.getvalue()), decode(buffer.getvalue(), enough=512)
    assert whole.size == (2000, 1400) and small.size == (1000, 700)
    difference = central_square(whole).int() - central_square(small).int()
    assert difference.abs().max() <= 3


@pytest.mark.parametrize("size", [(451, 300), (300, 451), (32, 32), (33, 95), (7, 9)])
def test_the_square_is_that_of_the_transform(size):
    photo = Image.open(photo_path()).convert("RGB").resize(size)
    steps = small_classifier().transform.transforms[:3]  # without the floats
    expected = v2.Compose(steps)(photo)
    difference = central_square(photo).int() - torch.as_tensor(expected).int()
    assert difference.abs().max() <= 1


@pytest.mark.parametrize("size", [(1, 200_000), (200_000, 1)])
def test_a_long_strip_is_no_bomb(size):
    assert central_square(Image.new("RGB", size)).shape == (3, 32, 32)
