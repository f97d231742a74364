"""Activations on a sheet, each with its slope, and what they do to gradients."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from ch02_tensors.curves import without_jumps
from ch02_tensors.panels import GREY, small_plots

VALUE, SLOPE = "#0072B2", "#D55E00"  # Okabe and Ito: told apart with any colour vision


def value_and_slope(
    function: Callable[[Tensor], Tensor], x: Tensor
) -> tuple[Tensor, Tensor]:
    """`function(x)` and its derivative at each element of `x`, by autograd.

    Both have the shape of `x`. Right for functions that treat each element alone: the
    gradient of the sum is then the derivative of each. Raises `ValueError` where the
    result has another shape, as that of softmax over a sum or of GLU has.
    """
    x = x.detach().clone().requires_grad_()
    y = function(x)
    if y.shape != x.shape:
        got = f"{tuple(x.shape)} to {tuple(y.shape)}"
        raise ValueError(f"needs a function that keeps the shape, not {got}")
    (slope,) = torch.autograd.grad(y.sum(), x)
    return y.detach(), slope


def draw_activations(
    x: Tensor,
    curves: Mapping[str, tuple[Tensor, Tensor]],
    *,
    columns: int = 4,
    limits: tuple[float, float] = (-2.0, 4.0),
) -> None:
    """One panel for each name: the value against `x` (N,), and dashed the slope.

    `limits` are those of every y axis. `x` must rise and be dense: a step by more than
    0.5 from one point to the next is taken for a jump and not drawn.
    """
    figure, grid = small_plots(
        curves, columns=columns, size=(2.3, 2.0), room_above=0.35, fontsize=10
    )
    for axes, (value, slope) in zip(grid, curves.values(), strict=True):
        axes.axhline(0, color=GREY, linewidth=0.5)
        axes.axvline(0, color=GREY, linewidth=0.5)
        axes.plot(x, without_jumps(value), color=VALUE, linewidth=2, label="value")
        axes.plot(x, without_jumps(slope), "--", color=SLOPE, lw=1.6, label="slope")
        axes.set(xlim=(x[0].item(), x[-1].item()), ylim=limits)
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=2, fontsize=9)


def gradient_norms(
    activation: nn.Module, *, layers: int, width: int = 100, seed: int = 0
) -> list[float]:
    """The size of the gradient at each layer of a deep network, first to last.

    The network is `layers` times a linear layer (width, width) and `activation`, at
    PyTorch's default initial weights; input (64, width) and the gradient that enters
    at the end are standard normal, from `seed`. Each number is the norm of the loss's
    gradient by that layer's weight.
    """
    if layers < 1:
        raise ValueError(f"needs at least one layer, not {layers}")
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        linear = [nn.Linear(width, width) for _ in range(layers)]
        x = torch.randn(64, width)
        for layer in linear:
            x = activation(layer(x))
        weights = [layer.weight for layer in linear]
        gradients = torch.autograd.grad((x * torch.randn_like(x)).sum(), weights)
    return [torch.linalg.vector_norm(g).item() for g in gradients]
