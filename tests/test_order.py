"""Long files begin first, on each worker in the same order; bytecode is kept."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

from tests.notebooks import PYPROJECT, ROOT, notebook_paths
from tests.order import SECONDS, longest_first, seconds
from tests.sample_notebook import sample, save


def test_the_list_names_files_that_there_are():
    assert [name for name in SECONDS if not (ROOT / "tests" / name).is_file()] == []
    assert list(SECONDS.values()) == sorted(SECONDS.values(), reverse=True)


def test_every_notebook_says_how_long_it_takes():
    assert [path for path in notebook_paths() if not seconds(path)] == []


def test_whole_files_the_longest_first(tmp_path: Path):
    paths = {
        "short": ROOT / "tests" / "test_bleu.py",
        "as short": ROOT / "tests" / "test_vocab.py",
        "stranger": tmp_path / "test_snippets.py",
        "notebook": save(sample(), tmp_path / "sample.ipynb"),  # about 2 s
        "long": ROOT / "tests" / "test_snippets.py",
    }
    items = [SimpleNamespace(path=paths[name], name=name) for name in (*paths, "short")]
    longest_first(items)
    names = [item.name for item in items]
    assert names == ["long", "notebook", "short", "as short", "stranger", "short"]


def test_workers_take_them_in_this_order():
    flags = PYPROJECT["tool"]["pytest"]["ini_options"]["addopts"]
    assert {"--dist=loadscope", "--no-loadscope-reorder"} <= set(flags)


def test_what_is_compiled_once_is_not_compiled_again(tmp_path: Path):
    """Not even where the machine forbids to write bytecode: each kernel would pay."""
    assert not sys.dont_write_bytecode
    assert "PYTHONDONTWRITEBYTECODE" not in os.environ
    (tmp_path / "module.py").write_text("")
    subprocess.run([sys.executable, "-c", "import module"], cwd=tmp_path, check=True)
    assert list(tmp_path.glob("__pycache__/module.*.pyc"))
