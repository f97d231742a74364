import matplotlib.pyplot as plt
import pytest
import torch
from matplotlib.patches import Rectangle

from ch02_tensors.ranks import draw_ranks


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def cells_and_texts(tensors):
    axes = draw_ranks(tensors).axes[0]
    cells = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    return cells, [text.get_text() for text in axes.texts]


@pytest.mark.parametrize("shape", [(), (4,), (2, 3), (3, 2, 2), (2, 3, 2, 2)])
def test_one_cell_for_each_element_with_its_value(shape):
    tensor = torch.arange(torch.Size(shape).numel()).reshape(shape)
    cells, texts = cells_and_texts({"it": tensor})
    assert len(cells) == tensor.numel()
    assert {str(value) for value in range(tensor.numel())} <= set(texts)


def test_names_and_shapes_stand_below():
    _, texts = cells_and_texts({"a": torch.tensor(1.5), "b": torch.zeros(3)})
    assert {"a", "()", "b", "(3,)", "1.5"} <= set(texts)


def test_the_front_sheet_stands_lowest_and_on_top():
    cells, _ = cells_and_texts({"x": torch.zeros(2, 1, 1)})
    front = max(cells, key=Rectangle.get_zorder)
    assert front.get_xy() == (0, 0)


def test_tensors_do_not_overlap():
    cells, _ = cells_and_texts({"x": torch.zeros(2, 2, 3), "y": torch.zeros(1)})
    *first, last = (cell.get_x() for cell in cells)
    assert last > max(first) + 1


@pytest.mark.parametrize("shape", [(1, 1, 1, 1, 1), (0,), (2, 0)])
def test_what_cannot_be_drawn(shape):
    with pytest.raises(ValueError, match="cannot draw"):
        draw_ranks({"x": torch.zeros(shape)})
