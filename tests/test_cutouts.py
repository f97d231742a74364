"""The cut-outs: outlines traced by hand, coins found by their brightness."""

import numpy as np
import pytest

from ch04_reference_designs.cutouts import CLASSES, OUTLINES, cutouts, photograph, sheet


@pytest.mark.parametrize("name", CLASSES[1:])
@pytest.mark.parametrize("train", [True, False])
def test_each_class_has_objects_cut_to_their_outline(name, train):
    pieces = cutouts(name, train)
    assert len(pieces) == (12 if name == "coin" else 1)
    for piece in pieces:
        alpha = np.asarray(piece)[..., 3]
        assert piece.mode == "RGBA" and max(piece.size) <= 192
        assert alpha.any(1)[[0, -1]].all() and alpha.any(0)[[0, -1]].all()
        assert 0.4 < (alpha > 127).mean() < 0.95  # neither empty nor a rectangle


def test_the_coins_to_train_with_are_not_those_held_out():
    train, held_out = ({p.tobytes() for p in cutouts("coin", t)} for t in (True, False))
    assert len(train) == len(held_out) == 12 and not train & held_out


@pytest.mark.parametrize("name", OUTLINES)
def test_outlines_lie_on_their_photograph(name):
    file, corners = OUTLINES[name]
    x, y = np.array(corners.split(), int).reshape(-1, 2).T
    width, height = photograph(file).size
    assert x.min() >= 0 and y.min() >= 0 and x.max() <= width and y.max() <= height


def test_what_is_not_there():
    with pytest.raises(FileNotFoundError, match=r"carries dog\.png"):
        photograph("dog.png")
    with pytest.raises(ValueError, match="no 'background' to cut out; there are cup"):
        cutouts("background")


def test_a_sheet_of_all():
    assert sheet(columns=7, side=50).size == (350, 200)  # 28 pieces
