"""Losses: equal to the library's where it has them, to hand calculations elsewhere."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close

from ch05_customizing.losses import (
    ComplexMSE,
    FocalLoss,
    MeanSquaredError,
    complex_mse,
    mean_squared_error,
    root_mean_squared_error,
)

EXAMPLES = settings(max_examples=15)
SHAPES = st.lists(st.integers(0, 4), max_size=3)
REDUCTIONS = st.sampled_from(["none", "mean", "sum"])
SEEDS = st.integers(0, 999)


def two(*shape, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(shape, dtype=dtype, generator=generator).requires_grad_()
        for _ in range(2)
    ]


def with_gradients(value, *tensors):
    return value, *torch.autograd.grad(value.sum(), tensors)


@EXAMPLES
@given(
    shape=SHAPES,
    reduction=REDUCTIONS,
    seed=SEEDS,
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_mse_is_the_librarys(shape, reduction, seed, dtype):
    x, y = two(*shape, seed=seed, dtype=dtype)
    library = with_gradients(nn.MSELoss(reduction=reduction)(x, y), x, y)
    for value in (
        mean_squared_error(x, y, reduction),
        MeanSquaredError(reduction)(x, y),
    ):
        assert_close(with_gradients(value, x, y), library, equal_nan=True)


@EXAMPLES
@given(shape=SHAPES, seed=SEEDS, reduction=st.sampled_from(["mean", "sum"]))
def test_complex_mse_and_the_real_one(shape, seed, reduction):
    a, b = two(*shape, seed=seed, dtype=torch.complex128)
    real = F.mse_loss(*map(torch.view_as_real, (a, b)), reduction=reduction)
    factor = 2 if reduction == "mean" else 1
    ours = with_gradients(complex_mse(a, b, reduction), a, b)
    assert_close(ours, with_gradients(factor * real, a, b), equal_nan=True)
    parts = complex_mse(a, b, part="real") + complex_mse(a, b, part="imag")
    assert_close(parts, complex_mse(a, b), equal_nan=True)


@EXAMPLES
@given(shape=SHAPES, seed=SEEDS, weight=st.floats(0, 5))
def test_magnitude_and_phase(shape, seed, weight):
    a, b = two(*shape, seed=seed, dtype=torch.complex128)
    magnitude = (a.abs() - b.abs()) ** 2
    turned = 2 * a.abs() * b.abs() * (1 - (a.angle() - b.angle()).cos())
    ours = ComplexMSE("none", phase_weight=weight)(a, b)
    assert_close(ours, magnitude + weight * turned)
    assert_close(complex_mse(a, b, "none", part="magnitude"), magnitude)
    assert_close(complex_mse(a, b, "none", phase_weight=0), magnitude)


def test_complex_mse_by_hand():
    a, b = torch.tensor([2j, 3 + 4j]), torch.tensor([1 + 0j, 0j])
    assert complex_mse(a, b, "none").tolist() == [5, 25]
    assert complex_mse(a, b, "none", part="real").tolist() == [1, 9]
    assert complex_mse(a, b, "none", part="imag").tolist() == [4, 16]
    assert complex_mse(a, b, "none", part="magnitude").tolist() == [1, 25]
    assert complex_mse(a, b).item() == 15 and complex_mse(a, b, "sum").item() == 30
    assert_close(complex_mse(a, b, "none", phase_weight=0.25).tolist(), [2.0, 25.0])


def test_complex_mse_gradients():
    a, b = two(3, 2, dtype=torch.complex128)
    for options in (
        {},
        {"part": "real"},
        {"part": "imag"},
        {"part": "magnitude"},
        {"phase_weight": 0.3},
    ):
        loss = ComplexMSE(**options)
        assert torch.autograd.gradcheck(loss, (a, b))
        zero = torch.zeros(2, dtype=torch.complex128, requires_grad=True)
        (slope,) = torch.autograd.grad(loss(zero, zero.detach()), zero)
        assert slope.isfinite().all()


@EXAMPLES
@given(
    n=st.integers(1, 4),
    rest=st.lists(st.integers(1, 3), max_size=2),
    reduction=REDUCTIONS,
    weighted=st.booleans(),
    seed=SEEDS,
    scale=st.sampled_from([1.0, 100.0]),
)
def test_focal_loss_without_focus_is_cross_entropy(
    n, rest, reduction, weighted, seed, scale
):
    torch.manual_seed(seed)
    logits = scale * torch.randn(n, 3, *rest, dtype=torch.float64)
    logits.requires_grad_()
    labels = torch.randint(3, (n, *rest))
    weight = torch.rand(3, dtype=torch.float64) + 0.1 if weighted else None
    ours = FocalLoss(0, weight, reduction)(logits, labels)
    theirs = F.cross_entropy(logits, labels, weight, reduction=reduction)
    assert_close(with_gradients(ours, logits), with_gradients(theirs, logits))


def test_focal_loss_by_hand():
    p = torch.tensor([[0.9, 0.1], [0.2, 0.8]], dtype=torch.float64)
    labels = torch.tensor([0, 0])
    ours = FocalLoss(2.0, reduction="none")(p.log(), labels)
    by_hand = [-(0.1**2) * math.log(0.9), -(0.8**2) * math.log(0.2)]
    assert_close(ours.tolist(), by_hand)
    logits = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    for gamma in (0.0, 0.5, 1.0, 3.0):
        loss = FocalLoss(gamma)
        labels = torch.tensor([0, 2, 1, 1])
        assert torch.autograd.gradcheck(lambda z, f=loss, y=labels: f(z, y), logits)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
def test_focal_loss_is_finite_where_the_network_is_sure(gamma):
    logits = torch.tensor([[1000.0, 0.0], [0.0, 1000.0]], requires_grad=True)
    loss = FocalLoss(gamma)(logits, torch.tensor([0, 0]))  # right, and wrong
    loss.backward()
    assert_close(loss.item(), 500.0)
    assert_close(logits.grad, torch.tensor([[0.0, 0.0], [-0.5, 0.5]]))


def test_focal_weights_are_a_buffer():
    loss = FocalLoss(2.0, torch.tensor([1.0, 3.0]))
    assert loss.double().weight.dtype == torch.float64
    assert not list(loss.parameters())
    other = FocalLoss(2.0, torch.ones(2))
    other.load_state_dict(loss.state_dict())
    assert other.weight.tolist() == [1, 3] and not FocalLoss().state_dict()


def test_root_mean_squared_error():
    x, y = two(3, 4)
    ours = with_gradients(root_mean_squared_error(x, y), x, y)
    assert_close(ours, with_gradients(F.mse_loss(x, y).sqrt(), x, y))
    value, slope = with_gradients(root_mean_squared_error(x, x.detach()), x)
    assert value == 0 and not slope.any()


def test_a_batch_is_learned():
    torch.manual_seed(0)
    model = nn.Linear(6, 3)
    x, labels = torch.randn(4, 6), torch.tensor([0, 1, 2, 0])
    adam = torch.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(150):
        adam.zero_grad()
        FocalLoss()(model(x), labels).backward()
        adam.step()
    assert model(x).argmax(1).tolist() == labels.tolist()


def test_broken_use_is_named():
    x, z = torch.ones(3), torch.ones(3, dtype=torch.complex64)
    for loss in (mean_squared_error, root_mean_squared_error):
        with pytest.raises(ValueError, match=r"\(3, 1\) and \(3,\).*squeeze"):
            loss(x[:, None], x)
    with pytest.raises(ValueError, match=r"one shape"):
        complex_mse(z[:, None], z)
    with pytest.raises(TypeError, match="complex_mse"):
        mean_squared_error(z, z)
    with pytest.raises(TypeError, match=r"complex tensors, not torch\.float32"):
        complex_mse(x, z)
    for make in (MeanSquaredError, ComplexMSE, lambda r: FocalLoss(reduction=r)):
        with pytest.raises(ValueError, match=r"reduction .* not 'avg'"):
            make("avg")
    with pytest.raises(ValueError, match=r"part .* 'phase'"):
        ComplexMSE(part="phase")
    for options in ({"phase_weight": -1}, {"phase_weight": 0.5, "part": "real"}):
        with pytest.raises(ValueError, match="phase_weight"):
            ComplexMSE(**options)
    with pytest.raises(ValueError, match="gamma"):
        FocalLoss(-1)
    for weight in (torch.ones(2, 2), torch.tensor([1.0, -1.0])):
        with pytest.raises(ValueError, match="each class"):
            FocalLoss(weight=weight)
    with pytest.raises((IndexError, RuntimeError), match="out of bounds"):
        FocalLoss()(torch.zeros(1, 2), torch.tensor([-100]))


def test_nan_does_not_become_a_loss_of_0():
    found = root_mean_squared_error(torch.tensor([torch.nan, 1.0]), torch.ones(2))
    assert found.isnan()


def test_focal_loss_needs_a_weight_for_each_class():
    loss = FocalLoss(weight=torch.ones(5))
    with pytest.raises(ValueError, match="needs 3 weights, one a class, not 5"):
        loss(torch.zeros(2, 3), torch.tensor([0, 1]))
