"""The Fréchet distance: by hand, against SciPy, and what it refuses."""

import pytest
import torch
from scipy.linalg import sqrtm

from ch04_reference_designs.frechet import (
    frechet_distance,
    gaussian_distance,
    mean_and_covariance,
)


def covariance(seed: int, rank: int = 6) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    root = torch.randn(6, rank, dtype=torch.float64, generator=generator)
    return root @ root.T


def test_by_hand():
    m1, m2 = torch.tensor([1.0, 2.0]), torch.tensor([4.0, 6.0])
    C1, C2 = torch.diag(torch.tensor([1.0, 9.0])), torch.diag(torch.tensor([4.0, 1.0]))
    expected = 9 + 16 + (1 - 2) ** 2 + (3 - 1) ** 2
    assert gaussian_distance(m1, C1, m2, C2) == pytest.approx(expected)


@pytest.mark.parametrize("rank", [6, 3])
def test_as_scipy_computes_it(rank):
    zero, C1, C2 = torch.zeros(6), covariance(0), covariance(1, rank)
    root = sqrtm((C1 @ C2).numpy()).trace().real
    expected = (C1 + C2).trace().item() - 2 * root
    found = gaussian_distance(zero, C1, zero, C2)
    assert found == pytest.approx(expected, rel=1e-4)
    assert found == pytest.approx(gaussian_distance(zero, C2, zero, C1))


def test_clouds():
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(2, 20_000, 3, generator=generator)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(a, a + 2) == pytest.approx(12)
    assert frechet_distance(a, 3 * b) == pytest.approx(12, rel=0.03)
    few = [frechet_distance(a[i : i + 10], b) for i in range(0, 500, 10)]
    many = [frechet_distance(a[i : i + 100], b) for i in range(0, 5000, 100)]
    assert sum(few) > 3 * sum(many)  # the bias


def test_mean_and_covariance():
    mean, cov = mean_and_covariance(torch.tensor([[0.0, 0.0], [2.0, 4.0]]))
    assert mean.tolist() == [1, 2] and cov.tolist() == [[2, 4], [4, 8]]
    assert mean_and_covariance(torch.ones(3, 1))[1].shape == (1, 1)


@pytest.mark.parametrize(
    ("features", "words"),
    [
        (torch.zeros(1, 3), "two images or more"),
        (torch.zeros(3), "features"),
        (torch.tensor([[1.0], [float("nan")]]), "not finite"),
    ],
)
def test_bad_features(features, words):
    with pytest.raises(ValueError, match=words):
        mean_and_covariance(features)


def test_different_features():
    with pytest.raises(ValueError, match="not 3 and 4"):
        frechet_distance(torch.randn(9, 3), torch.randn(9, 4))
