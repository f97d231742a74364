"""A run that is killed by the system and started again, as often as it takes.

PYTORCH_BOOK_STRESS=1 pytest tests/test_killed.py     # 25 kills instead of 3
"""

import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from ch03_deep_learning.checkpoints import load_checkpoint
from tests import warm
from tests.notebooks import ROOT

KILLS = 25 if os.environ.get("PYTORCH_BOOK_STRESS") else 3


@contextmanager
def running(checkpoint: Path) -> Iterator[tuple[warm.Program, TextIO]]:
    """The run, and what it writes."""
    ours, its = os.pipe()
    with os.fdopen(ours, encoding="utf-8") as lines:
        with os.fdopen(its, "wb") as stdout:
            program = warm.start(
                ["-m", "tests.victim", checkpoint], cwd=ROOT, stdout=stdout
            )
        yield program, lines
        program.wait()


def finish(checkpoint: Path) -> str:
    """Run to the end; return the line with the weights."""
    with running(checkpoint) as (program, lines):
        last = lines.read().splitlines()[-1]
    assert program.returncode == 0
    return last


def kill_somewhere(checkpoint: Path, chance: random.Random) -> str:
    """Start, wait for some batches and some milliseconds more, and kill; "" if it was
    killed, else the last line of a run that was done before."""
    with running(checkpoint) as (program, lines):
        for line in lines:
            if line.startswith("weights"):
                return line.rstrip()
            if line == "ready\n":
                left = chance.randint(1, 4)
            elif left := left - 1:
                continue
            else:
                time.sleep(chance.uniform(0, 0.02))  # in the step, or while it writes
                program.kill()
                break
    return ""


def test_killed_again_and_again_it_ends_with_the_same_bits(tmp_path):
    expected = finish(tmp_path / "whole.ckpt")
    chance = random.Random(0)
    path, kills, ended = tmp_path / "killed.ckpt", 0, []
    while kills < KILLS:
        line = kill_somewhere(path, chance)
        kills += not line
        if line:  # all the way through: begin another run
            ended.append(line)
            path.unlink()
        elif path.exists():
            load_checkpoint(path)  # whole, wherever it was killed
    ended.append(finish(path))
    assert set(ended) == {expected}
    left = {p.name for p in tmp_path.iterdir()}  # at most one half-written file
    assert left <= {"whole.ckpt", "killed.ckpt", "killed.ckpt.part"}
