"""The model in a loop without a server: what no server can exceed.

    python -m ch07_deployment.bare --seconds 5 --model six-views    # a JSON line each

First with the pixels ready in memory, then with the decoding of JPEG files before.
"""

import argparse
import io
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import torch
from PIL import Image

from ch07_deployment.decoding import decode
from ch07_deployment.example import photos
from ch07_deployment.load_client import Load, percentile
from ch07_deployment.served_model import OWN, served_model

PIXELS = 256  # the long side of the photographs: a client that spares its network
BATCH_SIZES = (1, 4, 8, 16, 32, 64)
MODEL = "the model alone"


@torch.inference_mode()
def bare(seconds: float, model: str = "small") -> list[Load]:
    """Measure both at the best batch size of `BATCH_SIZES`; a latency is a batch's."""
    served, files = served_model(model), jpegs()

    def pixels(n: int) -> torch.Tensor:  # (n, 3, 32, 32) uint8
        some = (files[i % len(files)] for i in range(n))
        return torch.stack([served.prepare(decode(file, enough=512)) for file in some])

    calls = {size: partial(served.model, pixels(size)) for size in BATCH_SIZES}
    trials = {size: _loop("", size, calls[size], seconds / 4) for size in calls}
    best = max(trials, key=lambda size: trials[size].per_second)
    return [
        _loop(f"{MODEL}, batches of {best}", best, calls[best], seconds),
        _loop(
            f"decoding, then {MODEL}", best, lambda: served.model(pixels(best)), seconds
        ),
    ]


def _loop(name: str, size: int, call: Callable[[], object], seconds: float) -> Load:
    """Call again and again, `size` images each time, after a short warm-up."""
    _seconds_of_calls(call, min(0.5, seconds / 2))
    busy = time.process_time()
    times = _seconds_of_calls(call, seconds)
    busy = time.process_time() - busy
    done, ms = size * len(times), [1000 * took for took in times]
    p50, p99 = percentile(ms, 50), percentile(ms, 99)
    return Load(name, done / sum(times), p50, p99, 0, 1000 * busy / done)


def _seconds_of_calls(call: Callable[[], object], seconds: float) -> list[float]:
    taken: list[float] = []
    end = time.perf_counter() + seconds
    while not taken or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return taken


def jpegs(*, pixels: int = PIXELS) -> list[bytes]:
    """scikit-image's photographs as JPEG files whose long side is `pixels`."""
    files = []
    for photo in photos():
        photo.thumbnail((pixels, pixels), Image.Resampling.LANCZOS)
        file = io.BytesIO()
        photo.save(file, "JPEG", quality=85)
        files.append(file.getvalue())
    return files


def write(files: Sequence[bytes], folder: Path) -> list[str]:
    """Write them into an existing folder; their paths."""
    paths = [folder / f"{i}.jpg" for i in range(len(files))]
    for path, content in zip(paths, files, strict=True):
        path.write_bytes(content)
    return [str(path) for path in paths]


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=5, help="for each of the two")
    parser.add_argument("--model", choices=[*OWN], default="small")
    args = parser.parse_args(argv)
    rows = bare(args.seconds, args.model)
    print("\n".join(json.dumps(asdict(row)) for row in rows))


if __name__ == "__main__":
    main()
