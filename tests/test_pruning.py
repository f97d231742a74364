"""Pruned networks: zeros counted, layers cut, the 2:4 pattern."""

import pytest
import torch
from torch import nn
from torch.nn.utils import prune
from torch.testing import assert_close

from ch06_acceleration.pruning import cut, sparsity, two_of_four, weights_of


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 10), nn.ReLU(), nn.Linear(10, 4))


def test_zeros_are_counted_by_layer_and_over_all():
    model = network()
    assert sparsity(model) == {"0": 0.0, "2": 0.0, "all": 0.0}
    prune.l1_unstructured(model[0], "weight", amount=0.5)
    assert sparsity(model) == {"0": 0.5, "2": 0.0, "all": 40 / 120}
    with pytest.raises(ValueError, match="no linear"):
        sparsity(nn.Sequential(nn.ReLU()))


def test_weights_are_found_for_global_pruning():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten())
    assert weights_of(model) == [(model[0], "weight")]
    prune.global_unstructured(
        weights_of(network()), pruning_method=prune.L1Unstructured, amount=0.25
    )


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("amount", [1, 5, 9])
def test_cut_layers_compute_the_same(bias, amount):
    torch.manual_seed(amount)
    first = nn.Linear(8, 10, bias=bias, dtype=torch.float64)
    second = nn.Linear(10, 4, bias=bias, dtype=torch.float64)
    prune.ln_structured(first, "weight", amount=amount, n=2, dim=0)
    dead = first.weight.eq(0).all(dim=1)
    if bias:
        with torch.no_grad():
            first.bias[dead] = -0.5  # ReLU makes 0 of it
    before, after = cut(first, second)
    assert before.out_features == after.in_features == 10 - amount
    x = torch.randn(7, 8, dtype=torch.float64)
    assert_close(after(before(x).relu()), second(first(x).relu()))


def test_a_dead_output_with_something_to_say_is_an_error():
    first, second = nn.Linear(3, 2), nn.Linear(2, 1)
    with torch.no_grad():
        first.weight[0] = 0
        first.bias[0] = 1
    with pytest.raises(ValueError, match="bias above 0"):
        cut(first, second)
    with torch.no_grad():
        first.bias[0] = 0  # ReLU makes nothing of it
    assert cut(first, second)[0].out_features == 1
    with pytest.raises(ValueError, match="do not fit"):
        cut(nn.Linear(3, 2), nn.Linear(3, 1))


def test_two_of_four_keeps_the_largest():
    weight = torch.tensor([[1.0, -4.0, 3.0, 2.0, 0.1, 0.2, 0.4, -0.3]])
    wanted = torch.tensor([[0, 1, 1, 0, 0, 0, 1, 1]], dtype=torch.bool)
    assert torch.equal(two_of_four(weight), wanted)
    mask = two_of_four(torch.zeros(3, 5, 8))  # ties: still two of each four
    assert mask.unflatten(-1, (2, 4)).sum(-1).eq(2).all()
    for bad in (torch.ones(3, 6), torch.tensor(1.0)):
        with pytest.raises(ValueError, match="4 divides"):
            two_of_four(bad)
