import pytest
import torch

from ch01_intro import train_network
from ch01_intro.cifar10 import load_cifar10
from ch01_intro.network import SixViews, SmallResNet, facts, small_network
from ch01_intro.train_network import (
    accuracy,
    augment,
    distillation,
    network_in,
    train,
)
from tests.fake_cifar10 import DATA, easy, real_data, write_cifar10


def test_augment_keeps_shape_and_changes_each_image_in_its_own_way():
    torch.manual_seed(0)
    image = torch.rand(1, 3, 32, 32).expand(16, -1, -1, -1)
    changed = augment(image)
    assert changed.shape == image.shape
    assert len({changed[i].sum().item() for i in range(16)}) > 8


def test_augment_without_shift_and_hole_mirrors_or_leaves_alone():
    torch.manual_seed(0)
    images = torch.rand(32, 3, 8, 8)
    changed = augment(images, shift=0, hole=0)
    same = (changed == images).flatten(1).all(1)
    mirrored = (changed == images.flip(-1)).flatten(1).all(1)
    assert (same ^ mirrored).all()
    assert 5 < same.sum() < 27


def test_the_hole_is_a_square_of_that_size_at_most():
    torch.manual_seed(0)
    changed = augment(torch.ones(64, 3, 32, 32), hole=8)
    blank = (changed == 0).all(1).flatten(1).sum(1)  # pixels of each image
    assert blank.max() == 64 and blank.min() >= 16


def test_accuracy_counts():
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 32, 10))
    model[1].weight.data.zero_()
    model[1].bias.data = torch.nn.functional.one_hot(torch.tensor(3), 10).float()
    images = torch.zeros(2500, 3, 32, 32, dtype=torch.uint8)
    labels = torch.full((2500,), 3)
    labels[:500] = 4
    assert accuracy(model, images, labels) == pytest.approx(0.8)
    assert accuracy(SixViews(model), images, labels) == pytest.approx(0.8)


def test_it_learns_and_reports_each_epoch():
    torch.manual_seed(0)
    images, labels = easy(160)
    losses = []
    train(
        SmallResNet(),
        images,
        labels,
        epochs=5,
        batch_size=32,
        peak_lr=0.05,
        after_epoch=lambda epoch, loss: losses.append(loss),
    )
    assert len(losses) == 5
    assert losses[-1] < 0.8 * losses[0]


def test_distillation_by_hand():
    logits, taught = torch.tensor([[1.0, 3.0]]), torch.tensor([[4.0, 0.0]])
    p, q = (torch.softmax(x / 2, dim=1) for x in (taught, logits))
    by_hand = 4 * (p * (p / q).log()).sum()
    torch.testing.assert_close(distillation(logits, taught, temperature=2), by_hand)
    assert distillation(taught, taught).abs() < 1e-6


def test_a_pupil_learns_what_the_teacher_says_and_not_the_labels():
    torch.manual_seed(0)
    images, labels = easy(160)
    pupil, teacher = SmallResNet(depth=1), SmallResNet(depth=1)
    teacher.fc.weight.data.zero_()
    teacher.fc.bias.data = 9 * torch.nn.functional.one_hot(torch.tensor(7), 10).float()
    settings = dict(epochs=3, batch_size=32, peak_lr=0.05)
    train(pupil, images, labels, teacher=teacher, **settings)
    assert accuracy(pupil, images, torch.full_like(labels, 7)) > 0.9
    assert not any(p.grad is not None for p in teacher.parameters())


def test_the_command_trains_measures_and_writes(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PYTORCH_BOOK_DATA", str(tmp_path))
    write_cifar10(tmp_path, 60)
    large, output = tmp_path / "teacher.pt", tmp_path / "made.pt"
    trial = ["--epochs", "1", "--limit", "40", "--lr", "0.01"]
    train_network.main([*trial, "--output", str(large), "--depth", "2", "--widen", "2"])
    assert "epoch   1" in capsys.readouterr().out
    assert network_in(large).fc.in_features == 2 * 96
    train_network.main([*trial, "--output", str(output), "--teacher", str(large)])
    small_network(path=output)
    assert 0 <= float(facts(output)["test_accuracy"]) <= 1
    assert facts(output)["epochs"] == "1"


def test_a_teacher_that_is_no_file(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTORCH_BOOK_DATA", str(tmp_path))
    write_cifar10(tmp_path, 60)
    missing = ["--teacher", str(tmp_path / "no.pt")]
    with pytest.raises(FileNotFoundError, match="train_network"):
        train_network.main(["--epochs", "1", "--limit", "40", *missing])


def test_without_data_it_says_where_to_put_them(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTORCH_BOOK_DATA", str(tmp_path))
    with pytest.raises(SystemExit, match="PYTORCH_BOOK_DATA"):
        train_network.main(["--epochs", "1"])


@real_data
def test_the_weights_of_the_repository_reach_what_they_state():
    images, labels = load_cifar10(DATA, train=False)
    measured = accuracy(small_network(), images, labels)
    assert measured == pytest.approx(float(facts()["test_accuracy"]), abs=0.003)
    measured = accuracy(SixViews(small_network()), images, labels)
    stated = float(facts()["test_accuracy_six_views"])
    assert measured == pytest.approx(stated, abs=0.003) and measured >= 0.92
