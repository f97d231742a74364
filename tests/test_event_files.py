"""Event files read back: what a writer was given comes out again."""

import struct

import pytest
import torch
from torch.utils.tensorboard import SummaryWriter

from ch08_ecosystem.event_files import DamagedEventFile, Events, runs
from ch08_ecosystem.event_records import is_whole, records
from ch08_ecosystem.log_media import add_gif


@pytest.fixture
def run(tmp_path):
    """A run with three losses."""
    folder = tmp_path / "runs" / "one"
    with SummaryWriter(folder) as writer:
        for step in range(3):
            writer.add_scalar("loss", 0.5**step, step, walltime=100.0 + step)
    return folder


def only_file(folder):
    (path,) = folder.glob("*tfevents*")
    return path


def test_scalars(run):
    curve = Events(run).scalars()["loss"]
    assert curve.steps.tolist() == [0, 1, 2] and curve.values.tolist() == [1, 0.5, 0.25]
    assert curve.times.tolist() == [100, 101, 102]
    assert Events(run).tags() == {"scalars": ["loss"]}


def test_what_is_not_there_is_empty(run):
    events = Events(run)
    assert events.hparams() == events.histograms() == events.images() == {}
    assert events.sounds() == events.texts() == events.meshes() == {}
    assert events.precision_recall() == events.embeddings() == {}
    assert events.graph() == []


def test_histograms_count_all_numbers(tmp_path):
    numbers = torch.randn(1000, generator=torch.Generator().manual_seed(0))
    with SummaryWriter(tmp_path) as writer:
        writer.add_histogram("w", numbers, 7)
    (found,) = Events(tmp_path).histograms()["w"]
    assert found.step == 7 and found.counts.sum() == 1000
    assert len(found.edges) == len(found.counts) + 1 and (found.edges.diff() >= 0).all()
    torch.testing.assert_close(found.edges[0], numbers.min().double())
    torch.testing.assert_close(found.edges[-1], numbers.max().double())
    below = found.counts[found.edges[1:] <= 0].sum()
    assert abs(below - (numbers < 0).sum()) <= 1


def test_images_come_back_to_the_bit(tmp_path):
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (3, 5, 7), generator=generator, dtype=torch.uint8)
    grey = torch.arange(16, dtype=torch.uint8).view(4, 1, 2, 2)
    frames = torch.zeros(3, 3, 8, 8, dtype=torch.uint8)
    frames[1], frames[2, 0] = 255, 255
    with SummaryWriter(tmp_path) as writer:
        writer.add_image("one", pixels, 1)
        writer.add_images("sheet", grey, 1)
        add_gif(writer, "film", frames, 1)
    found = Events(tmp_path).images()
    assert torch.equal(found["one"][0].frames, pixels[None])
    assert found["sheet"][0].frames.shape == (1, 3, 2, 8)  # four beside each other
    assert torch.equal(found["film"][0].frames, frames)


def test_sounds_texts_meshes_and_precision(tmp_path):
    wave = torch.sin(torch.arange(800) / 5) * 0.9
    truth, guess = torch.tensor([0, 0, 1, 1]), torch.tensor([0.1, 0.6, 0.4, 0.9])
    corners, faces = torch.eye(3)[None], torch.tensor([[[0, 1, 2]]])
    with SummaryWriter(tmp_path) as writer:
        writer.add_audio("a", wave, 2, sample_rate=800)
        writer.add_text("t", "größer than **one**", 3)
        writer.add_mesh("m", corners, faces=faces)
        writer.add_pr_curve("p", truth, guess, 4)
    events = Events(tmp_path)
    (sound,) = events.sounds()["a"]
    assert (sound.step, sound.rate) == (2, 800)
    torch.testing.assert_close(sound.waveform, wave, atol=1e-4, rtol=0)
    assert events.texts() == {"t": [(3, "größer than **one**")]}
    mesh = events.meshes()["m"]
    assert torch.equal(mesh["VERTEX"], torch.eye(3)) and "COLOR" not in mesh
    assert mesh["FACE"].tolist() == [[0, 1, 2]]
    (curve,) = events.precision_recall()["p"]
    assert curve.precision[0] == 0.5 and curve.recall[0] == 1  # threshold 0: all
    at = round(0.5 * 126)  # two above 0.5, one of them rightly; one of two found
    assert curve.precision[at] == 0.5 and curve.recall[at] == 0.5


def test_embeddings_and_hparams(tmp_path):
    vectors = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    with SummaryWriter(tmp_path) as writer:
        writer.add_embedding(vectors, list("abcd"), torch.rand(4, 1, 2, 2), 5, "e")
        settings = {"lr": 0.1, "name": "sgd", "nesterov": True}
        writer.add_hparams(settings, {"final": 0.5}, run_name="h")
    found = Events(tmp_path).embeddings()["e:00005"]
    torch.testing.assert_close(found.vectors, vectors.double(), atol=1e-6, rtol=1e-5)
    assert found.labels == list("abcd") and found.sprite.shape == (3, 4, 4)
    below = Events(tmp_path / "h")
    assert below.hparams() == settings and below.scalars()["final"].values[0] == 0.5
    assert list(runs(tmp_path)) == [".", "h"]


def test_folders_without_event_files(tmp_path):
    with pytest.raises(FileNotFoundError, match="did a SummaryWriter write there"):
        Events(tmp_path)
    with pytest.raises(FileNotFoundError, match="no event file"):
        runs(tmp_path / "nowhere")


def test_purged_steps_are_gone_and_nothing_is_said(run, capfd):
    with SummaryWriter(run, purge_step=1) as writer:
        writer.add_scalar("loss", 9.0, 1)
    curve = Events(run).scalars()["loss"]
    assert curve.steps.tolist() == [0, 1] and curve.values.tolist() == [1, 9]
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("missing", [1, 4, 10, 30])
def test_a_file_that_was_cut_off_is_read_up_to_there(run, missing):
    path = only_file(run)
    path.write_bytes(path.read_bytes()[:-missing])
    events = Events(run)
    assert events.cut_off == [path.name] and not is_whole(path)
    assert events.scalars()["loss"].steps.tolist() == [0, 1]


@pytest.mark.parametrize("place", [0, 9, 20, 60, -5, -1])
def test_a_damaged_file_is_an_error(run, place):
    path = only_file(run)
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(DamagedEventFile, match=r"(?s)damaged at byte .*Delete it") as e:
        Events(run)
    assert str(path) in str(e.value)


def test_a_length_that_is_damaged_is_no_cut_off_file(run):
    path = only_file(run)
    content = path.read_bytes()
    path.write_bytes(struct.pack("<Q", 10**12) + content[8:])
    with pytest.raises(DamagedEventFile, match="at byte 0"):
        list(records(path))


def test_records(run):
    path = only_file(run)
    found = list(records(path))
    assert len(found) == 4 and b"brain.Event:2" in found[0]
    assert sum(len(event) + 16 for event in found) == path.stat().st_size


def test_scalars_that_were_written_as_tensors(tmp_path):
    with SummaryWriter(tmp_path) as writer:
        for step in range(3):
            writer.add_scalar("new", 2.0 * step, step, walltime=5.0, new_style=True)
            writer.add_scalar("old", 1.0, step)
    found = Events(tmp_path).scalars()
    assert set(found) == {"new", "old"}
    assert found["new"].values.tolist() == [0, 2, 4]
    assert found["new"].steps.tolist() == [0, 1, 2]
    assert found["new"].times.tolist() == [5, 5, 5]
