"""The pictures of samplers: `ch03_deep_learning.orders`."""

import matplotlib.pyplot as plt
import pytest
from torch.utils.data import BatchSampler, RandomSampler, SequentialSampler

from ch03_deep_learning.orders import AGAIN, FIRST, Visit, draw_orders, visits


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def dots(axes):
    """(step, index, colour) of each dot, from left to right."""
    return [
        (line.get_xdata()[0], line.get_ydata()[0], line.get_color())
        for line in axes.lines
        if line.get_linestyle() == "None" and len(line.get_xdata()) == 1
    ]


def test_indices_one_after_another():
    found, ends = visits([2, 0, 2])
    assert found == [
        Visit(0, 2, 0, False),
        Visit(1, 0, 0, False),
        Visit(2, 2, 0, True),
    ]
    assert ends == []


def test_batches_end_where_the_next_begins():
    found, ends = visits(BatchSampler(SequentialSampler(range(5)), 2, False))
    assert [visit.index for visit in found] == [0, 1, 2, 3, 4]
    assert ends == [2, 4]


def test_processes_run_side_by_side():
    found, _ = visits({"rank 0": [0, 2], "rank 1": [1, 0]})
    assert found == [
        Visit(0, 0, 0, False),
        Visit(0, 1, 1, False),
        Visit(1, 2, 0, False),
        Visit(1, 0, 1, True),
    ]


@pytest.mark.parametrize("order", [[], {}, {"rank 0": []}])
def test_an_empty_order_has_no_visits(order):
    assert visits(order) == ([], [])


def test_a_sampler_is_drawn_as_it_is_iterated():
    draw_orders({"all": RandomSampler(range(7)), "twice": [1, 1]}, size=7, columns=3)
    first, second, third = plt.gcf().axes
    assert sorted(index for _, index, _ in dots(first)) == list(range(7))
    assert [step for step, _, _ in dots(first)] == list(range(7))
    assert dots(second) == [(0, 1, FIRST), (1, 1, AGAIN)]
    assert first.get_title() == "all" and not third.axison
    assert first.get_xlim() == second.get_xlim()
    assert plt.gcf().get_facecolor() == (1, 1, 1, 1)


def test_processes_are_named():
    draw_orders({"two": {"rank 0": [0], "rank 1": [1]}}, size=2, columns=1)
    legend = plt.gcf().axes[0].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["rank 0", "rank 1"]


@pytest.mark.parametrize("index", [-1, 3])
def test_an_index_that_is_not_there_is_an_error(index):
    with pytest.raises(ValueError, match=rf"mine: index {index} is not in 0\.\.2"):
        draw_orders({"mine": [0, index]}, size=3)
