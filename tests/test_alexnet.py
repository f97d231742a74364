"""AlexNet of one's own beside torchvision's, and what is done to it."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close
from torch.utils.flop_counter import FlopCounterMode
from torchvision import models

from ch05_customizing.alexnet import (
    AlexNet,
    add_batch_norm,
    costs,
    load_matching,
    replace_head,
    to_grey,
)


def shapes(model):
    return {name: tuple(t.shape) for name, t in model.state_dict().items()}


def images(n=2, channels=3, side=63, seed=0, dtype=torch.float32):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(n, channels, side, side, generator=g, dtype=dtype)


def small(**options):
    torch.manual_seed(0)
    return AlexNet(10, width=1 / 16, **options)


@pytest.fixture(scope="module")
def twins():
    """Own and torchvision's, sharing one set of weights."""
    torch.manual_seed(0)
    theirs = models.alexnet()
    own = AlexNet(device="meta")
    own.load_state_dict(theirs.state_dict(), assign=True)
    return own, theirs


def test_the_same_names_shapes_and_order_as_torchvision():
    with torch.device("meta"):
        theirs = models.alexnet()
    own = AlexNet(device="meta")
    assert list(shapes(own).items()) == list(shapes(theirs).items())
    assert sum(p.numel() for p in own.parameters()) == 61_100_840


@pytest.mark.parametrize("n, side", [(1, 224), (3, 63), (2, 97)])
def test_the_same_answers(twins, n, side):
    own, theirs = (net.eval() for net in twins)
    x = images(n, side=side, seed=side)
    with torch.inference_mode():
        assert_close(own(x), theirs(x))


def test_the_same_answers_in_training(twins):
    own, theirs = (net.train() for net in twins)
    answers = []
    for net in (own, theirs):
        torch.manual_seed(1)  # dropout draws
        with torch.no_grad():
            answers.append(net(images()))
    assert_close(*answers)


def test_the_same_gradients(twins):
    found = []
    for net in twins:
        net.eval()
        loss = F.cross_entropy(net(images()), torch.tensor([3, 5]))
        chosen = [
            p for n, p in net.named_parameters() if "bias" in n or "features" in n
        ]
        found.append(torch.autograd.grad(loss, chosen))
    assert_close(*found)


def test_in_float64(twins):
    with torch.device("meta"):
        pair = [models.AlexNet(10), AlexNet(10)]
    body = {n: t.double() for n, t in twins[0].features.state_dict().items()}
    for net in pair:
        net.features.load_state_dict(body, assign=True)
    x = images(dtype=torch.float64)
    with torch.inference_mode():
        assert_close(pair[0].features(x), pair[1].features(x))


@pytest.mark.parametrize("batch_norm", [False, True])
def test_every_parameter_gets_a_gradient(batch_norm):
    net = small(batch_norm=batch_norm, dropout=0.0)
    net(images()).square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in net.parameters())


def test_learns_one_batch():
    net = small(batch_norm=True, dropout=0.0)
    x, y = images(8), torch.arange(8)
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    for _ in range(25):
        optimizer.zero_grad()
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
    assert loss < 0.3


def test_saved_and_loaded(tmp_path):
    net = small().eval()
    torch.save(net.state_dict(), tmp_path / "net.pt")
    other = AlexNet(10, width=1 / 16).eval()
    other.load_state_dict(torch.load(tmp_path / "net.pt", weights_only=True))
    assert net(images()).equal(other(images()))


def test_a_new_head():
    net = small()
    before = {n: t.clone() for n, t in net.state_dict().items()}
    head = replace_head(net, 3)
    assert head is net.classifier[6] and net(images()).shape == (2, 3)
    for name, value in net.state_dict().items():
        assert name.startswith("classifier.6") or value.equal(before[name])
    assert replace_head(AlexNet(device="meta"), 2).weight.is_meta


def test_grey_is_seen_as_before():
    net, grey = small().eval(), small(in_channels=1).eval()
    state = net.state_dict()
    state["features.0.weight"] = to_grey(state["features.0.weight"])
    grey.load_state_dict(state)
    x = images(channels=1)
    assert_close(grey(x), net(x.expand(-1, 3, -1, -1)), rtol=1e-4, atol=1e-5)


def test_load_matching_says_what_it_left_out():
    net, other = small(), AlexNet(10, width=1 / 16)
    weights = other.state_dict()
    del weights["features.0.bias"]
    weights |= {"extra": torch.zeros(1), "classifier.6.weight": torch.zeros(3, 256)}
    before = net.features[0].bias.detach().clone()
    found = load_matching(net, weights)
    assert found.missing == ["features.0.bias"] and found.unexpected == ["extra"]
    assert found.other_shape == ["classifier.6.weight"]
    assert len(found.loaded) == len(net.state_dict()) - 2
    assert net.features[3].weight.equal(other.features[3].weight)
    assert net.features[0].bias.equal(before)
    with pytest.raises(ValueError, match=r"no weight fits.*module\.extra"):
        load_matching(net, {f"module.{n}": t for n, t in {"extra": before}.items()})


def test_added_batch_norm_changes_nothing_at_first():
    plain, normed = small().eval(), small(batch_norm=True).eval()
    normed.load_state_dict(add_batch_norm(plain.state_dict(), normed))
    assert_close(normed(images()), plain(images()), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("options", [{}, {"batch_norm": True, "width": 0.5}])
@pytest.mark.parametrize("side", [224, 100])
def test_costs_agree_with_torchs_counter(options, side):
    net = AlexNet(device="meta", **options)
    rows = costs(net, (3, side, side))
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        net(torch.zeros(1, 3, side, side, device="meta"))
    assert 2 * sum(row.multiplications for row in rows) == counter.get_total_flops()
    assert [row.name for row in rows][-1] == "classifier.6" and len(rows) == 8
    norms = sum(
        p.numel()
        for m in net.modules()
        for p in m.parameters(False)
        if isinstance(m, nn.BatchNorm2d)
    )
    total = sum(p.numel() for p in net.parameters())
    assert sum(row.parameters for row in rows) + norms == total
    assert not any(m._forward_hooks for m in net.modules())


@pytest.mark.parametrize(
    "shape, words",
    [
        ((3, 64, 64), r"needs images \(N, 3, H, W\), not \(3, 64, 64\)"),
        ((1, 1, 64, 64), r"not \(1, 1, 64, 64\)"),
        ((1, 3, 62, 64), "63 by 63 is the least"),
    ],
)
def test_wrong_images(shape, words):
    with pytest.raises(ValueError, match=words):
        small()(torch.zeros(shape))


def test_wrong_settings():
    for options in ({"num_classes": 0}, {"in_channels": 0}, {"width": 0}):
        with pytest.raises(ValueError, match="positive"):
            AlexNet(device="meta", **options)
    with pytest.raises(ValueError, match=r"needs weights \(out, 3, k, k\)"):
        to_grey(torch.zeros(4, 1, 3, 3))


def test_counting_costs_changes_nothing():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout()).double()
    model[2].eval()
    before = copy.deepcopy(model.state_dict())
    (found,) = costs(model, (3, 8, 8))
    assert (found.shape, found.multiplications) == ((4, 6, 6), 36 * 108)
    assert all(model.state_dict()[name].equal(t) for name, t in before.items())
    assert model.training and model[1].training and not model[2].training
