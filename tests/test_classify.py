import io
import os
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

from ch01_intro import classify as module
from ch01_intro.assets import AssetUnavailable
from ch01_intro.classify import (
    Classifier,
    Prediction,
    bars,
    classify,
    main,
    open_photo,
    pick_classifier,
    small_classifier,
)


@pytest.fixture(scope="module")
def cat() -> Image.Image:
    return Image.fromarray(skimage.data.chelsea())


@pytest.fixture
def photo(tmp_path, cat):
    path = tmp_path / "cat.jpg"
    cat.save(path, quality=95)
    return path


def test_a_photograph_comes_back_as_it_was_saved(tmp_path, cat):
    cat.save(tmp_path / "cat.png")
    opened = open_photo(tmp_path / "cat.png")
    np.testing.assert_array_equal(np.asarray(opened), np.asarray(cat))


@pytest.mark.parametrize(
    "mode", ["L", "1", "P", "LA", "RGBA", "CMYK", "I;16", "I", "F"]
)
def test_every_mode_becomes_rgb_of_the_same_brightness(tmp_path, cat, mode):
    grey = cat.convert("L")
    if mode == "I;16":
        image = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    else:
        image = (cat if mode in {"P", "RGBA", "CMYK"} else grey).convert(mode)
    path = tmp_path / ("cat.jpg" if mode == "CMYK" else "cat.tiff")
    image.save(path)
    opened = open_photo(path)
    assert opened.mode == "RGB" and opened.size == cat.size
    brightness = np.asarray(opened.convert("L"), dtype=float).mean()
    assert brightness == pytest.approx(np.asarray(grey, dtype=float).mean(), abs=6)


def test_transparent_parts_become_white(tmp_path):
    pixels = np.zeros((2, 2, 4), dtype=np.uint8)
    pixels[0, 0] = [255, 0, 0, 255]
    Image.fromarray(pixels).save(tmp_path / "a.png")
    opened = np.asarray(open_photo(tmp_path / "a.png"))
    assert opened[0, 0].tolist() == [255, 0, 0]
    assert opened[1, 1].tolist() == [255, 255, 255]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_rotation_of_the_camera_is_undone(tmp_path, orientation):
    upright = np.zeros((20, 30, 3), dtype=np.uint8)
    upright[:10, :15] = 255  # white in the upper left corner
    undo = {1: [], 2: [0], 3: [3], 4: [1], 5: [5], 6: [2], 7: [6], 8: [4]}
    stored = Image.fromarray(upright)
    for step in undo[orientation]:
        stored = stored.transpose(step)
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(np.asarray(open_photo(tmp_path / "a.png")), upright)


def test_of_an_animation_the_first_frame_is_taken(tmp_path):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert open_photo(tmp_path / "a.gif").getpixel((0, 0)) == (255, 0, 0)


@pytest.mark.parametrize("keep", [0.05, 0.5, 0.95])
@pytest.mark.parametrize("kind", ["jpg", "png", "webp", "gif"])
def test_a_file_that_is_cut_off_is_refused(tmp_path, cat, kind, keep):
    path = tmp_path / f"cat.{kind}"
    cat.save(path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
    with pytest.raises(ValueError, match=rf"cat\.{kind} is (cut off|not an image)"):
        open_photo(path)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89PNG\r\n\x1a\n", b"\0" * 999])
def test_a_file_that_is_no_image_is_refused(tmp_path, content):
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.jpg is (not an image|cut off)"):
        open_photo(path)


def png_that_claims(width: int, height: int) -> bytes:
    """A PNG of a hundred bytes whose header announces an enormous picture."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + check

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 99))
    return b"\x89PNG\r\n\x1a\n" + data + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [13_000, 60_000])
def test_a_decompression_bomb_is_refused_before_it_is_unpacked(tmp_path, side):
    path = tmp_path / "bomb.png"
    path.write_bytes(png_that_claims(side, side))
    with pytest.raises(ValueError, match="more than 150 megapixels"):
        open_photo(path)


def test_a_large_photograph_is_no_bomb(tmp_path):
    path = tmp_path / "large.jpg"
    Image.new("RGB", (10_000, 9_500), "green").save(path)  # Pillow warns from 89 M on
    assert open_photo(path).size == (10_000, 9_500)


def test_no_file_and_a_folder(tmp_path):
    for path in (tmp_path / "none.jpg", tmp_path):
        with pytest.raises(FileNotFoundError, match="There is no file"):
            open_photo(path)


@pytest.mark.parametrize("six_views", [False, True])
def test_the_cat_is_a_cat(cat, six_views):
    best = classify(cat, small_classifier(six_views=six_views), device="cpu")
    assert best[0].label == "cat"
    assert len(best) == 5
    assert [p.probability for p in best] == sorted(
        (p.probability for p in best), reverse=True
    )


@pytest.mark.parametrize("size", [(1, 1), (31, 900), (900, 31)])
def test_any_size_and_shape_goes_through(size):
    every = classify(Image.new("RGB", size), small_classifier(), top=99, device="cpu")
    assert len(every) == 10
    assert sum(p.probability for p in every) == pytest.approx(1, abs=1e-5)


def test_bars():
    text = bars([Prediction("cat", 0.75), Prediction("dog", 0.25)], width=8, mark="#")
    assert text == "cat  ######    75.0%\ndog  ##        25.0%"
    assert bars([]) == ""


def no_weights(name):
    raise AssetUnavailable(f"{name}: no network")


def test_without_imagenet_weights_the_small_network_stands_in(monkeypatch):
    monkeypatch.setattr(module, "imagenet_model", no_weights)
    classifier, line = pick_classifier("auto")
    assert len(classifier.categories) == 10
    assert "stand-in: resnet18: no network" in line
    with pytest.raises(AssetUnavailable, match="resnet50"):
        pick_classifier("resnet50")


def test_with_imagenet_weights_they_are_used(monkeypatch):
    class Weights:
        name = "V1"
        meta = {"categories": [f"class {i}" for i in range(1000)]}  # noqa: RUF012

        @staticmethod
        def transforms():
            return lambda photo: torch.zeros(3, 8, 8)

    class Model(torch.nn.Module):
        def forward(self, x):
            return torch.nn.functional.one_hot(torch.tensor([7]), 1000) * 50.0

    monkeypatch.setattr(module, "imagenet_model", lambda name: (Model(), Weights))
    classifier, line = pick_classifier("auto")
    assert line == "Model: resnet18, ImageNet (V1)"
    best = classify(Image.new("RGB", (9, 9)), classifier, device="cpu")[0]
    assert best == Prediction("class 7", pytest.approx(1.0))


def test_the_command_in_a_process_of_its_own(photo):
    command = [sys.executable, "-m", "ch01_intro.classify", str(photo)]
    done = subprocess.run(
        [*command, "--model", "small", "--top", "3"],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=os.environ | {"PYTHONUTF8": "1"},
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    first, *lines = done.stdout.splitlines()
    assert first == "Model: SmallResNet, CIFAR-10, six views"
    assert len(lines) == 3 and lines[0].startswith("cat") and "█" in lines[0]


def test_the_command_on_a_terminal_without_unicode(photo, monkeypatch):
    output = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    monkeypatch.setattr(sys, "stdout", output)
    assert main([str(photo), "--model", "small", "--device", "cpu"]) == 0
    output.seek(0)
    assert "###" in output.read()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.jpg"], "There is no file none.jpg"),
        (["{photo}", "--model", "no_such_model"], "no_such_model"),
        (["{photo}", "--model", "small", "--device", "quantum"], "'quantum' is not"),
    ],
)
def test_the_command_says_what_is_wrong(photo, capsys, arguments, message):
    assert main([a.format(photo=photo) for a in arguments]) == 2
    assert message in capsys.readouterr().err


def test_no_answers_are_no_number_of_answers(photo, capsys):
    with pytest.raises(SystemExit):
        main([str(photo), "--top", "0"])
    assert "--top has to be 1 or more, not 0" in capsys.readouterr().err


def test_a_classifier_is_copied_with_its_parts():
    classifier = small_classifier()
    assert isinstance(classifier, Classifier)
    batch = classifier.transform(Image.new("L", (50, 40), 128).convert("RGB"))
    assert batch.shape == (3, 32, 32) and batch.dtype == torch.float32


def test_a_decoder_may_raise_anything(tmp_path, cat):
    exif = Image.Exif()
    exif[0x010E], exif[0x0112] = "hello", 6  # a description, and a turned camera
    damaged = exif.tobytes().replace(b"\x01\x0e\x00\x02", b"\x01\x00\x00\x02")
    assert damaged != exif.tobytes()  # now the text is the width: struct.error
    cat.save(tmp_path / "cat.jpg", exif=damaged)
    with pytest.raises(ValueError, match=r"cat\.jpg is cut off or damaged"):
        open_photo(tmp_path / "cat.jpg")
