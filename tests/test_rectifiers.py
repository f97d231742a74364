"""The thresholded ReLU: equal to the library's; the soft one learns its threshold."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close

from ch05_customizing.rectifiers import (
    SoftThreshold,
    ThresholdedReLU,
    thresholded_relu,
)

EXAMPLES = settings(max_examples=15)
VALUES = st.lists(st.floats(width=32), max_size=8)  # nan and infinities among them


@EXAMPLES
@given(values=VALUES, threshold=st.floats(-3, 3), value=st.floats(-3, 3))
def test_equal_to_the_library(values, threshold, value):
    for dtype in (torch.float32, torch.float64):
        x = torch.tensor(values, dtype=dtype)
        results = []
        for function in (
            lambda x: thresholded_relu(x, threshold, value),
            ThresholdedReLU(threshold, value),
            nn.Threshold(threshold, value),
        ):
            leaf = x.clone().requires_grad_()
            y = function(leaf)
            results.append((y, *torch.autograd.grad(y.sum(), leaf)))
        assert_close(results[0], results[2], equal_nan=True, rtol=0, atol=0)
        assert_close(results[1], results[2], equal_nan=True, rtol=0, atol=0)


def test_the_gradient_at_the_threshold_is_0():
    x = torch.tensor([0.4, 0.5, 0.6], requires_grad=True)
    thresholded_relu(x, 0.5).sum().backward()
    assert x.grad.tolist() == [0, 0, 1]


def test_the_module_has_settings_and_no_state():
    layer = ThresholdedReLU(0.5, -1.0)
    assert repr(layer) == "ThresholdedReLU(threshold=0.5, value=-1.0)"
    assert not layer.state_dict() and not list(layer.parameters())


@EXAMPLES
@given(seed=st.integers(0, 999), threshold=st.floats(-1, 1), width=st.floats(0.05, 2))
def test_the_soft_one_has_gradients(seed, threshold, width):
    torch.manual_seed(seed)
    layer = SoftThreshold(threshold, width, num_features=3).double()
    x = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, x)
    gate = torch.sigmoid((x - layer.threshold) / width)
    by_hand = -(x * gate * (1 - gate) / width).sum(0)
    (slope,) = torch.autograd.grad(layer(x).sum(), layer.threshold)
    assert_close(slope, by_hand)


def test_the_soft_one_between_silu_and_the_hard_one():
    x = torch.linspace(-3, 3, 62)  # 0.7 is not among them
    assert_close(SoftThreshold(0.0, 1.0)(x), F.silu(x))
    assert_close(SoftThreshold(0.7, 1e-4)(x), thresholded_relu(x, 0.7))


def test_a_threshold_is_learned():
    torch.manual_seed(0)
    x, layer = torch.randn(300), SoftThreshold(-0.5)
    adam = torch.optim.Adam(layer.parameters(), lr=0.05)
    for layer.width in torch.logspace(-0.3, -1.7, 150).tolist():
        adam.zero_grad()
        F.mse_loss(layer(x), thresholded_relu(x, 0.7)).backward()
        adam.step()
    assert abs(layer.threshold.item() - 0.7) < 0.05
    again = SoftThreshold(width=layer.width)
    again.load_state_dict(layer.state_dict())
    assert torch.equal(again(x), layer(x))


def test_broken_use_is_named():
    for x in (torch.ones(2).long(), torch.ones(2, dtype=torch.complex64)):
        with pytest.raises(TypeError, match=f"not {x.dtype}"):
            thresholded_relu(x)
    for width in (0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="width has to be above 0"):
            SoftThreshold(width=width)
