"""Sheets of small pictures: `ch08_ecosystem.sheets`."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import tv_tensors

from ch08_ecosystem.sheets import GAP, as_array, draw_sheet, is_picture


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def test_all_kinds_of_pictures_become_the_same_array():
    expected = np.full((4, 5, 3), 51, np.uint8)
    for picture in (
        Image.new("RGB", (5, 4), (51, 51, 51)),
        Image.new("L", (5, 4), 51),
        torch.full((3, 4, 5), 51, dtype=torch.uint8),
        torch.full((1, 4, 5), 0.2),
        torch.full((4, 5), 0.2, requires_grad=True),
        torch.full((4, 5), 0.2, dtype=torch.float64),
        torch.full((3, 4, 5), 51),
        tv_tensors.Image(torch.full((3, 4, 5), 51, dtype=torch.uint8)),
    ):
        array = as_array(picture)
        assert array.dtype == np.uint8 and type(array) is np.ndarray
        np.testing.assert_array_equal(array, expected)


def test_channels_rows_and_columns_stay_in_place():
    image = torch.arange(24, dtype=torch.uint8).view(3, 2, 4)
    np.testing.assert_array_equal(as_array(image), image.permute(1, 2, 0).numpy())


def test_what_lies_outside_is_cut_off_and_booleans_are_black_and_white():
    assert as_array(torch.tensor([[-1.0, 0, 1, 9]]))[0, :, 0].tolist() == [
        0,
        0,
        255,
        255,
    ]
    assert as_array(torch.tensor([[-1, 300]]))[0, :, 0].tolist() == [0, 255]
    assert as_array(torch.tensor([[True, False]]))[0, :, 0].tolist() == [255, 0]


def test_several_become_one_with_white_gaps():
    pieces = [torch.zeros(3, 4, 6), Image.new("RGB", (2, 2)), torch.zeros(4, 6)]
    page = as_array(pieces)  # two columns, two rows
    assert page.shape == (4 + GAP + 4, 6 + GAP + 6, 3)
    assert not page[:4, :6].any() and not page[:2, 6 + GAP :][:, :2].any()
    assert (page[4 : 4 + GAP] == 255).all() and (page[4 + GAP :, 6:] == 255).all()
    batch = torch.zeros(4, 1, 4, 6)
    np.testing.assert_array_equal(as_array(batch), as_array(list(batch)))


@pytest.mark.parametrize(
    "value",
    [
        "a",
        None,
        [],
        ["a"],
        torch.ones(3),
        torch.ones(2, 4, 4),
        torch.ones(0, 4),
        torch.ones(1, 1, 1, 4, 4),
        torch.ones(4, 4, dtype=torch.complex64),
    ],
)
def test_what_is_no_picture_is_refused(value):
    assert not is_picture(value)
    with pytest.raises(ValueError, match="a picture is"):
        as_array(value)


def test_a_sheet_has_captions_and_one_scale():
    draw_sheet({"large": torch.ones(3, 40, 30), "small": torch.ones(3, 10, 10)})
    large, small = plt.gcf().axes
    assert [large.get_title(), small.get_title()] == ["large", "small"]
    assert np.ptp(large.get_xlim()) == np.ptp(small.get_xlim()) == 32
    assert np.ptp(large.get_ylim()) == np.ptp(small.get_ylim()) == 42
    assert small.images[0].get_array().shape == (10, 10, 3)
    assert plt.gcf().get_facecolor() == (1, 1, 1, 1)


def test_rows_fill_up_and_long_captions_are_broken():
    pictures = {
        f"a caption of many words, number {n}": torch.ones(4, 4) for n in "12345"
    }
    draw_sheet(pictures, columns=3, width=6)
    axes = plt.gcf().axes
    assert len(axes) == 6 and not any(a.axison for a in axes)
    assert "\n" in axes[0].get_title() and not axes[5].images


def test_an_empty_sheet_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        draw_sheet({})
