"""Activation memory: what autograd keeps, and what lives at each moment."""

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint, checkpoint_sequential

from ch06_acceleration.activation_memory import LiveBytes, saved_bytes

N, D = 64, 32
ONE = N * D * 4  # bytes of one activation


def network(blocks: int = 4) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        *[nn.Sequential(nn.Linear(D, D), nn.Sigmoid()) for _ in range(blocks)]
    )


def test_a_sigmoid_keeps_its_output_only():
    x = torch.rand(N, D, requires_grad=True)
    assert saved_bytes(lambda: x.sigmoid()) == ONE
    assert saved_bytes(lambda: x + 1) == 0
    with torch.no_grad():
        assert saved_bytes(lambda: x.sigmoid()) == 0


def test_views_of_one_memory_count_once():
    x = torch.rand(N, D, requires_grad=True)
    assert saved_bytes(lambda: x * x) == ONE
    assert saved_bytes(lambda: x[: N // 2] * x[N // 2 :]) == ONE
    assert saved_bytes(lambda: x * x, without=[x]) == 0


def test_a_network_keeps_input_and_one_activation_a_block():
    model, x = network(), torch.rand(N, D)
    assert saved_bytes(lambda: model(x), without=model.parameters()) == 5 * ONE
    with pytest.raises(TypeError, match="lambda"):
        saved_bytes(model(x))


def test_checkpointing_keeps_the_inputs_of_the_segments():
    model, x = network(), torch.rand(N, D, requires_grad=True)

    def forward():
        y = x
        for block in model:
            y = checkpoint(block, y, use_reentrant=False)
        return y

    assert saved_bytes(forward, without=model.parameters()) == 4 * ONE


def test_live_bytes_go_up_and_down():
    before = torch.rand(N, D)
    with LiveBytes() as live:
        a = before + 1
        assert live.now == ONE
        b = a.view(-1)  # the same memory
        b.mul_(2)
        before.t()
        assert live.now == ONE
        c = a + 1
        assert live.now == live.peak == 2 * ONE
        del a, c
        assert live.now == ONE  # b still holds it
        del b
    assert live.now == 0 and live.peak == 2 * ONE
    assert max(live.history) == 2 * ONE


def test_backward_is_counted_and_checkpointing_lowers_the_peak():
    peaks, gradients = {}, {}
    for segments in (1, 4):
        model, x = network(16), torch.rand(1024, D)
        with LiveBytes() as live:
            if segments == 1:
                model(x).sum().backward()
            else:
                y = checkpoint_sequential(model, segments, x, use_reentrant=False)
                y.sum().backward()
                del y
        peaks[segments] = live.peak
        gradients[segments] = [p.grad for p in model.parameters()]
        assert live.now == sum(p.grad.nbytes for p in model.parameters())
    assert peaks[4] < 0.7 * peaks[1]
    torch.testing.assert_close(gradients[4], gradients[1])


def test_one_object_for_one_block():
    live = LiveBytes()
    with live:
        torch.ones(3)
    with pytest.raises(RuntimeError, match="make a new one"), live:
        pass
    torch.ones(3)
    assert len(live.history) == 1


def test_sparse_tensors_pass_through():
    with LiveBytes() as live:
        torch.eye(4).to_sparse() @ torch.ones(4, 2)
    assert live.peak > 0
