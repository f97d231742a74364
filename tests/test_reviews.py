"""The reviews: the disk, a download from this machine, the stand-in; bad files."""

import hashlib
import io
import tarfile
from collections import Counter

import pytest

from ch01_intro.assets import AssetUnavailable, DamagedFile, Source
from ch04_reference_designs import reviews
from ch04_reference_designs.invented_reviews import invent_reviews
from ch04_reference_designs.reviews import PARTS, Reviews
from tests.loopback import routes, sends, serving

pytestmark = pytest.mark.usefixtures("home")


def write(home):
    """Two reviews in each of the four folders, as on disk."""
    for part in PARTS:
        folder = home / "aclImdb" / part
        folder.mkdir(parents=True)
        for name in ("10_3.txt", "2_1.txt"):
            (folder / name).write_text(f"A café, {part}, {name}\n", encoding="utf-8")
    return home / "aclImdb"


# step 1: the disk


def test_from_disk(home, capsys):
    write(home)
    data = Reviews()
    assert capsys.readouterr().out == (
        "IMDB, training set: found on disk, 4 reviews of 25,000\n"
    )
    assert "found on disk" in repr(data) and data.source.source is Source.DISK
    assert data.labels == [0, 0, 1, 1] and len(data) == 4
    assert data[0] == ("A café, train/neg, 10_3.txt", 0)
    assert data[3] == ("A café, train/pos, 2_1.txt", 1)
    assert [data.classes[label] for _, label in data][::3] == ["negative", "positive"]
    assert Reviews(home, train=False, verbose=False)[0][0].startswith("A café, test/")


def test_other_files_are_passed_over(home):
    folder = write(home)
    pos = folder / "train" / "pos"
    (pos / "labels.csv").write_text("1,2", encoding="utf-8")
    (pos / "._2_1.txt").write_bytes(b"\xff\xfe\x00")  # macOS leaves such files
    (pos / "drafts.txt").mkdir()
    (folder / "README").write_text("about", encoding="utf-8")
    assert len(Reviews(verbose=False)) == 4


def test_an_empty_review_is_named(home):
    path = write(home) / "train" / "neg" / "2_1.txt"
    path.write_text(" \n", encoding="utf-8")
    with pytest.raises(DamagedFile, match="is empty") as caught:
        Reviews()
    assert str(path) in str(caught.value)
    assert len(Reviews(train=False, verbose=False)) == 4


def test_bytes_that_are_no_text_are_named(home):
    path = write(home) / "test" / "pos" / "2_1.txt"
    path.write_bytes(b"ca\xe9 of Latin-1")
    with pytest.raises(DamagedFile, match=r"not UTF-8 text \(byte 2") as caught:
        Reviews(train=False)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("whole_folder", [True, False])
def test_a_class_without_reviews_is_an_error(home, whole_folder):
    part = write(home) / "train" / "pos"
    for path in part.iterdir():
        path.unlink()
    if whole_folder:
        part.rmdir()
    with pytest.raises(AssetUnavailable, match="holds no review") as caught:
        Reviews(download=True)
    assert str(part) in str(caught.value)


# step 2: a download


def archive(tmp_path) -> bytes:
    write(tmp_path)
    for name in ("train/unsup/0_0.txt", "imdb.vocab", "train/pos.bak/x.txt"):
        path = tmp_path / "aclImdb" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("not wanted", encoding="utf-8")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        tar.add(tmp_path / "aclImdb", "aclImdb")
        out = tarfile.TarInfo("aclImdb/train/pos/../../../../escaped.txt")
        out.size = 3
        if tmp_path.name == "evil":
            tar.addfile(out, io.BytesIO(b"bad"))
    return packed.getvalue()


def pretend(monkeypatch, content, url="http://127.0.0.1:9"):
    monkeypatch.setattr(reviews, "SHA256", hashlib.sha256(content).hexdigest())
    monkeypatch.setattr(reviews, "SIZE", len(content))
    monkeypatch.setattr(reviews, "URL", f"{url}/{reviews.ARCHIVE}")


def test_downloaded_then_on_disk(home, tmp_path, monkeypatch):
    content = archive(tmp_path)
    with serving(routes({f"/{reviews.ARCHIVE}": sends(content)})) as url:
        pretend(monkeypatch, content, url)
        assert Reviews(verbose=False).source.source is Source.STAND_IN  # not asked for
        assert not home.exists()
        assert Reviews(download=True).source.source is Source.DOWNLOAD
    assert Reviews(download=True).source.source is Source.DISK
    assert {path.name for path in home.iterdir()} == {"aclImdb", reviews.ARCHIVE}
    kept = {
        p.parent.relative_to(home / "aclImdb").as_posix() for p in home.rglob("*_*.txt")
    }
    assert kept == set(PARTS)


def test_an_archive_on_disk_is_unpacked(home, tmp_path, monkeypatch):
    content = archive(tmp_path)
    pretend(monkeypatch, content)
    home.mkdir()
    (home / reviews.ARCHIVE).write_bytes(content)
    assert len(Reviews(verbose=False)) == 4

    (home / "aclImdb").rename(home / "elsewhere")
    (home / reviews.ARCHIVE).write_bytes(content[:-1])
    with pytest.raises(DamagedFile, match=r"aclImdb_v1\.tar\.gz"):
        Reviews()


def test_an_archive_can_not_write_outside(home, tmp_path, monkeypatch):
    (tmp_path / "evil").mkdir()
    content = archive(tmp_path / "evil")
    pretend(monkeypatch, content)
    home.mkdir()
    (home / reviews.ARCHIVE).write_bytes(content)
    with pytest.raises(tarfile.FilterError):
        Reviews()
    assert [path.name for path in home.iterdir()] == [reviews.ARCHIVE]
    assert not list(tmp_path.rglob("escaped.txt"))


def test_what_is_downloaded_from_is_published():
    assert len(reviews.SHA256) == 64 and reviews.URL.endswith(reviews.ARCHIVE)


# step 3: the stand-in


def test_the_stand_in(capsys, monkeypatch):
    monkeypatch.setenv("PYTORCH_BOOK_OFFLINE", "1")
    train, test = Reviews(download=True), Reviews(train=False, verbose=False)
    assert capsys.readouterr().out.endswith(
        "training set: stand-in, 4,000 invented reviews (PYTORCH_BOOK_OFFLINE is set)\n"
    )
    assert train.source.path is None and (len(train), len(test)) == (4000, 1000)
    assert Counter(train.labels) == {0: 2000, 1: 2000}
    assert not set(train.texts) & set(test.texts)
    assert all(text.count("<br />") == 2 for text in test.texts)


def test_invented_reviews_stay_the_same():
    texts, labels = invent_reviews(10, seed=3)
    digest = hashlib.sha256("\n".join(texts).encode()).hexdigest()
    assert digest.startswith("9cb20530a4a11225")  # on any machine, in any Python
    assert labels == [0] * 5 + [1] * 5 and texts != invent_reviews(10, seed=4)[0]
    with pytest.raises(ValueError, match="at least 2"):
        invent_reviews(1)
