import copy

import pytest
import torch
from torch import nn

from ch03_deep_learning.muon import ConvMuon, orthogonalize


@pytest.mark.parametrize("shape", [(8, 8), (8, 72), (40, 12)])
def test_singular_values_come_near_one_and_directions_stay(shape):
    torch.manual_seed(0)
    matrix = torch.randn(shape, dtype=torch.float64)
    u, _, vh = torch.linalg.svd(matrix, full_matrices=False)
    found = orthogonalize(matrix, steps=8)
    inside = u.mT @ found @ vh.mT  # diagonal, if the directions are the same
    values = inside.diag()
    torch.testing.assert_close(inside, values.diag(), atol=1e-6, rtol=0)
    assert values.min() > 0.5 and values.max() < 1.3


def test_the_size_of_the_gradient_does_not_matter():
    torch.manual_seed(0)
    matrix = torch.randn(4, 9)
    torch.testing.assert_close(orthogonalize(1000 * matrix), orthogonalize(matrix))
    assert orthogonalize(torch.zeros(3, 4)).equal(torch.zeros(3, 4))


def test_it_minimises_and_keeps_the_length():
    torch.manual_seed(0)
    target, conv = nn.Conv2d(3, 8, 3, bias=False), nn.Conv2d(3, 8, 3, bias=False)
    with torch.no_grad():
        target.weight.mul_(8**0.5 / target.weight.norm())  # one of that length
    optimizer = ConvMuon(conv.parameters(), lr=0.1)
    losses = []
    for step in range(60):
        optimizer.param_groups[0]["lr"] = 0.1 * (1 - step / 60)
        x = torch.randn(16, 3, 6, 6)
        loss = (conv(x) - target(x)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.02 * losses[0]
    assert conv.weight.norm().item() == pytest.approx(8**0.5, rel=0.05)


def test_a_step_gives_the_weights_their_length_back():
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 8, 3, bias=False)
    direction = nn.functional.normalize(conv.weight.detach().flatten(), dim=0)
    with torch.no_grad():
        conv.weight.mul_(5)
    conv(torch.ones(1, 3, 3, 3)).sum().backward()
    ConvMuon(conv.parameters(), lr=0.0).step()
    torch.testing.assert_close(conv.weight.flatten(), 8**0.5 * direction)


def test_its_state_survives_a_round_trip():
    torch.manual_seed(0)
    models = [nn.Conv2d(2, 4, 3), nn.Conv2d(2, 4, 3)]
    optimizers = [ConvMuon([m.weight], lr=0.05) for m in models]
    x = torch.randn(4, 2, 5, 5)

    def step(i: int) -> None:
        models[i](x).square().sum().backward()
        optimizers[i].step()
        models[i].zero_grad()

    step(0)
    models[1].load_state_dict(models[0].state_dict())
    optimizers[1].load_state_dict(copy.deepcopy(optimizers[0].state_dict()))
    step(0)
    step(1)
    assert models[0].weight.equal(models[1].weight)


def test_a_closure_is_called_with_gradients():
    conv = nn.Conv2d(1, 2, 3)
    optimizer = ConvMuon([conv.weight])

    def closure() -> torch.Tensor:
        loss = conv(torch.ones(1, 1, 3, 3)).sum()
        loss.backward()
        return loss

    before = conv.weight.detach().clone()
    assert optimizer.step(closure).requires_grad
    assert not conv.weight.equal(before)


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"lr": -1.0}, "lr has to be"), ({"momentum": 1.0}, "momentum has to be")],
)
def test_settings_out_of_range(settings, message):
    with pytest.raises(ValueError, match=message):
        ConvMuon([nn.Parameter(torch.zeros(2, 2))], **settings)


def test_biases_and_batches_of_matrices_are_refused():
    with pytest.raises(ValueError, match="is no matrix"):
        ConvMuon([nn.Parameter(torch.zeros(3))])
    with pytest.raises(ValueError, match="needs a matrix"):
        orthogonalize(torch.zeros(2, 2, 2))
