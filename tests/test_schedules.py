"""Learning-rate schedules as numbers: `ch03_deep_learning.schedules`."""

import matplotlib.pyplot as plt
import pytest
from torch.optim import lr_scheduler

from ch03_deep_learning.schedules import draw_schedules, learning_rates


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def test_the_first_value_is_the_one_that_the_first_step_uses():
    rates = learning_rates(lambda o: lr_scheduler.StepLR(o, 2), 5, lr=0.5)
    assert rates == pytest.approx([0.5, 0.5, 0.05, 0.05, 0.005])
    assert all(isinstance(rate, float) for rate in rates)


def test_one_cycle_fits_its_number_of_steps_exactly():
    rates = learning_rates(
        lambda o: lr_scheduler.OneCycleLR(o, max_lr=1.0, total_steps=10), 10
    )
    assert len(rates) == 10
    assert rates[0] == pytest.approx(1 / 25)
    assert max(rates) == pytest.approx(1.0)
    assert rates[-1] == pytest.approx(1 / 25e4)


def test_another_option_of_the_optimizer_can_be_followed():
    momentum = learning_rates(
        lambda o: lr_scheduler.OneCycleLR(o, max_lr=1.0, total_steps=10),
        10,
        key="momentum",
    )
    assert (momentum[0], min(momentum)) == pytest.approx((0.95, 0.85))


def test_a_plateau_is_seen_in_the_losses():
    rates = learning_rates(
        lambda o: lr_scheduler.ReduceLROnPlateau(o, factor=0.5, patience=1),
        6,
        losses=[3.0, 2.0, 2.0, 2.0, 1.0, 1.0],
    )
    assert rates == pytest.approx([1.0, 1.0, 1.0, 1.0, 0.5, 0.5])


@pytest.mark.parametrize("losses", [None, [1.0]])
def test_a_plateau_needs_a_loss_for_each_step(losses):
    with pytest.raises(ValueError, match="one for each of 2 steps"):
        learning_rates(lr_scheduler.ReduceLROnPlateau, 2, losses=losses)


def test_no_steps_are_no_values_and_fewer_are_an_error():
    def constant(optimizer):
        return lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)

    assert learning_rates(constant, 0) == []
    with pytest.raises(ValueError, match="0 or more, not -1"):
        learning_rates(constant, -1)
    with pytest.raises(ValueError, match=r"no option 'betas'.*'momentum'"):
        learning_rates(constant, 3, key="betas")


def test_one_panel_a_schedule_each_rate_held_until_the_next():
    draw_schedules({"a": [1.0, 0.5], "b": [0.2, 0.1]}, columns=3)
    first, second, third = plt.gcf().axes
    assert (first.get_title(), second.get_title()) == ("a", "b")
    assert list(first.lines[0].get_ydata()) == [1.0, 0.5]
    assert first.lines[0].get_drawstyle() == "steps-post"
    assert first.get_ylim() == second.get_ylim()
    assert not third.axison
    assert plt.gcf().get_facecolor() == (1, 1, 1, 1)
