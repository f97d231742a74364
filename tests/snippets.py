"""Run snippets alone: in an empty folder, a fresh process, without this repository.

Where it can be they start warm (see `tests.warm`): in tens of milliseconds instead of
seconds, and no snippet sees what another did. Elsewhere each gets a new interpreter.
"""

import contextlib
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests import warm

ALONE = Path(__file__).with_name("alone.py")
LIMIT = 600.0  # seconds; most take one, but a loaded machine can be 50 times slower
# torch._dynamo and torchvision import hundreds of torch's modules, so that a snippet
# could use one without importing it. Only snippets that have them anyway start there:
# an optimizer imports the first one, by its first step.
PRELOADED = ("numpy", "torch", "matplotlib.pyplot")
HEAVIER = {"torchvision": "torchvision", "optim": "torch._dynamo"}  # by a word


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


def modules_for(source: str) -> tuple[str, ...]:
    """What is imported before the snippet begins."""
    for word, module in HEAVIER.items():
        if word in source:
            return (*PRELOADED, module)
    return PRELOADED


def run(source: str, *, limit: float = LIMIT, forks: bool = warm.FORKS) -> Result:
    """Run it, for `limit` seconds at most, and end what it left running."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        (folder / "empty").mkdir()
        (folder / "snippet.py").write_text(source, encoding="utf-8")
        streams = [folder / "stdout", folder / "stderr"]
        with streams[0].open("wb") as out, streams[1].open("wb") as err:
            program = warm.start(
                [ALONE, name],
                env=inherited | {"MPLBACKEND": "agg", "PYTHONUTF8": "1"},
                stdout=out,
                stderr=err,
                modules=modules_for(source),
                forks=forks,
            )
        code = None
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = program.wait(limit)
        warm.end(program)
        said = [file.read_text(encoding="utf-8", errors="replace") for file in streams]
        return Result(code, (folder / "finished").exists(), *said)
