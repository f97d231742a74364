"""The training loop: it learns, and an interrupted run ends as one that was not."""

import copy
import itertools
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR, ReduceLROnPlateau, StepLR
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    RandomSampler,
    TensorDataset,
)

from ch03_deep_learning.runs import Run
from ch03_deep_learning.training import fit


def blobs(n: int = 96) -> TensorDataset:
    """Three classes of points in the plane, apart from each other: (n, 2), (n,)."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(n) % 3
    centres = torch.tensor([[0.0, 2.0], [2.0, -1.0], [-2.0, -1.0]])
    return TensorDataset(
        centres[labels] + 0.3 * torch.randn(n, 2, generator=generator), labels
    )


class Noisy(Dataset):
    """Items that draw from the global generator, as augmentation does."""

    def __init__(self, data: Dataset) -> None:
        self.data = data

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        x, y = self.data[index]
        return x + 0.1 * torch.randn(2), y


def network() -> nn.Module:
    """Batch norm and dropout: a state of its own, and draws in each batch."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(2, 16),
        nn.BatchNorm1d(16),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Linear(16, 3),
    )


def sgd(model: nn.Module, lr: float = 0.1) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)


quick = partial(fit, device="cpu", progress=False)


# ---- It trains -----------------------------------------------------------------------


def test_it_is_the_basic_loop():
    model, data = network(), blobs()
    other = copy.deepcopy(model)
    torch.manual_seed(1)
    quick(model, DataLoader(data, 16), optimizer=sgd(model), epochs=2)

    torch.manual_seed(1)
    optimizer = sgd(other)
    for _ in range(2):
        other.train()
        for x, y in DataLoader(data, 16):
            optimizer.zero_grad()
            F.cross_entropy(other(x), y).backward()
            optimizer.step()
    assert_same(model, other)


def test_rows_say_how_it_went():
    model, data, seen = network(), blobs(), []
    rows = quick(
        model,
        DataLoader(data, 16, shuffle=True),
        optimizer=sgd(model),
        epochs=5,
        validation=DataLoader(data, 50),
        after_epoch=seen.append,
    )
    assert rows == seen and [row["epoch"] for row in rows] == [1, 2, 3, 4, 5]
    assert set(rows[0]) == {
        "epoch",
        "loss",
        "lr",
        "seconds",
        "val_loss",
        "val_accuracy",
    }
    assert rows[-1]["loss"] < rows[0]["loss"]
    assert rows[-1]["val_accuracy"] > 0.95


def test_accumulated_batches_are_one_large_batch():
    x, y = blobs().tensors
    models = [nn.Linear(2, 3) for _ in range(2)]
    models[1].load_state_dict(models[0].state_dict())
    for model, size, accumulate in zip(models, (32, 8), (1, 4), strict=True):
        loader = DataLoader(TensorDataset(x, y), size)
        quick(model, loader, optimizer=sgd(model), epochs=3, accumulate=accumulate)
    assert_close(*models)


def test_each_batch_counts_alike_in_the_last_step_too():
    x, y = blobs(32).tensors
    model = nn.Linear(2, 3)
    before, optimizer = copy.deepcopy(model), torch.optim.SGD(model.parameters(), 0.1)
    quick(model, [(x, y)], optimizer=optimizer, epochs=1, accumulate=4)
    F.cross_entropy(before(x), y).backward()
    with torch.no_grad():
        for p in before.parameters():
            p -= 0.1 / 4 * p.grad
    assert_close(model, before)


def test_the_last_step_of_an_epoch_takes_what_is_left():
    model = nn.Linear(2, 3)
    optimizer = sgd(model)
    scheduler = StepLR(optimizer, 1, gamma=0.5)
    loader = DataLoader(blobs(50), 10)  # 5 batches: steps of 2, 2 and 1
    quick(
        model, loader, optimizer=optimizer, scheduler=scheduler, epochs=1, accumulate=2
    )
    assert scheduler.last_epoch == 3
    assert all(p.grad is None for p in model.parameters())


def test_clipping_bounds_the_step():
    model = nn.Linear(2, 3)
    before = copy.deepcopy(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    quick(model, DataLoader(blobs(), 96), optimizer=optimizer, epochs=1, clip_norm=0.01)
    moved = torch.cat([(p - q).flatten() for p, q in pairs(model, before)])
    assert moved.norm().item() == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize("settings", [{"clip_norm": 0.5}, {"amp": torch.float16}])
def test_gradients_that_no_optimizer_holds_change_nothing(settings):
    models = [nn.Sequential(nn.Linear(2, 4), nn.Linear(4, 3)) for _ in range(2)]
    models[1].load_state_dict(models[0].state_dict())
    models[1][0].requires_grad_(False)
    for model in models:
        head, loader = sgd(model[1]), DataLoader(blobs(), 16)
        quick(model, loader, optimizer=head, epochs=2, **settings)
    assert_close(*models)
    assert models[0][0].weight.grad is None


def test_gradients_from_before_do_not_enter_the_first_step():
    models = [nn.Linear(2, 3) for _ in range(2)]
    models[1].load_state_dict(models[0].state_dict())
    x, y = blobs().tensors
    F.cross_entropy(models[0](100 * x), y).backward()  # broken off before the step
    for model in models:
        quick(model, DataLoader(blobs(), 16), optimizer=sgd(model), epochs=1)
    assert_same(*models)


def test_schedulers_step_with_the_optimizer_or_once_an_epoch():
    for per_epoch, steps in ((False, 12), (True, 2)):
        model = network()
        optimizer = sgd(model)
        scheduler = StepLR(optimizer, 100)
        quick(
            model,
            DataLoader(blobs(), 16),
            optimizer=optimizer,
            scheduler=scheduler,
            per_epoch=per_epoch,
            epochs=2,
        )
        assert scheduler.last_epoch == steps


def test_a_plateau_lowers_the_learning_rate():
    model = network()
    optimizer = sgd(model)
    rows = quick(
        model,
        DataLoader(blobs(), 96),
        optimizer=optimizer,
        scheduler=ReduceLROnPlateau(optimizer, mode="max", factor=0.1, patience=0),
        validation=DataLoader(blobs(), 96),
        metrics={"score": lambda outputs, targets: 0.5},  # nothing gets better
        monitor="val_score",
        epochs=3,
    )
    assert [row["lr"] for row in rows] == pytest.approx([0.1, 0.1, 0.01])
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.001)


def test_several_optimizers_share_the_parameters():
    model = network()
    matrices = [p for p in model.parameters() if p.ndim == 2]
    others = [p for p in model.parameters() if p.ndim < 2]
    optimizers = [torch.optim.SGD(matrices, lr=0.1), torch.optim.Adam(others, lr=0.01)]
    before = copy.deepcopy(model)
    quick(model, DataLoader(blobs(), 16), optimizer=optimizers, epochs=1)
    assert all(not p.equal(q) for p, q in pairs(model, before))


def test_early_stopping_returns_the_best_weights():
    model = network()
    kept = []
    scores = iter([0.1, 0.9, 0.3, 0.2, 0.95])
    rows = quick(
        model,
        DataLoader(blobs(), 16),
        optimizer=sgd(model),
        epochs=5,
        validation=DataLoader(blobs(), 96),
        metrics={"score": lambda outputs, targets: next(scores)},
        monitor="val_score",
        patience=2,
        after_epoch=lambda row: kept.append(copy.deepcopy(model)),
    )
    assert [row["val_score"] for row in rows] == pytest.approx([0.1, 0.9, 0.3, 0.2])
    assert_same(model, kept[1])


def test_bfloat16_trains_too():
    model = network()
    loader = DataLoader(blobs(), 16)
    rows = quick(model, loader, optimizer=sgd(model), epochs=5, amp=torch.bfloat16)
    assert rows[-1]["loss"] < rows[0]["loss"]
    assert {p.dtype for p in model.parameters()} == {torch.float32}


def test_a_step_that_float16_skips_does_not_move_the_schedule():
    model = network()
    optimizer, taken = sgd(model, lr=0.001), []
    optimizer.register_step_post_hook(lambda *_: taken.append(1))
    scheduler = StepLR(optimizer, step_size=1)
    quick(
        model,
        DataLoader(blobs(), batch_size=12),
        optimizer=optimizer,
        scheduler=scheduler,
        epochs=1,
        loss=lambda outputs, targets: 50 * F.cross_entropy(outputs, targets),
        amp=torch.float16,  # the first gradients, times 65536, are infinite
    )
    assert 0 < len(taken) < 8
    assert scheduler.last_epoch == len(taken)


def test_inputs_can_be_several_or_named():
    class Sum(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(2, 3)

        def forward(self, a, b):
            return self.linear(a + b)

    x, y = blobs().tensors
    for inputs in ((x, x), {"b": x, "a": x}):
        model = Sum()
        rows = quick(model, [(inputs, y)] * 5, optimizer=sgd(model), epochs=2)
        assert rows[1]["loss"] < rows[0]["loss"]


def test_a_loss_of_ones_own_takes_any_batch():
    model = nn.Linear(2, 2)
    batches = [blobs().tensors[0]] * 4
    loss = lambda model, x: (model(x) - x).square().mean()  # noqa: E731
    rows = quick(
        model,
        batches,
        optimizer=sgd(model),
        epochs=10,
        batch_loss=loss,
        validation=batches,
    )
    assert rows[-1]["val_loss"] < 0.1 * rows[0]["val_loss"]
    assert "val_accuracy" not in rows[0]


def test_a_loader_without_a_length():
    class Stream:
        def __iter__(self):
            return iter([blobs().tensors] * 3)

    model = network()
    rows = quick(model, Stream(), optimizer=sgd(model), epochs=2, accumulate=2)
    assert len(rows) == 2


# ---- Bad input -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 0}, "epochs has to be a whole number"),
        ({"epochs": 1.5}, "epochs has to be a whole number"),
        ({"accumulate": 0}, "accumulate"),
        ({"clip_norm": 0}, "clip_norm has to be above 0"),
        ({"patience": 2}, "to watch val_loss, give `validation`"),
        ({"accumulate": 2, "checkpoint_every": 3}, "multiple of accumulate"),
        ({"patience": 1, "monitor": "train_loss"}, "no column of"),
        ({"device": "nonsense"}, "nonsense"),
    ],
)
def test_settings_that_do_not_fit(settings, message):
    model = network()
    given = {"epochs": 2, "device": "cpu", "progress": False} | settings
    with pytest.raises((ValueError, RuntimeError), match=message):
        fit(model, DataLoader(blobs(), 32), optimizer=sgd(model), **given)


def test_nothing_to_train_on():
    model = network()
    with pytest.raises(ValueError, match="no batch"):
        quick(model, [], optimizer=sgd(model), epochs=1)


def test_a_loss_that_is_not_finite_ends_the_run():
    model = network()
    x, y = blobs().tensors
    x[5] = torch.nan
    with pytest.raises(FloatingPointError, match=r"nan in epoch 1.*learning rate"):
        quick(
            model, DataLoader(TensorDataset(x, y), 16), optimizer=sgd(model), epochs=3
        )


def test_weights_of_nan_do_not_replace_a_checkpoint(tmp_path):
    model, path = network(), tmp_path / "run.ckpt"
    x, y = blobs().tensors
    x[80] = torch.nan  # in the last batch of six
    with pytest.raises(FloatingPointError, match="is from before"):
        quick(
            model,
            DataLoader(TensorDataset(x, y), 16),
            optimizer=sgd(model),
            epochs=3,
            checkpoint=path,
            checkpoint_every=2,
        )
    assert torch.load(path, weights_only=True)["done"] == 4


def test_a_plateau_needs_what_it_watches():
    model = network()
    optimizer = sgd(model)
    scheduler = ReduceLROnPlateau(optimizer)
    with pytest.raises(ValueError, match="to watch val_loss, give `validation`"):
        quick(model, [], optimizer=optimizer, scheduler=scheduler, epochs=1)


def test_nan_is_never_the_best_epoch():
    model = network()
    run = Run(model, [sgd(model)], [], torch.amp.GradScaler("cpu"), [])
    for value in (float("nan"), 0.5, 0.4):
        row = {"val_loss": value}
        run.end_epoch(row, monitor="val_loss", patience=2, per_epoch=False)
    assert run.best == 0.4 and not run.stopped


# ---- Interrupted and resumed ---------------------------------------------------------


class Interrupted(Exception):
    """Stands for the kill: nothing is written after it."""


class Breaking:
    """A loader that breaks off at the given batches, counted over its whole life."""

    def __init__(self, loader: DataLoader, breaks: set[int]) -> None:
        self.loader, self.breaks, self.given = loader, breaks, itertools.count()
        self.generator = loader.generator

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self):
        for batch in self.loader:
            if next(self.given) in self.breaks:
                raise Interrupted
            yield batch


def settings(kind: str, model: nn.Module) -> dict:
    optimizer = sgd(model)
    if kind == "one cycle":
        scheduler = OneCycleLR(optimizer, 0.2, total_steps=4 * 6 + 1)
        return {"optimizer": optimizer, "scheduler": scheduler}
    if kind == "plateau":
        scheduler = ReduceLROnPlateau(optimizer, patience=0)
        return {"optimizer": optimizer, "scheduler": scheduler, "patience": 3}
    if kind == "accumulated":
        return {"optimizer": optimizer, "accumulate": 2, "clip_norm": 0.5}
    adam = torch.optim.AdamW(model.parameters(), lr=0.01)
    return {"optimizer": adam}


def loader(own: bool, workers: int = 0) -> DataLoader:
    generator = torch.Generator().manual_seed(5) if own else None
    return DataLoader(
        Noisy(blobs()), 16, shuffle=True, generator=generator, num_workers=workers
    )


@pytest.mark.parametrize("own", [True, False], ids=["own generator", "global"])
@pytest.mark.parametrize("kind", ["adam", "one cycle", "plateau", "accumulated"])
def test_an_interrupted_run_ends_with_the_same_bits(kind, own, tmp_path):
    def run(breaks: set[int], name: str) -> tuple[nn.Module, list]:
        while True:
            model = network()
            torch.manual_seed(2)
            breaking = Breaking(loader(own), breaks)
            try:
                rows = quick(
                    model,
                    breaking,
                    epochs=4,
                    validation=DataLoader(blobs(), 50),
                    checkpoint=tmp_path / name,
                    checkpoint_every=2,
                    **settings(kind, model),
                )
            except Interrupted:
                breaks = {b for b in breaks if b > min(breaks)}
                continue
            return model, rows

    whole, rows = run(set(), "whole.ckpt")
    for breaks in ({0}, {3, 5}, {6, 7}, {8, 13, 17}):
        model, again = run(breaks, f"{min(breaks)}.ckpt")
        assert_same(model, whole)
        assert without_seconds(again) == without_seconds(rows)


def test_generators_of_batch_samplers_are_kept_too(tmp_path):
    def run(breaks: set[int], name: str) -> nn.Module:
        sampler = RandomSampler(blobs(), generator=torch.Generator().manual_seed(5))
        batches = BatchSampler(sampler, 16, drop_last=False)
        model = network()
        breaking = Breaking(DataLoader(blobs(), batch_sampler=batches), breaks)
        breaking.batch_sampler = batches
        path = tmp_path / name
        quick(model, breaking, optimizer=sgd(model), epochs=3, checkpoint=path)
        return model

    whole = run(set(), "whole.ckpt")
    with pytest.raises(Interrupted):
        run({8}, "broken.ckpt")
    assert_same(run(set(), "broken.ckpt"), whole)


def test_a_finished_run_is_not_repeated(tmp_path):
    path = tmp_path / "run.ckpt"
    model = network()
    rows = quick(model, loader(True), optimizer=sgd(model), epochs=2, checkpoint=path)
    again = network()
    found = quick(again, loader(True), optimizer=sgd(again), epochs=2, checkpoint=path)
    assert found == rows
    assert_same(again, model)


def test_more_epochs_go_on_from_there(tmp_path):
    path = tmp_path / "run.ckpt"
    for epochs in (1, 3):
        model = network()
        rows = quick(
            model, loader(True), optimizer=sgd(model), epochs=epochs, checkpoint=path
        )
    assert [row["epoch"] for row in rows] == [1, 2, 3]


def test_a_checkpoint_of_another_run_is_refused_and_kept(tmp_path):
    path = tmp_path / "run.ckpt"
    model = network()
    quick(model, loader(True), optimizer=sgd(model), epochs=1, checkpoint=path)
    before = path.read_bytes()
    other = nn.Linear(2, 3)
    with pytest.raises(ValueError, match="belongs to another run"):
        quick(other, loader(True), optimizer=sgd(other), epochs=2, checkpoint=path)
    short = DataLoader(blobs(32), 16, generator=torch.Generator())
    with pytest.raises(ValueError, match="counts 6 batches an epoch, the loader 2"):
        quick(model, short, optimizer=sgd(model), epochs=2, checkpoint=path)
    adam = torch.optim.Adam(model.parameters())
    with pytest.raises(ValueError, match="it is one of SGD, GradScaler"):
        quick(model, loader(True), optimizer=adam, epochs=2, checkpoint=path)
    assert path.read_bytes() == before


def test_a_stream_that_has_become_shorter_is_another_run(tmp_path):
    def stream(count: int, *, breaks: bool = False):
        yield from [blobs().tensors] * count
        if breaks:
            raise Interrupted

    model = network()
    settings = dict(epochs=1, checkpoint=tmp_path / "run.ckpt", checkpoint_every=1)
    with pytest.raises(Interrupted):
        quick(model, stream(3, breaks=True), optimizer=sgd(model), **settings)
    with pytest.raises(ValueError, match=r"another run \(the loader gave 1 of 3"):
        quick(model, stream(1), optimizer=sgd(model), **settings)


def test_a_damaged_checkpoint_is_named(tmp_path):
    path = tmp_path / "run.ckpt"
    path.write_bytes(b"not a checkpoint")
    model = network()
    with pytest.raises(ValueError, match=r"run\.ckpt is not a whole checkpoint"):
        quick(model, loader(True), optimizer=sgd(model), epochs=1, checkpoint=path)


# ---- Comparing -----------------------------------------------------------------------


def pairs(a: nn.Module, b: nn.Module):
    return zip(a.parameters(), b.parameters(), strict=True)


def assert_same(a: nn.Module, b: nn.Module) -> None:
    for (name, x), y in zip(
        a.state_dict().items(), b.state_dict().values(), strict=True
    ):
        assert x.equal(y), name


def assert_close(a: nn.Module, b: nn.Module) -> None:
    for p, q in pairs(a, b):
        torch.testing.assert_close(p, q)


def without_seconds(rows: list[dict]) -> list[dict]:
    return [{k: v for k, v in row.items() if k != "seconds"} for row in rows]
