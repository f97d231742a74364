"""The pictures of chapter 2: what they say is what the operations do."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import pytest
import torch
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle

from ch02_tensors import pictures

X = torch.arange(12).reshape(3, 4)


@pytest.fixture
def drawn():
    """The axes that the test drew on; closed afterwards."""
    plt.close("all")
    yield plt.gca
    plt.close("all")


def texts(axes) -> list[str]:
    return [text.get_text() for text in axes.texts if text.get_text()]


def boxes(axes) -> list[Rectangle]:
    return [patch for patch in axes.patches if isinstance(patch, Rectangle)]


@pytest.mark.parametrize("index", [1, (slice(1, None), slice(0, 2)), ([0, 2], [1, 3])])
def test_picked_marks_what_an_index_selects(index):
    expected = torch.zeros(3, 4, dtype=torch.bool)
    expected[index] = True
    assert torch.equal(pictures.picked(X, X[index]), expected)


def test_picked_takes_tensors_with_gaps_in_their_storage():
    assert pictures.picked(X.t(), X[1:, ::2].t()).sum() == 4


def test_picked_refuses_what_cannot_be_found():
    with pytest.raises(ValueError, match="must all differ"):
        pictures.picked(torch.tensor([1, 1]), torch.tensor([1]))
    with pytest.raises(ValueError, match="does not have"):
        pictures.picked(X, torch.tensor([12]))


@pytest.mark.parametrize("dim", [0, 1, -1, -2])
def test_gather_moves_are_those_of_gather_and_scatter(dim):
    index = torch.tensor([[2, 0], [1, 1], [0, 2]])
    result = torch.gather(X, dim, index)
    moves = pictures.gather_moves(index, dim)
    assert len(moves) == index.numel()
    assert all(X[source] == result[cell] for source, cell in moves)

    index = torch.tensor([[2, 0, 1]])  # no two values go to one cell
    scattered = torch.zeros(3, 3, dtype=torch.int64).scatter(dim, index, X[1:2, 1:])
    for there, cell in pictures.gather_moves(index, dim):
        assert scattered[there] == X[1:2, 1:][cell]


@pytest.mark.parametrize(
    ("index", "dim"),
    [
        (torch.tensor([0, 1]), 0),
        (torch.tensor([[0.0]]), 0),
        (torch.tensor([[True]]), 0),
        (torch.tensor([[0]]), 2),
        (torch.tensor([[-1]]), 1),
    ],
)
def test_gather_moves_refuses_what_gather_would_not_take(index, dim):
    with pytest.raises(ValueError, match=r"needs dim 0 or 1|no negative"):
        pictures.gather_moves(index, dim)


@pytest.mark.parametrize(
    "view",
    [
        X,
        X.t(),
        X[:, ::2],
        X[1:, 1:],
        X[:, :1].expand(3, 4),
        X.view(12).unfold(0, 4, 2),
        X.as_strided((2, 3), (5, 2), 1),
        X[2, 3],
    ],
)
def test_storage_offsets_are_where_the_elements_are_read(view):
    assert torch.equal(pictures.storage_offsets(view), view)  # X holds its own places


def test_storage_offsets_needs_strides():
    with pytest.raises(ValueError, match="has no strides"):
        pictures.storage_offsets(torch.eye(2).to_sparse())


def test_stretched_marks_what_is_read_again():
    column = [[False, True, True, True]] * 3
    assert pictures.stretched((3, 1), (3, 4)).tolist() == column
    row = [[False] * 4, [True] * 4, [True] * 4]
    assert pictures.stretched((4,), (3, 4)).tolist() == row
    assert not pictures.stretched((3, 4), (3, 4)).any()
    assert pictures.stretched((), (2, 2)).sum() == 3


@pytest.mark.parametrize(("shape", "target"), [((3,), (3, 4)), ((3, 4), (4,))])
def test_stretched_refuses_shapes_that_do_not_broadcast(shape, target):
    with pytest.raises(ValueError, match="does not broadcast to"):
        pictures.stretched(shape, target)


def test_draw_picks_colours_the_picked_cells(drawn):
    pictures.draw_picks(X, {"x[1]": X[1], "x[:, 0]": X[:, 0]})
    coloured = [box for box in boxes(drawn()) if box.get_facecolor()[:3] != (1, 1, 1)]
    assert len(boxes(drawn())) == 24
    assert len(coloured) == 4 + 3
    assert {"x[1]", "x[:, 0]"} <= set(texts(drawn()))


def test_draw_moves_gives_source_and_result_one_colour(drawn):
    index = torch.tensor([[3], [1], [0]])
    result = torch.gather(X, 1, index)
    pictures.draw_moves({"index": index, "x": X, "result": result}, 1)
    shades = [to_rgb(box.get_facecolor()) for box in boxes(drawn())]
    of_index, of_x, of_result = shades[:3], shades[3:15], shades[15:]
    assert of_index == of_result
    assert [of_x[3], of_x[5], of_x[8]] == of_result
    assert len(set(of_result)) == 3
    arrows = [text for text in drawn().texts if hasattr(text, "arrow_patch")]
    assert len(arrows) == 3


def test_draw_moves_of_scatter_point_from_the_source_to_the_result(drawn):
    index, source = torch.tensor([[3, 3]]), torch.tensor([[1, 2]])
    result = torch.zeros(1, 4, dtype=torch.int64).scatter_add(1, index, source)
    pictures.draw_moves({"i": index, "s": source, "r": result}, 1, scatter=True)
    arrows = [text for text in drawn().texts if hasattr(text, "arrow_patch")]
    assert {round(arrow.xy[0] - 0.2) for arrow in arrows} == {1 + 4 + 4 + 3}
    shades = [to_rgb(box.get_facecolor()) for box in boxes(drawn())]
    assert shades[:4] == [shades[-1]] * 4
    assert shades[4:7] == [(1, 1, 1)] * 3


def test_draw_moves_refuses_an_index_that_is_out_of_range(drawn):
    index = torch.tensor([[4]])
    with pytest.raises(ValueError, match="points out of"):
        pictures.draw_moves({"index": index, "x": X, "result": index}, 1)


def test_draw_strides_writes_the_places_and_the_strides(drawn):
    pictures.draw_strides({"x.t()": X.t(), "x[1:]": X[1:]})
    assert "x.t()\nshape (4, 3), strides (1, 4)" in texts(drawn())
    assert "x[1:]\nshape (2, 4), strides (4, 1), offset 4" in texts(drawn())
    assert texts(drawn())[13:25] == [str(int(i)) for i in X.t().flatten()]


def test_draw_strides_refuses_tensors_of_different_storages(drawn):
    with pytest.raises(ValueError, match="several storages"):
        pictures.draw_strides({"a": X, "b": X.clone()})


def test_draw_strides_refuses_views_that_count_in_other_units(drawn):
    x = torch.zeros(3, 2)
    with pytest.raises(ValueError, match="several sizes"):
        pictures.draw_strides({"x": x, "complex": torch.view_as_complex(x)})


def test_draw_broadcast_hatches_the_repeats(drawn):
    a, b = torch.tensor([[0], [10], [20]]), torch.tensor([1, 2, 3, 4])
    pictures.draw_broadcast(a, b, a + b)
    assert sum(bool(box.get_hatch()) for box in boxes(drawn())) == 9 + 8
    assert "a: (3, 1) read as (3, 4)" in texts(drawn())
    assert "result: (3, 4)" in texts(drawn())


def test_draw_cells_refuses_three_dimensions(drawn):
    with pytest.raises(ValueError, match="at most 2 dimensions"):
        pictures.draw_cells(drawn(), torch.zeros(2, 2, 2), {}, (0, 0), "")
