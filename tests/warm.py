"""Start Python programs out of a process that has imported the heavy packages already.

To import torch and torchvision takes seconds of a core, and the tests start hundreds of
programs: a kernel for each notebook, commands, snippets, training runs that are killed.
On Linux a server process imports the packages once and forks for each program. The
program has its own session, environment, folder and arguments, and nothing of another
one; only modules that were imported before it began are there at once. Elsewhere, where
a fork is missing or unsafe, each program gets a new interpreter.
"""

import atexit
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil
import pytest

from tests.warm_server import LARGEST

SERVER = Path(__file__).with_name("warm_server.py")
FORKS = sys.platform == "linux"
PRELOADED = (
    "numpy",
    "PIL.Image",
    "torch",
    "torchvision.transforms.v2",
    "torch._dynamo",
    "matplotlib.figure",
    "matplotlib.backends.backend_agg",
)
# What packages read while they are imported: another value asks for another server.
READ_EARLY = ("OMP_", "MKL_", "CUDA_", "MPL", "PYTHON", "TORCH")
READ_LATE = ("TORCHELASTIC_",)  # another value in each run
needs_fork = pytest.mark.skipif(not FORKS, reason="no fork, or not a safe one")
forked_or_new = pytest.mark.parametrize(
    "forks", [pytest.param(True, marks=needs_fork), False]
)


class Program:
    """A program that runs: what `subprocess.Popen` offers, without pipes.

    Attributes:
        pid: its process, which leads a session and a process group of its own.
        returncode: as of `Popen`; None while it runs, as far as `poll` has seen.
    """

    stdin = stdout = stderr = None

    def __init__(self, server: "Server", pid: int) -> None:
        self._server, self.pid = server, pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self._server.ask({"poll": self.pid})
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        end = None if timeout is None else time.monotonic() + timeout
        pause = 0.001
        while self.poll() is None:
            if end is not None and time.monotonic() > end:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout)
            time.sleep(pause)
            pause = min(2 * pause, 0.05)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)


class Server:
    """A process that has imported `modules` and forks; it ends with this one."""

    def __init__(self, modules: tuple[str, ...], env: dict[str, str]) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._lock = threading.Lock()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, str(SERVER), str(theirs.fileno()), *modules],
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        self.pid = self._process.pid
        atexit.register(self.close)

    def close(self) -> None:
        """End it; what it started goes on."""
        self._socket.close()
        self._process.kill()
        self._process.wait()

    def ask(self, order: dict[str, object], files: tuple[int, ...] = ()):
        """Send the order and open files; the answer.

        Raises:
            RuntimeError: if the server has ended.
        """
        with self._lock:
            try:
                socket.send_fds(self._socket, [json.dumps(order).encode()], files)
                answer = self._socket.recv(LARGEST)
            except OSError:  # a message may also be too long
                if self._process.poll() is None:
                    raise
                answer = b""
        if not answer:
            raise RuntimeError(f"the server ended: {self._process.wait()}")
        return json.loads(answer)


_servers: dict[tuple, Server] = {}
_starting = threading.Lock()


def server(env: dict[str, str], modules: tuple[str, ...] = PRELOADED) -> Server:
    """The server for programs of this environment; it is started where there is none.

    Args:
        env: the program's environment.
        modules: what the server has imported.
    """
    early = {
        name: value
        for name, value in env.items()
        if name.startswith(READ_EARLY) and not name.startswith(READ_LATE)
    }
    key = (modules, *sorted(early.items()))
    with _starting:
        if key not in _servers:
            own = {k: v for k, v in os.environ.items() if not k.startswith(READ_EARLY)}
            _servers[key] = Server(modules, own | early)
        return _servers[key]


def start(
    arguments: list[str],
    *,
    cwd: str | Path | None = None,
    env: dict[str, str] | None = None,
    stdout: int | None = None,
    stderr: int | None = None,
    modules: tuple[str, ...] = PRELOADED,
    forks: bool = FORKS,
) -> Program | subprocess.Popen:
    """Start `python *arguments`.

    Args:
        arguments: "-u" or nothing, then "-m" and a module, "-c" and code, or a file;
            then its arguments.
        cwd: its folder; this process's one by default.
        env: its environment; this process's one by default.
        stdout, stderr: open files or their numbers, or `subprocess.DEVNULL`; None is
            what this process has. Its stdin is empty.
        modules: what it finds imported.
        forks: whether it is forked, or gets a new interpreter.
    """
    arguments = [str(argument) for argument in arguments]
    env = dict(os.environ if env is None else env)
    cwd = str(Path.cwd() if cwd is None else cwd)
    if not forks:
        return subprocess.Popen(
            [sys.executable, *arguments],
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
    ours = server(env, modules)
    with Path(os.devnull).open("r+b") as null:
        files = [null.fileno()]
        for number, file in ((1, stdout), (2, stderr)):
            file = number if file is None else file
            file = null if file == subprocess.DEVNULL else file
            files.append(file if isinstance(file, int) else file.fileno())
        pid = ours.ask({"run": arguments, "cwd": cwd, "env": env}, tuple(files))
    return Program(ours, pid)


def run(
    arguments: list[str],
    *,
    timeout: float | None = None,
    **where: object,
) -> subprocess.CompletedProcess:
    """Run `python *arguments` to its end; what it wrote is in `stdout` and `stderr`.

    Args:
        arguments: as of `start`, which takes `where` as well.
        timeout: seconds after which it is killed, with all that it started.

    Raises:
        subprocess.TimeoutExpired: if it was killed.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        program = start(arguments, stdout=out, stderr=err, **where)
        try:
            code = program.wait(timeout)
        except BaseException:
            end(program)
            raise
        said = []
        for file in (out, err):
            file.seek(0)
            said.append(file.read().decode("utf-8", errors="replace"))
    return subprocess.CompletedProcess([sys.executable, *arguments], code, *said)


def end(program: Program | subprocess.Popen) -> None:
    """End the program and, where there are process groups, what it started."""
    with contextlib.suppress(ProcessLookupError, AttributeError):
        os.killpg(program.pid, signal.SIGKILL)
    if os.name == "nt":
        with contextlib.suppress(psutil.Error):
            for child in psutil.Process(program.pid).children(recursive=True):
                child.kill()
    program.kill()
    program.wait()
