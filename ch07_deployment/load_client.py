"""A client that loads a server with photographs and measures its answers.

    python -m ch07_deployment.load_client http://127.0.0.1:8000/predict cat.jpg dog.jpg
    python -m ch07_deployment.load_client URL PHOTO --clients 32 --seconds 5

Every client posts its next photograph, as the form field `file`, when the answer to the
last is there. What ends in the warm-up is left out. It is HTTP/1.1 on asyncio's
streams, in a process of its own: where client and server share two cores, a full HTTP
library would take a good part of them for itself.

Imports the standard library and psutil only: this module can be copied alone.
"""

import argparse
import asyncio
import json
import math
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil

BOUNDARY = "photograph"


@dataclass(frozen=True)
class Load:
    """What a server did in the time that counts."""

    name: str
    per_second: float  # good answers
    p50_ms: float
    p99_ms: float
    errors: int  # answers other than 200, and connections that broke
    cpu_ms: float = math.nan  # of the server's processes, for each good answer


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that at least `percent` % of the values do not exceed.

    The "nearest rank": always one of the values. NaN where there is none; raises
    `ValueError` for a percentage outside (0, 100].
    """
    if not 0 < percent <= 100:
        raise ValueError(f"{percent} is no percentage above 0 and up to 100")
    if not values:
        return math.nan
    return sorted(values)[math.ceil(len(values) * percent / 100) - 1]


def upload(file: bytes, *, host: str, path: str) -> bytes:
    """A whole HTTP/1.1 request that posts an image as the multipart field `file`."""
    body = (
        f"--{BOUNDARY}\r\n"
        'Content-Disposition: form-data; name="file"; filename="photo"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    ).encode() + file
    body += f"\r\n--{BOUNDARY}--\r\n".encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\n"
        f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def answer(reader: asyncio.StreamReader) -> tuple[int, bytes, bool]:
    """One HTTP answer: its status, its body, whether the connection stays open.

    Raises `ConnectionError` where the answer ends too early or has no length.
    """
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        lines = head.split("\r\n")
        protocol, status = lines[0].split()[:2]
        fields = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
        body = await reader.readexactly(int(fields["content-length"]))
    except (
        asyncio.IncompleteReadError,
        asyncio.LimitOverrunError,  # a header without end
        KeyError,
        ValueError,
    ) as error:
        raise ConnectionError(f"no whole answer: {error!r}") from error
    keep = protocol == "http/1.1" and fields.get("connection") != "close"
    return int(status), body, keep


async def client(
    host: str, port: int, requests: Sequence[bytes], *, until: float
) -> list[tuple[float, float, int]]:
    """Send the requests in turn until `until` (`time.perf_counter()`).

    Gives (end, seconds, status) of each; status 0 is a connection that broke. A server
    that closes the connection after an answer gets a new one for the next request.
    """
    seen = []
    reader = writer = None
    while (start := time.perf_counter()) < until:
        try:
            if writer is None:
                reader, writer = await asyncio.open_connection(host, port)
            writer.write(requests[len(seen) % len(requests)])
            status, _, keep = await asyncio.wait_for(answer(reader), 30)
        except (OSError, TimeoutError):
            status, keep = 0, False
            await asyncio.sleep(0.01)  # a dead server is not asked in a tight loop
        end = time.perf_counter()
        seen.append((end, end - start, status))
        if not keep and writer is not None:
            writer.close()
            writer = None
    if writer is not None:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
    return seen


async def load(
    url: str,
    files: Sequence[bytes],
    *,
    clients: int = 32,
    seconds: float = 5.0,
    warm_up: float = 1.0,
    pid: int | None = None,
) -> Load:
    """`clients` at once for `warm_up + seconds`; what ends in the warm-up is left out.

    `pid` is the server's process: its CPU time and that of its children is counted.
    """
    address = urlsplit(url)
    host, port = address.hostname or "127.0.0.1", address.port or 80
    path = address.path or "/predict"
    requests = [upload(file, host=address.netloc, path=path) for file in files]
    begin = time.perf_counter() + warm_up
    until = begin + seconds
    turns = [requests[i % len(requests) :] + requests for i in range(clients)]
    busy, *seen = await asyncio.gather(
        cpu_between(pid, begin, until),
        *(client(host, port, turn, until=until) for turn in turns),
    )
    counted = [one for mine in seen for one in mine if one[0] >= begin]
    good = [(end, took) for end, took, status in counted if status == 200]
    times = [1000 * took for _, took in good]
    inside = sum(end <= until for end, _ in good)
    return Load(
        url,
        per_second=inside / seconds,
        p50_ms=percentile(times, 50),
        p99_ms=percentile(times, 99),
        errors=len(counted) - len(good),
        cpu_ms=1000 * busy / inside if inside else math.nan,
    )


async def cpu_between(pid: int | None, begin: float, end: float) -> float:
    """CPU seconds that a process and its children take between two moments."""
    if pid is None:
        return math.nan
    parent, taken = psutil.Process(pid), []
    for moment in (begin, end):
        await asyncio.sleep(max(0.0, moment - time.perf_counter()))
        family = [parent, *parent.children(recursive=True)]
        taken.append(sum(sum(member.cpu_times()[:2]) for member in family))
    return taken[1] - taken[0]


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url")
    parser.add_argument("photos", nargs="+", type=Path)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=5, help="that count")
    parser.add_argument("--warm-up", type=float, default=1, help="seconds before them")
    parser.add_argument(
        "--pid", type=int, help="of the server: count its CPU time, too"
    )
    options = vars(parser.parse_args(argv))
    files = [path.read_bytes() for path in options.pop("photos")]
    print(json.dumps(asdict(asyncio.run(load(options.pop("url"), files, **options)))))


if __name__ == "__main__":
    main()
