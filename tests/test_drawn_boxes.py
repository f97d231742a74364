"""Boxes drawn on images."""

import matplotlib.pyplot as plt
import pytest
import torch

from ch04_reference_designs.drawn_boxes import draw_boxes, show_pictures


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_the_box_is_where_it_should_be(dtype):
    image = torch.zeros(3, 20, 30, dtype=dtype)
    box = torch.tensor([[5.0, 4.0, 15.0, 14.0]])
    drawn = draw_boxes(image, box, colours="white", zoom=4)
    assert drawn.shape == (3, 80, 120) and drawn.dtype == torch.uint8
    rows, columns = drawn[0].nonzero(as_tuple=True)
    assert (columns.min(), rows.min()) == (20, 16)
    assert (columns.max(), rows.max()) == (60, 56)
    assert not drawn[:, 30:50, 30:50].any()  # only the edges
    assert box.tolist() == [[5.0, 4.0, 15.0, 14.0]]


def test_names_scores_and_no_boxes():
    image, labels = torch.full((3, 40, 60), 90, dtype=torch.uint8), torch.tensor([1, 2])
    boxes = torch.tensor([[5.0, 15.0, 25.0, 34.0], [30.0, 15.0, 50.0, 34.0]])
    classes = ("background", "cup", "cat")
    plain = draw_boxes(image, boxes, labels, classes=classes)
    scored = draw_boxes(image, boxes, labels, classes=classes, scores=torch.rand(2))
    assert not torch.equal(plain, scored)
    nothing = draw_boxes(image, boxes[:0], labels[:0], classes=classes, zoom=1)
    assert torch.equal(nothing, image)


def test_a_sheet(monkeypatch):
    monkeypatch.setattr(plt, "show", lambda: None)
    show_pictures([torch.zeros(3, 20, 30, dtype=torch.uint8)] * 3, ["a", "b", "c"])
    figure = plt.gcf()
    assert len(figure.axes) == 3 and figure.axes[2].get_title() == "c"
    plt.close(figure)
