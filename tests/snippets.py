"""Run snippets alone: in an empty folder, a fresh interpreter, without this repository.

On Linux a server process imports the heavy packages once and forks for each snippet:
tens of milliseconds instead of seconds, and no snippet sees what another one did.
Elsewhere, where a fork is missing or unsafe, each snippet gets a new interpreter.

This file imports the standard library only: its processes run it by its path.
"""

import contextlib
import importlib
import multiprocessing
import os
import re
import runpy
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FORKS = sys.platform == "linux"
LIMIT = 600.0  # seconds; most take one, but a loaded machine can be 50 times slower
PRELOADED = ("numpy", "torch", "matplotlib.pyplot")
# torchvision imports hundreds of torch's own modules, so that a snippet could use one
# without importing it. Only snippets that name torchvision start from there.
HEAVIER = (*PRELOADED, "torchvision")


@dataclass(frozen=True)
class Result:
    """What became of a snippet."""

    exit_code: int | None  # None: it was stopped
    finished: bool  # it came to its last line
    stdout: str
    stderr: str

    @property
    def problem(self) -> str:
        """What is wrong, with all that was written; empty if nothing is."""
        if self.exit_code is None:
            what = "stopped at the time limit"
        elif self.exit_code:
            what = f"exit code {self.exit_code}"
        elif not self.finished:
            what = "ended before its last line"
        elif self.stderr:
            what = "wrote to stderr"
        else:
            return ""
        return f"{what}\n--- stdout\n{self.stdout}\n--- stderr\n{self.stderr}"


class Runner:
    """Runs snippets, one at a time; its servers end with the `with` block."""

    def __init__(self, *, forks: bool = FORKS) -> None:
        self.forks = forks
        self._servers: dict[tuple[str, ...], subprocess.Popen] = {}

    def __enter__(self) -> "Runner":
        return self

    def __exit__(self, *_: object) -> None:
        for server in self._servers.values():
            server.kill()  # it holds nothing, and its own way out takes seconds
            server.communicate()

    def run(self, source: str, *, limit: float = LIMIT) -> Result:
        """Run it, for `limit` seconds at most, and end what it left running."""
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
            folder = Path(name)
            (folder / "empty").mkdir()
            for file, text in (("snippet.py", source), ("stdout", ""), ("stderr", "")):
                (folder / file).write_text(text, encoding="utf-8")
            if self.forks:
                code = _ask(self._server(source), folder, limit)
            else:
                code = _run_in_new_process(folder, limit)
            stdout, stderr = (
                (folder / stream).read_text(encoding="utf-8", errors="replace")
                for stream in ("stdout", "stderr")
            )
            return Result(code, (folder / "finished").exists(), stdout, stderr)

    def _server(self, source: str) -> subprocess.Popen:
        preloaded = HEAVIER if "torchvision" in source else PRELOADED
        if preloaded not in self._servers:
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
            self._servers[preloaded] = _start("serve", *preloaded, **pipes)
        return self._servers[preloaded]


def _start(*arguments: str, **pipes: int) -> subprocess.Popen:
    """This file in a new process, with no path of the repository (-P: nor its own)."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    return subprocess.Popen(
        [sys.executable, "-P", "-X", "utf8", __file__, *arguments],
        env=inherited | {"MPLBACKEND": "agg"},
        encoding="utf-8",
        **pipes,
    )


def _ask(server: subprocess.Popen, folder: Path, limit: float) -> int | None:
    print(limit, folder, sep="\t", file=server.stdin, flush=True)
    answer = server.stdout.readline().strip()
    if not answer:
        raise RuntimeError(f"the server ended with exit code {server.wait()}")
    return None if answer == "None" else int(answer)


def _run_in_new_process(folder: Path, limit: float) -> int | None:
    process = _start("alone", str(folder))
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(limit)
    code = process.returncode
    _end(process)
    process.wait()
    return code


def _end(process: subprocess.Popen | multiprocessing.Process) -> None:
    """End the process and, where there are process groups, what it started."""
    process.kill()
    with contextlib.suppress(ProcessLookupError, AttributeError):
        os.killpg(process.pid, signal.SIGKILL)


# In the new processes


def serve(*preloaded: str) -> None:
    """Read lines "seconds, folder"; answer each with the exit code, or None."""
    for module in preloaded:
        importlib.import_module(module)
    fork = multiprocessing.get_context("fork")
    for line in sys.stdin:
        limit, folder = line.rstrip("\n").split("\t")
        deadline = time.monotonic() + float(limit)
        child = fork.Process(target=alone, args=(folder,))
        child.start()
        while child.is_alive() and time.monotonic() < deadline:
            time.sleep(0.01)  # a join could wait for the child's own children
        code = child.exitcode
        _end(child)
        child.join()
        print(code, flush=True)


class _Stranger(MetaPathFinder):
    """Finds nothing of this repository, although it is installed."""

    def find_spec(self, fullname: str, path: object = None, target: object = None):
        if re.match(r"(ch0\d_\w+|tests|conftest)(\.|$)", fullname):
            raise ModuleNotFoundError(f"{fullname} is part of this repository")


def alone(name: str) -> None:
    """Run the folder's snippet.py as a script, in the empty folder beside it."""
    folder = Path(name)
    if hasattr(os, "setsid"):
        os.setsid()  # a process group of its own
    for stream, number in (("stdout", 1), ("stderr", 2)):
        with (folder / stream).open("wb") as file:
            os.dup2(file.fileno(), number)
    os.chdir(folder / "empty")
    sys.path[:] = [
        p for p in sys.path if Path(p).resolve() not in (ROOT, ROOT / "tests")
    ]
    sys.meta_path.insert(0, _Stranger())
    warnings.filterwarnings("ignore", message=".*non-interactive")  # plt.show()
    runpy.run_path(str(folder / "snippet.py"), run_name="__main__")
    (folder / "finished").touch()


if __name__ == "__main__":
    {"serve": serve, "alone": alone}[sys.argv[1]](*sys.argv[2:])
