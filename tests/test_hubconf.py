"""`hubconf.py`: what PyTorch Hub finds in this repository, and how Hub itself behaves.

Nothing here asks the network: what Hub would have downloaded lies in its folder
already, or the test ends where the download would begin.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.error import URLError

import pytest
import skimage.data
import torch
from PIL import Image

from ch01_intro.classify import classify, small_classifier
from ch01_intro.network import small_network
from tests.notebooks import ROOT

ENTRY_POINTS = ["cifar10_classes", "cifar10_transform", "lenet5", "small_cifar10"]
NAME = "reader/companion"
ELSEWHERE = """
import json, pathlib, sys
import torch
folder, before = sys.argv[1], list(sys.path)
model = torch.hub.load(folder, "small_cifar10", source="local")
lenet = torch.hub.load(folder, "lenet5", 7, in_channels=1, source="local")
assert sys.path == before
with torch.inference_mode():
    logits = model(torch.ones(2, 3, 32, 32))
files = [sys.modules[type(m).__module__].__file__ for m in (model, lenet)]
print(json.dumps({
    "logits": logits.tolist(), "training": model.training, "files": files,
    "lenet": list(lenet(torch.zeros(2, 1, 32, 32)).shape),
    "where": str(pathlib.Path.cwd()),
}))
"""


def load(name: str, *args: object, **kwargs: object):
    return torch.hub.load(str(ROOT), name, *args, source="local", **kwargs)


def copy_repository(folder: Path) -> Path:
    """What a download of this repository would bring, as far as Hub needs it."""
    folder.mkdir(parents=True)
    shutil.copy(ROOT / "hubconf.py", folder)
    for chapter in ("ch01_intro", "ch03_deep_learning"):
        shutil.copytree(
            ROOT / chapter,
            folder / chapter,
            ignore=shutil.ignore_patterns("*.ipynb", "__pycache__", ".*"),
        )
    return folder


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """An empty Hub folder, and a network that refuses."""

    def refuse(*_: object, **__: object):
        raise URLError("no network in the tests")

    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "hub"))
    monkeypatch.setattr(torch.hub, "urlopen", refuse)
    (tmp_path / "hub").mkdir()
    return tmp_path / "hub"


@pytest.fixture
def downloaded(hub):
    return copy_repository(hub / "reader_companion_main")


# The entry points


def test_the_pretrained_network_is_that_of_chapter_1():
    x = torch.linspace(-1, 1, 2 * 3 * 32 * 32).view(2, 3, 32, 32)
    model = load("small_cifar10")
    assert not model.training
    with torch.inference_mode():
        torch.testing.assert_close(model(x), small_network()(x))


def test_without_weights_it_is_another_one_each_time():
    first, second = (load("small_cifar10", pretrained=False) for _ in range(2))
    pairs = zip(first.parameters(), second.parameters(), strict=True)
    assert not all(torch.equal(a, b) for a, b in pairs)


def test_transform_network_and_names_belong_together():
    photo = Image.fromarray(skimage.data.chelsea())
    image = load("cifar10_transform")(photo)
    torch.testing.assert_close(image, small_classifier().transform(photo))
    with torch.inference_mode():
        best = load("small_cifar10")(image.unsqueeze(0)).argmax().item()
    expected = classify(photo, small_classifier(), top=1, device="cpu")[0].label
    assert load("cifar10_classes")[best] == expected


def test_lenet5_takes_its_arguments():
    model = load("lenet5", num_classes=4, in_channels=1)
    assert model(torch.zeros(3, 1, 32, 32)).shape == (3, 4)
    assert model.training
    with pytest.raises(ValueError, match="num_classes=0"):
        load("lenet5", num_classes=0)


def test_it_works_from_any_folder_without_an_installation(tmp_path):
    folder = copy_repository(tmp_path / "a copy")
    (tmp_path / "elsewhere").mkdir()
    done = subprocess.run(
        [sys.executable, "-P", "-W", "error", "-c", ELSEWHERE, str(folder)],
        cwd=tmp_path / "elsewhere",
        capture_output=True,
        encoding="utf-8",
    )
    assert (done.returncode, done.stderr) == (0, "")
    said = json.loads(done.stdout)
    assert Path(said["where"]).name == "elsewhere"
    # The classes come from the copy, though this repository may be installed as well.
    assert all(Path(file).is_relative_to(folder) for file in said["files"])
    assert (said["training"], said["lenet"]) == (False, [2, 7])
    with torch.inference_mode():
        expected = small_network()(torch.ones(2, 3, 32, 32))
    torch.testing.assert_close(torch.tensor(said["logits"]), expected)


# list and help: they know GitHub's names and the Hub folder, no `source="local"`


def test_list_shows_the_entry_points_and_nothing_else(downloaded, capsys):
    assert torch.hub.list(f"{NAME}:main", verbose=False) == ENTRY_POINTS
    assert capsys.readouterr().err == ""


def test_help_shows_the_docstring(downloaded, capsys):
    text = torch.hub.help(f"{NAME}:main", "small_cifar10")
    assert "(N, 3, 32, 32)" in text and "pretrained:" in text
    assert "Using cache found in" in capsys.readouterr().err  # it can not be muted


@pytest.mark.parametrize("name", ENTRY_POINTS)
def test_every_entry_point_says_what_it_does(downloaded, name):
    assert len(torch.hub.help(f"{NAME}:main", name)) > 60


def test_without_a_branch_and_without_network_the_folder_is_found(downloaded):
    assert torch.hub.list(NAME, verbose=False) == ENTRY_POINTS


def test_list_takes_no_source():
    with pytest.raises(TypeError, match="source"):
        torch.hub.list(str(ROOT), source="local")


# How Hub behaves


def test_an_unknown_name():
    with pytest.raises(RuntimeError, match="Cannot find callable resnet9"):
        load("resnet9")


def test_a_missing_dependency_is_named(tmp_path):
    text = "dependencies = ['torch', 'no_such_package']\ndef net(): pass\n"
    (tmp_path / "hubconf.py").write_text(text, encoding="utf-8")
    with pytest.raises(RuntimeError, match="Missing dependencies: no_such_package"):
        torch.hub.load(str(tmp_path), "net", source="local")


def test_an_unknown_repository_is_asked_about(hub, monkeypatch):
    questions = []

    def answer(question: str) -> str:
        questions.append(question)
        return "n"

    monkeypatch.setattr("builtins.input", answer)
    with pytest.raises(Exception, match="Untrusted repository"):
        torch.hub.load(f"{NAME}:main", "small_cifar10")
    assert "reader_companion does not belong" in questions[0]
    assert (hub / "trusted_list").read_text(encoding="utf-8") == ""


def test_trust_repo_asks_nothing_and_is_remembered(hub, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda _: pytest.fail("it asked"))
    for options in ({"trust_repo": True}, {}):
        with pytest.raises(URLError, match="no network"):
            torch.hub.load(f"{NAME}:main", "small_cifar10", **options)
    assert (hub / "trusted_list").read_text(encoding="utf-8") == "reader_companion\n"


def test_what_lies_in_the_hub_folder_is_trusted(downloaded, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda _: pytest.fail("it asked"))
    model = torch.hub.load(f"{NAME}:main", "lenet5", verbose=False)
    assert model(torch.zeros(1, 3, 32, 32)).shape == (1, 10)
