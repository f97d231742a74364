"""The moving average of weights beside torch's own."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.testing import assert_close

from ch05_customizing.averaging import EMA


def network(seed=0, dtype=torch.float32):
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 2))
    return net.to(dtype)


def train(net, averages, steps=30, dtype=torch.float32):
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    g = torch.Generator().manual_seed(1)
    for _ in range(steps):
        optimizer.zero_grad()
        x = torch.randn(8, 4, generator=g, dtype=torch.float64).to(dtype)
        net(x).square().mean().backward()
        optimizer.step()
        for average in averages:
            if isinstance(average, EMA):
                average.update(net)
            else:
                average.update_parameters(net)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("buffers", [False, True])
@pytest.mark.parametrize("decay", [0.0, 0.5, 0.99])
def test_the_same_as_averaged_model(decay, buffers, dtype):
    net = network(dtype=dtype)
    own = EMA(net, decay, averaged_buffers=buffers)
    rule = get_ema_multi_avg_fn(decay)
    theirs = AveragedModel(net, multi_avg_fn=rule, use_buffers=buffers)
    train(net, [own, theirs], dtype=dtype)
    a, b = own.module.state_dict(), theirs.module.state_dict()
    counts = {name for name, t in a.items() if not t.is_floating_point()}
    assert_close(
        {n: a[n] for n in a if n not in counts}, {n: b[n] for n in b if n not in counts}
    )
    assert own.steps == theirs.n_averaged == 30
    assert a["1.num_batches_tracked"] == net[1].num_batches_tracked == 30


@settings(max_examples=15)
@given(decay=st.floats(0, 0.999), values=st.lists(st.floats(-5, 5), min_size=1))
def test_is_the_weighted_mean_of_what_it_saw(decay, values):
    net = nn.Linear(1, 1, bias=False, dtype=torch.float64)
    average = EMA(net, decay)
    for value in values:
        nn.init.constant_(net.weight, value)
        average.update(net)
    expected = values[0]
    for value in values[1:]:
        expected = decay * expected + (1 - decay) * value
    assert average.module.weight.item() == pytest.approx(expected, abs=1e-9)


def test_is_a_copy_without_gradients_in_eval_mode():
    net = network()
    average = EMA(net)
    assert not any(p.requires_grad for p in average.parameters())
    assert not average.module.training and net.training
    train(net, [])
    before = network()
    assert_close(average.module.state_dict(), before.state_dict())
    x = torch.randn(3, 4)
    assert_close(average(x), before.eval()(x))


def test_saved_in_the_middle_it_goes_on():
    whole, net = network(), network()
    straight = EMA(whole, 0.9)
    train(whole, [straight], steps=20)
    average = EMA(net, 0.9)
    train(net, [average], steps=10)
    saved = copy.deepcopy(average.state_dict())
    again = EMA(network(5), 0.9)
    again.load_state_dict(saved)
    assert again.steps == 10 and again.module[0].weight.equal(average.module[0].weight)
    average.update(net), again.update(net)
    assert_close(again.state_dict(), average.state_dict())


def test_bad_input():
    for decay in (-0.1, 1.0, float("nan")):
        with pytest.raises(ValueError, match=r"decay has to be in \[0, 1\)"):
            EMA(network(), decay)
    with pytest.raises(ValueError, match="other weights"):
        EMA(network()).update(nn.Linear(4, 6))


class Tied(nn.Module):
    """One weight under two names."""

    def __init__(self, dtype=torch.float64):
        super().__init__()
        self.a = nn.Linear(3, 3, bias=False, dtype=dtype)
        self.b = nn.Linear(3, 3, bias=False, dtype=dtype)
        self.b.weight = self.a.weight


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_tied_and_complex_weights_are_averaged_too(dtype):
    model = Tied(dtype)
    own = EMA(model, decay=0.9)
    library = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9))
    for value in range(5):
        with torch.no_grad():
            model.a.weight.fill_(value)
        own.update(model)
        library.update_parameters(model)
    assert_close(own.module.a.weight, library.module.a.weight)
    assert 0 < own.module.a.weight[0, 0].real < 4
    assert own.module.b.weight is own.module.a.weight
