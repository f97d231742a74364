"""The network that is split, its batches, and the group of processes."""

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch.testing import assert_close

from ch06_acceleration import blocks, process_group
from ch06_acceleration.blocks import Blocks, batch_of, seeded, share_of


def test_the_digits_are_those_of_scikit_learn():
    images, labels = blocks._digits()
    digits = load_digits()
    assert images.shape == (1797, 64) and images.dtype == torch.float32
    assert_close((images + 1) * 8, torch.tensor(digits.data).float())
    assert torch.equal(labels, torch.tensor(digits.target))


def test_without_scikit_learn_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(blocks.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match="pip install"):
        blocks._digits.__wrapped__()


def test_a_batch_depends_on_its_step_only():
    torch.manual_seed(1)
    first = batch_of(3, 8)
    torch.manual_seed(2)
    assert all(map(torch.equal, first, batch_of(3, 8)))
    assert not torch.equal(first[0], batch_of(4, 8)[0])


def test_shares_are_the_batch_again():
    batch = batch_of(1, 12)
    shares = [share_of(batch, index, 3) for index in range(3)]
    assert {len(x) for x, _ in shares} == {4}
    together = torch.stack([y for _, y in shares], dim=1).flatten()
    assert torch.equal(together, batch[1])
    with pytest.raises(ValueError, match=r"--batch 10"):
        share_of(batch, 0, 5)


def test_seeded_weights_are_the_same_and_leave_the_generator_alone():
    torch.manual_seed(5)
    wanted = torch.rand(2)
    torch.manual_seed(5)
    one, two = seeded(), seeded()
    assert torch.equal(torch.rand(2), wanted)
    assert_close(one.state_dict(), two.state_dict(), rtol=0, atol=0)


def test_gradients_reach_every_parameter_and_a_batch_can_be_learnt():
    model = seeded(width=32, depth=2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    x, y = batch_of(1, 16)
    for _ in range(40):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
    assert all(p.grad.abs().sum() > 0 for p in model.parameters())
    assert loss < 0.05


def test_hidden_width_can_be_chosen():
    assert Blocks(8, 1).blocks[0].up.out_features == 32
    assert Blocks(8, 1, hidden=5).blocks[0].up.out_features == 5


# the group


def test_without_torchrun_it_is_a_group_of_one(capsys):
    with process_group.process_group() as device:
        assert (dist.get_rank(), dist.get_world_size()) == (0, 1)
        assert device.type == ("cuda" if torch.cuda.is_available() else "cpu")
        process_group.say("one", "two")
    assert capsys.readouterr().out == "one\ntwo\n"
    assert not dist.is_initialized()


def test_the_group_is_left_after_an_error():
    with pytest.raises(KeyError), process_group.process_group():
        raise KeyError
    assert not dist.is_initialized()


def test_more_processes_than_gpus_is_an_error(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    with (
        pytest.raises(RuntimeError, match=r"4 processes for 2 GPUs"),
        process_group.process_group(),
    ):
        pass
