"""Codes and scales, integer products, sizes: by hand as in the libraries."""

import copy
import itertools
import logging
import warnings

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from ch06_acceleration.quantization import (
    affine,
    codes_of,
    int8_linear,
    outcome,
    saved_bytes,
    symmetric,
)


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("shift", [-3.0, 0.0, 3.0])
def test_the_way_there_and_back_is_that_of_pytorch(bits, shift):
    torch.manual_seed(bits)
    x = torch.randn(100) + shift
    codes, scale, zero = affine(x, bits)
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    wanted = torch.fake_quantize_per_tensor_affine(x, scale, zero, low, high)
    assert_close((codes.int() - zero) * scale, wanted)
    assert codes.dtype == torch.int8 and low <= codes.min() and codes.max() <= high
    assert (x - wanted).abs().max() <= scale * 1.01  # zero is rounded, too
    assert codes_of(torch.zeros(1), scale, zero, bits).item() == zero  # 0 stays 0


def test_one_scale_for_each_row_or_for_all():
    x = torch.tensor([[1.0, -0.5], [100.0, 50.0], [0.0, 0.0]])
    codes, scales = symmetric(x, dim=1)
    assert scales.shape == (3, 1) and codes.shape == (3, 2)
    assert_close(codes * scales, x, rtol=0.01, atol=0)
    codes, scale = symmetric(x)
    assert scale.shape == () and codes[0].tolist() == [1, -1]
    channels = torch.randn(4, 8).mT @ torch.diag(torch.tensor([1.0, 2.0, 4.0, 8.0]))
    codes, scales = symmetric(channels, 4, dim=1)
    low, high = -8, 7
    wanted = torch.fake_quantize_per_channel_affine(
        channels, scales[:, 0], torch.zeros(8, dtype=torch.int32), 0, low, high
    )
    assert_close(codes * scales, wanted)


def test_each_bit_halves_the_error():
    torch.manual_seed(0)
    x = torch.randn(64, 256)
    errors = []
    for bits in range(3, 9):
        codes, scales = symmetric(x, bits, dim=1)
        errors.append((codes * scales - x).square().mean().sqrt().item())
    ratios = [a / b for a, b in itertools.pairwise(errors)]
    assert all(1.7 < ratio < 2.3 for ratio in ratios), ratios


def test_a_constant_is_no_problem():
    codes, scale, zero = affine(torch.zeros(3))
    assert ((codes.int() - zero) * scale).tolist() == [0, 0, 0]
    assert (affine(torch.full((3,), 5.0))[0].int() != 0).all()


@pytest.mark.parametrize(
    ("x", "bits"),
    [(torch.ones(2), 1), (torch.ones(2), 9), (torch.ones(0), 8)]
    + [(torch.tensor([1.0, bad]), 8) for bad in (float("nan"), float("inf"))],
)
def test_bad_input_is_an_error(x, bits):
    for way in (affine, symmetric):
        with pytest.raises(ValueError, match=r"2 to 8 bits|finite"):
            way(x, bits)


def test_a_linear_layer_of_integers_is_that_of_torchao():
    logging.getLogger("torch.utils._pytree").setLevel("ERROR")
    with warnings.catch_warnings(action="ignore"):
        quantization = pytest.importorskip("torchao.quantization")
    torch.manual_seed(0)
    layer, x = nn.Linear(40, 24), torch.randn(32, 40)
    codes, scales = symmetric(layer.weight.detach(), dim=1)
    ours = int8_linear(x, codes, scales, layer.bias)
    theirs = nn.Sequential(copy.deepcopy(layer))
    config = quantization.Int8DynamicActivationInt8WeightConfig()
    quantization.quantize_(theirs, config)
    assert torch.equal(theirs[0].weight.qdata, codes)
    assert_close(ours, theirs(x))
    error = (ours - layer(x)).square().mean().sqrt() / layer(x).std()
    assert 0 < error < 0.02
    without = int8_linear(x, codes, scales)
    assert_close(without + layer.bias, ours)


def test_sizes():
    model = nn.Linear(1000, 100)
    assert 400_000 < saved_bytes(model) < 410_000
    assert 200_000 < saved_bytes(model.half()) < 210_000
    graph = torch.fx.symbolic_trace(nn.Sequential(nn.ReLU()))
    graph.register_buffer("not_read", torch.zeros(100_000))
    assert saved_bytes(graph) < 10_000


def test_an_outcome_is_one_line():
    assert outcome(lambda: 1) == "runs"
    assert outcome(lambda: torch.ones(2) @ torch.ones(3)).startswith("RuntimeError: ")
    assert "\n" not in outcome(lambda: nn.Linear(2, 2)(torch.ones(3)))
    assert outcome(lambda: [][0]) == "IndexError: list index out of range"

    def silent():
        raise ValueError

    assert outcome(silent) == "ValueError: "
