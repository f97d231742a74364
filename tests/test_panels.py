"""Sheets of small plots: how many, which are empty, what the axes say."""

import matplotlib.pyplot as plt
import pytest

from ch02_tensors.panels import label_outer, small_plots


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_each_title_has_axes_and_what_is_left_over_is_empty():
    figure, used = small_plots(["a", "b", "c"], columns=2, size=(2, 1))
    assert [axes.get_title() for axes in used] == ["a", "b", "c"]
    assert [axes.axison for axes in figure.axes] == [True, True, True, False]
    assert tuple(figure.get_size_inches()) == (4, 2)


def test_limits_are_shared_unless_told_not_to():
    _, shared = small_plots("ab", columns=2, size=(2, 1))
    shared[0].set_xlim(0, 7)
    assert shared[1].get_xlim() == (0, 7)
    _, own = small_plots("ab", columns=2, size=(2, 1), share=False)
    own[0].set_xlim(0, 7)
    assert own[1].get_xlim() != (0, 7)


def test_the_outer_axes_are_named():
    _, used = small_plots("abcde", columns=3, size=(2, 1))
    label_outer(used, columns=3, x="step", y="rate")
    assert [axes.get_xlabel() for axes in used] == ["", "", "step", "step", "step"]
    assert [axes.get_ylabel() for axes in used] == ["rate", "", "", "rate", ""]


@pytest.mark.parametrize(("titles", "columns"), [([], 2), (["a"], 0)])
def test_no_title_or_no_column_is_an_error(titles, columns):
    with pytest.raises(ValueError, match="at least one"):
        small_plots(titles, columns=columns, size=(1, 1))
