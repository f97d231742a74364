"""Networks to build on: which it is, its parts, new heads, saving and loading."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models import ResNet18_Weights

from ch01_intro.assets import AssetUnavailable, Source
from ch03_deep_learning.training import fit
from ch04_reference_designs.backbones import (
    LAYOUTS,
    build,
    check_labels,
    parameters_of,
    pick_backbone,
)
from tests.test_pretrained import Folders, folders, pretend, put, saved

__all__ = ["Folders", "folders"]  # a fixture
EACH = pytest.mark.parametrize("name", LAYOUTS)


@pytest.fixture
def resnet(folders, monkeypatch):
    """A ResNet-18 whose file lies where its ImageNet weights would be."""
    torch.manual_seed(0)
    model = build("resnet18", 1000).eval()
    content = saved(model.state_dict())
    _, file = pretend(monkeypatch, "resnet18", content)
    put(folders.ours, file, content)
    return model


def test_resnet18_where_its_weights_are(resnet):
    backbone = pick_backbone()
    assert (backbone.name, backbone.width) == ("resnet18", 512)
    assert str(backbone.source) == "ResNet-18, ImageNet: found on disk, IMAGENET1K_V1"
    assert not backbone.model.training
    x = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(backbone.model(x), resnet(x))
    assert pick_backbone("small").name == "small"


def test_the_small_network_elsewhere(folders):
    backbone = pick_backbone()
    assert (backbone.name, backbone.width) == ("small", 96)
    assert backbone.source.source is Source.STAND_IN
    assert "PYTORCH_BOOK_OFFLINE is set" in str(backbone.source)
    assert not backbone.model.training
    with pytest.raises(AssetUnavailable, match="resnet18"):
        pick_backbone("resnet18")
    assert pick_backbone("small").source.source is Source.DISK


def test_names():
    for function in (lambda: pick_backbone("vgg"), lambda: build("vgg", 2)):
        with pytest.raises(ValueError, match="no backbone 'vgg'; there are resnet18"):
            function()


def test_the_scaling_is_that_of_the_weights():
    transform = ResNet18_Weights.DEFAULT.transforms()
    layout = LAYOUTS["resnet18"]
    assert (list(layout.mean), list(layout.std)) == (transform.mean, transform.std)


@EACH
def test_the_parts_and_the_head_are_all_there_is(name):
    model, layout = build(name, 2), LAYOUTS[name]
    parts = [parameters_of(model, names) for names in layout.parts.values()]
    found = [p for part in (*parts, list(model.fc.parameters())) for p in part]
    assert len({id(p) for p in found}) == len(found)
    assert {id(p) for p in found} == {id(p) for p in model.parameters()}
    with pytest.raises(AttributeError):
        parameters_of(model, ("layer9",))


@EACH
def test_the_last_map_is_averaged_for_the_head(name):
    model, layout = build(name, 3).eval(), LAYOUTS[name]
    kept = {}
    model.get_submodule(layout.last).register_forward_hook(
        lambda module, inputs, output: kept.update(map=output)
    )
    for side in (layout.smallest, 40):
        with torch.inference_mode():
            logits = model(torch.randn(2, 3, side, side))
            torch.testing.assert_close(logits, model.fc(kept["map"].mean((2, 3))))


@EACH
def test_gradients_reach_every_parameter(name):
    model = build(name, 2)
    F.cross_entropy(
        model(torch.randn(4, 3, 40, 40)), torch.tensor([0, 1, 1, 0])
    ).backward()
    assert all(
        p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters()
    )


@EACH
def test_one_batch_can_be_learned_by_heart(name):
    torch.manual_seed(0)
    model = build(name, 2)
    batch = torch.randn(8, 3, 32, 32), torch.tensor([0, 1] * 4)
    adam = torch.optim.Adam(model.parameters(), lr=1e-3)
    history = fit(model, [batch], optimizer=adam, epochs=12, device="cpu")
    assert history[-1]["loss"] < 0.1 < history[0]["loss"]


@EACH
def test_saved_and_loaded_it_gives_the_same_answers(name, tmp_path):
    model = build(name, 2).train()
    x = torch.randn(4, 3, 32, 32)
    model(x)  # moves the running means, which have to be saved as well
    torch.save(model.state_dict(), tmp_path / "m.pt")
    again = build(name, 2)
    again.load_state_dict(torch.load(tmp_path / "m.pt", weights_only=True))
    with torch.inference_mode():
        assert torch.equal(again.eval()(x), model.eval()(x))


@EACH
def test_frozen_features_and_a_head_are_the_whole_model(name):
    model = build(name, 2).eval()
    extractor = copy.deepcopy(model)
    extractor.fc = nn.Identity()
    x = torch.randn(3, 3, 48, 32)
    with torch.inference_mode():
        torch.testing.assert_close(model.fc(extractor(x)), model(x))


def test_labels():
    check_labels([0, 1, 1], 2)
    check_labels(torch.tensor([1, 0]), 2)
    check_labels([], 2)
    with pytest.raises(ValueError, match=r"\[-1, 3\] are outside 0\.\.2"):
        check_labels([0, 3, -1, 3], 3)
