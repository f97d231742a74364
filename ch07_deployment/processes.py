"""Start a server in a process of its own, wait until it answers, and stop it.

Can be copied together with chapter 6's launch.py.
"""

import http.client
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from ch06_acceleration.launch import free_port

__all__ = ["Server", "ServerFailed", "answers", "free_port", "running", "stop"]

PATIENCE = 10  # seconds that a server has to finish after SIGTERM


class ServerFailed(RuntimeError):
    """The process ended, or did not answer in time; the message has its last lines."""


@dataclass(frozen=True)
class Server:
    """A running server: its address, its process, and what it wrote so far."""

    url: str
    process: subprocess.Popen
    log_file: Path

    def log(self) -> str:
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def memory_mb(self) -> float:
        """Megabytes of RAM (resident) of the process and its children together."""
        parent = psutil.Process(self.process.pid)
        total = 0
        for process in [parent, *parent.children(recursive=True)]:
            with suppress(psutil.Error):
                total += process.memory_info().rss
        return total / 1e6


@contextmanager
def running(
    command: Sequence[str],
    *,
    port: int,
    ready: str = "/",
    seconds: float = 60,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """Run `python COMMAND...` until the block is left; yield it once it answers.

    `ready` is the path that answers with a status below 400 when the server is up,
    `seconds` how long to wait for that. At the end the server gets SIGTERM and ten
    seconds to finish; what is left of it and its children is then killed. Raises
    `ServerFailed` where it does not come up.
    """
    url = f"http://127.0.0.1:{port}"
    variables = {"OMP_NUM_THREADS": "1", "PYTHONUTF8": "1", **os.environ}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        log_file = Path(folder) / "log.txt"
        with log_file.open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, *command],
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={**variables, **(environment or {})},
            )
        server = Server(url, process, log_file)
        try:
            _wait_until_ready(server, url + ready, seconds)
            yield server
        finally:
            stop(process)


def stop(process: subprocess.Popen, *, seconds: float | None = None) -> int:
    """Ask a process to end (SIGTERM) and wait; its exit code.

    Children that outlive it are asked, too. What is left then is killed.
    """
    family: list[psutil.Process] = []
    with suppress(psutil.Error):
        family = psutil.Process(process.pid).children(recursive=True)
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE if seconds is None else seconds)
    if process.poll() is None:
        process.kill()
    alive = family  # LitServe's server, for one, leaves its children behind
    for end in (psutil.Process.terminate, psutil.Process.kill):
        for child in alive:
            with suppress(psutil.Error):
                end(child)
        _, alive = psutil.wait_procs(alive, timeout=2)
    return process.wait()


def answers(url: str, *, seconds: float = 1) -> bool:
    """Whether a GET gets a status below 400; no proxy is asked."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=seconds) as response:
            return response.status < 400
    except (OSError, http.client.HTTPException):
        return False


def _wait_until_ready(server: Server, url: str, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not answers(url):
        code = server.process.poll()
        if code is not None or time.monotonic() > end:
            why = f"ended with {code}" if code is not None else f"no answer: {url}"
            tail = "\n".join(server.log().splitlines()[-15:])
            raise ServerFailed(f"{why} after at most {seconds:.0f} s\n{tail}")
        time.sleep(0.1)
