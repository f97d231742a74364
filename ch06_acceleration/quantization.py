"""Numbers on a grid: codes and scales, a linear layer on 8-bit integers, saved sizes.

Imports PyTorch only: this module can be copied alone.
"""

import io
from collections.abc import Callable

import torch
from torch import Tensor, fx, nn


def affine(x: Tensor, bits: int = 8) -> tuple[Tensor, float, int]:
    """Codes of the shape of `x`, a scale, a zero point: x ~ (codes - zero) * scale.

    The grid spans the smallest to the largest number and holds 0 exactly, as padding
    and ReLU need it. Codes are int8, from -2^(bits-1) on. Raises `ValueError` for an
    empty tensor, one that is not finite, and for `bits` outside 2 to 8.
    """
    low, high = _limits(x, bits)
    smallest, largest = min(x.min().item(), 0.0), max(x.max().item(), 0.0)
    scale = (largest - smallest) / (high - low) or 1.0
    zero = min(max(round(low - smallest / scale), low), high)
    return codes_of(x, scale, zero, bits), scale, zero


def symmetric(
    x: Tensor, bits: int = 8, *, dim: int | None = None
) -> tuple[Tensor, Tensor]:
    """int8 codes of the shape of `x`, and scales: x is about codes * scales.

    dim: the dimension that shares a scale, which keeps it with length 1; None: one
    scale for all, without dimensions. The formula is that of torchao: the largest
    magnitude lies half a step beyond the last code. Raises `ValueError` as `affine`.
    """
    low, high = _limits(x, bits)
    magnitude = x.abs()
    largest = magnitude.max() if dim is None else magnitude.amax(dim, keepdim=True)
    scale = (largest / ((high - low) / 2)).clamp(min=torch.finfo(torch.float32).eps)
    return codes_of(x, scale, 0, bits), scale


def codes_of(x: Tensor, scale: Tensor | float, zero: int, bits: int = 8) -> Tensor:
    """The codes of `x` on a grid that is known already; what lies outside is cut."""
    low, high = _limits(x, bits)
    inverse = 1 / scale  # as the libraries do: a tie goes their way
    return (x * inverse).round().add(zero).clamp(low, high).to(torch.int8)


def int8_linear(
    x: Tensor, codes: Tensor, scales: Tensor, bias: Tensor | None = None
) -> Tensor:
    """(N, in) float32 -> (N, out): a linear layer whose products are those of integers.

    codes: (out, in) int8, with scales (out, 1). Each row of `x` gets its codes here, in
    8 bits; the sums are int32, so none of them is rounded.
    """
    x_codes, x_scales = symmetric(x, dim=1)  # (N, in), (N, 1)
    sums = x_codes.int() @ codes.int().mT  # (N, out)
    y = sums * x_scales * scales.mT
    return y if bias is None else y + bias


def saved_bytes(model: nn.Module) -> int:
    """The size of the file that `torch.save` makes of the model's state, in bytes.

    Of a graph (`torch.export`) only what it reads: beside the integers it can still
    hold the float weights that they were made of.
    """
    state = model.state_dict()
    if isinstance(model, fx.GraphModule):
        used = {node.target for node in model.graph.nodes if node.op == "get_attr"}
        state = {name: value for name, value in state.items() if name in used}
    file = io.BytesIO()
    torch.save(state, file)
    return len(file.getvalue())


def outcome(call: Callable[[], object]) -> str:
    """What becomes of a call, in a line: the error that it raises, or that it runs."""
    try:
        call()
    except Exception as error:
        first = str(error).partition("\n")[0].partition(". ")[0]
        return f"{type(error).__name__}: {first}"
    return "runs"


def _limits(x: Tensor, bits: int) -> tuple[int, int]:
    if not 2 <= bits <= 8:
        raise ValueError(f"codes of 2 to 8 bits fit into int8, not of {bits}")
    if x.numel() == 0 or not x.isfinite().all():
        raise ValueError("needs numbers, and finite ones: look for nan and inf in it")
    return -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
