"""The single-file script: its parts by hand and against the library, a run on a CPU."""

import re
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from ch03_deep_learning.muon import ConvMuon
from ch03_deep_learning.muon import orthogonalize as one_by_one
from ch06_acceleration import cifar10_on_a_gpu as script
from ch06_acceleration.cifar10_on_a_gpu import (
    Muon,
    Network,
    Replayed,
    Settings,
    Trainer,
    alternate_flip,
    answers,
    batches,
    find,
    groups_of,
    load,
    main,
    make_optimizers,
    orthogonalize,
    reset,
    share,
    shift_each,
    summary,
    timed,
    whitening,
)
from tests.fake_cifar10 import easy, write_cifar10

NARROW = Settings(epochs=3, batch_size=50, widths=(8, 16, 16))
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_cifar10(folder, 60)
    return folder


@pytest.fixture
def data():
    images, labels = easy(200)
    return images.float() / 128 - 1, labels


def test_the_command_trains_and_says_where_and_how_often(root, capsys):
    narrow = ["--widths", "8", "16", "16", "--limit", "100", "--batch-size", "20"]
    found = main(["--device", "cpu", "--data", str(root), "--runs", "2", *narrow])
    assert len(found) == 2
    assert all(accuracy > 0.5 and seconds > 0 for accuracy, seconds in found)
    *runs, last = capsys.readouterr().out.splitlines()
    assert len(runs) == 2 and "seed   1" in runs[1]
    assert re.search(rf"2 runs, a CPU, {re.escape(torch.__version__)}$", last)


def test_the_record_s_network_has_its_size():
    model = Network()
    assert model(torch.rand(2, 3, 32, 32)).shape == (2, 10)
    assert sum(p.numel() for p in model.parameters() if p.ndim == 4) == 1_967_904


def test_the_file_runs_alone(root, tmp_path):
    copy = tmp_path / "copied.py"
    copy.write_text(Path(script.__file__).read_text(encoding="utf-8"), encoding="utf-8")
    trial = ["--device", "cpu", "--limit", "2000", "--epochs", "1"]
    trial += ["--data", str(root), "--batch-size", "100", "--widths", "4", "8", "8"]
    command = [sys.executable, "-W", "error", str(copy), *trial]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0 and done.stderr == ""
    assert "1 runs, a CPU" in done.stdout


def test_the_same_seed_gives_the_same_network(data):
    weights = []
    for _ in range(2):
        torch.manual_seed(3)
        model = Network(NARROW.widths)
        Trainer(model, model, NARROW).train(data)
        weights.append(model.head.weight.detach().clone())
    assert_close(*weights)


def test_the_first_layer_stays_in_32_bits():
    model = Network((4, 4, 4)).eval()
    seen = []
    model.whiten.register_forward_hook(lambda module, x, y: seen.append(y))
    x = torch.rand(2, 3, 32, 32)
    with torch.autocast("cpu", torch.bfloat16):
        assert model(x).dtype == torch.bfloat16
    assert_close(seen[0], model.whiten(x))


def test_the_rates_are_in_proportion_to_the_channels():
    def rates_for(channels: int) -> list[float]:
        _, sgd = make_optimizers(Network((8, 8, channels)), Settings())
        return [group["initial_lr"] for group in sgd.param_groups]

    assert rates_for(256) == [Settings.bias_lr, Settings.head_lr]
    assert rates_for(64) == [Settings.bias_lr / 4, Settings.head_lr / 4]


def test_it_learns_and_the_views_answer(data):
    torch.manual_seed(0)
    model = Network(NARROW.widths)
    Trainer(model, model, NARROW).train(data)
    logits = answers(model, model, data[0])
    assert logits.shape == (200, 10)
    assert (logits.argmax(1) == data[1]).double().mean() > 0.5


def test_the_views_are_those_that_one_expects(data):
    model = Network((4, 4, 4)).eval()
    x = data[0][:2] + torch.randn(2, 3, 32, 32)
    wide = F.pad(x, (1, 1, 1, 1), mode="reflect")
    expected = 0
    for view, weight in (
        (x, 0.5), (wide[..., :32, :32], 0.25), (wide[..., 2:, 2:], 0.25)
    ):  # fmt: skip
        expected = expected + weight * (model(view) + model(view.flip(-1))) / 2
    assert_close(answers(model, model, x), expected.detach())


def test_each_image_is_mirrored_in_one_of_two_epochs():
    images = torch.rand(6, 3, 4, 4)
    first = torch.tensor([True, False] * 3)
    even, odd = (alternate_flip(images, first, epoch) for epoch in (0, 1))
    assert_close(even[first], images[first].flip(-1))
    assert_close(even[~first], images[~first])
    assert_close(odd, even.flip(-1))
    assert_close(alternate_flip(images, first, 2), even)


def test_shifts_are_windows_of_the_reflected_image():
    torch.manual_seed(0)
    images = torch.rand(200, 3, 8, 8)
    shifted = shift_each(images, 2)
    wide = F.pad(images, (2,) * 4, mode="reflect")
    windows = [wide[..., y : y + 8, x : x + 8] for y in range(5) for x in range(5)]
    same = torch.stack([(w == shifted).flatten(1).all(1) for w in windows])  # (25, N)
    assert same.any(0).all()  # each is one of the 25
    assert same.any(1).all()  # and each of the 25 occurs


def test_batches_are_whole_and_cover_the_set(data):
    first = torch.zeros(200, dtype=torch.bool)
    settings = Settings(batch_size=60)
    found = list(batches(data, first, 0, settings))
    assert [len(y) for _, y in found] == [60, 60, 60]
    assert found[0][0].is_contiguous(memory_format=torch.channels_last)


def test_whitened_patches_are_uncorrelated_and_of_variance_1():
    torch.manual_seed(0)
    images = torch.rand(50, 3, 16, 16).cumsum(-1)  # neighbours go together
    images = (images - images.mean()) / images.std()
    filters = whitening(images)
    assert_close(filters[12:], -filters[:12])
    out = F.conv2d(images, filters[:12]).transpose(0, 1).flatten(1).double()
    moments = out @ out.mT / out.shape[1]
    assert_close(moments, torch.diag(moments.diag()), rtol=0, atol=1e-4)
    assert (moments.diag()[-6:] - 1).abs().max() < 0.05  # the strong ones


def test_a_second_run_of_a_trainer_is_like_the_first(data):
    model = Network(NARROW.widths)
    trainer = Trainer(model, model, replace(NARROW, epochs=4))
    runs = []
    for _ in range(2):
        torch.manual_seed(0)
        trainer.train(data)
        runs.append({k: v.clone() for k, v in model.state_dict().items()})
        assert not model.whiten.bias.requires_grad
        assert all(
            group["lr"] < group["initial_lr"] for group in groups_of(trainer.optimizers)
        )
    assert_close(*runs)


def test_after_a_reset_nothing_is_left_of_the_run_before(data):
    model = Network(NARROW.widths)
    trainer = Trainer(model, model, NARROW)
    trainer.train(data)
    torch.manual_seed(0)
    trainer.reset(data[0])
    fresh = Network(NARROW.widths)
    torch.manual_seed(0)
    reset(fresh, data[0])
    assert_close(dict(model.state_dict()), dict(fresh.state_dict()))
    kept = [v for o in trainer.optimizers for s in o.state.values() for v in s.values()]
    assert kept and not any(value.any() for value in kept)
    frozen = [n for n, p in model.named_parameters() if not p.requires_grad]
    norms = [f"blocks.{i}.norm{j}.weight" for i in range(3) for j in (1, 2)]
    assert frozen == ["whiten.weight", *norms]


def test_gradients_reach_all_that_is_trained(data):
    model = Network(NARROW.widths)
    trainer = Trainer(model, model, NARROW)
    trainer.reset(data[0])
    trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
    held = [id(p) for g in groups_of(trainer.optimizers) for p in g["params"]]
    assert sorted(held) == sorted(map(id, trained.values()))
    before = {name: p.detach().clone() for name, p in trained.items()}
    trainer.step(data[0][:20], data[1][:20])
    assert not [name for name, p in trained.items() if torch.equal(p, before[name])]
    assert all(p.grad is None for p in model.parameters())


def test_a_replayed_call_gets_what_is_passed_where_it_was_recorded(monkeypatch):
    class Graph:
        def replay(self) -> None:
            add(*self.inputs)

    @contextmanager
    def graph(recording: Graph):
        state["recording"] = recording
        yield
        del state["recording"]

    def add(x: torch.Tensor, y: torch.Tensor) -> None:
        if "recording" in state:
            state["recording"].inputs = (x, y)
        else:
            sums.append((x + y).item())

    state, sums = {}, []
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", graph)
    replayed = Replayed(add)
    for n in range(6):
        replayed(torch.tensor(n), torch.tensor(10 * n))
    assert sums == [0, 11, 22, 33, 44, 55]
    assert replayed.inputs[0] == 5 and replayed.calls == 6


def test_graphs_need_a_gpu(capsys):
    with pytest.raises(SystemExit):
        main(["--device", "cpu", "--graphs"])
    assert "--graphs needs a CUDA device" in capsys.readouterr().err


def test_orthogonalize_takes_many_at_once():
    torch.manual_seed(0)
    matrices = torch.randn(3, 6, 20)
    expected = torch.stack([one_by_one(matrix) for matrix in matrices])
    assert_close(orthogonalize(matrices), expected)
    assert_close(orthogonalize(matrices.mT), expected.mT)


def test_muon_for_one_shape_steps_as_chapter_3_s():
    torch.manual_seed(0)
    start = [torch.randn(n, 2, 3, 3) for n in (4, 4, 40)]
    ours, theirs = ([w.clone().requires_grad_() for w in start] for _ in range(2))
    optimizers = (
        Muon(ours, lr=0.1, momentum=0.6), ConvMuon(theirs, lr=0.1, momentum=0.6)
    )  # fmt: skip
    for _ in range(3):
        for mine, other in zip(ours, theirs, strict=True):
            mine.grad = torch.randn_like(mine)
            other.grad = mine.grad.clone()
        for optimizer in optimizers:
            optimizer.step()
    for mine, other in zip(ours, theirs, strict=True):
        assert_close(mine, other)


def test_the_rate_falls_in_a_line():
    assert [share(step, 4) for step in range(6)] == [1.0, 0.75, 0.5, 0.25, 0.0, 0.0]


def test_data_are_normalised_and_limited(root):
    (images, labels), test = load(root, CPU, 40)
    assert images.shape == (40, 3, 32, 32) and labels.dtype == torch.int64
    pixel = easy(60)[0][7, 1, 3, 4] / 255
    assert_close(images[7, 1, 3, 4], (pixel - 0.4822) / 0.2435)
    assert len(test[0]) == 40


def test_without_data_it_says_what_to_do(tmp_path):
    with pytest.raises(SystemExit, match=r"--download.*PYTORCH_BOOK_DATA"):
        find(tmp_path, download=False)


def test_without_a_gpu_it_says_how_to_try(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit):
        main(["--runs", "2"])
    assert "--device cpu --limit 2000" in capsys.readouterr().err


def test_no_runs_are_an_error(capsys):
    with pytest.raises(SystemExit):
        main(["--runs", "0", "--device", "cpu"])
    assert "begin at 1" in capsys.readouterr().err


def test_the_summary_by_hand():
    line = summary([0.93, 0.95], [2.0, 3.0], "a card, 2.14.1")
    assert line == "94.00 ± 1.41 % in 2.50 ± 0.71 s, 2 runs, a card, 2.14.1"
    assert "nan" in summary([0.94], [2.0], "a card")


def test_what_is_timed_is_returned():
    result, seconds = timed(lambda: 7, CPU)
    assert result == 7 and 0 <= seconds < 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("more", [[], ["--graphs"]], ids=["plain", "graphs"])
def test_on_a_gpu_it_learns_too(root, more):
    narrow = ["--widths", "16", "16", "16", "--limit", "100", "--batch-size", "20"]
    ((accuracy, seconds),) = main(["--data", str(root), *narrow, *more])
    assert accuracy > 0.5 and seconds > 0
