"""The tools of an author: the template, the check; and the files that services read."""

import json
import re

import nbformat
import pytest
import yaml

from tests import check, execute, template
from tests.hygiene import RULES
from tests.notebooks import ROOT, notebook_paths
from tests.sample_notebook import sample

NAME = "ch02_tensors/99_sparse.ipynb"
PRIVATE = ".devcontainer/devcontainer.json"
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


def test_a_new_notebook_obeys_the_rules_once_it_was_executed(tmp_path):
    path = tmp_path / "ch02_tensors" / "99_sparse.ipynb"
    path.parent.mkdir()
    nbformat.write(template.template(NAME, "Sparse tensors"), path)
    assert check.problems(path)  # not executed yet
    execute.execute(path)
    assert check.problems(path) == []


@pytest.mark.parametrize("name", ["ch02_tensors/sparse.ipynb", "ch09_x/01_a.ipynb"])
def test_a_name_that_fits_no_chapter_is_refused(name):
    with pytest.raises(ValueError, match="no chapter/NN_topic"):
        template.template(name, "Title")


def test_a_notebook_is_never_written_over(capsys):
    there = notebook_paths()[0]
    before = there.read_bytes()
    with pytest.raises(SystemExit):
        template.main([f"{there.parent.name}/{there.name}", "Title"])
    assert "exists already" in capsys.readouterr().err
    assert there.read_bytes() == before


def test_check_names_what_is_wrong(tmp_path, capsys):
    path = tmp_path / "01_bad.ipynb"
    notebook = sample()
    notebook.cells[0].source = "no title"
    nbformat.write(notebook, path)
    assert check.main([str(path)]) == 1
    assert "lacks a title" in capsys.readouterr().out
    path.write_text("{}", encoding="utf-8")
    assert check.main([str(path)]) == 1
    assert "not a notebook" in capsys.readouterr().out
    assert check.main([str(notebook_paths()[0])]) == 0
    assert len(RULES) > 10


def test_codespaces_and_binder_install_what_the_readme_does():
    container = json.loads((ROOT / PRIVATE).read_text(encoding="utf-8"))
    assert re.fullmatch(r"mcr\.microsoft\.com/devcontainers/python:.*3\.1[123].*",
                        container["image"])  # fmt: skip
    assert "make environment" in container["postCreateCommand"]
    after = (ROOT / ".binder/postBuild").read_text(encoding="utf-8")
    pins = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    for pin in re.findall(r"torch\w*==[\w.]+", after):
        assert pin in pins.splitlines()
    assert "requirements.txt" in after
    runtime = (ROOT / ".binder/runtime.txt").read_text(encoding="utf-8")
    assert re.fullmatch(r"python-3\.1[123]\n", runtime)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_are_pinned_and_modest(path):
    text = path.read_text(encoding="utf-8")
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] == {"contents": "read"}
    for used in re.findall(r"uses: (\S+)", text):
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", used), used
    for name, job in workflow["jobs"].items():
        assert job["timeout-minutes"] <= 90, name
        granted = job.get("permissions", {})
        assert set(granted) <= {"contents", "pages", "id-token"}, name
        assert granted.get("contents", "read") == "read"


def test_the_hooks_run_what_is_there():
    text = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    (repository,) = yaml.safe_load(text)["repos"]
    assert repository["repo"] == "local"
    modules = re.findall(r"-m (tests\.\w+|ruff)", text)
    assert {"ruff", "tests.check"} <= set(modules)
    for name in modules:
        assert name == "ruff" or (ROOT / f"{name.replace('.', '/')}.py").is_file()
