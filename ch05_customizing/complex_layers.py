"""Layers for complex numbers: a linear one from real parts, and three rectifiers.

The linear ones take and give the real and the imaginary part as two real tensors, so
they run wherever real matrices do; `as_complex` turns one into PyTorch's own
`nn.Linear(..., dtype=torch.complex64)`. Imports PyTorch only: this module can be copied
alone.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Pair = tuple[Tensor, Tensor]


def complex_linear(
    real: Tensor,
    imag: Tensor,
    weight_real: Tensor,
    weight_imag: Tensor,
    bias_real: Tensor | None = None,
    bias_imag: Tensor | None = None,
    *,
    products: int = 4,
) -> Pair:
    """(real + i·imag) (A + iB)ᵀ + bias, for parts (..., in), to parts (..., out).

    Weights are (out, in), biases (out,), all real. With `products=3` one of the four
    real products is saved at the price of more additions, and of some accuracy where
    the two parts differ much in size: Gauss' trick, (x + y)(A + B) - xA - yB = xB + yA.
    Raises `TypeError` for complex tensors, `ValueError` for shapes that do not fit and
    another number of products.
    """
    _check_parts(real, imag, weight_real.shape[-1])
    _check_parts(weight_real, weight_imag, weight_real.shape[-1])
    if products == 4:
        return (
            F.linear(real, weight_real, bias_real) - F.linear(imag, weight_imag),
            F.linear(real, weight_imag, bias_imag) + F.linear(imag, weight_real),
        )
    if products != 3:
        raise ValueError(f"products has to be 4, or 3 for Gauss' trick, not {products}")
    first, second = F.linear(real, weight_real), F.linear(imag, weight_imag)
    both = F.linear(real + imag, weight_real + weight_imag, bias_imag)
    out_real = first - second if bias_real is None else first - second + bias_real
    return out_real, both - first - second


class ComplexLinear(nn.Module):
    """A linear layer for complex numbers whose parameters are real.

    weight_real, weight_imag: (out_features, in_features); bias_real, bias_imag:
    (out_features,) or None. Takes and gives a real and an imaginary part, (..., in) to
    (..., out). Raises as `complex_linear`, and `ValueError` for sizes below 1.
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
        if in_features < 1 or out_features < 1:
            raise ValueError(
                f"needs at least one input and one output, "
                f"not {in_features} and {out_features}"
            )
        self.in_features, self.out_features = in_features, out_features
        for part in ("real", "imag"):
            weight = torch.empty(out_features, in_features, device=device, dtype=dtype)
            if weight.is_complex():
                raise TypeError(f"dtype has to be that of one real part, not {dtype}")
            self.register_parameter(f"weight_{part}", nn.Parameter(weight))
            values = nn.Parameter(weight.new_empty(out_features)) if bias else None
            self.register_parameter(f"bias_{part}", values)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Evenly from ±1 / √(2 in): the mean of |w|² is that of w² in `nn.Linear`."""
        bound = 1 / math.sqrt(2 * self.in_features)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def forward(self, real: Tensor, imag: Tensor) -> Pair:
        """Parts (..., in_features) to parts (..., out_features)."""
        weights = self.weight_real, self.weight_imag
        return complex_linear(real, imag, *weights, self.bias_real, self.bias_imag)

    @torch.no_grad()
    def as_complex(self) -> nn.Linear:
        """PyTorch's own complex layer, with a copy of these weights."""
        weight = torch.complex(self.weight_real, self.weight_imag)
        layer = nn.utils.skip_init(
            nn.Linear,
            self.in_features,
            self.out_features,
            bias=self.bias_real is not None,
            device=weight.device,
            dtype=weight.dtype,
        )
        layer.weight.copy_(weight)
        if self.bias_real is not None:
            layer.bias.copy_(torch.complex(self.bias_real, self.bias_imag))
        return layer

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias_real is not None}"
        )


class SimpleComplexLinear(nn.Module):
    """The same map from two ordinary linear layers, for parts (..., in).

    The layers bring their biases to both results, so what is added is not
    b_real + i·b_imag but (1 + i) times that: other numbers, the same functions.
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        super().__init__()
        self.real = nn.Linear(in_features, out_features, bias)
        self.imag = nn.Linear(in_features, out_features, bias)

    def forward(self, real: Tensor, imag: Tensor) -> Pair:
        """Parts (..., in_features) to parts (..., out_features)."""
        _check_parts(real, imag, self.real.in_features)
        return self.real(real) - self.imag(imag), self.real(imag) + self.imag(real)


def crelu(z: Tensor) -> Tensor:
    """ReLU of both parts, any shape, as `z` (Trabelsi et al., 2018)."""
    _check_complex(z)
    return torch.complex(F.relu(z.real), F.relu(z.imag))


def zrelu(z: Tensor) -> Tensor:
    """What lies in the first quadrant stays, the rest is 0 (Guberman, 2016)."""
    _check_complex(z)
    return torch.where((z.real < 0) | (z.imag < 0), 0, z)


def modrelu(z: Tensor, bias: Tensor | float) -> Tensor:
    """ReLU(|z| + bias) in the direction of z, 0 at 0 (Arjovsky et al., 2016).

    `bias` is real and broadcasts; below 0 it makes a disc of radius -bias zero.
    """
    _check_complex(z)
    return torch.sgn(z) * F.relu(z.abs() + bias)


class ModReLU(nn.Module):
    """`modrelu` with a learned bias for each feature, z (..., num_features)."""

    def __init__(self, num_features: int, bias: float = 0.0) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.full((num_features,), float(bias)))

    def forward(self, z: Tensor) -> Tensor:
        """(..., num_features) complex to the same; `ValueError` for another number."""
        if z.ndim == 0 or z.shape[-1] != len(self.bias):
            raise ValueError(
                f"needs {len(self.bias)} features in the last dimension, "
                f"not a tensor of shape {tuple(z.shape)}"
            )
        return modrelu(z, self.bias)

    def extra_repr(self) -> str:
        return str(len(self.bias))


def _check_parts(real: Tensor, imag: Tensor, features: int) -> None:
    if real.is_complex() or imag.is_complex():
        raise TypeError(
            "needs the real and the imaginary part as two real tensors: z.real, z.imag"
        )
    if real.shape != imag.shape:
        raise ValueError(
            f"both parts need one shape, not {tuple(real.shape)} "
            f"and {tuple(imag.shape)}"
        )
    if real.ndim == 0 or real.shape[-1] != features:
        raise ValueError(
            f"needs {features} features in the last dimension, "
            f"not parts of shape {tuple(real.shape)}"
        )


def _check_complex(z: Tensor) -> None:
    if not z.is_complex():
        raise TypeError(
            f"needs a complex tensor, not {z.dtype}: torch.complex(real, imag)"
        )
