"""This chapter's service under load, beside the book's form, LitServe and the model.

    python -m ch07_deployment.load                          # all of them, one table
    python -m ch07_deployment.load --clients 32 --seconds 8 --save   # load.json, too
    python -m ch07_deployment.load --only flask service
    python -m ch07_deployment.load --model six-views        # of all of them

One after the other, each server in a process of its own with the same OMP_NUM_THREADS,
and the client in another (`load_client`). All of them get the same JPEG files of 256
pixels. The model alone has no server, no client and no decoding beside it. Nothing else
should run meanwhile. `CPU each` is the server's CPU time for one answer.

The last two columns are shares of the model alone. In that of the answers a second,
what the client takes of the same cores is a loss, and so is a core that waits. That of
the CPU time says which part of the server's work is the model: the rest is HTTP,
unpacking photographs, and threads in each other's way. It costs the same for any model:
of one that computes longer, as `six-views` does, it is a smaller part. The second row
is no limit for a server: its loop unpacks on one core while the other waits.
"""

import argparse
import json
import math
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import date
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil

from ch07_deployment.bare import MODEL, jpegs, write
from ch07_deployment.load_client import Load
from ch07_deployment.processes import free_port, running
from ch07_deployment.served_model import OWN

RESULTS = Path(__file__).with_name("load.json")
PACKAGES = ("torch", "fastapi", "uvicorn", "flask", "litserve")
SERVERS = {
    "flask": ("the book's Flask form", "ch07_deployment.flask_form", "/"),
    "litserve": ("LitServe", "ch07_deployment.litserve_form", "/health"),
    "service": ("this chapter's service", "ch07_deployment.serve", "/ready"),
}


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
        arguments = (f"--seconds={seconds}", f"--model={model}")
        lines = _run("ch07_deployment.bare", *arguments, **variables)
        return [Load(**json.loads(line)) for line in lines]
    title, module, ready = SERVERS[name]
    port = free_port()
    command = ["-m", module, "--port", str(port), "--model", model]
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


def saved() -> dict[str, dict[str, Any]]:
    """What `--save` wrote for each model: settings, machine, and `rows` of `Load`."""
    if not RESULTS.exists():
        return {}
    runs = json.loads(RESULTS.read_text(encoding="utf-8"))
    for run in runs.values():
        run["rows"] = [Load(**row) for row in run["rows"]]
    return runs


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
    args = parser.parse_args(argv)
    names = ("clients", "seconds", "warm_up", "threads", "model")
    settings = {name: getattr(args, name) for name in names}
    rows = []
    for name in args.only or ["bare", *SERVERS]:
        if name in PACKAGES and not find_spec(name):
            print(f"{name} is not installed: left out")
            continue
        rows += measure(name, **settings)
    print(f"{args.clients} clients, {args.seconds:g} s each, {args.threads} threads")
    print(table(rows))
    if args.save:
        content = {"date": date.today().isoformat(), "machine": machine(), **settings}
        every = saved() | {args.model: content | {"rows": rows}}
        text = json.dumps(every, indent=1, default=asdict)
        RESULTS.write_text(f"{text}\n", encoding="utf-8")
    return rows


if __name__ == "__main__":
    main()
