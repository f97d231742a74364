import builtins
import http.client
import importlib.metadata
import subprocess
import sys
import urllib.error

import pytest
import torch

from ch01_intro import environment
from ch01_intro.environment import Check, checks, main, matches, report


def broken_import(monkeypatch, *names: str) -> None:
    """Let `import NAME` fail, as it does where a package is missing or broken."""
    real = builtins.__import__

    def fake(name, *args, **kwargs):
        if name.split(".")[0] in names:
            raise ImportError(f"cannot load {name}")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", fake)


def test_all_is_well_here():
    results = checks()
    assert [c.name for c in results if c.level == "mend"] == []
    assert {c.name for c in results} >= {
        "Python",
        "torch",
        "torchvision",
        "packages",
        "devices",
        "threads",
        "own weights",
        "data",
        "downloads",
    }


def test_the_command_exits_with_0_here():
    done = subprocess.run(
        [sys.executable, "-m", "ch01_intro.environment"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert torch.__version__ in done.stdout
    assert done.stdout.rstrip().endswith("Ready.")
    assert done.stderr == ""


def test_something_to_mend_exits_with_1_and_says_how(monkeypatch, capsys):
    wrong = Check("thing", "broken", "mend", "Turn it off and on again.")
    monkeypatch.setattr(environment, "CHECKS", (lambda: wrong,))
    assert main() == 1
    shown = capsys.readouterr().out
    assert "[MEND] thing  broken" in shown
    assert "-> Turn it off and on again." in shown
    assert "To mend: thing" in shown


@pytest.mark.parametrize(
    ("version", "level"),
    [
        ((3, 10, 9), "mend"),
        ((3, 11, 0), "ok"),
        ((3, 13, 0), "note"),
        ((3, 13, 1), "ok"),
    ],
)
def test_which_python_will_do(monkeypatch, version, level):
    monkeypatch.setattr(environment.sys, "version_info", version)
    assert environment.check_python().level == level


def test_without_torch_the_rest_is_still_checked(monkeypatch):
    broken_import(monkeypatch, "torch")
    results = {c.name: c for c in checks()}
    assert results["torch"].level == "mend"
    assert "cannot load torch" in results["torch"].found
    assert "requirements.txt" in results["torch"].remedy
    assert "devices" not in results and "data" in results


def test_torchvision_that_cannot_be_loaded(monkeypatch):
    broken_import(monkeypatch, "torchvision")
    check = environment.check_torchvision()
    assert check.level == "mend" and "cannot load torchvision" in check.found


@pytest.mark.parametrize(
    ("torch_version", "torchvision_version", "fit"),
    [
        ("2.14.1+cu130", "0.29.2+cu132", True),
        ("2.11.0", "0.26.0", True),
        ("2.0.1", "0.15.2", True),
        ("2.15.0", "0.29.2", False),
        ("1.13.1", "0.14.1", False),
    ],
)
def test_pairs_of_releases(torch_version, torchvision_version, fit):
    assert matches(torch_version, torchvision_version) is fit


def test_a_pair_that_does_not_fit(monkeypatch):
    import torchvision

    monkeypatch.setattr(torchvision, "__version__", "0.20.0")
    check = environment.check_torchvision()
    assert check.level == "mend" and "does not belong to torch" in check.found


def test_packages_that_are_missing_or_of_another_version(monkeypatch):
    real = importlib.metadata.version

    def version(name):
        if name == "matplotlib":
            return "1.0"
        return real(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    check = environment.check_packages()
    assert check.level == "note" and "matplotlib 1.0" in check.found

    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    assert environment.check_packages().level == "mend"


def test_a_device_that_is_not_there(monkeypatch):
    monkeypatch.setenv("PYTORCH_BOOK_DEVICE", "cuda:9")
    check = environment.check_devices()
    assert check.level == "mend" and "PYTORCH_BOOK_DEVICE" in check.remedy


def test_too_many_threads(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1000)
    assert "OMP_NUM_THREADS" in environment.check_threads().remedy


def test_weights_of_the_repository_that_are_gone(monkeypatch, tmp_path):
    from ch01_intro import network

    monkeypatch.setattr(network, "WEIGHTS", tmp_path / "none.pt")
    monkeypatch.setattr(
        network.small_network, "__kwdefaults__", {"pretrained": True, "path": "none.pt"}
    )
    check = environment.check_small_network()
    assert check.level == "mend" and "git checkout" in check.remedy


def test_the_data_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("PYTORCH_BOOK_DATA", str(tmp_path / "new" / "folder"))
    assert "not there yet" in environment.check_data().found
    (tmp_path / "cifar-10-batches-py").mkdir()
    monkeypatch.setenv("PYTORCH_BOOK_DATA", str(tmp_path))
    assert "cifar-10-batches-py" in environment.check_data().found
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("PYTORCH_BOOK_DATA", str(tmp_path / "file" / "data"))
    check = environment.check_data()
    assert check.level == "note" and "PYTORCH_BOOK_DATA" in check.remedy


def test_a_data_folder_that_may_not_be_looked_for(monkeypatch):
    def refuse(path):
        raise PermissionError("may not be entered")

    monkeypatch.setattr(environment.Path, "exists", refuse)
    check = environment.check_data()
    assert check.level == "note" and "can not be written" in check.found


def test_a_drive_that_is_not_there(monkeypatch):
    monkeypatch.setattr(environment.Path, "exists", lambda path: False)
    assert environment.check_data().level == "note"  # and no loop without an end


def test_downloads_switched_off(monkeypatch):
    monkeypatch.setenv("PYTORCH_BOOK_OFFLINE", "1")
    assert "PYTORCH_BOOK_OFFLINE" in environment.check_network().found


@pytest.mark.parametrize(
    "error", [urllib.error.URLError("refused"), http.client.BadStatusLine("nonsense")]
)
def test_downloads_out_of_reach_are_a_note(monkeypatch, error):
    monkeypatch.delenv("PYTORCH_BOOK_OFFLINE")

    def refuse(url, timeout):
        raise error

    monkeypatch.setattr(environment.urllib.request, "urlopen", refuse)
    check = environment.check_network()
    assert check.level == "note" and "stand-in" in check.remedy


def test_an_answer_of_any_kind_is_an_answer(monkeypatch):
    monkeypatch.delenv("PYTORCH_BOOK_OFFLINE")

    def forbid(url, timeout):
        raise urllib.error.HTTPError(url, 403, "Forbidden", None, None)

    monkeypatch.setattr(environment.urllib.request, "urlopen", forbid)
    assert environment.check_network().level == "ok"


def test_the_report_aligns_its_columns():
    shown = report([Check("a", "x"), Check("longer", "y", "note", "do this")])
    assert shown.splitlines() == [
        "[ ok ] a       x",
        "[note] longer  y",
        "               -> do this",
    ]
