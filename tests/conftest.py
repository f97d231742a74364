"""Tests draw without a window; fixtures for a reader without data, and to spawn.

The first is said to matplotlib and not through MPLBACKEND, which the kernels of the
notebooks would inherit: they need the inline backend.
"""

import sys

import matplotlib
import pytest

from tests import chromium

matplotlib.use("agg")


@pytest.fixture
def home(monkeypatch, tmp_path):
    """An empty data folder; downloads allowed, without a proxy."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.delenv("PYTORCH_BOOK_OFFLINE", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("PYTORCH_BOOK_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium; the test is left out where there is none."""
    pytest.importorskip("playwright.sync_api")
    if chromium.PATH is None:
        pytest.skip("there is no chromium here")
    with chromium.chromium() as browser:
        yield browser


@pytest.fixture
def spawning(monkeypatch):
    """Processes can be spawned: they ask for what pytest-xdist's main module lacks."""
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None, raising=False)
