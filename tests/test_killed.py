"""A run that is killed by the system and started again, as often as it takes.

PYTORCH_BOOK_STRESS=1 pytest tests/test_killed.py     # 25 kills instead of 3
"""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

from ch03_deep_learning.checkpoints import load_checkpoint
from tests.notebooks import ROOT

KILLS = 25 if os.environ.get("PYTORCH_BOOK_STRESS") else 3


def start(checkpoint: Path) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.victim", str(checkpoint)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        encoding="utf-8",
    )


def finish(checkpoint: Path) -> str:
    """Run to the end; return the line with the weights."""
    with start(checkpoint) as process:
        lines = process.stdout.read().splitlines()
    assert process.returncode == 0
    return lines[-1]


def kill_somewhere(checkpoint: Path, chance: random.Random) -> str:
    """Start, wait for some batches and some milliseconds more, and kill; "" if it was
    killed, else the last line of a run that was done before."""
    with start(checkpoint) as process:
        for line in process.stdout:
            if line.startswith("weights"):
                return line.rstrip()
            if line == "ready\n":
                left = chance.randint(1, 4)
            elif left := left - 1:
                continue
            else:
                time.sleep(chance.uniform(0, 0.02))  # in the step, or while it writes
                process.kill()
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
    leftover = {p.name.removesuffix(".part") for p in tmp_path.iterdir()}
    assert all(name.startswith(("whole.ckpt", "killed.ckpt")) for name in leftover)
