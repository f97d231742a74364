"""What a deployed network takes: size, time to load, latency, memory, difference.

    python -m ch07_deployment.footprint write ONNX TorchScript FOLDER
    python -m ch07_deployment.footprint measure ONNX FOLDER  # as JSON

Each is measured in a process of its own, which imports only what its way needs.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import psutil

from ch07_deployment.ways import WAYS, Run, write


@dataclass(frozen=True)
class Measured:
    """What one process found out about one file."""

    way: str
    megabytes: float  # of the file, and of files beside it that belong to it
    load_s: float  # to import what is needed and to load the file
    one_ms: float  # a batch of 1 image, median
    batch_ms: float  # a batch of 32 images, median
    memory_mb: float  # of the whole process (resident), after that
    difference: float  # the largest to the logits of eager PyTorch


def measure(name: str, folder: Path, *, rounds: int = 15) -> Measured:
    """Load the file here and run it on `images.npy`; `logits.npy` has to come out."""
    images, logits = (np.load(folder / f"{n}.npy") for n in ("images", "logits"))
    start = time.perf_counter()
    run = WAYS[name].load(folder / WAYS[name].file)
    loaded = time.perf_counter() - start
    difference = float(np.abs(run(images) - logits).max())
    one, batch = (_median_ms(run, part, rounds) for part in (images[:1], images))
    size = sum(path.stat().st_size for path in folder.glob(f"{WAYS[name].file}*"))
    memory = psutil.Process().memory_info().rss
    return Measured(name, size / 1e6, loaded, one, batch, memory / 1e6, difference)


def written_apart(name: str, folder: Path) -> Path:
    """Write the example model that way, in a process of its own; its file."""
    return all_written_apart([name], folder)[0]


def all_written_apart(names: Sequence[str], folder: Path) -> list[Path]:
    """Write it these ways, one after the other in one process; the files."""
    _apart("write", names, folder, threads=1)
    return [folder / WAYS[name].file for name in names]


def measured_apart(name: str, folder: Path, *, threads: int = 1) -> Measured:
    """`measure` in a process of its own, with that many threads."""
    answer = _apart("measure", [name], folder, threads=threads)
    return Measured(**json.loads(answer.splitlines()[-1]))


def _apart(what: str, names: Sequence[str], folder: Path, *, threads: int) -> str:
    """What the process printed. Raises `RuntimeError` with its last words."""
    arguments = [what, *names, str(folder)]
    done = subprocess.run(
        [sys.executable, "-m", "ch07_deployment.footprint", *arguments],
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONUTF8": "1"},
    )
    if done.returncode:
        raise RuntimeError(f"{what} {' '.join(names)} failed:\n{done.stderr[-2000:]}")
    return done.stdout


def _median_ms(run: Run, images: np.ndarray, rounds: int) -> float:
    taken = []
    for _ in range(rounds + 3):
        start = time.perf_counter()
        run(images)
        taken.append(time.perf_counter() - start)
    return 1e3 * statistics.median(taken[3:])


def main(what: str, *rest: str) -> None:
    *names, folder = rest
    if what == "write":
        from ch07_deployment.example import example_model, real_images

        model, images = example_model(), real_images(32)
        for name in names:
            write(name, model, images, Path(folder))
    else:
        for name in names:
            print(json.dumps(asdict(measure(name, Path(folder)))))


if __name__ == "__main__":
    main(*sys.argv[1:])
