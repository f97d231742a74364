"""Which elements share a mean, and the picture of it: `normalization`."""

import matplotlib.pyplot as plt
import pytest
import torch
from torch import nn

from ch03_deep_learning.normalization import averaged_with, draw_averages

SHAPE = (2, 4, 2, 2)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (nn.BatchNorm2d(4), (slice(None), 0)),
        (nn.SyncBatchNorm(4), (slice(None), 0)),
        (nn.BatchNorm2d(4).eval(), (0, 0, 0, 0)),
        (nn.InstanceNorm2d(4), (0, 0)),
        (nn.GroupNorm(2, 4), (0, slice(0, 2))),
        (nn.LayerNorm([4, 2, 2]), (0,)),
        (nn.LayerNorm(2), (0, 0, 0)),
        (nn.RMSNorm([4, 2, 2]), (0,)),
        (nn.LocalResponseNorm(3), (0, slice(0, 2), 0, 0)),
        (nn.Identity(), (0, 0, 0, 0)),
    ],
    ids=lambda value: str(value)[:30],
)
def test_the_elements_that_count_are_those_of_the_definition(layer, expected):
    mask = torch.zeros(SHAPE, dtype=torch.bool)
    mask[expected] = True
    assert torch.equal(averaged_with(layer, SHAPE), mask)


def test_the_layer_stays_as_it_was():
    layer = nn.BatchNorm2d(4)
    averaged_with(layer, SHAPE)
    assert layer.weight.dtype == torch.float32 and layer.weight.grad is None
    assert layer.num_batches_tracked == 0 and layer.running_mean.eq(0).all()


def test_a_layer_that_changes_the_shape_is_refused():
    with pytest.raises(ValueError, match=r"makes \(2, 1, 2, 2\) of \(2, 4, 2, 2\)"):
        averaged_with(nn.Conv2d(4, 1, 1), SHAPE)


def test_one_cube_a_layer():
    masks = {"batch": averaged_with(nn.BatchNorm2d(4), SHAPE)}
    masks["group"] = averaged_with(nn.GroupNorm(2, 4), SHAPE)
    draw_averages(masks, columns=2)
    first, second = plt.gcf().axes
    assert (first.get_title(), second.get_title()) == ("batch", "group")
    assert first.get_xlabel() == "C = 4" and first.get_zlabel() == "H·W = 4"
    assert plt.gcf().get_facecolor() == (1, 1, 1, 1)
    assert len(first.collections) == len(second.collections) == 2 * 4 * 4  # its cells


def test_masks_of_other_dimensions_are_refused():
    with pytest.raises(ValueError, match="'flat'"):
        draw_averages({"flat": torch.ones(2, 3, dtype=torch.bool)})
