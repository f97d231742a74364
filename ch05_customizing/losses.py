"""Losses of one's own: the mean squared error, for complex numbers too, and focal loss.

All have `reduction`: "none" gives one number for each element or example, "mean" and
"sum" one in all. Imports PyTorch only: this module can be copied alone.
"""

import torch
from torch import Tensor, nn

REDUCTIONS = ("none", "mean", "sum")
PARTS = ("both", "real", "imag", "magnitude")


def reduce(values: Tensor, reduction: str) -> Tensor:
    """`values` as they are, their mean, or their sum.

    Raises `ValueError` for another reduction. The mean of nothing is nan, the sum 0.
    """
    check_reduction(reduction)
    return values if reduction == "none" else getattr(values, reduction)()


def mean_squared_error(
    input: Tensor, target: Tensor, reduction: str = "mean"
) -> Tensor:
    """(input - target)², for two real tensors of one shape, any shape.

    Unlike `F.mse_loss`, which warns and broadcasts, it raises `ValueError` where the
    shapes differ. `TypeError` for complex tensors: they have `complex_mse`.
    """
    check_same_shape(input, target)
    if input.is_complex() or target.is_complex():
        raise TypeError("needs real tensors; for complex ones there is complex_mse")
    return reduce((input - target).square(), reduction)


class MeanSquaredError(nn.Module):
    """`mean_squared_error` as a module; a wrong reduction is refused at once."""

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        check_reduction(reduction)
        self.reduction = reduction

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Two tensors of one shape to that shape, or to ()."""
        return mean_squared_error(input, target, self.reduction)

    def extra_repr(self) -> str:
        return f"reduction={self.reduction!r}"


def complex_mse(
    input: Tensor,
    target: Tensor,
    reduction: str = "mean",
    *,
    part: str = "both",
    phase_weight: float = 1.0,
) -> Tensor:
    """Squared errors of complex numbers, any shape; real values.

    part: "both" is |input - target|²; "real" and "imag" look at one part of the error;
        "magnitude" is (|input| - |target|)², blind for the direction.
    phase_weight: goes with "both", which is the error of the magnitude and that of the
        direction, |a - b|² = (|a| - |b|)² + 2 |a| |b| (1 - cos of the angle between
        them). The second is multiplied by it. With 0 "magnitude" is left.

    The mean is over complex numbers: twice that of the real numbers they consist of.
    Raises `TypeError` where one is not complex; `ValueError` for shapes that differ, an
    unknown part or reduction, and a phase weight below 0 or without "both".
    """
    check_same_shape(input, target)
    if not (input.is_complex() and target.is_complex()):
        raise TypeError(f"needs two complex tensors, not {input.dtype}, {target.dtype}")
    if part not in PARTS:
        raise ValueError(f"part has to be one of {PARTS}, not {part!r}")
    if not phase_weight >= 0 or (part != "both" and phase_weight != 1):
        raise ValueError(
            f"phase_weight has to be 0 or more and goes with part='both', "
            f"not {phase_weight} with {part!r}"
        )
    if part == "magnitude" or phase_weight == 0:
        return reduce((input.abs() - target.abs()).square(), reduction)
    error = input - target
    if part != "both":
        return reduce(getattr(error, part).square(), reduction)
    squared = error.real.square() + error.imag.square()  # no root: smooth at 0
    if phase_weight != 1:
        magnitude = (input.abs() - target.abs()).square()
        squared = magnitude + phase_weight * (squared - magnitude)
    return reduce(squared, reduction)


class ComplexMSE(nn.Module):
    """`complex_mse` with its options; wrong ones are refused at once."""

    def __init__(
        self, reduction: str = "mean", part: str = "both", phase_weight: float = 1.0
    ) -> None:
        super().__init__()
        nothing = torch.zeros(1, dtype=torch.complex64)
        options = {"part": part, "phase_weight": phase_weight}
        complex_mse(nothing, nothing, reduction, **options)
        self.reduction, self.options = reduction, options

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Two complex tensors of one shape to real values of that shape, or to ()."""
        return complex_mse(input, target, self.reduction, **self.options)

    def extra_repr(self) -> str:
        options = (f"{name}={value!r}" for name, value in self.options.items())
        return ", ".join([f"reduction={self.reduction!r}", *options])


class FocalLoss(nn.Module):
    """(1 - p)^gamma · -log p, p being the probability of the right class.

    Lin et al., 2017. Logits (N, C, ...) and labels (N, ...), as cross entropy, which it
    is for gamma 0. `weight` (C,), numbers above 0 or 0, becomes a buffer; with it the
    mean is a weighted one, as in `nn.CrossEntropyLoss`. Raises `ValueError` for
    a negative gamma or weight, an unknown reduction and another number of weights.
    """

    def __init__(
        self, gamma: float = 2.0, weight: Tensor | None = None, reduction: str = "mean"
    ) -> None:
        super().__init__()
        check_reduction(reduction)
        if not gamma >= 0:
            raise ValueError(f"gamma has to be 0 or more, not {gamma}")
        if weight is not None and (weight.ndim != 1 or not (weight >= 0).all()):
            raise ValueError("weight needs one number from 0 up for each class")
        self.gamma, self.reduction = gamma, reduction
        self.register_buffer("weight", weight)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """(N, C, ...) and (N, ...) to (N, ...), or to ()."""
        if self.weight is not None and len(self.weight) != logits.size(1):
            raise ValueError(
                f"needs {logits.size(1)} weights, one a class, not {len(self.weight)}"
            )
        log_p = logits.log_softmax(1).gather(1, labels.unsqueeze(1)).squeeze(1)
        # Kept off 0, where the slope of a power below 1 is infinite.
        wrong = (-torch.expm1(log_p)).clamp(min=torch.finfo(log_p.dtype).tiny)  # 1 - p
        values = -(wrong**self.gamma) * log_p
        if self.weight is None:
            return reduce(values, self.reduction)
        weights = self.weight[labels]  # (N, ...)
        total = reduce(weights * values, "none" if self.reduction == "none" else "sum")
        return total / weights.sum() if self.reduction == "mean" else total

    def extra_repr(self) -> str:
        return f"gamma={self.gamma}, reduction={self.reduction!r}"


def root_mean_squared_error(input: Tensor, target: Tensor) -> Tensor:
    """√(mean of (input - target)²), with gradient 0, not nan, where all is right.

    Raises as `mean_squared_error`.
    """
    squared = mean_squared_error(input, target)
    wrong = squared != 0  # nan stays nan
    return torch.where(wrong, torch.where(wrong, squared, 1.0).sqrt(), 0.0)


def check_reduction(reduction: str) -> None:
    if reduction not in REDUCTIONS:
        raise ValueError(f"reduction has to be one of {REDUCTIONS}, not {reduction!r}")


def check_same_shape(input: Tensor, target: Tensor) -> None:
    if input.shape != target.shape:
        raise ValueError(
            f"input and target need one shape, not {tuple(input.shape)} and "
            f"{tuple(target.shape)}; a last dimension of 1 goes with squeeze(-1)"
        )
