"""The training that is tuned, and what is asked of Ray before it waits for ever."""

import itertools
import sys

import pytest
import torch

from ch06_acceleration.tuning import check_resources, parts, ray_session, train_digits


def test_the_parts_do_not_overlap():
    images, labels, held_out, truth = parts()
    assert images.shape == (1000, 64) and held_out.shape == (437, 64)
    assert len(labels) == 1000 and len(truth) == 437
    assert images.min() >= 0 and images.max() == 1


def test_it_learns_and_can_be_stopped():
    rows = list(train_digits({"lr": 0.1}, epochs=6))
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert rows[-1]["accuracy"] > 0.85 and rows[-1]["loss"] < rows[0]["loss"]
    three = list(itertools.islice(train_digits({"lr": 0.1}), 3))
    assert three == rows[:3]  # the seed is the same, and so is the run


def test_the_global_generator_is_left_alone():
    torch.manual_seed(3)
    wanted = torch.rand(2)
    torch.manual_seed(3)
    next(train_digits({}))
    assert torch.equal(torch.rand(2), wanted)


@pytest.mark.parametrize("bad", [{"lr": 0}, {"lr": -1.0}, {"rate": 1}])
def test_a_bad_configuration_is_an_error(bad):
    with pytest.raises(ValueError, match=r"above 0|nothing here"):
        next(train_digits(bad))


def test_what_is_not_there_is_an_error_before_anything_waits():
    check_resources({"cpu": 2}, {"CPU": 2.0, "GPU": 0.0})
    with pytest.raises(ValueError, match="asks for 1 GPU, and there is 0"):
        check_resources({"cpu": 1, "gpu": 1}, {"CPU": 2.0, "GPU": 0.0})
    with pytest.raises(ValueError, match="asks for 3 CPU"):
        check_resources({"cpu": 3}, {"CPU": 2.0})


def test_without_ray_the_message_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ImportError, match="pip install"), ray_session():
        pass
