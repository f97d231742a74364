"""Photographs in folders: the disk, a download from this machine, the stand-in."""

import hashlib
import io
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from ch01_intro.assets import AssetUnavailable, DamagedFile, Source
from ch04_reference_designs.ants_and_bees import (
    FOLDER,
    AntsAndBees,
    check_images,
    is_photo,
)
from tests.loopback import routes, sends, serving
from tests.test_archives import zipped

pytestmark = pytest.mark.usefixtures("home")
TENSOR = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])


def photo(shade: int, mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (30, 20), shade).convert(mode).save(buffer, "PNG")
    return buffer.getvalue()


def files() -> dict[str, bytes]:
    """Two ants and one bee to train, one each to validate."""
    return {
        f"{FOLDER}/train/ants/a.png": photo(10),
        f"{FOLDER}/train/ants/b.png": photo(20, "L"),
        f"{FOLDER}/train/bees/c.png": photo(30),
        f"{FOLDER}/val/ants/d.png": photo(40),
        f"{FOLDER}/val/bees/e.png": photo(50),
    }


def on_disk(home, extra: dict[str, bytes] | None = None):
    for name, content in (files() | (extra or {})).items():
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return home / FOLDER


# step 1: the disk


def test_it_is_an_image_folder(home, capsys):
    folder = on_disk(home)
    ours = AntsAndBees(transform=np.asarray, target_transform=lambda label: label + 5)
    assert capsys.readouterr().out == (
        "Ants and bees, train: found on disk, 3 images, not the published set\n"
    )
    theirs = ImageFolder(folder / "train", transform=np.asarray)
    for name in ("classes", "class_to_idx", "samples", "imgs", "targets"):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert set(vars(theirs)) <= set(vars(ours))
    for (image, label), (expected, their_label) in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(image, expected)
        assert label == their_label + 5
    assert "Split: train" in repr(ours) and "found on disk" in repr(ours)
    assert len(AntsAndBees(home, "val", verbose=False)) == 2
    assert check_images(AntsAndBees(verbose=False)) == 3
    assert ours.source.path == folder


def test_the_published_set_is_recognised(home, monkeypatch):
    on_disk(home)
    counts = {"train": [2, 1], "val": [70, 83]}
    monkeypatch.setattr("ch04_reference_designs.ants_and_bees.COUNTS", counts)
    assert AntsAndBees(verbose=False).source.note == "3 images"
    note = AntsAndBees(split="val", verbose=False).source.note
    assert note == "2 images, not the published set"


def test_other_files_are_left_out_and_counted(home):
    extra = {
        f"{FOLDER}/train/ants/notes.txt": b"saw ants",
        f"{FOLDER}/train/ants/imageNotFound.png": photo(0),
        f"{FOLDER}/train/readme.txt": b"beside the classes",
    }
    on_disk(home, extra)
    data = AntsAndBees(verbose=False)
    assert len(data) == 3 and "(2 other files left out)" in data.source.note
    assert is_photo("a.JPG") and is_photo("a.webp")
    assert not is_photo("a.gif") and not is_photo("imageNotFound.jpg")


def test_damaged_images_are_named(home):
    cut_off = photo(9)[:50]
    extra = {"train/ants/x.jpg": b"text", "train/bees/y.png": cut_off}
    folder = on_disk(home, {f"{FOLDER}/{k}": v for k, v in extra.items()})
    data = AntsAndBees(verbose=False)
    with pytest.raises(DamagedFile, match="2 of 5") as caught:
        check_images(data)
    for name in extra:
        assert str(folder / name) in str(caught.value)
    with pytest.raises(DamagedFile, match=r"y\.png.*Delete it"):
        data[4]
    (folder / "train/bees/y.png").unlink()
    with pytest.raises(DamagedFile, match=r"y\.png"):
        check_images(data)


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_class_without_images(home, split):
    folder = on_disk(home)
    for path in (folder / split / "bees").iterdir():
        path.rename(path.with_suffix(".txt"))
    for asked in ("train", "val"):
        with pytest.raises(DamagedFile, match="holds no image") as caught:
            AntsAndBees(split=asked)
        assert str(folder / split / "bees") in str(caught.value)


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_missing_split_is_no_reason_for_the_stand_in(home, split):
    folder = on_disk(home)
    (folder / split).rename(home / "elsewhere")
    for asked in ("train", "val"):
        with pytest.raises(AssetUnavailable, match=f"lacks the folder {split}"):
            AntsAndBees(split=asked, download=True)


def test_the_splits_need_the_same_classes(home):
    on_disk(home, {f"{FOLDER}/val/aphids/f.png": photo(1)})
    with pytest.raises(DamagedFile, match="have to be the same"):
        AntsAndBees()


def test_no_classes_at_all(home):
    for split in ("train", "val"):
        (home / FOLDER / split).mkdir(parents=True)
    with pytest.raises(DamagedFile, match="classes"):
        AntsAndBees()


def test_there_are_two_splits():
    with pytest.raises(ValueError, match="'test'"):
        AntsAndBees(split="test")


# step 2: a download


def published(monkeypatch, content: bytes, url: str) -> None:
    monkeypatch.setattr(AntsAndBees, "sha256", hashlib.sha256(content).hexdigest())
    monkeypatch.setattr(AntsAndBees, "size", len(content))
    monkeypatch.setattr(AntsAndBees, "url", f"{url}/h.zip")


def test_downloaded_then_on_disk(home, monkeypatch):
    content = zipped(files())
    with serving(routes({"/h.zip": sends(content)})) as url:
        published(monkeypatch, content, url)
        assert AntsAndBees(verbose=False).source.source is Source.STAND_IN
        assert not home.exists()
        data = AntsAndBees(download=True, verbose=False)
    assert data.source.source is Source.DOWNLOAD and check_images(data) == 3
    again = AntsAndBees(split="val", download=True, verbose=False)
    assert again.source.source is Source.DISK and len(again) == 2
    assert {path.name for path in home.iterdir()} == {FOLDER, "hymenoptera_data.zip"}


def test_another_process_may_be_faster(home, monkeypatch):
    content = zipped(files())
    with serving(routes({"/h.zip": sends(content)})) as url:
        published(monkeypatch, content, url)
        rename = Path.rename

        def late(self, target):
            if self.name == FOLDER and not Path(target).exists():
                shutil.copytree(self, target)
            return rename(self, target)

        monkeypatch.setattr(Path, "rename", late)
        data = AntsAndBees(download=True, verbose=False)
    assert check_images(data) == 3
    assert {path.name for path in home.iterdir()} == {FOLDER, "hymenoptera_data.zip"}


@pytest.mark.parametrize("wrong", ["size", "content"])
def test_a_download_of_something_else(home, monkeypatch, wrong):
    content = zipped(files())
    sent = content[:-1] if wrong == "size" else content[:-1] + b"x"
    with serving(routes({"/h.zip": sends(sent)})) as url:
        published(monkeypatch, content, url)
        data = AntsAndBees(download=True, verbose=False)
    assert data.source.source is Source.STAND_IN and "expected" in data.source.note
    assert list(home.iterdir()) == []


def test_an_archive_that_lacks_a_split_leaves_nothing(home, monkeypatch):
    content = zipped({k: v for k, v in files().items() if "/val/" not in k})
    with serving(routes({"/h.zip": sends(content)})) as url:
        published(monkeypatch, content, url)
        data = AntsAndBees(download=True, verbose=False)
    assert data.source.source is Source.STAND_IN
    assert [path.name for path in home.iterdir()] == ["hymenoptera_data.zip"]


def test_what_is_downloaded_from_is_published():
    assert len(AntsAndBees.sha256) == 64 and AntsAndBees.url.startswith("https://")


# step 3: the stand-in


def test_the_stand_in(capsys, monkeypatch):
    monkeypatch.setenv("PYTORCH_BOOK_OFFLINE", "1")
    data = AntsAndBees(download=True, transform=TENSOR)
    held_out = AntsAndBees(split="val", transform=TENSOR, verbose=False)
    said = capsys.readouterr().out.strip()
    assert said.endswith("and of others (PYTORCH_BOOK_OFFLINE is set)")
    assert said in repr(data) and data.source.path is None
    assert (len(data), len(held_out)) == (140, 60)
    assert data.classes == ["faces", "others"]
    assert np.bincount(data.targets).tolist() == [70, 70]
    assert np.bincount(held_out.targets).tolist() == [30, 30]
    assert AntsAndBees(verbose=False)[0][0].mode == "RGB"
    images = torch.stack([image for part in (data, held_out) for image, _ in part])
    assert images.shape == (200, 3, 25, 25)
    assert len(images.flatten(1).unique(dim=0)) == 200  # none is in both
    assert check_images(data) == 140


def test_the_stand_in_goes_to_other_processes():
    data = AntsAndBees(transform=TENSOR, verbose=False)
    again = pickle.loads(pickle.dumps(data))
    torch.testing.assert_close(again[7], data[7])
    images, labels = next(iter(DataLoader(data, batch_size=4)))
    assert images.shape == (4, 3, 25, 25) and labels.tolist() == [0] * 4
