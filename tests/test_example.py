"""Chapter 7's model and its images: the same each time, and really recognised."""

import pytest
import torch

from ch01_intro.network import CLASSES
from ch07_deployment.example import (
    PHOTOS,
    example_model,
    largest_difference,
    names_of,
    photo_path,
    photos,
    real_images,
)


def test_images_are_what_the_model_takes_and_the_same_each_time():
    images = real_images(12)
    assert images.shape == (12, 3, 32, 32) and images.dtype == torch.float32
    assert torch.equal(images, real_images(12))
    assert torch.equal(images[:3], real_images(3))
    assert len({image.numpy().tobytes() for image in images}) == 12


def test_images_leave_the_random_numbers_alone():
    state = torch.get_rng_state()
    real_images(12)
    assert torch.equal(state, torch.get_rng_state())


def test_the_cat_is_a_cat_and_the_rocket_a_vehicle():
    with torch.inference_mode():
        named = dict(
            zip(PHOTOS, names_of(example_model()(real_images(8))), strict=True)
        )
    assert named["chelsea.png"] == "cat"
    assert set(named.values()) <= set(CLASSES)
    assert len(set(named.values())) > 2


def test_photos_are_rgb():
    assert {photo.mode for photo in photos()} == {"RGB"}


def test_a_copy_that_differs_is_seen():
    model, images = example_model(), real_images(4)
    assert largest_difference(model, images) == 0
    assert largest_difference(lambda x: model(x) + 0.5, images) == pytest.approx(0.5)
    with pytest.raises(ValueError, match=r"\(4, 9\) is not \(4, 10\)"):
        largest_difference(lambda x: model(x)[:, :9], images)


def test_bad_input():
    with pytest.raises(ValueError, match="at least one image"):
        real_images(0)
    with pytest.raises(FileNotFoundError, match=r"chelsea\.png"):
        photo_path("dog.png")
