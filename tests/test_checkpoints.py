import random

import numpy as np
import pytest
import torch

from ch03_deep_learning import checkpoints
from ch03_deep_learning.checkpoints import (
    load_checkpoint,
    random_states,
    restore_random_states,
    save_checkpoint,
)

STATE = {"epoch": 3, "weights": {"a": torch.arange(1000.0)}, "rows": [{"loss": 0.5}]}


@pytest.fixture
def saved(tmp_path):
    return save_checkpoint(STATE, tmp_path / "deep" / "run.ckpt")


def test_what_is_saved_is_loaded_and_nothing_else_is_left(saved):
    loaded = load_checkpoint(saved)
    assert loaded["epoch"] == 3 and loaded["rows"] == [{"loss": 0.5}]
    assert loaded["weights"]["a"].equal(STATE["weights"]["a"])
    assert list(saved.parent.iterdir()) == [saved]


def test_a_failed_write_leaves_the_old_one(saved, monkeypatch):
    def fail(state, file):
        file.write(b"half a file")
        raise OSError("no space left on device")

    monkeypatch.setattr(checkpoints.torch, "save", fail)
    with pytest.raises(OSError, match="no space"):
        save_checkpoint({}, saved)
    assert load_checkpoint(saved)["epoch"] == 3
    assert list(saved.parent.iterdir()) == [saved]


def test_what_could_not_be_read_again_is_not_written(saved):
    with pytest.raises(TypeError, match="can not be read again"):
        save_checkpoint({"model": torch.nn.Linear(1, 1)}, saved)
    assert load_checkpoint(saved)["epoch"] == 3


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_checkpoint(tmp_path / "none.ckpt")


@pytest.mark.parametrize("keep", [0, 3, 1000, -1000])
def test_a_file_that_is_cut_off_is_named(saved, keep):
    saved.write_bytes(saved.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"run\.ckpt is not a whole checkpoint .*Del"):
        load_checkpoint(saved)


def test_a_flipped_byte_is_noticed(saved):
    content = bytearray(saved.read_bytes())
    content[len(content) // 2] ^= 0xFF
    saved.write_bytes(bytes(content))
    with pytest.raises(ValueError, match="not a whole checkpoint"):
        load_checkpoint(saved)


def test_a_file_that_holds_something_else(tmp_path):
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(ValueError, match="holds a list"):
        load_checkpoint(tmp_path / "list.pt")


def draws() -> list:
    numbers = np.random.rand(3).tolist()  # noqa: NPY002
    normal = np.random.randn()  # noqa: NPY002 - it keeps a second one for the next time
    return [random.random(), numbers, normal, torch.rand(3).tolist()]


def test_all_generators_go_on_where_they_were(tmp_path):
    draws()
    path = save_checkpoint(random_states(), tmp_path / "random.ckpt")
    expected = draws()
    draws()
    restore_random_states(load_checkpoint(path))
    assert draws() == expected
