"""The GAN's parts: shapes, who gets gradients, copies of a generator, latents."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ch04_reference_designs.dcgan import (
    adversarial_step,
    discriminator,
    generate,
    generator,
    init_weights,
    nearest,
    slerp,
)

SIZES = [(28, (8, 4), 7), (64, (16, 8, 4, 4), 4)]


def players(channels=(8, 4), first=7, lr=1e-3):
    torch.manual_seed(0)
    G = generator(5, channels, first).apply(init_weights)
    D = discriminator(channels, first).apply(init_weights)
    optimizers = [torch.optim.Adam(m.parameters(), lr, (0.5, 0.999)) for m in (G, D)]
    return G, D, *optimizers


@pytest.mark.parametrize(("side", "channels", "first"), SIZES)
def test_shapes(side, channels, first):
    G, D, *_ = players(channels, first)
    images = G(torch.randn(3, 5))
    assert images.shape == (3, 1, side, side) and images.abs().max() <= 1
    assert D(images).shape == (3,)


@pytest.mark.parametrize(("channels", "first"), [((), 7), ((8, 0), 7), ((8,), 0)])
def test_bad_sizes(channels, first):
    for make in (lambda c, f: generator(5, c, f), discriminator):
        with pytest.raises(ValueError, match="1 or more"):
            make(channels, first)


def test_init_weights():
    layers = nn.Sequential(nn.Conv2d(64, 64, 4), nn.BatchNorm2d(4096))
    layers.apply(init_weights)
    assert layers[0].weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert layers[1].weight.mean().item() == pytest.approx(1, abs=0.005)
    assert not layers[1].bias.any()


def test_a_step_moves_every_parameter_of_both():
    G, D, *optimizers = players()
    before = [p.clone() for m in (G, D) for p in m.parameters()]
    real = torch.rand(6, 1, 28, 28) * 2 - 1
    row = adversarial_step(G, D, *optimizers, real, torch.randn(6, 5))
    after = [p for m in (G, D) for p in m.parameters()]
    assert all(not a.equal(b) for a, b in zip(before, after, strict=True))
    assert all(p.requires_grad for p in after)
    assert 0 < row["D(x)"] < 1 and 0 < row["D(G(z))"] < 1


def test_each_players_gradients_are_its_own():
    G, D, *_ = players()
    frozen = [torch.optim.SGD(m.parameters(), lr=0.0) for m in (G, D)]
    G.eval(), D.eval()  # so that the forward passes below are the same
    real, latents = torch.rand(6, 1, 28, 28), torch.randn(6, 5)
    adversarial_step(G, D, *frozen, real, latents)
    found = [[p.grad.clone() for p in m.parameters()] for m in (G, D)]
    D_loss = (F.softplus(-D(real)) + F.softplus(D(G(latents)))).mean()
    torch.testing.assert_close(
        found[1], list(torch.autograd.grad(D_loss, list(D.parameters())))
    )
    G_loss = F.softplus(-D(G(latents))).mean()
    torch.testing.assert_close(
        found[0], list(torch.autograd.grad(G_loss, list(G.parameters())))
    )


def test_the_discriminator_learns_one_batch():
    G, D, G_optimizer, D_optimizer = players(lr=3e-3)
    for group in G_optimizer.param_groups:
        group["lr"] = 0.0
    real, latents = torch.ones(8, 1, 28, 28), torch.randn(8, 5)
    for _ in range(20):
        row = adversarial_step(G, D, G_optimizer, D_optimizer, real, latents)
    assert row["D(x)"] > 0.9 and row["D(G(z))"] < 0.1


def test_generate_and_a_saved_generator(tmp_path):
    G, D, *optimizers = players()
    real = torch.rand(6, 1, 28, 28)
    adversarial_step(G, D, *optimizers, real, torch.randn(6, 5))
    latents = torch.randn(7, 5)
    images = generate(G, latents, batch_size=3)
    assert G.training and not images.requires_grad
    torch.testing.assert_close(images[:1], generate(G, latents[:1]))  # alone
    torch.save(G.state_dict(), tmp_path / "G.pt")
    fresh = generator(5, (8, 4), 7)
    fresh.load_state_dict(torch.load(tmp_path / "G.pt", weights_only=True))
    assert torch.equal(generate(fresh, latents, batch_size=3), images)


def test_slerp():
    a, b = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 3.0])
    arc = slerp(a, b, 3)
    torch.testing.assert_close(arc[[0, 2]], torch.stack([a, b]))
    torch.testing.assert_close(arc[1], torch.tensor([2.0, 2.0]) / 2**0.5)
    torch.testing.assert_close(slerp(a, 2 * a, 3)[:, 0], torch.tensor([1.0, 1.5, 2.0]))
    for bad in ((a, b, 1), (a, torch.zeros(3), 4)):
        with pytest.raises(ValueError, match="two vectors"):
            slerp(*bad)


def test_nearest():
    among = torch.rand(9, 1, 4, 4)
    found, distance = nearest(among[[3, 5]] + 0.01, among)
    assert found.tolist() == [3, 5]
    torch.testing.assert_close(distance, torch.full((2,), 0.04), atol=1e-3, rtol=0)
