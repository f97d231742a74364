import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from ch01_intro.network import SixViews, normalize
from ch03_deep_learning.muon import ConvMuon
from ch03_deep_learning.quicknet import QuickNet
from ch03_deep_learning.recipe import (
    Recipe,
    accuracy_of,
    make_optimizers,
    prepare,
    train,
)
from tests.fake_cifar10 import easy

TINY = Recipe(epochs=3, small_epochs=2, widths=(8, 8, 16), batch_size=20, turn=0.1)


def digits() -> tuple[torch.Tensor, torch.Tensor]:
    """scikit-learn's 1,797 digits: (N, 3, 16, 16) uint8, (N,) int64."""
    images, labels = load_digits(return_X_y=True)
    images = torch.tensor(images).view(-1, 1, 8, 8).expand(-1, 3, -1, -1)
    images = nn.functional.interpolate(images, scale_factor=2)
    return (15.9 * images).byte(), torch.tensor(labels)


def test_it_learns_and_reports_each_epoch():
    torch.manual_seed(0)
    rows = []
    images, labels = digits()
    recipe = Recipe(epochs=3, small_epochs=0, widths=(8, 16, 16), batch_size=50,
                    turn=0.2, padding=1, cutout=0)  # fmt: skip
    data = images[:1400], labels[:1400]
    model = train(recipe, *data, device="cpu", after_epoch=lambda m, r: rows.append(r))
    assert not model.training
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert rows[-1]["loss"] < rows[0]["loss"]
    assert rows[-1]["lr"] == pytest.approx(0, abs=1e-6)
    assert accuracy_of(model, images[1400:], labels[1400:]) > 0.8


def test_small_crops_come_first():
    seen = []
    train(TINY, *easy(40), device="cpu", after_epoch=lambda m, r: seen.append(r))
    assert [row["epoch"] for row in seen] == [1, 2, 1]  # of crops, then of whole images


def test_a_run_that_was_broken_off_goes_on(tmp_path):
    class Stop(Exception): ...

    def stop(model, row):
        if row["epoch"] == 2:
            raise Stop

    data = easy(60)
    torch.manual_seed(0)
    whole = train(TINY, *data, device="cpu", checkpoint=tmp_path / "whole")
    torch.manual_seed(0)
    with pytest.raises(Stop):
        train(TINY, *data, device="cpu", checkpoint=tmp_path / "a", after_epoch=stop)
    torch.manual_seed(1)  # other weights and numbers: those of the file count
    again = train(TINY, *data, device="cpu", checkpoint=tmp_path / "a")
    for name, weight in whole.state_dict().items():
        assert weight.equal(again.state_dict()[name]), name


def test_the_first_layer_whitens():
    torch.manual_seed(0)
    smooth = nn.functional.interpolate(torch.rand(50, 3, 8, 8), size=(32, 32))
    images = (255 * smooth + 5 * torch.rand(50, 3, 32, 32)).clamp(0, 255).byte()
    model = QuickNet()
    prepare(model, images)
    found = model.whiten(normalize(images.float() / 255))  # (50, 24, 31, 31)
    torch.testing.assert_close(found[:, :12], -found[:, 12:])
    values = found[:, :12].transpose(0, 1).flatten(1).double()  # (12, pixels)
    covariance = values @ values.mT / values.shape[1]
    off = covariance - covariance.diag().diag()
    assert off.abs().max() < 1e-3
    assert covariance.diag().min() > 0.05 and covariance.diag().max() < 1.001
    assert not model.whiten.weight.requires_grad


def test_the_other_layers_begin_as_the_identity():
    model = QuickNet()
    prepare(model, easy(20)[0])
    stage = model.features[0]
    x = torch.randn(1, 24, 6, 6)
    torch.testing.assert_close(stage.conv1(x)[:, :24], x)


def test_each_trained_parameter_has_one_optimizer():
    model = QuickNet()
    muon, sgd = make_optimizers(model, Recipe(), 500)
    assert isinstance(muon, ConvMuon)
    held = [p for o in (muon, sgd) for g in o.param_groups for p in g["params"]]
    trained = [p for p in model.parameters() if p.requires_grad]
    assert {id(p) for p in held} == {id(p) for p in trained}
    assert len(held) == len(trained)


def test_accuracy_counts_every_image_and_leaves_the_mode():
    class Third(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.logits = nn.Parameter(torch.eye(10)[3])

        def forward(self, x):
            return self.logits.expand(len(x), 10)

    images = torch.zeros(1250, 3, 32, 32, dtype=torch.uint8)
    labels = torch.full((1250,), 3)
    labels[:250] = 4
    for model in (Third().train(), SixViews(Third()).train()):
        assert accuracy_of(model, images, labels) == pytest.approx(0.8)
        assert model.training


def test_epochs_that_do_not_fit():
    with pytest.raises(ValueError, match="5 of 4 epochs"):
        Recipe(epochs=4, small_epochs=5)
