"""The outputs of the notebooks are compared to the letter: nbval is set to be strict.

One notebook, one kernel: each cell says something else than what is committed, or not.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hygiene import executed_in_order
from tests.notebooks import ENVIRONMENT, ROOT
from tests.sample_notebook import NAME, code, printed, result, sample, save
from tests.warm_kernels import INLINE

IGNORED = ("nbval-ignore-output",)
VARIABLES = " ".join(os.environ[name] for name in ENVIRONMENT)

# After the sample's first code cell: what a cell is about, the cell, what nbval says.
CELLS = {
    "as committed": (code("1 + 1", result("2")), "passed"),
    "another digit": (code("1 + 1", result("3")), "failed"),
    "another line printed": (code("print(1)", printed("1\n2\n")), "failed"),
    "another type of output": (code("2", printed("2")), "failed"),
    "nothing shown": (code("None", result("2")), "failed"),
    "tagged as ignored": (code("1 + 1", result("3"), tags=IGNORED), "passed"),
    "tagged as ignored, raises": (code("1 / 0", tags=IGNORED), "failed"),
    "something on stderr": (
        code("import sys\nprint(1, file=sys.stderr)"),
        "failed",
    ),
    "a warning": (code("import warnings\nwarnings.warn('careful')"), "failed"),
    "the tests' environment": (
        code(
            f"import os\nprint(*[os.environ[name] for name in {list(ENVIRONMENT)}])",
            printed(VARIABLES + "\n"),
        ),
        "passed",
    ),
    "pictures inline": (
        code("print(os.environ['MPLBACKEND'])", printed(INLINE + "\n")),
        "passed",
    ),
    "never run": (code("print(1)"), "passed"),  # which is why there is a rule
}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What pytest says of each code cell, with the flags of this project."""
    notebook = sample(*[cell for cell, _ in CELLS.values()])
    notebook.cells[-3].execution_count = None  # "never run"
    path = save(notebook, tmp_path_factory.mktemp("nbval") / "sample.ipynb")
    flags = ["-c", ROOT / "pyproject.toml", f"--rootdir={path.parent}", "-n0", "-v"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *flags, "-p", "no:cacheprovider", path],
        cwd=path.parent,
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 1, done.stdout + done.stderr
    found = re.findall(r"::Cell \d+ (PASSED|FAILED)", done.stdout)
    return [word.lower() for word in found]


def test_the_sample_passes(outcomes: list[str]):
    assert len(outcomes) == len(CELLS) + 3
    assert (outcomes[0], outcomes[-1]) == ("passed", "passed")


@pytest.mark.parametrize("what", CELLS)
def test_nbval_says(outcomes: list[str], what: str):
    assert outcomes[2 + list(CELLS).index(what)] == CELLS[what][1]


def test_a_cell_that_was_never_run_is_caught_by_its_rule():
    notebook = sample(CELLS["never run"][0])
    notebook.cells[4].execution_count = None
    assert len(executed_in_order(notebook, NAME)) == 1
    assert Path(NAME).name in executed_in_order(notebook, NAME)[0]
