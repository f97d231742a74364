"""The picture of a reduction: `ch02_tensors.reducing`."""

import matplotlib.pyplot as plt
import pytest
import torch
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle

from ch02_tensors.reducing import draw_reductions, groups

X = torch.tensor([[1.0, 5, 2], [4, 3, 7]])


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def drawn():
    """The cells of the picture as (text, colour), from left to right and down."""
    axes = plt.gcf().axes[0]
    boxes = {
        (box.get_x(), box.get_y()): to_hex(box.get_facecolor()).upper()
        for box in axes.patches
        if isinstance(box, Rectangle)
    }
    texts = {text.get_position(): text.get_text() for text in axes.texts}
    return [(texts[x + 0.5, y + 0.5], colour) for (x, y), colour in boxes.items()]


@pytest.mark.parametrize("dim", [0, 1, (0, 1)])
def test_what_goes_into_one_cell_adds_up_to_it(dim):
    result = X.sum(dim, keepdim=True)
    found = torch.zeros_like(result)
    for cell, end in groups(X, result).items():
        found[end] += X[cell]
    assert torch.equal(found, result)


@pytest.mark.parametrize("shape", [(3,), (2, 2), (3, 1)])
def test_a_result_that_does_not_fit_is_an_error(shape):
    with pytest.raises(ValueError, match="keepdim=True"):
        groups(X, torch.zeros(shape))


def test_what_is_reduced_together_has_the_colour_of_its_result():
    draw_reductions(X, {"dim=1": X.sum(1, keepdim=True)})
    cells = dict(drawn())
    assert set(cells) == {"1", "5", "2", "4", "3", "7", "8", "14"}
    assert len({cells[text] for text in ("1", "5", "2", "8")}) == 1
    assert len({cells[text] for text in ("4", "3", "7", "14")}) == 1
    assert cells["8"] != cells["14"]


def test_the_result_stands_below_when_rows_go_and_right_when_columns_go():
    for dim, moved in ((0, (False, True)), (1, (True, False)), ((0, 1), (True, True))):
        draw_reductions(X, {"": X.sum(dim, keepdim=True)})
        boxes = [p for p in plt.gcf().axes[0].patches if isinstance(p, Rectangle)]
        last_of_x, result = boxes[X.numel() - 1], boxes[-1]
        assert (
            result.get_x() > last_of_x.get_x(),
            result.get_y() > last_of_x.get_y(),
        ) == moved


def test_a_panel_for_each_result_with_its_shapes():
    draw_reductions(X, {"a": X.sum(0, keepdim=True), "b": X.amax(1, keepdim=True)})
    texts = [text.get_text() for text in plt.gcf().axes[0].texts]
    assert "a\n(2, 3) to (1, 3)" in texts
    assert "b\n(2, 3) to (2, 1)" in texts
    assert plt.gcf().get_facecolor() == (1, 1, 1, 1)
