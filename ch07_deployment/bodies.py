"""The image in a request's body, raw or as a form's file, within a limit of bytes."""

import asyncio
import time
from collections.abc import AsyncIterator

from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

FIELD = "file"  # of the form
RAW = ("application/octet-stream", "")
FORM_OVERHEAD = 10_000  # bytes of a form besides its file


class Problem(Exception):
    """What went wrong, as it is told to the client: a status, a code and a message."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.headers = headers or {}


async def image_bytes(request: Request, *, limit: int, timeout: float) -> bytes:
    """The bytes of the image that a request carries, at most `limit`.

    Content-Type `image/*` or `application/octet-stream` (or none): the body itself;
    `multipart/form-data`: the field `file`. Raises `Problem`: 400 where there is no
    image or the form is broken, 408 where the body takes more than `timeout` seconds,
    413 where it is too long, 415 for another Content-Type.
    """
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    form = kind == "multipart/form-data"
    if not (form or kind.startswith("image/") or kind in RAW):
        raise Problem(
            415,
            "unsupported_media_type",
            "send multipart/form-data with a file, or an image as image/* or "
            "application/octet-stream",
        )
    try:
        async with asyncio.timeout(timeout):
            body = await read_body(request, limit + FORM_OVERHEAD * form)
            data = await file_of_form(request, body) if form else body
    except TimeoutError:
        raise Problem(
            408, "request_timeout", f"the body took more than {timeout:g} s", CLOSE
        ) from None
    if len(data) > limit:
        raise too_large(limit)
    if not data:
        raise Problem(400, "empty_body", "there is no image in the request")
    return data


CLOSE = {"connection": "close"}


def too_large(limit: int) -> Problem:
    return Problem(413, "body_too_large", f"{limit:,} bytes at most", CLOSE)


async def read_body(request: Request, limit: int) -> bytes:
    """The whole body. Counts what arrives and not only what Content-Length says.

    Of a body that is too long a little more is read and thrown away, so that a client
    which is still sending gets to read the answer.
    """
    declared = request.headers.get("content-length", "0")
    too_long = len(declared) > 15 or int(declared) > limit
    chunks, size, end = [], 0, time.monotonic() + 2
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            too_long = True
        if not too_long:
            chunks.append(chunk)
        elif size > 4 * limit or time.monotonic() > end:
            break
    if too_long:
        raise too_large(limit)
    return b"".join(chunks)


async def file_of_form(request: Request, body: bytes) -> bytes:
    """What the form's field `file` holds; 400 where there is none."""

    async def once() -> AsyncIterator[bytes]:
        yield body

    parser = MultiPartParser(request.headers, once(), max_files=1, max_fields=10)
    parser.spool_max_size = len(body) + 1  # stays in memory: it is there already
    try:
        form = await parser.parse()
    except (MultiPartException, ValueError, KeyError, IndexError) as error:
        reason = getattr(error, "message", type(error).__name__)
        raise Problem(400, "bad_form", f"the form can not be read: {reason}") from None
    try:
        file = form.get(FIELD)
        if file is None or isinstance(file, str):
            raise Problem(400, "no_file", f"there is no file in the field {FIELD!r}")
        return await file.read()
    finally:
        await form.close()


__all__ = ["ClientDisconnect", "Problem", "image_bytes"]
