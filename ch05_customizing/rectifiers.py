"""A rectifier with a threshold: as a function, as a module, and with a learned one.

Imports PyTorch only: this module can be copied alone.
"""

import torch
from torch import Tensor, nn


def thresholded_relu(x: Tensor, threshold: float = 1.0, value: float = 0.0) -> Tensor:
    """x where it is above `threshold`, `value` elsewhere; any shape, nan stays nan.

    The same as `F.threshold`, with the same gradient: 1 above, 0 below and at the
    threshold (Konda et al., 2015, with value 0). Raises `TypeError` for whole and for
    complex numbers: the first have no gradient, the second no order.
    """
    if not x.is_floating_point():
        raise TypeError(f"needs a tensor of floating point numbers, not {x.dtype}")
    return torch.where(x <= threshold, value, x)


class ThresholdedReLU(nn.Module):
    """`thresholded_relu` with its two numbers; without state, as `nn.Threshold`."""

    def __init__(self, threshold: float = 1.0, value: float = 0.0) -> None:
        super().__init__()
        self.threshold, self.value = threshold, value

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same."""
        return thresholded_relu(x, self.threshold, self.value)

    def extra_repr(self) -> str:
        return f"threshold={self.threshold}, value={self.value}"


class SoftThreshold(nn.Module):
    """x · sigmoid((x - threshold) / width): smooth, so that a threshold can be learned.

    The smaller `width`, the nearer to `thresholded_relu(x, threshold)`, and the fewer x
    there are that tell the threshold where to go. `threshold` is a parameter of shape
    (num_features,), broadcast over the last dimension of x. Raises `ValueError` for a
    width that is not above 0.
    """

    def __init__(
        self, threshold: float = 0.0, width: float = 0.1, num_features: int = 1
    ) -> None:
        super().__init__()
        if not width > 0:
            raise ValueError(f"width has to be above 0, not {width}")
        self.width = width
        self.threshold = nn.Parameter(torch.full((num_features,), float(threshold)))

    def forward(self, x: Tensor) -> Tensor:
        """(..., num_features) to the same; with one threshold any shape."""
        return x * torch.sigmoid((x - self.threshold) / self.width)

    def extra_repr(self) -> str:
        return f"num_features={len(self.threshold)}, width={self.width}"
