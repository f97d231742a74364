"""What is left of a pruned network: shares of zeros, and layers cut to what is used.

Imports PyTorch only: this module can be copied alone.
"""

import torch
from torch import Tensor, nn


def weights_of(model: nn.Module) -> list[tuple[nn.Module, str]]:
    """The pairs (module, "weight") of all linear and convolutional layers.

    The form in which `torch.nn.utils.prune.global_unstructured` wants them.
    """
    kinds = nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d
    return [
        (module, "weight") for module in model.modules() if isinstance(module, kinds)
    ]


def sparsity(model: nn.Module) -> dict[str, float]:
    """The share of zeros in the weight of each layer, in [0, 1], and in "all" of them.

    Raises `ValueError` for a model without linear or convolutional layers.
    """
    names = {module: name for name, module in model.named_modules()}
    zeros, total, shares = 0, 0, {}
    for module, attribute in weights_of(model):
        weight = getattr(module, attribute)
        found = int((weight == 0).sum())
        shares[names[module]] = found / weight.numel()
        zeros, total = zeros + found, total + weight.numel()
    if not total:
        raise ValueError(f"{type(model).__name__} has no linear or convolutional layer")
    return shares | {"all": zeros / total}


@torch.no_grad()
def cut(first: nn.Linear, second: nn.Linear) -> tuple[nn.Linear, nn.Linear]:
    """Two smaller layers that compute the same, without the dead outputs of `first`.

    Dead is an output whose weights are all 0; its constant, the bias after the
    activation, must be 0 as well: with ReLU between the layers that is a bias of 0 or
    less. New modules are returned. Raises `ValueError` where the layers do not follow
    each other, or where a dead output still says something.
    """
    if first.out_features != second.in_features:
        raise ValueError(
            f"{first.out_features} outputs do not fit {second.in_features} inputs"
        )
    alive = first.weight.ne(0).any(dim=1)  # (out_features,)
    if first.bias is not None and (first.bias[~alive] > 0).any():
        raise ValueError("an output without weights has a bias above 0: prune it, too")
    before = _linear(
        first.weight[alive], None if first.bias is None else first.bias[alive]
    )
    after = _linear(second.weight[:, alive], second.bias)
    return before, after


@torch.no_grad()
def two_of_four(weight: Tensor) -> Tensor:
    """A mask that keeps the two largest of each four neighbours in a row.

    (..., columns) -> the same shape, bool: the pattern that NVIDIA's sparse tensor
    cores compute with, since Ampere. Raises `ValueError` where the number of columns is
    no multiple of 4.
    """
    if weight.ndim == 0 or weight.shape[-1] % 4:
        raise ValueError(
            f"needs a number of columns that 4 divides, not {tuple(weight.shape)}"
        )
    fours = weight.abs().unflatten(-1, (-1, 4))  # (..., columns / 4, 4)
    largest = fours.topk(2, dim=-1).indices  # (..., columns / 4, 2)
    mask = torch.zeros_like(fours, dtype=torch.bool)
    return mask.scatter(-1, largest, True).flatten(-2)


def _linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    layer = layer.to(weight.device, weight.dtype)
    layer.weight.copy_(weight)
    if bias is not None:
        layer.bias.copy_(bias)
    return layer
