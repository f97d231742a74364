"""The first cell of a notebook in a simulated Colab; what it leaves alone elsewhere."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ch01_intro import colab
from ch08_ecosystem.reading import notebook_paths
from tests.colab_cell import colab_cell
from tests.notebooks import REPOSITORY, ROOT

NOTEBOOK = "ch03_deep_learning/02_data_sets.ipynb"
FETCH = """\
import shutil, urllib.request
urllib.request.urlretrieve = lambda url, to: shutil.copy({source!r}, to)
"""
SAY = "\nfrom pathlib import Path\nprint(Path.cwd().name, ch02_tensors.__name__)"


def run(cell: str, folder: Path, **variables: str) -> subprocess.CompletedProcess:
    """The cell in a fresh interpreter, in `folder`, without this repository's path."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    return subprocess.run(
        [sys.executable, "-c", cell],
        cwd=folder,
        env=environment | variables,
        capture_output=True,
        encoding="utf-8",
    )


@pytest.fixture(scope="module")
def repository(tmp_path_factory) -> Path:
    """A repository with what the notebook's cell needs, to be cloned."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    root = tmp_path_factory.mktemp("remote")
    for folder in ("ch01_intro", "ch02_tensors", "ch03_deep_learning"):
        (root / folder).mkdir()
        for path in (ROOT / folder).glob("*.py"):
            shutil.copy(path, root / folder)
    shutil.copy(ROOT / NOTEBOOK, root / NOTEBOOK)
    shutil.copy(ROOT / "requirements.txt", root)
    who = ["-c", "user.name=reader", "-c", "user.email=reader@example.org"]
    for command in (["init", "-q"], ["add", "."], [*who, "commit", "-qm", "all"]):
        subprocess.run(["git", *command], cwd=root, check=True)
    return root


def on_colab(repository: Path, address: str) -> tuple[str, dict[str, str]]:
    """What stands before the cell; variables that turn the address to `repository`."""
    source = str(repository / "ch01_intro" / "colab.py")
    module = "import sys, types\nsys.modules['google.colab'] = types.ModuleType('g')\n"
    return module + FETCH.format(source=source), {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{address}.insteadOf",
        "GIT_CONFIG_VALUE_0": colab.REPOSITORY,
    }


def test_the_cell_clones_and_changes_the_folder(repository, tmp_path):
    before, variables = on_colab(repository, repository.as_uri())
    again = "\nprint(Path.cwd().name)\nfrom ch01_intro.devices import *"
    cell = before + colab_cell(NOTEBOOK) + "\nimport ch02_tensors" + SAY + again
    for _ in range(2):  # the second time after a restart of the kernel
        done = run(cell, tmp_path, **variables)
        assert done.returncode == 0, done.stderr
        assert "ch03_deep_learning ch02_tensors" in done.stdout
        assert "nothing, all packages were there" in done.stdout
    assert (tmp_path / "book" / NOTEBOOK).exists()


def test_the_cell_can_run_twice_in_one_kernel(repository, tmp_path):
    before, variables = on_colab(repository, repository.as_uri())
    cell = before + colab_cell(NOTEBOOK) + "\n" + colab_cell(NOTEBOOK)
    done = run(cell + "\nimport os; print(os.getcwd())", tmp_path, **variables)
    assert done.returncode == 0, done.stderr
    ends = Path(done.stdout.splitlines()[-1])
    assert ends == (tmp_path / "book" / "ch03_deep_learning").resolve()


def test_without_a_connection_the_error_says_so(repository, tmp_path):
    before, variables = on_colab(repository, (tmp_path / "nowhere").as_uri())
    done = run(before + colab_cell(NOTEBOOK), tmp_path, **variables)
    assert done.returncode != 0
    assert "check the connection and run this cell again" in done.stderr
    assert not (tmp_path / "book").exists()


def test_elsewhere_it_does_nothing(tmp_path):
    code = colab_cell(NOTEBOOK) + "\nimport os; print(os.listdir(), len(sys.path))"
    done = run(code, tmp_path)
    bare = run("import sys, os; print(os.listdir(), len(sys.path))", tmp_path)
    assert done.stdout == bare.stdout and done.stdout.startswith("[]")


def test_what_is_missing_is_what_the_notebook_imports(monkeypatch):
    everywhere = colab.third_party(ROOT, ROOT / NOTEBOOK)
    assert {"torch", "torchvision", "matplotlib", "sklearn"} <= everywhere
    assert not everywhere & {"ray", "fastapi", "pathlib", "ch01_intro"}
    monkeypatch.setattr(colab, "there", lambda name: name not in {"sklearn", "PIL"})
    found = colab.missing(ROOT, ROOT / NOTEBOOK)
    assert [pin.split("==")[0] for pin in found] == ["pillow", "scikit-learn"]


def test_every_import_of_every_notebook_has_a_name_that_pip_knows():
    pins = colab.pins(ROOT)
    without = {"colab", "triton", "torch-xla"}  # fetched; of torch; of Colab's TPUs
    for path in notebook_paths():
        names = {colab.package(name) for name in colab.third_party(ROOT, path)}
        assert names - without <= pins.keys(), path.name
    assert pins["ray"].startswith("ray[") and "#" not in "".join(pins.values())


def test_the_address_is_that_of_the_project():
    assert colab.REPOSITORY == REPOSITORY


def test_pip_keeps_the_pytorch_that_is_there(monkeypatch, tmp_path):
    asked = []

    def fake(command, **_):
        asked.append(command)
        bad = any("executorch" in part for part in command)
        return subprocess.CompletedProcess(command, int(bad))

    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setattr(colab.subprocess, "run", fake)
    result = colab.install(["optuna==5.0.0", "executorch==1.5.1"])
    assert result == (["optuna==5.0.0"], ["executorch==1.5.1"])
    constraints = Path(asked[0][asked[0].index("--constraint") + 1])
    assert "torch==" in constraints.read_text(encoding="utf-8")
    assert not any("--upgrade" in command for command in asked)


def test_what_could_not_be_added_is_said(monkeypatch, capsys):
    monkeypatch.chdir(ROOT / "ch01_intro")
    monkeypatch.setattr(colab, "missing", lambda *_: ["optuna==5.0.0"])
    monkeypatch.setattr(colab, "install", lambda wanted: ([], wanted))
    colab.prepare(NOTEBOOK)
    assert Path.cwd() == ROOT / "ch03_deep_learning"
    assert "some cells will fail: optuna==5.0.0" in capsys.readouterr().out
