"""A linear layer written out: what `nn.Linear` does, with every part in sight.

Imports PyTorch only: this module can be copied alone.
"""

import math

import torch
from torch import Tensor, nn


def kaiming_bound(fan_in: int, *, slope: float = math.sqrt(5)) -> float:
    """Where `nn.init.kaiming_uniform_(a=slope)` stops: it draws from ±this number.

    A rectifier of that slope keeps the variance of what goes through if weights have
    the variance 2 / (1 + slope²) / fan_in (He et al., 2015), and numbers drawn evenly
    from ±b have the variance b² / 3. With √5, the value in `nn.Linear`, what is left is
    1 / √fan_in. Raises `ValueError` where there is no input.
    """
    if fan_in < 1:
        raise ValueError(f"fan_in has to be at least 1, not {fan_in}")
    variance = 2 / (1 + slope**2) / fan_in
    return math.sqrt(3 * variance)


class Linear(nn.Module):
    """x Wᵀ + b, for x (..., in_features), to (..., out_features).

    weight: (out_features, in_features); bias: (out_features,), or None. Both names and
    shapes are those of `nn.Linear`, so each loads the other's `state_dict`; with the
    same seed both begin with the same numbers. Raises `ValueError` for sizes below 1
    and for an input whose last dimension is another one.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        for name, size in (("in", in_features), ("out", out_features)):
            if not isinstance(size, int) or size < 1:
                raise ValueError(
                    f"{name}_features has to be a whole number from 1 up, not {size!r}"
                )
        self.in_features, self.out_features = in_features, out_features
        where = {"device": device, "dtype": dtype}
        self.weight = nn.Parameter(torch.empty(out_features, in_features, **where))
        if bias:
            self.bias = nn.Parameter(torch.empty(out_features, **where))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias evenly from ±1 / √in_features, as `nn.Linear` does."""
        bound = kaiming_bound(self.in_features)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        """(..., in_features) to (..., out_features)."""
        if x.ndim == 0 or x.shape[-1] != self.in_features:
            raise ValueError(
                f"needs {self.in_features} features in the last dimension, "
                f"not a tensor of shape {tuple(x.shape)}"
            )
        y = x @ self.weight.mT
        return y if self.bias is None else y + self.bias

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )
