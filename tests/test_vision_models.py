"""What is counted on the meta device is what torchvision publishes, and what runs."""

import pytest
import torch
from torch import nn
from torchvision import models

from ch08_ecosystem.vision_models import (
    as_published,
    count,
    inputs_of,
    multiply_adds,
    on_meta,
    parameters,
)

ONE_OF_EACH_KIND = (
    "alexnet",
    "squeezenet1_1",
    "googlenet",
    "regnet_y_400mf",  # computes with tensors while it is built
    "shufflenet_v2_x0_5",
    "vit_b_32",
    "vit_h_14",  # 518 x 518
    "swin_t",
    "lraspp_mobilenet_v3_large",
    "fcn_resnet50",  # two heads
    "r3d_18",
)


@pytest.mark.parametrize("name", ONE_OF_EACH_KIND)
def test_the_counts_are_the_published_ones(name):
    meta = models.get_model_weights(name).DEFAULT.meta
    found, operations = count(name)
    assert found == meta["num_params"]
    assert operations / 1e9 == pytest.approx(meta["_ops"], abs=0.0006)


def test_a_layer_by_hand():
    convolution = nn.Conv2d(3, 8, 3, padding=1, bias=False)
    images = torch.zeros(2, 3, 10, 12)
    assert parameters(convolution) == 8 * 3 * 3 * 3
    assert multiply_adds(convolution, images) == 2 * 10 * 12 * 8 * 3 * 3 * 3
    assert multiply_adds(nn.Linear(5, 7), torch.zeros(4, 5)) == 4 * 5 * 7


def test_nothing_has_memory_and_the_structure_is_that_of_the_real_one():
    for name in ("mobilenet_v3_small", "regnet_x_400mf"):
        there, real = on_meta(name), models.get_model(name, weights=None)
        assert all(value.is_meta for value in there.state_dict().values())
        shapes = {key: value.shape for key, value in real.state_dict().items()}
        assert {key: v.shape for key, v in there.state_dict().items()} == shapes


def test_the_real_forward_pass_is_counted_alike():
    model = models.get_model("squeezenet1_1", weights=None).eval()
    real = multiply_adds(model, torch.zeros(1, 3, 96, 96))
    there = multiply_adds(
        on_meta("squeezenet1_1"), torch.empty(1, 3, 96, 96, device="meta")
    )
    assert real == there > 0


@pytest.mark.parametrize(
    "name", ["fasterrcnn_resnet50_fpn", "ssdlite320_mobilenet_v3_large", "raft_small"]
)
def test_detection_and_flow_have_parameters_but_no_count(name):
    assert parameters(on_meta(name)) > 1e6 or name == "raft_small"
    with pytest.raises(ValueError, match="depends on more"):
        inputs_of(name)


def test_arguments_are_the_published_ones_and_can_be_changed():
    assert as_published("fcn_resnet50") == {
        "weights": None,
        "weights_backbone": None,
        "aux_loss": True,
    }
    assert on_meta("resnet18", num_classes=5).fc.out_features == 5
    with pytest.raises(ValueError, match="Unknown model"):
        on_meta("resnet9")
