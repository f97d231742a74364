"""Grad-CAM: compared with a closed form, with the library's gradients, and by sight."""

import pytest
import torch
from torch import nn

from ch04_reference_designs.backbones import LAYOUTS, build
from ch04_reference_designs.grad_cam import grad_cam, overlay


class Average(nn.Module):
    """A map (N, 4, H, W), averaged, and a linear head without more layers."""

    def __init__(self):
        super().__init__()
        self.map = nn.Conv2d(3, 4, 3, padding=1)
        self.unused = nn.Conv2d(3, 4, 1)
        self.fc = nn.Linear(4, 3)

    def forward(self, x):
        return self.fc(self.map(x).mean(dim=(2, 3)))


@pytest.fixture
def model():
    torch.manual_seed(0)
    return Average()


def test_with_an_averaged_map_it_is_the_head_applied_to_each_place(model):
    """Then the gradient of a logit is its row of the head over the number of places."""
    x, classes = torch.randn(5, 3, 8, 6), torch.tensor([0, 1, 2, 1, 0])
    maps = grad_cam(model, "map", x, classes)
    with torch.no_grad():
        by_hand = torch.einsum("nchw,nc->nhw", model.map(x), model.fc.weight[classes])
        by_hand = by_hand.relu()
        by_hand = by_hand / by_hand.amax((1, 2), keepdim=True)
    torch.testing.assert_close(maps, by_hand)
    assert maps.amax((1, 2)).tolist() == [1] * 5 and maps.min() == 0


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_backbones(name):
    torch.manual_seed(0)
    model = build(name, 2).train()
    x = torch.randn(3, 3, 64, 48)
    maps = grad_cam(model, LAYOUTS[name].last, x)
    assert maps.shape == (3, 64, 48) and 0 <= maps.min() <= maps.max() <= 1
    assert model.training and all(p.grad is None for p in model.parameters())
    alone = grad_cam(model, LAYOUTS[name].last, x[1:2])  # neighbours do not matter
    torch.testing.assert_close(alone, maps[1:2], rtol=1e-3, atol=1e-3)


def test_frozen_models_and_inference_code(model):
    x = torch.randn(2, 3, 8, 8)
    expected = grad_cam(model, "map", x)
    model.requires_grad_(False)
    with torch.no_grad():
        torch.testing.assert_close(grad_cam(model, "map", x), expected)


def test_a_frozen_layer_before_one_that_works_in_place():
    torch.manual_seed(0)
    parts = nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(inplace=True), nn.Flatten()
    model = nn.Sequential(*parts, nn.Linear(4 * 64, 3)).requires_grad_(False)
    maps = grad_cam(model, "0", torch.randn(2, 3, 8, 8))
    assert maps.shape == (2, 8, 8) and maps.max() == 1


def test_each_module_keeps_its_mode(model):
    model.train()
    model.map.eval()
    grad_cam(model, "map", torch.randn(2, 3, 8, 8))
    assert model.training and model.fc.training and not model.map.training


def test_it_finds_the_place(model):
    """The class is how much red there is: the map is the red square."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.map.weight[0, 0, 1, 1] = 1.0  # channel 0 is red
        model.fc.weight[1, 0] = 1.0  # class 1 is channel 0
    x = torch.zeros(1, 3, 8, 8)
    x[0, 0, 2:4, 5:7] = 1.0
    torch.testing.assert_close(grad_cam(model, "map", x, torch.tensor([1])), x[:, 0])
    assert grad_cam(model, "map", x, torch.tensor([0])).max() == 0  # nothing speaks so


def test_errors_leave_no_hook(model):
    x = torch.randn(1, 3, 8, 8)
    with pytest.raises(AttributeError):
        grad_cam(model, "layer4", x)
    with pytest.raises(ValueError, match="fc gives no map"):
        grad_cam(model, "fc", x)
    with pytest.raises(ValueError, match="unused was not run"):
        grad_cam(model, "unused", x)
    assert not any(module._forward_hooks for module in model.modules())


def test_overlay():
    images = torch.rand(2, 3, 4, 5)
    torch.testing.assert_close(overlay(images, torch.ones(2, 4, 5)), images)
    dark = overlay(images, torch.zeros(2, 4, 5), strength=0.75)
    grey = images.mean(1, keepdim=True).expand(-1, 3, -1, -1) / 4
    torch.testing.assert_close(dark, grey)
    with pytest.raises(ValueError, match=r"\(2, 3, 4, 5\) and \(2, 5, 4\)"):
        overlay(images, torch.zeros(2, 5, 4))
