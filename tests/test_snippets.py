"""Each cell with the tag `snippet` runs alone; the runner that says so is strict."""

import os

import pytest

from tests.alive import ends
from tests.notebooks import Cell, all_code_cells
from tests.snippets import run
from tests.warm import forked_or_new, needs_fork

SNIPPETS = [cell for cell in all_code_cells() if "snippet" in cell.tags]


@pytest.mark.parametrize("cell", SNIPPETS, ids=lambda cell: cell.where)
def test_snippet_runs_alone(cell: Cell):
    problem = run(cell.source).problem
    assert not problem, f"{cell.where}: {problem}"


# The runner itself


def test_what_is_printed_is_kept():
    result = run("import torch\nprint(torch.ones(2), '×')")
    assert result.problem == ""
    assert result.stdout == "tensor([1., 1.]) ×\n"


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("undefined", "NameError: name 'undefined'"),
        ("def f():\n    return 1 / 0\n\nf()", "line 2, in f"),
        ("import ch01_intro", "ModuleNotFoundError: ch01_intro"),
        (
            "from ch02_tensors.reference import show",
            "ModuleNotFoundError: ch02_tensors",
        ),
        ("import tests", "ModuleNotFoundError: tests"),
        ("open('pyproject.toml')", "FileNotFoundError"),
        ("open('../tests/notebooks.py')", "FileNotFoundError"),
        ("import sys; print('careful', file=sys.stderr)", "wrote to stderr"),
        ("import os; os.write(2, b'careful')", "wrote to stderr"),
        ("import warnings; warnings.warn('careful')", "UserWarning: careful"),
        ("import sys; sys.exit(3)", "exit code 3"),
        ("import sys; sys.exit()", "ended before its last line"),
        ("import os; os._exit(0)", "ended before its last line"),
        (
            "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
            f"exit code {15 if os.name == 'nt' else -15}",
        ),
        ("%matplotlib inline", "SyntaxError"),
        ("input()", "EOFError"),
    ],
    ids=lambda text: text.splitlines()[0],
)
def test_a_bad_snippet_is_reported(source: str, complaint: str):
    assert complaint in run(source).problem


@pytest.mark.parametrize(
    "source",
    [
        "from pathlib import Path; assert not list(Path().iterdir())",
        "assert __name__ == '__main__'",
        "import inspect\nclass A: 'here'\nassert 'here' in inspect.getsource(A)",
        "import matplotlib.pyplot as plt; plt.plot([1, 2]); plt.show()",
        "import torchvision; print(torchvision.ops.nms)",
        "import torch\nx = torch.ones(1, requires_grad=True)\nx.exp().sum().backward()",
        "import os; assert os.environ['OMP_NUM_THREADS']",
        "from torch.utils.data import DataLoader\n"
        "if __name__ == '__main__':\n"
        "    assert len(list(DataLoader(range(4), num_workers=1))) == 4",
    ],
    ids=lambda text: text.splitlines()[0],
)
def test_a_good_snippet_passes(source: str):
    assert run(source).problem == ""


def test_nothing_goes_from_one_snippet_to_the_next():
    leave = "import torch; torch.set_default_dtype(torch.float64); left = 1"
    assert run(leave).problem == ""
    look = "import torch; print(torch.get_default_dtype(), 'left' in dir())"
    assert run(look).stdout == "torch.float32 False\n"


def test_torchvision_is_there_only_for_those_that_name_it():
    look = "import sys; print('torch' + 'vision' in sys.modules)"
    assert run("import torchvision").problem == ""
    assert run(look).stdout == "False\n"


@forked_or_new
def test_an_endless_snippet_is_stopped_with_its_children(forks: bool):
    source = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
print(child.pid, flush=True)
time.sleep(60)
"""
    result = run(source, limit=5, forks=forks)
    assert "time limit" in result.problem
    assert ends(int(result.stdout))


@needs_fork
def test_children_left_behind_are_ended():
    source = """
import os, time
pid = os.fork()
time.sleep(0 if pid else 60)
print(pid)
"""
    result = run(source)
    assert result.problem == ""
    assert ends(int(result.stdout))


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("print(1)", ""),
        ("import ch01_intro", "part of this repository"),
        ("import os; os.write(2, b'careful')", "wrote to stderr"),
        ("import os; os._exit(0)", "ended before its last line"),
    ],
)
def test_without_fork_it_is_as_strict(source: str, complaint: str):
    problem = run(source, forks=False).problem
    assert complaint in problem and bool(complaint) == bool(problem)
