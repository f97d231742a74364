"""The three steps in their order: the disk, a download, a stand-in."""

import gzip
import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from ch01_intro import assets
from ch01_intro.assets import (
    Asset,
    AssetUnavailable,
    DamagedFile,
    Source,
    data_home,
    obtain,
)
from tests.loopback import routes, sends, serving, silent
from tests.notebooks import ROOT

BODY = b"what the file should hold\n" * 100
SHA256 = hashlib.sha256(BODY).hexdigest()
SHORT = 0.3
NOWHERE = "http://127.0.0.1:1/file.bin"  # nothing listens on port 1
pytestmark = pytest.mark.usefixtures("home")


def put(path: Path, content: bytes = BODY) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_data_home(monkeypatch, tmp_path):
    assert data_home() == tmp_path / "data"
    assert not data_home().exists()  # asking does not make it
    monkeypatch.setenv("PYTORCH_BOOK_DATA", "")
    assert data_home() == ROOT / "data"
    monkeypatch.delenv("PYTORCH_BOOK_DATA")
    assert data_home() == ROOT / "data"
    monkeypatch.setenv("PYTORCH_BOOK_DATA", "~/book")
    assert data_home() == Path.home() / "book"


def test_data_home_of_a_copy_in_another_project(monkeypatch, tmp_path):
    monkeypatch.delenv("PYTORCH_BOOK_DATA")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(assets, "__file__", str(tmp_path / "a" / "b" / "assets.py"))
    assert data_home() == tmp_path / "data"
    put(tmp_path / "a" / "pyproject.toml")
    assert data_home() == tmp_path / "a" / "data"


# step 1: the disk


def test_from_disk_without_asking_the_network(home):
    path = put(home / "weights" / "file.bin")
    found = obtain("weights/file.bin", urls=NOWHERE, sha256=SHA256, size=len(BODY))
    assert found == Asset("weights/file.bin", Source.DISK, path, note="checksum agrees")
    assert str(found) == "weights/file.bin: found on disk, checksum agrees"
    assert str(path) in repr(found)


def test_without_a_checksum_the_line_says_so(home):
    put(home / "file.bin")
    found = obtain("file.bin", urls=[])
    assert str(found) == "file.bin: found on disk, no checksum to compare"


def test_other_places_come_second(home, tmp_path):
    other = put(tmp_path / "cache" / "file.bin")
    missing = tmp_path / "missing" / "file.bin"
    arguments = {"urls": NOWHERE, "sha256": SHA256, "also": [missing, str(other)]}
    found = obtain("file.bin", **arguments)
    assert (found.path, found.source) == (other, Source.DISK)
    first = put(home / "file.bin")
    assert obtain("file.bin", **arguments).path == first


def test_another_folder(tmp_path, home):
    put(home / "file.bin", b"not this one")
    path = put(tmp_path / "root" / "file.bin")
    found = obtain("file.bin", urls=[], sha256=SHA256, folder=str(tmp_path / "root"))
    assert found.path == path


@pytest.mark.parametrize("stand_in", [None, "ten words"])
def test_a_damaged_file_is_an_error_and_stays(home, stand_in):
    path = put(home / "file.bin", BODY[:-1])
    with serving(sends(BODY)) as url, pytest.raises(DamagedFile) as caught:
        obtain("file.bin", urls=url, sha256=SHA256, stand_in=stand_in)
    message = str(caught.value)
    assert str(path) in message and SHA256 in message and "Delete it" in message
    assert path.read_bytes() == BODY[:-1]


def test_a_folder_that_may_not_be_looked_into(monkeypatch, home):
    def refuse(_):
        raise PermissionError(13, "Permission denied")

    put(home / "file.bin")
    monkeypatch.setattr(Path, "is_file", refuse)
    with pytest.raises(AssetUnavailable, match="PYTORCH_BOOK_DATA"):
        obtain("file.bin", urls=[], sha256=SHA256)


# step 2: a download


def test_a_download_then_the_disk(home):
    with serving(sends(BODY)) as url:
        first = obtain("sub/file.bin", urls=f"{url}/f", sha256=SHA256)
    again = obtain("sub/file.bin", urls=f"{url}/f", sha256=SHA256)
    assert (first.source, again.source) == (Source.DOWNLOAD, Source.DISK)
    assert first.path == again.path == home / "sub" / "file.bin"
    assert str(first) == "sub/file.bin: downloaded, from 127.0.0.1, checksum agrees"


def test_mirrors_are_tried_in_order(home):
    asked = []

    def answer(request, stopped):
        asked.append(request.path)
        routes(
            {
                "/wrong": sends(b"a login page"),
                "/silent": silent,
                "/good": sends(BODY),
                "/never": sends(BODY),
            }
        )(request, stopped)

    names = ["missing", "wrong", "silent", "good", "never"]
    with serving(answer) as url:
        urls = [NOWHERE] + [f"{url}/{name}" for name in names]
        found = obtain("file.bin", urls=urls, sha256=SHA256, timeout=SHORT)
    assert found.source is Source.DOWNLOAD
    assert found.path.read_bytes() == BODY
    assert asked == ["/missing", "/wrong", "/silent", "/good"]
    assert [path.name for path in home.iterdir()] == ["file.bin"]


def test_all_mirrors_fail(home, tmp_path):
    answers = {"/wrong": sends(b"a login page"), "/cut": sends(BODY, announce=9999)}
    with serving(routes(answers)) as url, pytest.raises(AssetUnavailable) as caught:
        obtain(
            "file.bin",
            urls=[f"{url}/{name}" for name in ("missing", "wrong", "cut")],
            sha256=SHA256,
            also=[tmp_path / "cache" / "file.bin"],
        )
    first, places, *advice = str(caught.value).splitlines()
    assert first.startswith("file.bin is neither on disk nor downloaded")
    for reason in ("HTTP 404", f"expected sha256 {SHA256}", "2,600 of 9,999 bytes"):
        assert reason in first
    assert str(home / "file.bin") in places and "cache" in places
    for variable in ("PYTORCH_BOOK_DATA", "PYTORCH_BOOK_OFFLINE"):
        assert variable in " ".join(advice)
    assert list(home.iterdir()) == []


def test_a_folder_that_can_not_be(monkeypatch, tmp_path):
    monkeypatch.setenv("PYTORCH_BOOK_DATA", str(put(tmp_path / "file") / "data"))
    with serving(sends(BODY)) as url, pytest.raises(AssetUnavailable) as caught:
        obtain("file.bin", urls=[f"{url}/1", f"{url}/2"], sha256=SHA256)
    assert str(caught.value).count("can not be written") == 1


# step 3: a stand-in


def test_offline(monkeypatch):
    monkeypatch.setenv("PYTORCH_BOOK_OFFLINE", "1")
    asked = []
    with serving(lambda *_: asked.append(1)) as url:
        with pytest.raises(AssetUnavailable) as caught:
            obtain("file.bin", urls=url, sha256=SHA256)
        found = obtain("file.bin", urls=url, sha256=SHA256, stand_in="ten words")
    assert not asked
    assert str(caught.value).splitlines()[0] == (
        "file.bin is neither on disk nor downloaded: PYTORCH_BOOK_OFFLINE is set"
    )
    assert (found.source, found.path) == (Source.STAND_IN, None)
    assert str(found) == "file.bin: stand-in, ten words (PYTORCH_BOOK_OFFLINE is set)"


def test_a_stand_in_that_is_a_file_when_the_network_fails(tmp_path):
    small = put(tmp_path / "small.pt")
    with serving(sends(b"", status=500)) as url:
        found = obtain(
            "file.bin",
            urls=f"{url}/f",
            sha256=SHA256,
            stand_in="a small network",
            stand_in_path=small,
        )
    assert (found.source, found.path) == (Source.STAND_IN, small)
    assert "a small network" in str(found) and "HTTP 500" in str(found)
    assert "\n" not in str(found)


def test_nothing_to_download_from():
    with pytest.raises(AssetUnavailable, match="no download was asked for"):
        obtain("file.bin", urls=())


# what a data set builds on this


class Pictures:
    """An archive and a packed file of labels, kept unpacked; or three stand-ins."""

    def __init__(self, url: str, checksums: dict[str, str]) -> None:
        folder = data_home() / "pictures"
        try:
            files = {
                name: obtain(name, urls=f"{url}/{name}", sha256=sha256, folder=folder)
                for name, sha256 in checksums.items()
            }
        except AssetUnavailable as error:
            note = f"three digits ({str(error).splitlines()[0]})"
            self.asset = Asset("Pictures", Source.STAND_IN, note=note)
            self.items = [b"1", b"2", b"3"]
            return
        self.asset = Asset("Pictures", files["labels.gz"].source, folder)
        with tarfile.open(files["pictures.tar.gz"].path) as archive:
            archive.extractall(folder, filter="data")
        names = gzip.decompress(files["labels.gz"].path.read_bytes()).split()
        self.items = [(folder / name.decode()).read_bytes() for name in names]


def test_a_data_set_of_several_files(home):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name in ("a", "b"):
            member = tarfile.TarInfo(name)
            member.size = 3
            archive.addfile(member, io.BytesIO(name.encode() * 3))
    contents = {
        "pictures.tar.gz": packed.getvalue(),
        "labels.gz": gzip.compress(b"b a"),
    }
    checksums = {name: hashlib.sha256(c).hexdigest() for name, c in contents.items()}
    answers = {f"/{name}": sends(content) for name, content in contents.items()}
    incomplete = {"/pictures.tar.gz": answers["/pictures.tar.gz"]}

    with serving(routes(incomplete)) as url:
        pictures = Pictures(url, checksums)
    assert pictures.items == [b"1", b"2", b"3"]
    assert "stand-in, three digits" in str(pictures.asset)
    assert "HTTP 404" in str(pictures.asset)
    with serving(routes(answers)) as url:
        pictures = Pictures(url, checksums)
    assert pictures.items == [b"bbb", b"aaa"]
    assert str(pictures.asset) == "Pictures: downloaded"
    assert str(Pictures(url, checksums).asset) == "Pictures: found on disk"
