"""The pictures of a training say what is in the numbers."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import pytest
import torch

from ch03_deep_learning.charts import (
    draw_confusion_matrix,
    draw_images,
    draw_loss_curves,
)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def test_one_line_a_name_one_point_an_epoch():
    draw_loss_curves({"training": [2.0, 1.5, 1.0], "validation": [2.1, 1.8]}, best=2)
    training, validation, best = plt.gca().lines
    assert list(training.get_xdata()) == [1, 2, 3]
    assert list(validation.get_ydata()) == [2.1, 1.8]
    assert list(best.get_xdata()) == [2, 2]
    names = [text.get_text() for text in plt.gca().get_legend().get_texts()]
    assert names == ["training", "validation", "best: epoch 2"]
    assert (plt.gca().get_xlabel(), plt.gca().get_ylabel()) == ("epoch", "loss")
    assert training.get_color() != validation.get_color()
    assert training.get_marker() != validation.get_marker()


def test_rows_of_fit_are_drawn_as_training_and_validation():
    draw_loss_curves([{"epoch": 1, "loss": 2.0, "lr": 0.1, "val_loss": 2.5}] * 3)
    training, validation = plt.gca().lines
    assert (training.get_label(), validation.get_label()) == ("training", "validation")
    assert list(validation.get_ydata()) == [2.5] * 3
    plt.close()
    draw_loss_curves([{"epoch": 1, "loss": 2.0}])
    assert len(plt.gca().lines) == 1


def test_a_value_is_drawn_at_the_epoch_that_has_it():
    draw_loss_curves([{"loss": 3.0}, {"loss": 2.0, "val_loss": 2.5}] * 2)
    training, validation = plt.gca().lines
    assert list(training.get_xdata()) == [1, 2, 3, 4]
    assert list(validation.get_xdata()) == [2, 4]


@pytest.mark.parametrize("history", [{}, {"training": []}, [], [{"lr": 0.1}]])
def test_no_values_is_an_error(history):
    with pytest.raises(ValueError, match="nothing to draw"):
        draw_loss_curves(history)


def test_the_matrix_is_written_into_its_cells_and_shaded_by_row():
    matrix = torch.tensor([[8, 2], [0, 5]])
    draw_confusion_matrix(matrix, ["cat", "dog"])
    axes = plt.gca()
    assert [text.get_text() for text in axes.texts] == ["8", "2", "0", "5"]
    assert axes.images[0].get_array().tolist() == [
        pytest.approx([0.8, 0.2]),
        pytest.approx([0, 1]),
    ]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["cat", "dog"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "true")


def test_a_class_without_images_is_drawn_without_a_warning():
    draw_confusion_matrix(torch.tensor([[3, 0], [0, 0]]), ["a", "b"])
    assert plt.gca().images[0].get_array()[1].tolist() == [0, 0]


def test_a_matrix_needs_a_name_for_each_class():
    with pytest.raises(ValueError, match="3 classes need"):
        draw_confusion_matrix(torch.zeros(2, 2), ["a", "b", "c"])


@pytest.mark.parametrize("channels", [1, 3])
def test_images_are_drawn_as_they_are_with_their_titles(channels):
    images = torch.randint(256, (5, channels, 4, 6), dtype=torch.uint8)
    draw_images(images, list("abcde"), columns=3)
    drawn = [axes for axes in plt.gcf().axes if axes.images]
    assert [axes.get_title() for axes in drawn] == list("abcde")
    for axes, image in zip(drawn, images, strict=True):
        shown = torch.as_tensor(axes.images[0].get_array().data)
        assert torch.equal(shown, image.permute(1, 2, 0).squeeze(-1))
    assert len(plt.gcf().axes) == 6  # two rows of three, the last place empty
    assert not any(axes.axison for axes in plt.gcf().axes)


def test_floats_are_scaled_and_cut_off():
    draw_images(torch.tensor([-1.0, 0.0, 0.5, 2.0]).view(1, 1, 2, 2))
    assert plt.gca().images[0].get_array().tolist() == [[0, 0], [128, 255]]


def test_images_of_another_shape_and_titles_missing_are_refused():
    for shape in ((3, 8, 8), (2, 4, 8, 8), (0, 3, 8, 8)):
        with pytest.raises(ValueError, match=r"needs images \(N, C, H, W\)"):
            draw_images(torch.zeros(shape))
    with pytest.raises(ValueError, match="2 images need as many titles, not 1"):
        draw_images(torch.zeros(2, 1, 8, 8), ["a"])
