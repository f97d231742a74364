"""The run that writes everything, and its films, tones and surfaces."""

import pytest
import torch
import torch.nn.functional as F
from torch.utils.tensorboard import SummaryWriter

from ch08_ecosystem.event_files import Events, runs
from ch08_ecosystem.log_media import add_gif, film, loss_surface, tone
from ch08_ecosystem.logged_run import LAYOUT, DigitNet, digit_sets, log_run, main


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("logs")
    history = log_run(folder / "all", lr=0.01, epochs=3)
    log_run(folder / "little", lr=0.001, epochs=1, everything=False)
    return folder, history


def test_everything_is_written(logs):
    folder, history = logs
    events = Events(folder / "all")
    kinds = {"scalars", "histograms", "images", "audio", "text", "pr_curves", "mesh"}
    assert set(events.tags()) == kinds | {"custom_scalars"} and events.cut_off == []
    losses = torch.tensor([row["loss"] for row in history]).double()
    torch.testing.assert_close(events.scalars()["loss/training"].values, losses)
    charts = [tag for _, tags in LAYOUT["digits"].values() for tag in tags]
    assert set(charts) <= set(events.scalars())
    assert [op for _, op in events.graph()].count("aten::_convolution") == 2
    assert events.embeddings()["features:00003"].vectors.shape == (360, 32)
    assert history[-1]["val_accuracy"] > 0.8
    assert Events(folder / "all" / "hparams").hparams()["lr"] == 0.01
    assert "all/loss together_training" in runs(folder)


def test_little_is_written(logs):
    assert set(Events(logs[0] / "little").tags()) == {"scalars", "histograms"}
    assert Events(logs[0] / "little").graph() == []


def test_the_network_and_its_digits():
    train_set, held_out = digit_sets()
    x, y = held_out.tensors
    assert (len(train_set), x.shape, y.dtype) == (1437, (360, 1, 8, 8), torch.int64)
    assert x.min() == 0 and x.max() == 1
    model = DigitNet()
    assert model(x).shape == (360, 10) and model.features(x).shape == (360, 32)
    F.cross_entropy(model(x), y).backward()
    assert all(p.grad.abs().sum() > 0 for p in model.parameters())


def test_a_film_is_white_where_nothing_is_and_blue_where_all_is():
    frames = film([torch.eye(2).long() * 5, torch.tensor([[1, 1], [0, 0]])], scale=3)
    assert frames.shape == (2, 3, 6, 6) and frames.dtype == torch.uint8
    assert frames[0, :, 0, 0].tolist() == [8, 48, 107]
    assert (frames[0, :, 0, 3] == 255).all() and (frames[1, :, 3:] == 255).all()


@pytest.mark.parametrize("shape", [(3, 8, 8), (2, 1, 8, 8)])
def test_a_gif_needs_colour_frames_of_bytes(tmp_path, shape):
    with SummaryWriter(tmp_path) as writer:
        with pytest.raises(ValueError, match=r"\(T, 3, H, W\) of uint8"):
            add_gif(writer, "a", torch.zeros(shape, dtype=torch.uint8), 0)
        with pytest.raises(ValueError, match="float32"):
            add_gif(writer, "a", torch.zeros(2, 3, 8, 8), 0)


def test_the_pitch_of_a_tone_follows_the_values():
    wave = tone([1.0, 0.0], seconds=1, rate=8000)
    assert wave.shape == (8000,) and wave.abs().max() <= 1

    def hertz(part):
        return (part[:-1].sign() != part[1:].sign()).sum() / 2 / (len(part) / 8000)

    assert 780 < hertz(wave[:800]) < 880 and 220 < hertz(wave[-800:]) < 250
    assert torch.isfinite(tone([1.0, 1.0])).all()
    with pytest.raises(ValueError, match="two at least"):
        tone([1.0])


def test_a_loss_surface_has_the_trained_loss_in_its_middle():
    torch.manual_seed(0)
    model = DigitNet()
    x, y = (t[:64] for t in digit_sets()[1].tensors)
    before = [p.clone() for p in model.parameters()]
    vertices, colours, faces = loss_surface(model, x, y, side=5, reach=0.5)
    assert vertices.shape == (1, 25, 3) and colours.shape == (1, 25, 3)
    assert faces.shape == (1, 32, 3) and faces.unique().tolist() == list(range(25))
    assert all(map(torch.equal, before, model.parameters()))
    assert vertices[0, 12, :2].tolist() == [0, 0]  # the weights as they are
    assert vertices.min() == -1 and vertices.max() == 1
    a, b, c = (vertices[0, faces[0, :, i].long(), :2] for i in range(3))
    one, two = b - a, c - a
    turns = one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0]
    assert (turns > 0).all()  # counter-clockwise: to be seen from above


def test_the_command_line(tmp_path, monkeypatch, capsys):
    calls = []

    def log_run(folder, lr):
        calls.append((folder.name, lr))
        return [{"val_accuracy": 0.5}]

    monkeypatch.setattr("ch08_ecosystem.logged_run.log_run", log_run)
    assert main([str(tmp_path)]) == 0
    assert calls == [(f"lr {lr}", lr) for lr in (0.001, 0.01, 0.1)]
    assert "tensorboard --logdir" in capsys.readouterr().out


def test_a_loss_surface_leaves_the_model_as_it_was():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8)).train()
    before = {name: t.clone() for name, t in model.state_dict().items()}
    loss_surface(model, torch.randn(16, 4), torch.randint(8, (16,)), side=3)
    with pytest.raises(IndexError):
        loss_surface(model, torch.randn(16, 4), torch.full((16,), 99), side=3)
    assert all(model.state_dict()[n].equal(t) for n, t in before.items())
    assert model.training
    places = {p.untyped_storage().data_ptr() for p in model.parameters()}
    assert len(places) == 4
