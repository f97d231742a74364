"""The sheet of activations and the gradient of deep stacks: `activations`."""

import matplotlib.pyplot as plt
import pytest
import torch
from torch import nn

from ch03_deep_learning.activations import (
    draw_activations,
    gradient_norms,
    value_and_slope,
)

X = torch.linspace(-3, 3, 601)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def test_value_and_slope_are_those_of_the_textbook():
    value, slope = value_and_slope(torch.tanh, X)
    torch.testing.assert_close(value, X.tanh())
    torch.testing.assert_close(slope, 1 - X.tanh() ** 2)
    assert not value.requires_grad and not slope.requires_grad


def test_the_argument_stays_as_it_was_even_with_an_inplace_layer():
    x = X.clone()
    value, slope = value_and_slope(lambda x: nn.ReLU(inplace=True)(x * 1), x)
    assert torch.equal(x, X) and not x.requires_grad
    assert torch.equal(value, X.clamp(min=0)) and slope.unique().tolist() == [0, 1]


def test_a_layer_with_parameters_gets_no_gradient_in_them():
    layer = nn.PReLU()
    _, slope = value_and_slope(layer, X)
    assert layer.weight.grad is None and slope.min() == 0.25


def test_a_function_that_changes_the_shape_is_refused():
    with pytest.raises(ValueError, match=r"\(601,\) to \(\)"):
        value_and_slope(torch.sum, X)


def test_one_panel_a_name_with_value_and_slope():
    layers = {"Tanh": nn.Tanh(), "SiLU": nn.SiLU(), "ReLU": nn.ReLU()}
    curves = {name: value_and_slope(layer, X) for name, layer in layers.items()}
    draw_activations(X, curves, columns=2, limits=(-1, 2))
    *drawn, empty = plt.gcf().axes
    assert [axes.get_title() for axes in drawn] == list(layers)
    assert not empty.axison and plt.gcf().get_facecolor() == (1, 1, 1, 1)
    value, slope = (
        next(line for line in drawn[0].lines if line.get_label() == label)
        for label in ("value", "slope")
    )
    assert value.get_ydata() == pytest.approx(X.tanh().numpy())
    assert slope.get_ydata() == pytest.approx(1 - X.tanh().numpy() ** 2, abs=1e-6)
    assert drawn[0].get_ylim() == (-1, 2) and drawn[0].get_xlim() == (-3, 3)


def test_the_gradient_fades_with_sigmoids_and_not_with_selu():
    sigmoid = gradient_norms(nn.Sigmoid(), layers=12, width=32)
    selu = gradient_norms(nn.SELU(), layers=12, width=32)
    assert len(sigmoid) == 12
    assert sigmoid[0] < 1e-5 * sigmoid[-1] and selu[0] > 0.01 * selu[-1]


def test_the_norms_are_those_of_the_seed_and_leave_the_generator_alone():
    before = torch.get_rng_state()
    first = gradient_norms(nn.ReLU(), layers=3, width=8, seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    assert gradient_norms(nn.ReLU(), layers=3, width=8, seed=1) == first
    assert gradient_norms(nn.ReLU(), layers=3, width=8, seed=2) != first


def test_no_layers_is_an_error():
    with pytest.raises(ValueError, match="at least one layer, not 0"):
        gradient_norms(nn.ReLU(), layers=0)
