import pytest
import torch
from torch.nn.utils.rnn import pack_sequence

from ch03_deep_learning.placement import fast_dtype, to_device


def test_the_containers_of_a_batch_are_kept():
    x = torch.ones(2)
    batch = (x, {"a": [x, 3], "b": "text"})
    moved = to_device(batch, "meta")
    assert isinstance(moved, tuple) and moved[0].device.type == "meta"
    assert moved[1]["a"][0].device.type == "meta"
    assert moved[1]["a"][1] == 3 and moved[1]["b"] == "text"


def test_packed_sequences_keep_their_lengths_on_the_cpu():
    packed = pack_sequence([torch.ones(3, 2), torch.ones(1, 2)])
    moved = to_device(packed, "meta")
    assert moved.data.device.type == "meta"
    assert moved.batch_sizes.tolist() == [2, 1, 1]


def test_named_tuples_stay_named():
    values = torch.ones(3, 2).max(0)
    assert to_device(values, "cpu").indices.tolist() == [0, 0]


@pytest.mark.parametrize("flag", ["avx512_bf16", "amx_bf16"])
def test_a_cpu_that_multiplies_bfloat16_uses_it(monkeypatch, flag):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {flag: True})
    assert fast_dtype("cpu") is torch.bfloat16


def test_a_cpu_that_would_emulate_it_does_not(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True})
    assert fast_dtype("cpu") is None


def test_this_machine_has_an_answer():
    assert fast_dtype(torch.device("cpu")) in {None, torch.bfloat16}
