"""The sheets of small plots: `ch02_tensors.curves`."""

import matplotlib.pyplot as plt
import pytest
import torch

from ch02_tensors.curves import GREY, draw_curves, without_jumps

X = torch.linspace(-4, 4, 801)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def lines(axes):
    """The drawn curves by name, without the two lines through the origin."""
    return {
        line.get_label(): line
        for line in axes.lines
        if not line.get_label().startswith("_")
    }


def test_a_step_is_broken_once_for_each_jump():
    broken = without_jumps(torch.floor(X))
    assert broken.isnan().sum() == 8  # -4 to 4 in steps of 1
    kept = ~broken.isnan()
    assert torch.equal(broken[kept], torch.floor(X)[kept])


def test_a_smooth_curve_stays_whole_and_the_argument_unchanged():
    y = torch.sin(X)
    assert torch.equal(without_jumps(y), y)
    steps = torch.floor(X)
    without_jumps(steps)
    assert torch.equal(steps, torch.floor(X))


def test_a_pole_is_broken():
    y = 1 / X  # no value at 0, and from -100 to 100 around it
    assert without_jumps(y)[400:402].isnan().all()


def test_more_than_one_dimension_is_an_error():
    with pytest.raises(ValueError, match="not 2 dimensions"):
        without_jumps(torch.zeros(2, 2))


def test_one_panel_a_title_and_one_line_a_name():
    draw_curves(
        X,
        {"first": {"sin": X.sin(), "cos": X.cos()}, "second": {"tanh": X.tanh()}},
        columns=3,
    )
    first, second, third = plt.gcf().axes
    assert first.get_title() == "first"
    assert set(lines(first)) == {"sin", "cos"}
    assert lines(second)["tanh"].get_ydata() == pytest.approx(X.tanh().numpy())
    assert not third.axison  # a place left over is empty
    colours = [line.get_color() for line in lines(first).values()]
    assert len(set(colours)) == 2


def test_the_line_y_equals_x_is_dotted_and_takes_no_colour():
    draw_curves(X, {"floor": {"x": X, "floor(x)": X.floor()}}, columns=1)
    drawn = lines(plt.gcf().axes[0])
    assert (drawn["x"].get_linestyle(), drawn["x"].get_color()) == (":", GREY)
    assert drawn["floor(x)"].get_linestyle() == "-"


def test_both_axes_have_one_scale_and_the_paper_is_white():
    draw_curves(X, {"a": {"sin": X.sin()}}, columns=1, limit=2)
    axes = plt.gcf().axes[0]
    assert axes.get_aspect() == 1
    assert axes.get_xlim() == axes.get_ylim() == (-2, 2)
    assert plt.gcf().get_facecolor() == (1, 1, 1, 1)


def test_integers_are_an_error():
    with pytest.raises(ValueError, match="needs floats"):
        without_jumps(torch.arange(4))


def test_more_curves_than_colours_are_an_error():
    curves = {str(n): n * X for n in range(2, 7)}
    with pytest.raises(ValueError, match="many: at most 4"):
        draw_curves(X, {"many": {"x": X} | curves})
