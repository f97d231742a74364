"""The rungs: one thing more each, the right number of steps, rates by hand."""

from dataclasses import asdict, replace
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.testing import assert_close

from ch01_intro.network import normalize
from ch03_deep_learning.benchmark import shrink
from ch03_deep_learning.lenet import LeNet5
from ch03_deep_learning.recipe import accuracy_of
from ch06_acceleration import rungs
from ch06_acceleration.rungs import (
    Rung,
    ShortNet,
    batches_of,
    ladder,
    optimizers_of,
    prepare,
    share,
    steps_of,
    train,
)
from tests.fake_cifar10 import easy

CPU = torch.device("cpu")
RUNGS = ladder()


def test_the_first_rung_is_the_book_s():
    book = RUNGS[0]
    assert (book.epochs, book.batch_size, book.lr) == (10, 16, 0.001)
    flags = [k for k, v in asdict(book).items() if v is True]
    assert flags == []


def test_nothing_is_taken_back_on_the_way_up():
    for before, now in pairwise(RUNGS):
        old, new = asdict(before), asdict(now)
        assert all(new[k] for k, v in old.items() if v is True)
        assert new["epochs"] <= old["epochs"]
        assert new["name"] != old["name"]


@pytest.mark.parametrize("rung", RUNGS, ids=lambda rung: rung.name)
def test_every_rung_trains(rung):
    images, labels = easy(50)
    model = train(replace(rung, epochs=1), images, labels, CPU)
    seen = shrink(images) if rung.small else images
    assert 0 <= accuracy_of(model, seen, labels) <= 1
    assert isinstance(model, ShortNet if rung.small else LeNet5)


@pytest.mark.parametrize("rung", RUNGS, ids=lambda rung: rung.name)
def test_what_a_rung_says_is_done(rung, monkeypatch):
    seen = []
    monkeypatch.setattr(
        rungs, "prepare", lambda model, images: seen.append(len(images))
    )
    model = train(replace(rung, epochs=1), *easy(20), CPU)
    assert seen == ([20] if rung.prepared else [])
    convs = [m.weight for m in model.modules() if isinstance(m, nn.Conv2d)]
    last = [w.is_contiguous(memory_format=torch.channels_last) for w in convs]
    assert set(last) == {rung.channels_last}


def test_the_last_rung_learns_an_easy_set():
    torch.manual_seed(0)
    images, labels = easy(200)
    model = train(replace(RUNGS[-1], epochs=20, batch_size=50), images, labels, CPU)
    assert accuracy_of(model, shrink(images), labels) > 0.8


def test_batches_of_pil_images_and_of_tensors_are_the_same_images():
    images, labels = easy(20)
    slow, fast = (
        list(batches_of(replace(RUNGS[i], epochs=1), images, labels, CPU))
        for i in (0, 1)
    )
    assert [len(y) for _, y in slow] == [len(y) for _, y in fast] == [16, 4]
    for found in (slow, fast):
        x, y = (torch.cat(parts) for parts in zip(*found, strict=True))
        expected = normalize(images.float() / 255)
        distances = (x[None] - expected[:, None]).abs().amax((2, 3, 4))  # (20, 20)
        order = distances.argmin(1)
        assert_close(x[order], expected)
        assert y[order].equal(labels)


def test_less_than_an_epoch_looks_at_a_part_of_the_images():
    images, labels = easy(40)
    images[10:] = 0
    rung = replace(RUNGS[-1], batch_size=5, epochs=0.25)
    few, many = [], []
    for found, parts in ((few, (images[:10], labels[:10])), (many, (images, labels))):
        torch.manual_seed(0)
        epochs = 0.25 if found is many else 1
        found += train(replace(rung, epochs=epochs), *parts, CPU).parameters()
    assert_close(few, many)


def test_one_epoch_and_more():
    images, labels = easy(40)
    for epochs, steps in ((1, 4), (2.25, 9)):
        rung = replace(RUNGS[2], batch_size=10, epochs=epochs)
        assert steps_of(rung, 40) == steps
        assert len(list(batches_of(rung, images, labels, CPU))) == steps
    assert steps_of(Rung(), 50_000) == 31_250
    assert steps_of(replace(RUNGS[2], epochs=1), 300) == 2  # the rest is left out


def test_layouts():
    images, labels = easy(125)
    for rung in RUNGS[3:5]:
        x, _ = next(batches_of(rung, images, labels, CPU))
        assert x.is_contiguous(memory_format=torch.channels_last) is rung.channels_last
        assert x.is_contiguous() is not rung.channels_last


def test_rates_by_hand():
    assert [share(step, 4, 0) for step in range(5)] == [1.0, 0.75, 0.5, 0.25, 0.0]
    rates = [share(step, 8, 2) for step in range(9)]
    assert rates[:2] == pytest.approx([1 / 3, 2 / 3]) and max(rates) == rates[2] == 1
    assert rates[-1] == 0 and rates[2:] == sorted(rates[2:], reverse=True)


def test_the_first_layer_whitens_and_rests():
    torch.manual_seed(0)
    images = torch.randint(0, 256, (60, 3, 16, 16)).cumsum(-1) % 256
    images = images.to(torch.uint8)
    model = ShortNet(widths=(24, 32, 32))
    prepare(model, images)
    out = model.whiten(normalize(images.float() / 255))[:, :12]
    out = out.transpose(0, 1).flatten(1).double()
    moments = out @ out.mT / out.shape[1]
    assert_close(moments, torch.diag(moments.diag()), rtol=0, atol=1e-3)
    assert_close(model.whiten.weight[12:], -model.whiten.weight[:12])
    x = torch.rand(2, 24, 8, 8)
    assert_close(model.convs[0](x)[:, :24], x)  # the identity
    F.cross_entropy(model(normalize(images.float() / 255)), torch.zeros(60).long())
    spread = model.fc.weight.std().item() * model.fc.in_features
    assert spread == pytest.approx(1, rel=0.2)
    rests = [n for n, p in model.named_parameters() if not p.requires_grad]
    assert rests == ["whiten.weight", "whiten.bias"]


def test_all_that_is_trained_gets_a_gradient_and_an_optimizer():
    for rung in RUNGS[-3:]:
        model = ShortNet()
        if rung.prepared:
            prepare(model, shrink(easy(20)[0]))
        model(torch.rand(20, 3, 16, 16)).logsumexp(1).sum().backward()
        trained = [p for p in model.parameters() if p.requires_grad]
        assert all(p.grad.abs().sum() > 0 for p in trained)
        optimizers = optimizers_of(rung, model)
        held = [id(p) for o in optimizers for g in o.param_groups for p in g["params"]]
        assert sorted(held) == sorted(map(id, trained))


def test_parameters_and_shapes():
    model = ShortNet()
    assert sum(p.numel() for p in model.parameters()) == 56_800
    assert model(torch.rand(2, 3, 32, 32)).shape == (2, 10)
