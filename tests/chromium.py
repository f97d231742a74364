"""The browser that is installed already, driven without a window."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

PATH = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))),
    None,
)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@contextmanager
def chromium() -> Iterator[Any]:
    """Playwright's browser, which ends with the block."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=PATH, args=FLAGS)
        try:
            yield browser
        finally:
            with suppress(Exception):  # it may have crashed
                browser.close()
