"""The scripts that share out a model: alone, as played ranks, and with processes."""

import contextlib
import re
import shutil

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.testing import assert_close

from ch06_acceleration import pipeline_parallel, tensor_parallel, train_fsdp
from ch06_acceleration.blocks import batch_of, seeded
from ch06_acceleration.launch import torchrun
from ch06_acceleration.pipeline_parallel import stage_of
from ch06_acceleration.process_group import process_group
from ch06_acceleration.tensor_parallel import data_by_tensor, split

ON_CPU = {"env": {"CUDA_VISIBLE_DEVICES": ""}, "timeout": 300}
SMALL = "--width", "16", "--depth", "2"


@pytest.fixture(autouse=True)
def on_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)


@contextlib.contextmanager
def as_rank(rank, world_size):
    dist.init_process_group("fake", rank=rank, world_size=world_size)
    try:
        yield
    finally:
        dist.destroy_process_group()


def whole(steps, width=16, depth=2):
    """The losses of plain training in one piece."""
    model, losses = seeded(width, depth), {}
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for step in range(1, steps + 1):
        x, y = batch_of(step, 48)
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses[step] = loss.item()
    return losses


def losses_in(text):
    found = re.findall(r"step +(\d+) +loss ([\d.]+)", text)
    return {int(step): float(loss) for step, loss in found}


def assert_same(found, wanted):
    assert_close(found, wanted, rtol=0, atol=2e-5)


# FSDP


def test_saved_by_two_processes_and_taken_up_by_three_and_by_one(tmp_path, capsys):
    """Two starts; the checkpoint of each goes on in another number of processes."""
    folder = tmp_path / "runs"
    name, wanted = "ch06_acceleration.train_fsdp", whole(9)
    words = *SMALL, "--checkpoints", folder, "--save-every", 3
    text = torchrun(name, *words, "--steps", 3, processes=2, **ON_CPU)
    assert text.splitlines()[0] == "2 x cpu, gloo"
    assert_same(losses_in(text), {step: wanted[step] for step in (1, 2, 3)})
    bytes_of = [int(n) for n in re.findall(r"parameters (\d+) bytes", text)]
    full = sum(p.nbytes for p in seeded(16, 2).parameters())
    assert sum(bytes_of) == full and max(bytes_of) < 0.6 * full

    text = torchrun(name, *words, "--steps", 6, "--resume", processes=3, **ON_CPU)
    assert "goes on after step 3" in text
    assert_same(losses_in(text), {step: wanted[step] for step in (4, 5, 6)})

    train_fsdp.main([*map(str, words), "--steps", "9", "--resume"])
    text = capsys.readouterr().out
    assert "goes on after step 6" in text
    assert_same(losses_in(text), {step: wanted[step] for step in (7, 8, 9)})


@pytest.fixture
def saved(tmp_path):
    """A folder with checkpoints of steps 2 and 4, by one process."""
    folder = tmp_path / "runs"
    words = "--checkpoints", str(folder), "--save-every", "2", "--steps", "4"
    train_fsdp.main([*SMALL, *words])
    return folder


def resume(folder, *words):
    train_fsdp.main(
        [*SMALL, "--checkpoints", str(folder), "--steps", "5", "--resume", *words]
    )


def test_a_save_that_was_broken_off_is_passed_over(saved, capsys):
    (saved / "step-000004" / train_fsdp.COMPLETE).unlink()
    capsys.readouterr()
    resume(saved)
    text = capsys.readouterr().out
    assert "goes on after step 2" in text
    assert_same(losses_in(text), {step: whole(5)[step] for step in (3, 4, 5)})


def test_the_newest_has_the_most_steps(tmp_path):
    assert train_fsdp.newest(tmp_path) is None
    for step in (999999, 1000000, 5):
        (tmp_path / f"step-{step:06d}").mkdir()
        (tmp_path / f"step-{step:06d}" / train_fsdp.COMPLETE).touch()
    (tmp_path / "step-2000000").mkdir()  # broken off
    assert train_fsdp.newest(tmp_path).name == "step-1000000"


def test_no_checkpoint_is_an_error_with_resume_only(tmp_path, capsys):
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(FileNotFoundError, match=folder.name):
            resume(folder)
    with pytest.raises(SystemExit):
        train_fsdp.main(["--resume"])
    assert "--checkpoints" in capsys.readouterr().err
    train_fsdp.main([*SMALL, "--checkpoints", str(tmp_path), "--steps", "1"])
    assert losses_in(capsys.readouterr().out)
    assert not dist.is_initialized()


def test_a_folder_that_is_no_checkpoint_is_named(tmp_path):
    with (
        process_group() as device,
        pytest.raises(FileNotFoundError, match=r"step-000007 is not a complete"),
    ):
        model = train_fsdp.sharded(16, 1, device)
        optimizer = torch.optim.AdamW(model.parameters())
        train_fsdp.load(tmp_path / "step-000007", model, optimizer)


@pytest.mark.parametrize("what", ["cut off", "gone", "metadata"])
def test_a_damaged_checkpoint_is_named(saved, what, capsys):
    path = saved / "step-000004"
    data = path / ("__0_0.distcp" if what != "metadata" else train_fsdp.COMPLETE)
    if what == "gone":
        data.unlink()
    else:
        data.write_bytes(data.read_bytes()[: data.stat().st_size // 2])
    with pytest.raises(ValueError, match=r"step-000004 is damaged"):
        resume(saved)
    assert not dist.is_initialized()
    shutil.rmtree(path)
    capsys.readouterr()
    resume(saved)
    assert "goes on after step 2" in capsys.readouterr().out


def test_the_checkpoint_of_another_model_is_an_error(saved):
    with pytest.raises(ValueError, match=r"another model .*mismatch"):
        resume(saved, "--width", "24")


def test_computing_in_bfloat16_keeps_float32_slices():
    with process_group() as device:
        model = train_fsdp.sharded(16, 1, device, torch.bfloat16)
        optimizer = torch.optim.AdamW(model.parameters())
        loss = train_fsdp.train_step(model, optimizer, 1, 8)
        assert {p.dtype for p in model.parameters()} == {torch.float32}
        assert model(torch.ones(2, 64, device=device)).dtype == torch.bfloat16
    assert abs(loss - whole(1, depth=1)[1]) < 1


@pytest.mark.parametrize("world_size", [2, 3, 64])
def test_slices_of_all_ranks_are_the_model(world_size):
    held = []
    for rank in range(world_size):
        with as_rank(rank, world_size), torch.device("meta"):
            model = nn.Linear(10, 7)
            mesh = init_device_mesh("cpu", (world_size,))
            train_fsdp.fully_shard(model, mesh=mesh)
            held.append(train_fsdp._local(model.weight).shape[0])
    assert sum(held) == 7 and max(held) == -(-7 // world_size)


# tensor parallel, and the mesh


def test_two_processes_share_each_product():
    text = torchrun(
        "ch06_acceleration.tensor_parallel",
        *(*SMALL, "--tensor", 2, "--steps", 3, "--check"),
        **ON_CPU,
    )
    assert text.startswith("data 1 x tensor 2, cpu\n")
    assert text.count("up.weight (32, 16)") == 2  # of (64, 16)
    found = [float(d) for d in re.findall(r"\d\.\de[-+]\d+", text)]
    assert len(found) == 2 and max(found) < 1e-5
    assert_same(losses_in(text), whole(3))


def test_one_process_is_a_mesh_as_well(capsys):
    tensor_parallel.main([*SMALL, "--tensor", "1", "--steps", "2", "--check"])
    assert_same(losses_in(capsys.readouterr().out), whole(2))


@pytest.mark.parametrize("tensor", [1, 2, 4])
def test_each_number_of_a_block_has_one_owner(tensor):
    seen = {"up": [], "down": []}
    for rank in range(4):
        with as_rank(rank, 4):
            model = seeded(16, 1)
            for name in seen:
                weight = getattr(model.blocks[0], name).weight
                weight.data.copy_(torch.arange(weight.numel()).view_as(weight))
            split(model, data_by_tensor(4, tensor, "cpu"), source=None)
            for name, parts in seen.items():
                part = getattr(model.blocks[0], name).weight.to_local()
                parts.append(part.detach().flatten())
    for parts in seen.values():
        together = torch.cat(parts).sort().values
        assert torch.equal(together, torch.arange(16.0 * 64))


def test_a_mesh_that_does_not_fit_is_an_error():
    with as_rank(0, 4):
        for tensor in (3, 0):
            with pytest.raises(ValueError, match="no groups"):
                data_by_tensor(4, tensor, "cpu")
    with as_rank(0, 3), pytest.raises(ValueError, match="64 features for 3"):
        split(seeded(16, 1), data_by_tensor(3, 3, "cpu"), source=None)


# pipeline


def test_three_stages_compute_what_one_piece_does():
    text = torchrun(
        "ch06_acceleration.pipeline_parallel",
        *("--width", 16, "--depth", 4, "--steps", 3),
        *("--check", "--schedule", "GPipe", "1F1B"),
        processes=3,
        **ON_CPU,
    )
    found = [float(d) for d in re.findall(r"\d\.\de[-+]\d+", text)]
    assert len(found) == 4 and max(found) < 1e-5
    for part in text.split("1F1B:"):
        assert_same(losses_in(part), whole(3, depth=4))


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_stages_one_after_the_other_are_the_model(count):
    x = batch_of(1, 4)[0]
    wanted = seeded(16, 5)(x)
    stages = [stage_of(seeded(16, 5), index, count) for index in range(count)]
    numbers = [sum(p.numel() for p in stage.parameters()) for stage in stages]
    assert sum(numbers) == sum(p.numel() for p in seeded(16, 5).parameters())
    for stage in stages:
        x = stage(x)
    assert_close(x, wanted)


def test_a_pipeline_that_does_not_fit_is_an_error():
    with pytest.raises(ValueError, match="no stage 0 of 3 in 2 blocks"):
        stage_of(seeded(16, 2), 0, 3)
    with pytest.raises(ValueError, match="no 5 equal parts"):
        pipeline_parallel.main([*SMALL, "--microbatches", "5"])
