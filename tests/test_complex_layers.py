"""Complex layers: from real parts equal to PyTorch's own, and three rectifiers."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close

from ch05_customizing.complex_layers import (
    ComplexLinear,
    ModReLU,
    SimpleComplexLinear,
    complex_linear,
    crelu,
    modrelu,
    zrelu,
)

EXAMPLES = settings(max_examples=15)
SIZES = st.integers(1, 6)


def numbers(*shape, seed=0, dtype=torch.complex128):
    return torch.randn(
        shape, dtype=dtype, generator=torch.Generator().manual_seed(seed)
    )


@EXAMPLES
@given(
    front=st.lists(st.integers(0, 3), max_size=3),
    features=SIZES,
    outputs=SIZES,
    bias=st.booleans(),
    products=st.sampled_from([4, 3]),
    seed=st.integers(0, 999),
)
def test_the_function_is_the_complex_product(
    front, features, outputs, bias, products, seed
):
    z = numbers(*front, features, seed=seed).requires_grad_()
    weight = numbers(outputs, features, seed=seed + 1).requires_grad_()
    b = numbers(outputs, seed=seed + 2).requires_grad_() if bias else None
    tensors = [z, weight, b] if bias else [z, weight]
    parts = [part for tensor in tensors for part in (tensor.real, tensor.imag)]
    ours = torch.complex(*complex_linear(*parts, products=products))
    theirs = F.linear(z, weight, b)
    assert_close(ours, theirs)
    seeds = numbers(*ours.shape, seed=seed + 3)
    results = [torch.autograd.grad(out, tensors, seeds) for out in (ours, theirs)]
    assert_close(*results)


@EXAMPLES
@given(front=st.lists(st.integers(0, 3), max_size=2), bias=st.booleans())
def test_the_module_is_the_complex_layer(front, bias):
    layer = ComplexLinear(5, 3, bias, dtype=torch.float64)
    native = layer.as_complex()
    assert native.weight.dtype == torch.complex128
    z = numbers(*front, 5)
    ours = torch.complex(*layer(z.real, z.imag))
    assert_close(ours, native(z))
    for out in (ours, native(z)):
        out.abs().square().sum().backward()
    assert_close(
        torch.complex(layer.weight_real.grad, layer.weight_imag.grad),
        native.weight.grad,
    )
    if bias:
        ours = torch.complex(layer.bias_real.grad, layer.bias_imag.grad)
        assert_close(ours, native.bias.grad)
    assert (native.bias is None) == (not bias)


def test_the_simple_form_adds_another_bias():
    layer = SimpleComplexLinear(4, 3)
    z = numbers(2, 4, dtype=torch.complex64)
    weight = torch.complex(layer.real.weight, layer.imag.weight)
    bias = torch.complex(layer.real.bias, layer.imag.bias)
    assert_close(torch.complex(*layer(z.real, z.imag)), z @ weight.T + (1 + 1j) * bias)


def test_a_signal_shrinks_as_in_a_real_layer():
    torch.manual_seed(0)
    layer = ComplexLinear(400, 400, bias=False)
    z = numbers(500, 400, dtype=torch.complex64)
    out = torch.complex(*layer(z.real, z.imag))
    assert abs(out.abs().square().mean().item() - 1 / 3) < 0.01


def test_gradcheck():
    z, weight, b = (numbers(*shape) for shape in ((2, 3), (4, 3), (4,)))
    tensors = [
        part.clone().requires_grad_()
        for tensor in (z, weight, b)
        for part in (tensor.real, tensor.imag)
    ]
    for products in (4, 3):
        assert torch.autograd.gradcheck(
            lambda *parts, n=products: complex_linear(*parts, products=n), tensors
        )


def test_saved_and_loaded(tmp_path):
    layer, other = ComplexLinear(4, 3), ComplexLinear(4, 3)
    torch.save(layer.state_dict(), tmp_path / "layer.pt")
    other.load_state_dict(torch.load(tmp_path / "layer.pt", weights_only=True))
    z = numbers(2, 4, dtype=torch.complex64)
    assert all(map(torch.equal, layer(z.real, z.imag), other(z.real, z.imag)))


def test_broken_use_of_the_linear_ones_is_named():
    layer, z = ComplexLinear(4, 3), numbers(2, 4, dtype=torch.complex64)
    for each in (layer, SimpleComplexLinear(4, 3)):
        with pytest.raises(TypeError, match=r"two real tensors: z\.real, z\.imag"):
            each(z, z)
        with pytest.raises(ValueError, match=r"one shape, not \(2, 4\) and \(1, 4\)"):
            each(z.real, z.imag[:1])
        with pytest.raises(ValueError, match="4 features"):
            each(z.real[:, :2], z.imag[:, :2])
    with pytest.raises(ValueError, match="products"):
        complex_linear(*[torch.ones(1, 1)] * 4, products=2)
    with pytest.raises(ValueError, match="at least one"):
        ComplexLinear(0, 3)
    with pytest.raises(TypeError, match="one real part"):
        ComplexLinear(4, 3, dtype=torch.complex64)


@EXAMPLES
@given(
    shape=st.lists(st.integers(0, 4), max_size=3),
    seed=st.integers(0, 999),
    bias=st.floats(-2, 2),
)
def test_rectifiers_by_the_definition(shape, seed, bias):
    z = numbers(*shape, seed=seed)
    expected = F.relu(torch.view_as_real(z))
    assert_close(torch.view_as_real(crelu(z)), expected)
    angle = z.angle()
    inside = (angle >= 0) & (angle <= torch.pi / 2)
    assert_close(zrelu(z), z * inside)
    assert_close(modrelu(z, bias), torch.polar(F.relu(z.abs() + bias), angle))
    turn = torch.polar(torch.tensor(1.0), torch.tensor(float(seed))).to(z.dtype)
    assert_close(modrelu(turn * z, bias), turn * modrelu(z, bias))


def test_rectifiers_at_zero_and_nan():
    for function in (crelu, zrelu, lambda z: modrelu(z, 0.5)):
        z = torch.zeros(2, dtype=torch.complex128, requires_grad=True)
        out = function(z)
        (slope,) = torch.autograd.grad(out.abs().sum(), z)
        assert not out.any() and slope.isfinite().all()
        assert function(torch.tensor([complex("nan+nanj")])).isnan().all()


def test_rectifiers_gradcheck():
    z = numbers(20).requires_grad_()
    bias = torch.linspace(-0.7, 0.4, 20, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(crelu, z) and torch.autograd.gradcheck(zrelu, z)
    assert torch.autograd.gradcheck(modrelu, (z, bias))


def test_a_complex_network_learns_one_batch():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(3, 16, dtype=torch.complex64),
        ModReLU(16, bias=-0.1),
        nn.Linear(16, 2, dtype=torch.complex64),
    )
    z, target = numbers(6, 3).to(torch.complex64), numbers(6, 2).to(torch.complex64)
    adam = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(300):
        adam.zero_grad()
        loss = (model(z) - target).abs().square().mean()
        loss.backward()
        assert all(p.grad.isfinite().all() for p in model.parameters())
        adam.step()
    assert loss < 0.01 and (model[1].bias != -0.1).all()


def test_broken_use_of_the_rectifiers_is_named():
    for function in (crelu, zrelu, lambda z: modrelu(z, 0.1)):
        with pytest.raises(TypeError, match=r"complex tensor, not torch\.float32"):
            function(torch.ones(2))
    with pytest.raises(ValueError, match=r"3 features .* \(2, 4\)"):
        ModReLU(3)(numbers(2, 4))
