"""Pins of this platform only, and what is installed of them."""

import importlib.metadata

import pytest

from ch01_intro import pinned
from ch01_intro.pinned import differing, pinned_here

PINS = """
torch==2.14.1
one==1.0 ; sys_platform == "linux"  # chapter 6
two[extra]==2.0 ; sys_platform != 'win32'
-e .
"""


@pytest.mark.parametrize(
    ("platform", "also"),
    [
        ("linux", {"one": "1.0", "two": "2.0"}),
        ("darwin", {"two": "2.0"}),
        ("win32", {}),
    ],
)
def test_a_condition_is_heeded(tmp_path, monkeypatch, platform, also):
    (tmp_path / "requirements.txt").write_text(PINS, encoding="utf-8")
    monkeypatch.setattr(pinned.sys, "platform", platform)
    assert pinned_here(tmp_path) == {"torch": "2.14.1"} | also


def test_missing_and_other_versions(monkeypatch):
    def version(name):
        if name == "gone":
            raise importlib.metadata.PackageNotFoundError(name)
        return "2.14.1+cu130"

    monkeypatch.setattr(importlib.metadata, "version", version)
    wanted = {"torch": "2.14.1", "gone": "1.0", "old": "2.13.0"}
    assert differing(wanted) == (["gone"], ["old 2.14.1+cu130 (pinned 2.13.0)"])
    assert differing({}) == ([], [])
