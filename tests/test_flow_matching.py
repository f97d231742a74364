"""Flow matching: the path by hand, solvers on fields with a known answer, the net."""

import math

import pytest
import torch

from ch04_reference_designs.flow_matching import (
    VelocityNet,
    cosine_to_zero,
    euler,
    flow_matching_loss,
    heun,
    sample,
    straight_path,
)


def net(**options):
    torch.manual_seed(0)
    return VelocityNet(**{"channels": 8, "deep": 16, "blocks": 1} | options)


def test_the_straight_path_by_hand():
    noise, images = torch.tensor([[1.0], [1.0]]), torch.tensor([[3.0], [5.0]])
    x, velocity = straight_path(noise, images, torch.tensor([0.5, 0.25]))
    assert x.tolist() == [[2.0], [2.0]] and velocity.tolist() == [[2.0], [4.0]]


def test_its_velocity_is_its_derivative():
    noise, images = torch.randn(2, 3, 1, 8, 8)
    t = torch.tensor([0.0, 0.3, 1.0])
    (x, velocity), (later, _) = (
        straight_path(noise, images, at) for at in (t, t + 0.5)
    )
    torch.testing.assert_close((later - x) / 0.5, velocity)
    torch.testing.assert_close(velocity, images - noise)
    torch.testing.assert_close(x[[0, 2]], torch.stack([noise[0], images[2]]))


def test_the_velocity_leads_to_the_predicted_image():
    model, x = net(), torch.randn(3, 1, 8, 8)
    t = torch.tensor([0.0, 0.5, 0.9])
    end = x + (1 - t).view(-1, 1, 1, 1) * model(x, t)
    torch.testing.assert_close(end, model.predict(x, t), atol=1e-5, rtol=1e-5)
    assert model(x, torch.ones(3)).isfinite().all()


@pytest.mark.parametrize("solver", [euler, heun])
@pytest.mark.parametrize("steps", [1, 3, 10])
def test_exact_for_a_constant_field(solver, steps):
    x, way = torch.randn(2, 4, 1, 8, 8, dtype=torch.float64)
    torch.testing.assert_close(solver(lambda x, t: way, x, steps), x + way)


def test_heun_is_of_second_order():
    def error(solver, steps):  # dx/dt = x has the solution e
        one = torch.ones(1, dtype=torch.float64)
        return abs(solver(lambda x, t: x, one, steps).item() - math.e)

    assert 1.8 < error(euler, 50) / error(euler, 100) < 2.2
    assert 3.6 < error(heun, 50) / error(heun, 100) < 4.4


def test_the_solvers_tell_the_time():
    x = torch.zeros(2, 1, dtype=torch.float64)  # dx/dt = 2 t has the solution 1
    found = heun(lambda x, t: 2 * t[:, None], x, 4)  # exact but for the last step
    assert found.tolist() == [[0.9375], [0.9375]]
    assert euler(lambda x, t: 2 * t[:, None], x, 4).tolist() == [[0.75], [0.75]]


def test_gradients_reach_every_parameter():
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(2):  # the blocks' last convolutions begin at zero
        optimizer.zero_grad()
        flow_matching_loss(model, torch.randn(4, 1, 8, 8)).backward()
        optimizer.step()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())


def test_one_batch_can_be_overfitted():
    model, image = net(), torch.ones(1, 1, 8, 8)
    image[..., :4] = -1
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    batch = image.expand(32, -1, -1, -1)
    losses = []
    for _ in range(120):
        optimizer.zero_grad()
        loss = flow_matching_loss(model, batch)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-10:]) < 0.3 * sum(losses[:10])
    found = sample(model, torch.randn(4, 1, 8, 8), steps=10)
    assert (found.sign() == image).float().mean() > 0.95


def test_the_time_matters():
    model, x = net(), torch.randn(2, 1, 8, 8)
    torch.nn.init.normal_(model.middle[0].second.weight)
    early, late = model(x, torch.zeros(2)), model(x, torch.ones(2))
    assert not torch.allclose(early, late)


def test_saved_and_loaded(tmp_path):
    model, noise = net(), torch.randn(5, 1, 28, 28)
    images = sample(model, noise, steps=3, batch_size=2)
    assert images.shape == noise.shape and images.abs().max() <= 1
    assert model.training and not images.requires_grad
    torch.save(model.state_dict(), tmp_path / "net.pt")
    fresh = VelocityNet(8, 16, 1)
    fresh.load_state_dict(torch.load(tmp_path / "net.pt", weights_only=True))
    assert torch.equal(sample(fresh, noise, steps=3, batch_size=2), images)


def test_bad_input():
    with pytest.raises(ValueError, match="multiple of 4"):
        net()(torch.zeros(1, 1, 10, 10), torch.zeros(1))
    with pytest.raises(ValueError, match="one number for each"):
        straight_path(torch.zeros(2, 1), torch.zeros(2, 1), torch.zeros(3))
    for steps in (0, 2.5):
        with pytest.raises(ValueError, match="whole number"):
            heun(lambda x, t: x, torch.zeros(1), steps)


def test_the_rate():
    rates = [cosine_to_zero(step, 100) for step in range(101)]
    assert max(rates) == rates[19] == 1 and rates[0] == 0.05 and rates[-1] < 1e-9
