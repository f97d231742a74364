import copy

import pytest
import torch
import torch.nn.functional as F

from ch01_intro.cifar10 import load_cifar10
from ch01_intro.devices import fast_dtype
from ch01_intro.network import (
    MEAN,
    STD,
    SixViews,
    SmallResNet,
    facts,
    small_network,
)
from ch03_deep_learning import train_network
from ch03_deep_learning.augmentation import crop_and_flip
from ch03_deep_learning.loader import BatchLoader
from ch03_deep_learning.recipe import accuracy_of
from ch03_deep_learning.train_network import distillation, network_in, train
from tests.fake_cifar10 import DATA, easy, real_data, write_cifar10


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
        after_epoch=lambda row: losses.append(row["loss"]),
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
    assert accuracy_of(pupil, images, torch.full_like(labels, 7)) > 0.9
    assert not any(p.grad is not None for p in teacher.parameters())


def test_it_is_the_plain_loop_to_the_bit():
    images, labels = easy(96)
    torch.manual_seed(0)
    pupil, teacher = SmallResNet(depth=1), SmallResNet(depth=1).eval()
    plain = copy.deepcopy(pupil).to(memory_format=torch.channels_last)

    torch.manual_seed(1)
    settings = dict(epochs=2, batch_size=32, peak_lr=0.05)
    train(pupil, images, labels, teacher=teacher, **settings)

    torch.manual_seed(1)
    loader = BatchLoader(images, labels, batch_size=32, shuffle=True, mean=MEAN,
                         std=STD, augment=crop_and_flip(cutout=8))  # fmt: skip
    decayed, others = ([p for p in plain.parameters() if (p.ndim > 1) == filters]
                       for filters in (True, False))  # fmt: skip
    optimizer = torch.optim.SGD(
        [{"params": decayed, "weight_decay": 5e-4}, {"params": others}],
        lr=0.05, momentum=0.9, nesterov=True)  # fmt: skip
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 0.05, total_steps=6, pct_start=0.2
    )
    amp = fast_dtype(torch.device("cpu"))
    for _ in range(2):
        for batch, target in loader:
            with torch.autocast("cpu", dtype=amp, enabled=amp is not None):
                logits = plain(batch).float()
                with torch.no_grad():
                    taught = teacher(batch).float()
            said = F.cross_entropy(logits, target, label_smoothing=0.1)
            (0.9 * distillation(logits, taught) + 0.1 * said).backward()
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
    for name, value in plain.state_dict().items():
        assert torch.equal(value, pupil.state_dict()[name]), name


def test_a_run_that_broke_off_goes_on_from_its_checkpoint(tmp_path):
    images, labels = easy(96)

    class Broken(Exception):
        pass

    def broken(row: dict[str, float]) -> None:
        raise Broken

    made = []
    for after in (None, broken):
        torch.manual_seed(0)
        model, settings = SmallResNet(depth=1), dict(epochs=2, batch_size=32)
        settings |= dict(peak_lr=0.05, checkpoint=tmp_path / f"{after is None}.pt")
        if after:
            with pytest.raises(Broken):
                train(model, images, labels, after_epoch=after, **settings)
            model = SmallResNet(depth=1)  # other weights: those of the file count
        made.append(train(model, images, labels, **settings).state_dict())
    assert all(torch.equal(made[0][name], made[1][name]) for name in made[0])


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
    measured = accuracy_of(small_network(), images, labels)
    assert measured == pytest.approx(float(facts()["test_accuracy"]), abs=0.003)
    measured = accuracy_of(SixViews(small_network()), images, labels)
    stated = float(facts()["test_accuracy_six_views"])
    assert measured == pytest.approx(stated, abs=0.003) and measured >= 0.92
