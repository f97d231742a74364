"""Build the C++ programs of this folder with CMake, and run them on images.

    python -m ch07_deployment.cpp FOLDER  # builds, and says where the programs are

Imports NumPy and PyTorch only: copy this module together with the folder `cpp`.
"""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

SOURCES = Path(__file__).with_name("cpp")
PROGRAMS = ("run_aoti", "run_torchscript")
LIBTORCH = Path(torch.__file__).parent
IMAGE = (3, 32, 32)  # the programs read float32 images of this shape
LAST_LINES = 15  # of a compiler's words, in an error


class BuildFailed(RuntimeError):
    """A tool is missing, or CMake or the compiler refused; the message says why."""


class ProgramFailed(RuntimeError):
    """A program ended with an exit code other than 0, `.code`, and this message."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Answer:
    """(N, 10) logits, and the median milliseconds of a round, if any were asked for."""

    logits: Tensor
    milliseconds: float | None = None


def _path() -> str:
    """Where tools are looked for: also beside this Python (CMake, ninja from pip)."""
    return os.pathsep.join([os.environ.get("PATH", ""), sysconfig.get_path("scripts")])


def missing() -> str | None:
    """What a build lacks on this machine, in one line; `None` where it has all."""
    if not shutil.which("cmake", path=_path()):
        return "no cmake: install it with the system's packages or `pip install cmake`"
    if sys.platform == "win32":  # CMake finds Visual Studio by itself, AOTInductor not
        found = shutil.which("cl", path=_path())
        return None if found else "no cl: start from Visual Studio's developer prompt"
    compilers = ("c++", "g++", "clang++")
    if not any(shutil.which(name, path=_path()) for name in compilers):
        return "no C++ compiler: install g++ or clang (macOS: `xcode-select --install`)"
    if not any(shutil.which(name, path=_path()) for name in ("ninja", "make")):
        return "neither ninja nor make: install one, for example `pip install ninja`"
    return None


def build(
    folder: Path | str, *, sources: Path | str = SOURCES, jobs: int = 1
) -> dict[str, Path]:
    """Configure and build in `folder`; the programs by name. Half a minute.

    Needs no network, and up to 1 GB of memory for each of `jobs` compilers at a time.
    Raises `BuildFailed` with what is missing, or with the last lines that CMake or the
    compiler wrote.
    """
    if lacking := missing():
        raise BuildFailed(lacking)
    folder = Path(folder)
    options = [f"-DTORCH={LIBTORCH.as_posix()}"]
    if sys.platform != "win32":  # to call libtorch, -O1 is as fast, and builds faster
        options += ["-DCMAKE_CXX_FLAGS_RELEASE=-O1"]
        options += ["-G", "Ninja"] if shutil.which("ninja", path=_path()) else []
    _do("cmake", "-S", str(sources), "-B", str(folder), *options)
    _do("cmake", "--build", str(folder), "--config=Release", f"--parallel={jobs}")
    suffix = ".exe" if sys.platform == "win32" else ""
    programs = {}
    for name in PROGRAMS:
        places = (folder / f"{name}{suffix}", folder / "Release" / f"{name}{suffix}")
        found = [place for place in places if place.is_file()]
        if not found:
            raise BuildFailed(f"built, but there is no {places[0]}")
        programs[name] = found[0]
    return programs


def _do(*command: str) -> None:
    program = shutil.which(command[0], path=_path()) or command[0]
    done = subprocess.run(
        [program, *command[1:]],
        env={**os.environ, "PATH": _path()},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        tail = "\n".join(done.stdout.splitlines()[-LAST_LINES:])
        raise BuildFailed(f"`{' '.join(command[:2])} ...` failed:\n{tail}")


def run(
    program: Path,
    model: Path | str,
    images: Tensor | np.ndarray,
    *,
    rounds: int = 0,
    environment: dict[str, str] | None = None,
    seconds: float = 300,
) -> Answer:
    """Run a program on (N, 3, 32, 32) images with as many threads as this process.

    `rounds` also asks for the time of a batch: the median of so many, after as many to
    warm up. Raises `ValueError` where the shape is another, `ProgramFailed` where the
    program ends with an error, `subprocess.TimeoutExpired` after `seconds`.
    """
    array = np.ascontiguousarray(images, dtype=np.float32)
    if array.ndim != 4 or array.shape[1:] != IMAGE or len(array) == 0:
        raise ValueError(f"needs images (N, 3, 32, 32), not {array.shape}")
    with tempfile.TemporaryDirectory() as name:
        raw, logits = Path(name) / "images.raw", Path(name) / "logits.raw"
        array.tofile(raw)
        words = [model, raw, logits, *([rounds] if rounds else [])]
        said = start(program, *words, environment=environment, seconds=seconds)
        answer = torch.from_numpy(np.fromfile(logits, np.float32).reshape(-1, 10))
    time = re.search(r"median ms ([\d.e+-]+)", said)
    return Answer(answer, float(time[1]) if time else None)


def start(
    program: Path,
    *words: object,
    environment: dict[str, str] | None = None,
    seconds: float = 300,
) -> str:
    """Run a program with these arguments; what it printed. Raises as `run` does."""
    variables = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    if sys.platform == "win32":  # there the libraries are found by the path
        variables["PATH"] = f"{LIBTORCH / 'lib'}{os.pathsep}{variables['PATH']}"
    done = subprocess.run(
        [program, *map(str, words)],
        env=variables | (environment or {}),
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        timeout=seconds,
        check=False,
    )
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines()
        raise ProgramFailed(lines[-1] if lines else "no message", done.returncode)
    return done.stdout


def libraries(program: Path | str) -> dict[str, float]:
    """Megabytes of each library from Python packages that a program loads, by name.

    Asks `ldd`, which Linux has; empty elsewhere.
    """
    if not (ldd := shutil.which("ldd")):
        return {}
    done = subprocess.run([ldd, program], capture_output=True, text=True, check=True)
    paths = [Path(path).resolve() for path in re.findall(r"=> (/.+) \(", done.stdout)]
    packages = LIBTORCH.parent.resolve()
    return {
        path.name: path.stat().st_size / 1e6
        for path in paths
        if path.is_relative_to(packages)
    }


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m ch07_deployment.cpp FOLDER")
    try:
        for path in build(sys.argv[1]).values():
            print(path)
    except BuildFailed as error:
        sys.exit(str(error))
