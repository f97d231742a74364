"""LeNet-5: shapes, size, and what it says about the wrong input."""

import pytest
import torch
from torch import nn

from ch03_deep_learning.lenet import LeNet5


def test_it_has_the_parameters_of_the_paper_s_layers():
    sizes = {name: p.numel() for name, p in LeNet5().named_parameters()}
    assert sum(sizes.values()) == 62_006
    assert sizes["conv1.weight"] == 6 * 3 * 5 * 5
    assert sizes["conv2.weight"] == 16 * 6 * 5 * 5
    assert [sizes[f"fc{i}.bias"] for i in (1, 2, 3)] == [120, 84, 10]


def test_one_row_of_logits_for_each_image():
    assert LeNet5()(torch.zeros(5, 3, 32, 32)).shape == (5, 10)
    assert LeNet5(4, in_channels=1)(torch.zeros(2, 1, 32, 32)).shape == (2, 4)
    assert LeNet5()(torch.zeros(0, 3, 32, 32)).shape == (0, 10)


def test_it_equals_the_same_layers_in_a_row():
    torch.manual_seed(0)
    model = LeNet5().eval()
    row = nn.Sequential(
        model.conv1,
        nn.ReLU(),
        nn.MaxPool2d(2),
        model.conv2,
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        model.fc1,
        nn.ReLU(),
        model.fc2,
        nn.ReLU(),
        model.fc3,
    )
    images = torch.randn(3, 3, 32, 32)
    torch.testing.assert_close(model(images), row(images))


def test_it_learns_one_batch_by_heart():
    torch.manual_seed(0)
    model, images, labels = LeNet5(), torch.randn(8, 3, 32, 32), torch.arange(8)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(60):
        loss = nn.functional.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1


@pytest.mark.parametrize("shape", [(2, 3, 28, 28), (2, 1, 32, 32), (3, 32, 32), (2, 5)])
def test_the_wrong_shape_is_named_with_a_remedy(shape):
    with pytest.raises(ValueError, match=r"\(N, 3, 32, 32\).*not \(.*Resize"):
        LeNet5()(torch.zeros(shape))


@pytest.mark.parametrize("arguments", [(0, 3), (10, 0)])
def test_no_classes_or_channels_is_an_error(arguments):
    with pytest.raises(ValueError, match="at least one"):
        LeNet5(*arguments)
