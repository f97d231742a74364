"""The linear layer written out equals the library's, forward and backward."""

import copy
import math
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close

from ch05_customizing.linear import Linear, kaiming_bound

EXAMPLES = settings(max_examples=15)
SIZES = st.integers(1, 9)


def both(features: int, outputs: int, bias: bool, seed: int, dtype=torch.float64):
    layers = []
    for Layer in (Linear, nn.Linear):
        torch.manual_seed(seed)
        layers.append(Layer(features, outputs, bias, dtype=dtype))
    return layers


@EXAMPLES
@given(
    front=st.lists(st.integers(0, 3), max_size=3),
    features=SIZES,
    outputs=SIZES,
    bias=st.booleans(),
    seed=st.integers(0, 999),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_equal_to_the_library(front, features, outputs, bias, seed, dtype):
    own, library = both(features, outputs, bias, seed, dtype)
    x = torch.randn(*front, features, dtype=dtype, requires_grad=True)
    results = []
    for layer in (own, library):
        y = layer(x)
        wanted = [x, *layer.parameters()]
        torch.manual_seed(seed)
        results.append((y, *torch.autograd.grad(y, wanted, torch.randn_like(y))))
    assert_close(*results, rtol=1e-5, atol=1e-5)


def test_the_same_seed_gives_the_same_numbers():
    for bias in (True, False):
        own, library = both(7, 4, bias, seed=5, dtype=torch.float32)
        assert list(own.state_dict()) == list(library.state_dict())
        for ours, theirs in zip(own.parameters(), library.parameters(), strict=True):
            assert torch.equal(ours, theirs)
        assert (own.bias is None) == (not bias)


@pytest.mark.parametrize("fan_in", [1, 2, 77, 5000])
def test_the_bound(fan_in):
    assert math.isclose(kaiming_bound(fan_in), 1 / math.sqrt(fan_in))
    gain = nn.init.calculate_gain("leaky_relu", 0.3)
    assert math.isclose(
        kaiming_bound(fan_in, slope=0.3), gain * math.sqrt(3 / fan_in), rel_tol=1e-9
    )


def test_saved_copied_and_moved():
    own, library = Linear(3, 2), nn.Linear(3, 2)
    library.load_state_dict(own.state_dict())
    own.load_state_dict(library.state_dict())
    x = torch.randn(5, 3)
    assert_close(own(x), library(x))
    assert torch.equal(pickle.loads(pickle.dumps(own))(x), own(x))
    twin = copy.deepcopy(own)
    with torch.no_grad():
        twin.weight.zero_()
    assert own.weight.abs().sum() > 0
    assert own.double()(x.double()).dtype == torch.float64
    assert Linear(3, 2, device="meta").weight.is_meta
    assert repr(own) == repr(library)


def test_one_batch_is_learned():
    torch.manual_seed(0)
    layer, x, y = Linear(8, 2), torch.randn(4, 8), torch.randn(4, 2)
    adam = torch.optim.Adam(layer.parameters(), lr=0.05)
    for _ in range(300):
        adam.zero_grad()
        loss = (layer(x) - y).square().mean()
        loss.backward()
        adam.step()
    assert loss < 1e-4


def test_broken_use_is_named():
    layer = Linear(3, 2)
    with pytest.raises(ValueError, match=r"3 features .* \(5, 4\)"):
        layer(torch.ones(5, 4))
    with pytest.raises(ValueError, match=r"3 features .* \(\)"):
        layer(torch.tensor(1.0))
    with pytest.raises(ValueError, match=r"in_features .* not 0"):
        Linear(0, 2)
    with pytest.raises(ValueError, match=r"out_features .* not 2\.0"):
        Linear(3, 2.0)
    with pytest.raises(ValueError, match="at least 1"):
        kaiming_bound(0)
    with pytest.raises(RuntimeError, match="dtype"):
        layer(torch.ones(5, 3).double())
