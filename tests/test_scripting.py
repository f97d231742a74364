"""Whether a transform works under TorchScript: `ch08_ecosystem.scripting`."""

import io
import warnings

import pytest
import torch
from PIL import Image
from torch import nn
from torchvision import transforms as T
from torchvision import utils
from torchvision.transforms import functional as F
from torchvision.transforms import v2

from ch08_ecosystem.scripting import (
    Verdict,
    as_tensor,
    same,
    short_reason,
    works_under_torchscript,
)


@pytest.fixture
def image() -> torch.Tensor:
    torch.manual_seed(0)
    return torch.randint(0, 256, (3, 24, 20), dtype=torch.uint8)


def name(value: object) -> str:
    """For the test's id, the same in every process."""
    return (
        value
        if isinstance(value, str)
        else getattr(value, "__name__", type(value).__name__)
    )


@pytest.mark.parametrize(
    "transform",
    [
        T.CenterCrop(8),
        T.RandomCrop(8),
        T.RandomAffine(20),
        T.FiveCrop(8),
        nn.Sequential(T.CenterCrop(8), T.RandomHorizontalFlip(0.5)),
        F.hflip,
        v2.CenterCrop(8),
    ],
    ids=name,
)
def test_what_compiles_runs_and_gives_the_same(transform, image):
    verdict = works_under_torchscript(transform, image)
    assert verdict and verdict == Verdict(True, same=True)
    assert str(verdict) == "yes"
    assert works_under_torchscript(transform, F.to_pil_image(image))  # as a tensor


@pytest.mark.parametrize(
    ("transform", "why"),
    [
        (T.Pad(3), "instead found type 'int'"),
        (T.Compose([T.CenterCrop(8)]), "cannot call a value of type 'Tensor'"),
        (T.RandomApply([T.CenterCrop(8)]), "Module 'RandomApply' has no attribute"),
        (v2.GaussianNoise(), "Transform GaussianNoise cannot be JIT scripted"),
        (T.Lambda(lambda x: x), ""),
        (F.to_pil_image, ""),
    ],
    ids=name,
)
def test_what_does_not_compile_says_why(transform, why, image):
    verdict = works_under_torchscript(transform, image)
    assert not verdict and not verdict.same
    assert why in verdict.reason and verdict.reason
    assert str(verdict) == f"no: {verdict.reason}"
    assert "\n" not in verdict.reason and len(verdict.reason) <= 90
    assert "0x" not in verdict.reason  # no address: another one in each run


def test_lists_compile_after_numbers_did_not(image):
    assert not works_under_torchscript(T.Resize(8), image)
    assert not works_under_torchscript(T.Resize(8), image)  # nor the second time
    assert works_under_torchscript(T.Resize([8]), image)


def test_options_and_wrong_types_of_inputs(image):
    assert works_under_torchscript(F.adjust_gamma, image, gamma=0.5)
    assert not works_under_torchscript(F.center_crop, image, 8)  # wants a list
    assert works_under_torchscript(F.center_crop, image, [8])


def test_another_result_is_told(image):
    verdict = works_under_torchscript(v2.RandAugment(num_ops=4), image)
    assert verdict.works
    assert str(verdict) == str(Verdict(True)) == "yes, with another result"


def test_one_seed_that_agrees_by_chance_is_not_enough(image):
    assert not works_under_torchscript(v2.TrivialAugmentWide(), image).same


def test_nothing_is_said_on_the_way(image, capfd):
    with warnings.catch_warnings(action="error"):
        works_under_torchscript(T.CenterCrop(8), image)
        works_under_torchscript(T.ToTensor(), image)
        works_under_torchscript(utils.save_image, image / 255, io.BytesIO())
    assert capfd.readouterr() == ("", "")


def test_pil_images_become_tensors_and_the_rest_stays(image):
    picture = Image.new("L", (5, 4), 7)
    assert as_tensor(picture).shape == (1, 4, 5) and as_tensor(picture)[0, 0, 0] == 7
    assert as_tensor(image) is image and as_tensor("a") == "a"


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        (torch.ones(2), torch.ones(2), True),
        (torch.ones(2), torch.ones(2, dtype=torch.int), False),
        (torch.ones(2), torch.ones(3), False),
        ((torch.ones(1), 2), [torch.ones(1), 2], True),
        ((1, 2), (1,), False),
        (1, 1, True),
        (1, True, False),
        (torch.ones(1), 1, False),
    ],
)
def test_same(one, other, equal):
    assert same(one, other) is equal


def test_the_reason_of_an_error_at_run_time_is_its_last_line():
    class Refuses(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if x.size(0) == 3:
                raise ValueError("three are too many")
            return x

    verdict = works_under_torchscript(Refuses(), torch.ones(3))
    assert not verdict and "three are too many" in verdict.reason
    assert short_reason(RuntimeError("")) == "RuntimeError"
