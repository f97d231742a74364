"""The script with DDP: how many processes, killed or not, the network is the same."""

import shutil
import sys

import pytest
import torch
import torch.distributed as dist
from torch.testing import assert_close

from ch06_acceleration import train_ddp
from ch06_acceleration.launch import command, started

ELASTIC = ("--standalone", "--max-restarts=1", "--monitor-interval=0.1")


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    """Not started by torchrun, and the CPU even where there is a GPU."""
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.delenv("TORCHELASTIC_RESTART_COUNT", raising=False)
    monkeypatch.setattr(
        torch.accelerator, "current_accelerator", lambda check_available=False: None
    )


def state_of(path):
    return torch.load(path, weights_only=True)


def test_a_worker_that_dies_costs_nothing_but_time(tmp_path):
    """Two torchruns at once: one is undisturbed, a copy of the file in another folder;
    in the other one a worker dies in the second epoch. A third run is one process."""
    copy = shutil.copy(train_ddp.__file__, tmp_path / "copied.py")
    paths = {name: tmp_path / f"{name}.pt" for name in ("whole", "died", "one")}
    given = "--epochs", 2, "--checkpoint"
    whole = command(copy, *given, paths["whole"])
    module = "ch06_acceleration.train_ddp"
    died = command(module, *given, paths["died"], "--die-at", 30, options=ELASTIC)
    with started(whole, cwd=tmp_path) as first, started(died) as second:
        train_ddp.main([*map(str, given), str(paths["one"])])
        said, said_again = first.wait(240), second.wait(240)
    assert "2 x cpu, gloo, 32 images each" in said
    assert "going on" not in said and "going on after epoch 1" in said_again
    assert said_again.count("epoch 2:") == 1
    assert said.splitlines()[-1] == said_again.splitlines()[-1]  # the digests
    states = {name: state_of(path) for name, path in paths.items()}
    assert_close(states["died"], states["whole"], rtol=0, atol=0)
    assert_close(states["one"]["model"], states["whole"]["model"], rtol=0, atol=1e-3)
    assert {p.name for p in tmp_path.iterdir()} - {"__pycache__"} == {
        "copied.py",
        *(path.name for path in paths.values()),
    }


def test_a_run_in_two_parts_is_the_run_in_one(tmp_path, capfd):
    for epochs, name in ((2, "one"), (1, "two"), (2, "two")):
        path = str(tmp_path / name)
        train_ddp.main(["--epochs", str(epochs), "--width", "4", "--checkpoint", path])
    one, two = (state_of(tmp_path / name) for name in ("one", "two"))
    assert_close(two, one, rtol=0, atol=0)
    assert one["epochs"] == 2
    assert "going on after epoch 1" in capfd.readouterr().out
    assert not dist.is_initialized()


def test_it_learns(capfd):
    train_ddp.main(["--epochs", "3"])
    lines = capfd.readouterr().out.splitlines()
    assert lines[0] == "1 x cpu, gloo, 64 images each"
    losses = [float(line.split()[3].rstrip(",")) for line in lines[1:4]]
    assert losses[2] < losses[1] < losses[0]
    assert float(lines[3].split()[4].rstrip("%")) > 80


def test_a_batch_that_does_not_divide_is_refused(monkeypatch):
    monkeypatch.setattr(dist, "get_world_size", lambda *_: 3)
    with pytest.raises(ValueError, match="--batch-size 64 for 3 processes"):
        train_ddp.main(["--epochs", "1"])
    assert not dist.is_initialized()


def test_the_data_are_those_of_scikit_learn():
    from sklearn.datasets import load_digits

    digits = load_digits()
    train, test = train_ddp.data()
    assert (len(train), len(test)) == (1437, 360)
    order = torch.randperm(1797, generator=torch.Generator().manual_seed(0))
    images, labels = (
        torch.cat([a, b]) for a, b in zip(train.tensors, test.tensors, strict=True)
    )
    assert_close(images[:, 0] * 16, torch.from_numpy(digits.images).float()[order])
    assert torch.equal(labels, torch.from_numpy(digits.target)[order])


@pytest.mark.parametrize(
    ("there", "count", "here", "device"),
    [
        ("cuda", 2, 2, "cuda:1"),
        ("cuda", 1, 2, "cpu"),  # not one for each
        ("mps", 1, 1, "cpu"),  # gloo does not move its tensors
        (None, 0, 2, "cpu"),
    ],
)
def test_each_process_has_a_device_of_its_own(monkeypatch, there, count, here, device):
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(here))
    monkeypatch.setenv("LOCAL_RANK", "1")
    found = torch.device(there) if there else None
    monkeypatch.setattr(
        torch.accelerator, "current_accelerator", lambda check_available: found
    )
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: count)
    assert train_ddp._device() == torch.device(device)


def test_without_torchrun_and_without_this_repository(tmp_path):
    copy = shutil.copy(train_ddp.__file__, tmp_path / "copied.py")
    with started([sys.executable, "-P", copy, "--epochs", "0"], cwd=tmp_path) as run:
        lines = run.wait().splitlines()
    assert len(lines) == 2 and lines[1].startswith("weights ")
