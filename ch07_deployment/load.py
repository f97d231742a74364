"""This chapter's service under load, beside the book's form, LitServe and the model.

    python -m ch07_deployment.load                          # all of them, one table
    python -m ch07_deployment.load --clients 32 --seconds 5 --save   # load.json, too
    python -m ch07_deployment.load --only flask service
    python -m ch07_deployment.load --only bare service --model six-views

One after the other, each server in a process of its own with the same OMP_NUM_THREADS,
and the client in another (`load_client`). All of them get the same JPEG files of 256
pixels. The model alone has no server, no client and no decoding beside it. Nothing else
should run meanwhile. `CPU each` is the server's CPU time for one answer.

The last two columns are shares of the model alone. In that of the answers a second,
what the client takes of the same cores is a loss, and so is a core that waits. That of
the CPU time says which part of the server's work is the model: the rest is HTTP,
unpacking photographs, and threads in each other's way. More than the second row has
there, which is unpacking without any server, no server can reach. (Its answers a second
are no such limit: its loop unpacks on one core while the other waits.) The rest costs
the same for any model: of one that computes longer, as `six-views` does, it is a
smaller part. The other two servers know the small model only.
"""

import argparse
import io
import json
import math
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from datetime import date
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import torch
from PIL import Image

from ch07_deployment.decoding import decode
from ch07_deployment.example import photos
from ch07_deployment.load_client import Load, percentile
from ch07_deployment.processes import free_port, running
from ch07_deployment.served_model import OWN, served_model

RESULTS = Path(__file__).with_name("load.json")
PIXELS = 256  # the long side of the photographs: a client that spares its network
BATCH_SIZES = (1, 4, 8, 16, 32, 64)
MODEL = "the model alone"
PACKAGES = ("torch", "fastapi", "uvicorn", "flask", "litserve")
SERVERS = {
    "flask": ("the book's Flask form", "ch07_deployment.flask_form", "/"),
    "litserve": ("LitServe", "ch07_deployment.litserve_form", "/health"),
    "service": ("this chapter's service", "ch07_deployment.serve", "/ready"),
}


@torch.inference_mode()
def bare(seconds: float, model: str = "small") -> list[Load]:
    """The model in a loop without a server, at the best batch size of `BATCH_SIZES`.

    First with the pixels ready in memory, then with decoding the JPEG files before, one
    after the other. The latency is that of a batch.
    """
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


def measure(
    name: str,
    *,
    clients: int,
    seconds: float,
    warm_up: float,
    threads: int,
    model: str = "small",
) -> list[Load]:
    """Start a server of `SERVERS` (or none: `bare`), load it from another process."""
    variables = {"OMP_NUM_THREADS": str(threads), "PYTORCH_BOOK_OFFLINE": "1"}
    if name == "bare":
        arguments = ("--bare", f"--seconds={seconds}", f"--model={model}")
        lines = _run("ch07_deployment.load", *arguments, **variables)
        return [Load(**json.loads(line)) for line in lines]
    title, module, ready = SERVERS[name]
    port = free_port()
    command = ["-m", module, "--port", str(port)]
    if name == "service":
        command += ["--model", model]
    with (
        TemporaryDirectory() as folder,
        running(
            command, port=port, ready=ready, seconds=180, environment=variables
        ) as server,
    ):
        (line,) = _run(
            "ch07_deployment.load_client",
            f"{server.url}/predict",
            *write(jpegs(), Path(folder)),
            f"--clients={clients}",
            f"--seconds={seconds}",
            f"--warm-up={warm_up}",
            f"--pid={server.process.pid}",
        )
    return [replace(Load(**json.loads(line)), name=title)]


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


def _run(module: str, *arguments: str, **variables: str) -> list[str]:
    """The lines that `python -m MODULE ARGUMENTS` prints."""
    command = [sys.executable, "-m", module, *arguments]
    environment = {**os.environ, **variables}
    done = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, check=True, encoding="utf-8"
    )
    return done.stdout.splitlines()


def table(rows: Sequence[Load]) -> str:
    """One line for each; the ratios are to the Flask form and to the model alone."""
    nothing = Load("", math.nan, math.nan, math.nan, 0)
    flask, model = (
        next((row for row in rows if row.name.startswith(name)), nothing)
        for name in (SERVERS["flask"][0], MODEL)
    )
    width = max(len(row.name) for row in rows)
    lines = [
        f"{'':{width}}  {'a second':>9}  {'50 %':>9}  {'99 %':>9}  errors  "
        f"{'CPU each':>9}  {'Flask':>7}  {'model':>6}  {'by CPU':>6}"
    ]
    lines += [
        f"{row.name:{width}}  {row.per_second:9,.1f}  {row.p50_ms:6,.0f} ms  "
        f"{row.p99_ms:6,.0f} ms  {row.errors:6}  {row.cpu_ms:6.2f} ms  "
        f"{row.per_second / flask.per_second:5.1f} x  "
        f"{row.per_second / model.per_second:6.0%}  {model.cpu_ms / row.cpu_ms:6.0%}"
        for row in rows
    ]
    return "\n".join(lines)


def machine() -> dict[str, str | int]:
    """Where and with what it was measured."""
    info = Path("/proc/cpuinfo")  # Linux knows the name of the CPU best
    text = info.read_text(encoding="utf-8") if info.is_file() else ""
    named = [x.split(":")[1].strip() for x in text.splitlines() if "model name" in x]
    return {
        "cpu": named[0] if named else platform.processor() or platform.machine(),
        "cores": cores(),
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES if find_spec(name)},
    }


def cores() -> int:
    return psutil.cpu_count(logical=False) or 1


def main(argv: list[str] | None = None) -> list[Load]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=5, help="that count, for each")
    parser.add_argument("--warm-up", type=float, default=1, help="seconds before them")
    parser.add_argument("--threads", type=int, default=cores(), help="OMP_NUM_THREADS")
    parser.add_argument("--only", nargs="+", choices=["bare", *SERVERS])
    parser.add_argument("--model", choices=[*OWN], default="small")
    parser.add_argument("--save", action="store_true", help=f"into {RESULTS.name}")
    parser.add_argument("--bare", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.bare:
        rows = bare(args.seconds, args.model)
        print("\n".join(json.dumps(asdict(row)) for row in rows))
        return rows
    names = ("clients", "seconds", "warm_up", "threads", "model")
    settings = {name: getattr(args, name) for name in names}
    rows = []
    which = ["bare", *SERVERS] if args.model == "small" else ["bare", "service"]
    if others := set(args.only or ()) - set(which):
        parser.error(f"only the small model is served by {', '.join(sorted(others))}")
    for name in args.only or which:
        if name in PACKAGES and not find_spec(name):
            print(f"{name} is not installed: left out")
            continue
        rows += measure(name, **settings)
    print(f"{args.clients} clients, {args.seconds:g} s each, {args.threads} threads")
    print(table(rows))
    if args.save:
        content = {"date": date.today().isoformat(), "machine": machine(), **settings}
        content["rows"] = [asdict(row) for row in rows]
        RESULTS.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return rows


if __name__ == "__main__":
    main()
