"""A zip from somewhere else: unpacked, or refused before anything is written."""

import io
import zipfile

import pytest

from ch01_intro.assets import DamagedFile
from ch04_reference_designs.archives import unpack


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in files.items():
            packed.writestr(name, content)
    return buffer.getvalue()


def test_what_comes_out(tmp_path):
    (tmp_path / "a.zip").write_bytes(zipped({"a/b.txt": b"b", "a/c/d.txt": b"d" * 999}))
    unpack(tmp_path / "a.zip", tmp_path / "out")
    assert (tmp_path / "out/a/c/d.txt").read_bytes() == b"d" * 999
    assert (tmp_path / "out/a/b.txt").read_bytes() == b"b"


@pytest.mark.parametrize(
    "name",
    ["../evil.txt", "a/../../evil.txt", "/evil.txt", "..\\evil.txt", "C:\\e.txt"],
)
def test_paths_that_lead_out_are_refused(tmp_path, name):
    (tmp_path / "a.zip").write_bytes(zipped({"good.txt": b"", name: b""}))
    with pytest.raises(DamagedFile, match="outside"):
        unpack(tmp_path / "a.zip", tmp_path / "out")
    assert [path.name for path in tmp_path.rglob("*")] == ["a.zip"]


def test_too_much_is_refused(tmp_path):
    (tmp_path / "a.zip").write_bytes(zipped({"zeros": bytes(2_000)}))
    with pytest.raises(DamagedFile, match="more than 1,999 bytes"):
        unpack(tmp_path / "a.zip", tmp_path / "out", largest=1_999)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("damage", ["cut off", "one byte", "a web page"])
def test_a_damaged_archive(tmp_path, damage):
    content = bytearray(zipped({"noise": bytes(range(256)) * 4}))
    if damage == "cut off":
        content = content[:-30]
    elif damage == "one byte":
        content[50] ^= 0xFF
    else:
        content = b"<html>please log in</html>"
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(DamagedFile, match=r"a\.zip is damaged.*Delete it"):
        unpack(tmp_path / "a.zip", tmp_path / "out")
