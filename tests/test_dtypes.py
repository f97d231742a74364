"""Names, families and pictures of data types."""

import matplotlib.pyplot as plt
import pytest
import torch

from ch02_tensors.dtypes import draw_bits, draw_grid, family, full_name, short_name


@pytest.fixture(autouse=True)
def _agg():
    plt.switch_backend("agg")
    yield
    plt.close("all")


@pytest.mark.parametrize(
    ("dtype", "full", "short", "kind"),
    [
        (torch.bool, "bool", "bool", "bool"),
        (torch.uint8, "uint8", "u8", "integer"),
        (torch.int64, "int64", "i64", "integer"),
        (torch.half, "float16", "f16", "float"),
        (torch.bfloat16, "bfloat16", "bf16", "float"),
        (torch.float8_e4m3fn, "float8_e4m3fn", "f8", "float"),
        (torch.cfloat, "complex64", "c64", "complex"),
    ],
)
def test_names_and_family(dtype, full, short, kind):
    assert (full_name(dtype), short_name(dtype), family(dtype)) == (full, short, kind)


def test_no_short_name():
    with pytest.raises(ValueError, match=r"torch\.bits8"):
        short_name(torch.bits8)


def test_family_of_nothing():
    assert family(None) == "none"


def test_bits():
    ax = draw_bits({"float32": (1, 8, 23), "float16": (1, 5, 10)})
    assert [label.get_text() for label in ax.get_yticklabels()] == [
        "float32",
        "float16",
    ]
    assert [bar.get_width() for bar in ax.patches] == [1, 8, 23, 1, 5, 10]
    assert [bar.get_x() for bar in ax.patches] == [0, 1, 9, 0, 1, 6]


def test_grid():
    ax = draw_grid(["a", "b"], ["x"], [["yes"], ["no"]], [["red"], ["white"]])
    assert [text.get_text() for text in ax.texts] == ["yes", "no"]
    assert [patch.get_facecolor() for patch in ax.patches] == [
        (1.0, 0.0, 0.0, 1.0),
        (1.0, 1.0, 1.0, 1.0),
    ]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b"]


@pytest.mark.parametrize("words", [[["yes"]], [["yes"], ["no", "no"]]])
def test_grid_of_the_wrong_shape(words):
    with pytest.raises(ValueError, match="2 rows of 1 entries"):
        draw_grid(["a", "b"], ["x"], words, [["red"], ["white"]])
