"""The repository as a whole: every notebook, the README, the pins, the tree."""

import ast
import re
import shutil
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import pytest

from ch01_intro.colab import package
from ch01_intro.colab import pins as packages
from tests import hygiene
from tests.hygiene import ABSOLUTE_PATH, RULES, Rule
from tests.imports import forbidden, imported
from tests.links import broken_links, links
from tests.notebooks import (
    CHAPTERS,
    PYPROJECT,
    ROOT,
    all_code_cells,
    name_of,
    notebook_paths,
    read,
)

NOTEBOOKS = notebook_paths()
MODULES = sorted(path for chapter in CHAPTERS for path in ROOT.glob(f"{chapter}/*.py"))
LARGEST = 2_000_000  # bytes of a file
# Where a module is called otherwise than the package that has it.
read_once = lru_cache(maxsize=None)(read)


# Every notebook


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name_of)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_notebook(rule: Rule, path: Path):
    problems = rule(read_once(path), name_of(path))
    assert not problems, "\n".join(problems)


def test_most_outputs_are_compared():
    problems = hygiene.too_many_ignored(list(all_code_cells()))
    assert not problems, problems[0]


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_modules_import_one_way(path: Path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert forbidden(imported(tree), path.parent.name) == []


# README, pins, tree


def readme() -> str:
    return (ROOT / "README.md").read_text(encoding="utf-8")


def test_readme_links_lead_somewhere():
    assert links(readme())
    assert broken_links(readme(), ROOT) == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name_of)
def test_readme_lists_the_notebook(path: Path):
    rows = [
        line
        for line in readme().splitlines()
        if line.startswith("|") and f"]({name_of(path)})" in line
    ]
    assert len(rows) == 1
    assert "? s" not in rows[0] and "? MB" not in rows[0]


def test_readme_lists_them_in_one_table_in_the_books_order():
    lines = readme().splitlines()
    start = lines.index("| --- | --- | --- | --- | --- |") + 1
    rows = lines[start : start + len(NOTEBOOKS)]
    for row, path in zip(rows, NOTEBOOKS, strict=True):
        assert row.startswith("|") and f"]({name_of(path)})" in row
        assert row.count(" | ") == 4, row


def pins() -> list[str]:
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def test_requirements_are_exact():
    exact = re.compile(r"[\w.-]+(\[[\w,-]+\])?==\w[\w.+!]*( *;.+| +#.*)?|-e \.")
    assert [line for line in pins() if not exact.fullmatch(line)] == []


def test_what_is_imported_is_pinned():
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in MODULES]
    trees += [cell.tree for cell in all_code_cells()]
    names = {name.split(".")[0] for tree in trees for name in certainly_imported(tree)}
    names -= {*sys.stdlib_module_names, *CHAPTERS}
    names -= {"triton"}  # comes with PyTorch where there is CUDA
    names -= {"colab"}  # a file of chapter 1, fetched by the notebooks' first cell
    pinned = set(packages(ROOT))
    assert {package(name) for name in names} - pinned == set()


def certainly_imported(tree: ast.Module) -> set[str]:
    """Without the imports in a `try`, which may fail."""
    attempts = [node for node in ast.walk(tree) if isinstance(node, ast.Try)]
    return set(imported(tree)) - {name for node in attempts for name in imported(node)}


def test_chapters_are_listed():
    tool = PYPROJECT["tool"]
    assert tool["setuptools"]["packages"] == list(CHAPTERS)
    assert tool["pytest"]["ini_options"]["testpaths"] == ["tests", *CHAPTERS]
    assert tool["ruff"]["lint"]["isort"]["known-first-party"] == [*CHAPTERS, "tests"]


def git(*arguments: str) -> str:
    """What git answers, in this repository; the test is skipped where there is none."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    done = subprocess.run(
        ["git", *arguments], cwd=ROOT, capture_output=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def tracked() -> list[Path]:
    names = git("ls-files", "-z").split("\0")
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


def test_data_are_ignored_by_git():
    names = ["data/cifar-10-batches-py/data_batch_1", "ch03_deep_learning/net.pt"]
    assert git("check-ignore", *names).splitlines() == names


def test_tracked_files_are_small():
    assert [path.name for path in tracked() if path.stat().st_size > LARGEST] == []


def test_tracked_text_names_no_path_of_a_machine():
    found = []
    for path in tracked():
        if path.suffix == ".ipynb":  # no_absolute_paths; pictures are letters there
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:  # no text
            continue
        found += [f"{path.name}: {hit[0]}" for hit in ABSOLUTE_PATH.finditer(text)]
    assert found == []


@pytest.mark.parametrize("command", [["check"], ["format", "--check"]], ids=" ".join)
def test_ruff(command: list[str]):
    done = subprocess.run(
        [sys.executable, "-m", "ruff", *command, "."],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stdout + done.stderr
