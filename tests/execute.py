"""Execute notebooks from top to bottom and save them with their outputs.

    python -m tests.execute                         # all, and the table of the README
    python -m tests.execute ch02_tensors/06*.ipynb  # some

A notebook in which a cell fails stays on disk as it was; the others go on. At the end
stand seconds and peak memory of each. They are also written into the notebook's first
cell and the README's table, but only where they moved by more than a quarter: a second
run changes nothing.
"""

import argparse
import asyncio
import contextlib
import re
import sys
import threading
import time
from pathlib import Path

import nbformat
import psutil
from nbclient import NotebookClient
from tqdm import tqdm

from tests.colab_cell import put_first
from tests.notebooks import (
    METADATA,
    ROOT,
    name_of,
    notebook_paths,
    read,
    set_environment,
    write,
)

README = ROOT / "README.md"
SECONDS = re.compile(r"(\d+|\?) s\b")
MEGABYTES = re.compile(r"(\d+|\?) MB\b")
TIME_LINE = re.compile(r"^\*\*Time:\*\*.*$", re.MULTILINE)


class PeakMemory:
    """The most memory that the children of this process held together, in bytes.

    A fork that runs no program of its own (yet) is left out: it shares its parent's.
    """

    def __enter__(self) -> "PeakMemory":
        self.peak = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        me = psutil.Process()
        while not self._done.wait(0.1):
            total = 0
            for child in me.children(recursive=True):
                with contextlib.suppress(psutil.Error):  # it ended meanwhile
                    if child.cmdline() != psutil.Process(child.ppid()).cmdline():
                        total += child.memory_info().rss
            self.peak = max(self.peak, total)


def execute(path: Path, *, timeout: int = 600) -> tuple[float, float]:
    """Run and save one notebook; return its seconds and its kernel's peak memory in MB.

    Raises `CellExecutionError` where a cell fails, `CellTimeoutError` where it takes
    too long, and what nbclient raises where the kernel ends; the file stays as it was.
    """
    notebook = read(path)
    notebook.metadata = METADATA
    put_first(notebook, name_of(path))
    client = NotebookClient(
        notebook,
        timeout=timeout,
        iopub_timeout=60,  # after four seconds it would save without the late outputs
        raise_on_iopub_timeout=True,
        kernel_name="python3",
        record_timing=False,
        extra_arguments=["--log-level=ERROR"],  # no advice on the terminal
        coalesce_streams=True,  # prints arrive in pieces that differ from run to run
        resources={"metadata": {"path": str(path.parent)}},
    )
    start = time.perf_counter()
    with PeakMemory() as memory:
        client.execute()
    seconds, megabytes = time.perf_counter() - start, memory.peak / 1e6
    notebook.metadata = METADATA  # the kernel added its version
    first = notebook.cells[0]
    first.source = TIME_LINE.sub(
        lambda line: updated(line[0], seconds), first.source, count=1
    )
    for cell in notebook.cells:
        kept = {"tags": cell.metadata["tags"]} if cell.metadata.get("tags") else {}
        cell.metadata = nbformat.from_dict(kept)
        for output in cell.get("outputs", []):
            output.pop("metadata", None) if output.output_type == "stream" else None
    write(notebook, path)
    return seconds, megabytes


def updated(text: str, seconds: float, megabytes: float | None = None) -> str:
    """`text` with "N s" and "N MB" brought up to date where they are a quarter off."""
    for pattern, unit, value in (
        (SECONDS, "s", seconds),
        (MEGABYTES, "MB", megabytes),
    ):
        found = pattern.search(text)
        if value is None or found is None:
            continue
        new = max(1, round(value)) if unit == "s" else round(value, -1)
        old = found[1]
        if old == "?" or abs(int(old) - new) > max(1, 0.25 * int(old)):
            text = text[: found.start()] + f"{new:.0f} {unit}" + text[found.end() :]
    return text


def update_readme(figures: dict[str, tuple[float, float]], readme: Path) -> None:
    """Write seconds and megabytes into the table rows that link to the notebooks."""
    lines = readme.read_text(encoding="utf-8").splitlines(keepends=True)
    for i, line in enumerate(lines):
        for name, (seconds, megabytes) in figures.items():
            if line.startswith("|") and f"]({name})" in line:
                lines[i] = updated(line, seconds, megabytes)
    readme.write_text("".join(lines), encoding="utf-8")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebooks", nargs="*", type=Path, help="default: all")
    parser.add_argument(
        "--timeout", type=int, default=600, help="seconds a cell may take"
    )
    args = parser.parse_args(argv)
    paths = [path.resolve() for path in args.notebooks] or notebook_paths()
    missing = [str(path) for path in paths if not path.is_file()]
    if missing:
        parser.error(f"no such notebook: {', '.join(missing)}")

    set_environment()
    figures, failures = {}, {}
    bar = tqdm(paths, unit="notebook", disable=not sys.stderr.isatty())
    for path in bar:
        bar.set_postfix_str(name_of(path))
        try:
            figures[name_of(path)] = execute(path, timeout=args.timeout)
        except (Exception, asyncio.CancelledError) as error:  # the cell, or the kernel
            failures[name_of(path)] = str(error) or repr(error)
    width = max(map(len, figures), default=8)
    print(f"{'notebook':{width}s}  seconds  peak MB")
    for name, (seconds, megabytes) in figures.items():
        print(f"{name:{width}s}  {seconds:7.1f}  {megabytes:7.0f}")
    if README.is_file():
        update_readme(figures, README)
    for name, error in failures.items():
        print(f"\n{name} failed and was left as it was:\n{error}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
