"""Download one file so that it arrives whole and checked, or not at all.

Nothing here belongs to PyTorch: this module can be copied alone to another project.
"""

import hashlib
import http.client
import os
import re
import secrets
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

MIN_RATE = 2_000  # bytes a second; a server below it counts as one that hangs


class AssetUnavailable(RuntimeError):
    """A file can not be had; the first line says why, the others what to do."""

    @property
    def reason(self) -> str:
        """The first line without what stands before its colon, the file's name."""
        first = str(self).splitlines()[0]
        return first.partition(": ")[2] or first


class DamagedFile(ValueError):
    """A file is not what it should be; the message names it and says what to do."""


def offline() -> bool:
    """Whether `PYTORCH_BOOK_OFFLINE` forbids downloads."""
    wish = os.environ.get("PYTORCH_BOOK_OFFLINE", "").strip().lower()
    return wish not in {"", "0", "false", "no"}


def verify(
    path: Path | str, sha256: str | None = None, size: int | None = None
) -> Path:
    """Return `path` if the file has this checksum and this size in bytes.

    `sha256`: the 64 hex digits, or at least the first 8 (torchvision writes them into
    the names of its weight files). Raises `DamagedFile`, or `OSError` where the file
    can not be read.
    """
    path, sha256 = Path(path), _hex_digits(sha256)
    digest = ""
    if sha256:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    if problem := _problem(digest, path.stat().st_size, sha256, size):
        raise DamagedFile(
            f"{path} is damaged, or another file: {problem}. Delete it, so that it is "
            "downloaded again, or put a good copy in its place."
        )
    return path


def download(
    url: str,
    path: Path | str,
    *,
    sha256: str | None = None,
    size: int | None = None,
    timeout: float = 10.0,
    progress: bool = True,
) -> Path:
    """Download to `path`, all or nothing; `sha256` and `size` are those of `verify`.

    A file that is there is replaced by a good one only, and no part of a bad one stays.
    `timeout`: seconds to wait for any sign of life. The answer has to begin within
    twice that, and then to bring `MIN_RATE` over each such stretch of time.
    Raises `AssetUnavailable` (network or disk), `DamagedFile` (not what was expected),
    `ValueError` (the URL is not http).
    """
    if urlsplit(url).scheme not in {"http", "https"}:
        raise ValueError(f"{url} does not begin with https:// or http://")
    path, sha256 = Path(path).expanduser(), _hex_digits(sha256)
    if offline():
        raise AssetUnavailable(f"{url}: not asked, PYTORCH_BOOK_OFFLINE is set")
    part = path.with_name(f"{path.name}.{os.getpid()}-{secrets.token_hex(4)}.part")
    digest, count = hashlib.sha256(), 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("xb") as file, closing(_answer(url, timeout)) as answer:
            announced = answer.length  # None where the server does not say
            if size is not None and announced not in {None, size}:
                raise _refused(url, path, _problem("", announced, None, size))
            with _bar(path.name, announced or size, progress) as bar:
                for piece in _pieces(url, answer, timeout):
                    file.write(piece)
                    digest.update(piece)
                    count += len(piece)
                    bar.update(len(piece))
                    if size is not None and count > size:
                        break
        if problem := _problem(digest.hexdigest(), count, sha256, size):
            raise _refused(url, path, problem)
        try:
            part.replace(path)
        except PermissionError as error:  # Windows, while another process reads `path`:
            try:  # if that has the same content, all is well
                verify(path, digest.hexdigest(), count)
            except (OSError, DamagedFile):
                raise error from None
    except OSError as error:  # of the disk; `_answer` and `_pieces` keep the network's
        raise AssetUnavailable(
            f"{path} can not be written ({error.strerror or error}): set "
            "PYTORCH_BOOK_DATA to a folder that can be written to and has room"
        ) from error
    finally:
        with suppress(OSError):
            part.unlink()
    return path


def _answer(url: str, timeout: float) -> http.client.HTTPResponse:
    """The open answer to a GET. A thread waits for it, because the look-up of a name
    has no time-out, and because headers can come a byte at a time."""
    opener = urllib.request.build_opener(_StrictRedirects)
    request = urllib.request.Request(url, headers={"User-Agent": "pytorch-book"})
    future: Future[http.client.HTTPResponse] = Future()

    def ask() -> None:
        try:
            future.set_result(opener.open(request, timeout=timeout))
        except Exception as error:
            future.set_exception(error)

    def close(late: Future[http.client.HTTPResponse]) -> None:
        answer = late.exception() or late.result()
        if hasattr(answer, "close"):  # an `HTTPError` is an answer, too
            answer.close()

    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = future.result(2 * timeout)
        if answer.status != 200:
            raise urllib.error.URLError(f"HTTP {answer.status}, and no file")
        return answer
    except BaseException as error:
        future.add_done_callback(close)
        if not isinstance(error, (OSError, ValueError, http.client.HTTPException)):
            raise
        raise AssetUnavailable(f"{url}: {_words(error, timeout)}") from error


def _pieces(
    url: str, answer: http.client.HTTPResponse, timeout: float
) -> Iterator[bytes]:
    """The body; `AssetUnavailable` where it hangs, drips or is cut off."""
    announced, count = answer.length, 0
    start, count_then = time.monotonic(), 0
    try:
        while piece := answer.read1(1 << 16):  # at most one wait for the network
            yield piece
            count += len(piece)
            seconds = time.monotonic() - start
            if seconds >= timeout:
                if count - count_then < MIN_RATE * seconds:
                    raise TimeoutError
                start, count_then = time.monotonic(), count
    except (OSError, http.client.HTTPException) as error:
        reason = f"{_words(error, timeout)}, after {count:,} bytes"
        raise AssetUnavailable(f"{url}: {reason}") from error
    if announced is not None and count != announced:
        reason = f"cut off, {count:,} of {announced:,} bytes came"
        raise AssetUnavailable(f"{url}: {reason}")


class _StrictRedirects(urllib.request.HTTPRedirectHandler):
    """From https to https only, from http to either."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        allowed = {"https"} if req.type == "https" else {"https", "http"}
        if urlsplit(newurl).scheme not in allowed:
            fp.close()
            raise urllib.error.URLError(f"sent on to {newurl}, which is not safe")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _words(error: BaseException, timeout: float) -> str:
    """What went wrong on the network, in one line."""
    cause = getattr(error, "reason", error)
    if isinstance(cause, TimeoutError):
        return f"no answer, or too slow (time-out of {timeout:g} s)"
    text = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
    code = f"HTTP {error.code} " if isinstance(error, urllib.error.HTTPError) else ""
    return code + " ".join(text.split())


def _hex_digits(sha256: str | None) -> str | None:
    if sha256 is not None and not re.fullmatch("[0-9a-fA-F]{8,64}", sha256):
        raise ValueError(f"{sha256!r} is not 8 to 64 hex digits of a SHA-256 checksum")
    return sha256 and sha256.lower()


def _problem(
    digest: str, count: int, sha256: str | None, size: int | None
) -> str | None:
    if size is not None and count != size:
        return f"expected {size:,} bytes, found {count:,}"
    if sha256 and not digest.startswith(sha256):
        return f"expected sha256 {sha256}, found {digest[: len(sha256)]}"
    return None


def _refused(url: str, path: Path, problem: str | None) -> DamagedFile:
    return DamagedFile(
        f"{url} sent something else than {path.name}: {problem}. {path} was left as it "
        "was. Try again later, or on another network (a login page may have answered)."
    )


def show_bar(wanted: bool = True) -> bool:
    """Whether a progress bar would be seen: on a terminal, in a notebook, not in a log
    file, and not with TQDM_DISABLE."""
    wanted = wanted and os.environ.get("TQDM_DISABLE", "") in {"", "0"}
    notebook = type(sys.stderr).__module__.startswith("ipykernel")
    return wanted and (notebook or (sys.stderr is not None and sys.stderr.isatty()))


def _bar(name: str, total: int | None, progress: bool) -> Any:
    from tqdm import tqdm  # here: without it this module can still be imported

    options = {"unit": "B", "unit_scale": True, "disable": not show_bar(progress)}
    return tqdm(total=total, desc=name, **options)
