"""The yardstick: it learns, the same way each time, and leaves the caller's chance."""

import pytest
import torch
import torch.nn.functional as F

from ch03_deep_learning.datasets import FashionMNIST, as_tensors
from ch04_reference_designs.features import FeatureNet, train_features


@pytest.fixture
def digits(monkeypatch, tmp_path):
    monkeypatch.setenv("PYTORCH_BOOK_DATA", str(tmp_path))
    monkeypatch.setenv("PYTORCH_BOOK_OFFLINE", "1")
    images, labels = as_tensors(FashionMNIST(verbose=False))
    return images / 127.5 - 1, labels


def test_it_learns(digits):
    images, labels = digits
    net = train_features(images[:1200], labels[:1200], steps=100)
    assert (net(images[1200:]).argmax(1) == labels[1200:]).float().mean() > 0.9
    assert not net.training and not any(p.requires_grad for p in net.parameters())


def test_one_seed_one_network(digits):
    images, labels = digits
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    one = train_features(images, labels, steps=3, seed=1)
    assert torch.equal(torch.rand(3), expected)  # nothing was drawn
    again, other = (train_features(images, labels, steps=3, seed=s) for s in (1, 2))
    assert torch.equal(one.features(images[:9]), again.features(images[:9]))
    assert not torch.equal(one.features(images[:9]), other.features(images[:9]))


def test_features():
    net = FeatureNet().train()
    images = torch.rand(7, 1, 28, 28) * 2 - 1
    found = net.features(images, batch_size=3)
    assert found.shape == (7, 64) and found.dtype == torch.float64 and net.training
    torch.testing.assert_close(found[2:3], net.features(images[2:3]))  # alone
    with torch.no_grad():
        logits = net.eval()(images)
        torch.testing.assert_close(net.head(found.float()), logits)
    large = F.interpolate(images, scale_factor=2)
    torch.testing.assert_close(net.features(large), found, atol=0.2, rtol=0.2)


@pytest.mark.parametrize(
    ("images", "labels", "words"),
    [
        (torch.zeros(0, 1, 28, 28), torch.zeros(0).long(), "0 images"),
        (torch.zeros(2, 1, 28, 28), torch.zeros(3).long(), "not 3"),
        (torch.full((2, 1, 28, 28), 255.0), torch.zeros(2).long(), "scale them"),
        (torch.zeros(2, 3, 28, 28), torch.zeros(2).long(), "grey images"),
    ],
)
def test_bad_input(images, labels, words):
    with pytest.raises(ValueError, match=words):
        train_features(images, labels, steps=1)
