"""The Fréchet distance between two clouds of features, seen as two Gaussians.

    d = frechet_distance(real_features, generated_features)

With means m1, m2 and covariances C1, C2 it is

    |m1 - m2|^2 + trace(C1 + C2 - 2 (C1 C2)^(1/2))

(Dowson and Landau, 1982). With the features of an Inception network it is called FID
(Heusel et al., 2017). This is the squared distance, as FID is.
"""

import torch
from torch import Tensor


def mean_and_covariance(features: Tensor) -> tuple[Tensor, Tensor]:
    """(N, D) -> (D,) and (D, D), float64; the covariance divides by N - 1.

    Raises `ValueError` where there are fewer than two rows or values are not finite.
    """
    if features.ndim != 2 or len(features) < 2:
        raise ValueError(
            f"needs features (N, D) of two images or more, not {tuple(features.shape)}"
        )
    features = features.double()
    if not features.isfinite().all():
        raise ValueError("some features are not finite: look at the images first")
    return features.mean(0), torch.atleast_2d(features.T.cov())


def gaussian_distance(
    mean: Tensor, covariance: Tensor, other_mean: Tensor, other_covariance: Tensor
) -> float:
    """The squared Fréchet distance of two Gaussians: means (D,), covariances (D, D).

    The trace of (C1 C2)^(1/2) is the sum of the roots of the eigenvalues of
    S C2 S with S = C1^(1/2), which is symmetric: `eigh` finds them without
    complex numbers, also where a covariance has no inverse.
    """
    if mean.shape != other_mean.shape or covariance.shape != other_covariance.shape:
        raise ValueError(
            f"both need the same features, not {len(mean)} and {len(other_mean)}"
        )
    covariance, other_covariance = covariance.double(), other_covariance.double()
    values, vectors = torch.linalg.eigh(covariance)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    product = torch.linalg.eigvalsh(root @ other_covariance @ root)
    shift = (mean.double() - other_mean.double()).square().sum()
    spread = covariance.trace() + other_covariance.trace()
    return (shift + spread - 2 * product.clamp(min=0).sqrt().sum()).item()


def frechet_distance(features: Tensor, others: Tensor) -> float:
    """The squared Fréchet distance of features (N, D) and (M, D).

    Estimated from finitely many images it is too high, the more so the fewer they are:
    compare only distances from the same N and M, and with the same feature network.
    """
    return gaussian_distance(
        *mean_and_covariance(features), *mean_and_covariance(others)
    )
