"""Ray Train: what is asked before anything starts; the result is that of the script."""

import re
import subprocess
import sys

import pytest
import torch

from ch06_acceleration import train_ddp
from ch06_acceleration.ray_train import DEFAULTS, train_on_ray

THERE = {"CPU": 2.0, "GPU": 0.0}


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"gpus": True}, "2 workers ask for 2 GPU, and there is 0"),
        ({"workers": 4}, "4 workers ask for 4 CPU, and there is 2"),
        ({"workers": -1}, "do not divide"),
        ({"batch_size": 63}, "do not divide"),
        ({"rate": 1}, "nothing here is called rate"),
    ],
)
def test_what_can_not_be_is_an_error_and_no_wait(tmp_path, wanted, words):
    with pytest.raises(ValueError, match=words):
        train_on_ray(tmp_path, there=THERE, **wanted)
    assert list(tmp_path.iterdir()) == []


def test_the_defaults_are_those_of_the_script():
    args = train_ddp._arguments([])
    assert DEFAULTS["batch_size"] == args.batch_size and DEFAULTS["width"] == args.width
    network = train_ddp.network(DEFAULTS["width"])
    assert network(torch.zeros(2, 1, 8, 8)).shape == (2, 10)


def test_in_this_process_it_trains_as_the_script_does(tmp_path, capfd):
    result = train_on_ray(tmp_path, workers=0, epochs=2)
    train_ddp.main(["--epochs", "2"])
    written = capfd.readouterr().out
    assert f"epoch 2: loss {result.metrics['loss']:.4f}" in written
    assert f"{result.metrics['accuracy']:.1%} right" in written
    assert result.metrics["epoch"] == 2


def test_two_workers_train_as_the_script_does(capfd):
    """In a process of its own: a Ray that was started once leaves its marks."""
    command = [sys.executable, "-m", "ch06_acceleration.ray_train"]
    done = subprocess.run(
        [*command, "--workers", "2", "--epochs", "2"],
        capture_output=True,
        encoding="utf-8",
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    train_ddp.main(["--epochs", "2"])
    wanted = re.search(r"epoch 2: loss ([\d.]+)", capfd.readouterr().out)[1]
    loss = re.search(r"'loss': ([\d.]+)", done.stdout)[1]
    assert float(loss) == pytest.approx(float(wanted), abs=2e-3)
