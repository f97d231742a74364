"""SGD, Adam, AdamW, Lion and Muon in one form: each a few lines, `update`.

Each computes what `torch.optim`'s optimizer of the same name does (Lion has none there)
in a plain loop over the parameters, which stands in `optimizer_base.py`.
"""

from typing import Any

import torch
from torch import Tensor

from ch05_customizing.optimizer_base import Group, Params, RuleOptimizer, State


class SGD(RuleOptimizer):
    """Gradient descent with momentum; `weight_decay` adds to the gradient."""

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        *,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        options = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay}
        super().__init__(params, options | {"nesterov": nesterov})

    def update(self, p: Tensor, grad: Tensor, state: State, group: Group) -> None:
        momentum = group["momentum"]
        if group["weight_decay"]:
            grad = grad.add(p, alpha=group["weight_decay"])
        if momentum:
            if "momentum_buffer" not in state:
                state["momentum_buffer"] = grad.clone()
            else:
                state["momentum_buffer"].mul_(momentum).add_(grad)
            velocity = state["momentum_buffer"]
            grad = grad.add(velocity, alpha=momentum) if group["nesterov"] else velocity
        p.add_(grad, alpha=-group["lr"])

    def takes_sparse(self, group: Group) -> bool:
        return not group["momentum"] and not group["weight_decay"]

    def check(self, group: Group) -> None:
        super().check(group)
        if group["nesterov"] and not group["momentum"]:
            raise ValueError("nesterov=True looks ahead along a momentum: give one")


class Adam(RuleOptimizer):
    """Adam (Kingma and Ba, 2015); `weight_decay` adds to the gradient."""

    decoupled = False  # the only difference between Adam and AdamW

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        options = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, options)

    def update(self, p: Tensor, grad: Tensor, state: State, group: Group) -> None:
        lr, decay, (beta1, beta2) = group["lr"], group["weight_decay"], group["betas"]
        if decay and self.decoupled:
            p.mul_(1 - lr * decay)
        elif decay:
            grad = grad.add(p, alpha=decay)
        if not state:
            state["step"] = 0
            state["exp_avg"] = torch.zeros_like(p)
            state["exp_avg_sq"] = torch.zeros_like(p)
        state["step"] += 1
        mean, square = state["exp_avg"], state["exp_avg_sq"]
        mean.lerp_(grad, 1 - beta1)  # mean += (1 - beta1) * (grad - mean)
        square.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        small1, small2 = 1 - beta1 ** state["step"], 1 - beta2 ** state["step"]
        size = (square.sqrt() / small2**0.5).add_(group["eps"])
        p.addcdiv_(mean, size, value=-lr / small1)


class AdamW(Adam):
    """Adam whose weight decay shrinks the parameter itself (Loshchilov and Hutter)."""

    decoupled = True

    def __init__(self, params: Params, lr: float = 1e-3, **options: Any) -> None:
        super().__init__(params, lr, **({"weight_decay": 1e-2} | options))


class Lion(RuleOptimizer):
    """Lion (Chen et al., "Symbolic discovery of optimization algorithms", 2023).

    Each number moves by `lr`, up or down: the sign of an average. It keeps one number
    for each parameter, Adam keeps two. Rates are 3 to 10 times smaller than Adam's.
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-4,
        *,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(
            params, {"lr": lr, "betas": betas, "weight_decay": weight_decay}
        )

    def update(self, p: Tensor, grad: Tensor, state: State, group: Group) -> None:
        lr, (beta1, beta2) = group["lr"], group["betas"]
        if not state:
            state["exp_avg"] = torch.zeros_like(p)
        p.mul_(1 - lr * group["weight_decay"])
        p.add_(state["exp_avg"].lerp(grad, 1 - beta1).sign_(), alpha=-lr)
        state["exp_avg"].lerp_(grad, 1 - beta2)


class Muon(RuleOptimizer):
    """Muon for matrices (K. Jordan et al., 2024): momentum, made nearly orthogonal.

    Raises `ValueError` for a parameter that is no matrix. `dtype` is what the
    orthogonal matrix is computed in; `torch.optim.Muon` takes bfloat16.
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        *,
        momentum: float = 0.95,
        weight_decay: float = 0.1,
        nesterov: bool = True,
        dtype: torch.dtype = torch.bfloat16,
    ) -> None:
        options = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay}
        super().__init__(params, options | {"nesterov": nesterov, "dtype": dtype})

    def update(self, p: Tensor, grad: Tensor, state: State, group: Group) -> None:
        lr, momentum = group["lr"], group["momentum"]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(p)
        average = state["momentum_buffer"].lerp_(grad, 1 - momentum)
        ahead = grad.lerp(average, momentum) if group["nesterov"] else average
        turned = orthogonalize(ahead.to(group["dtype"]))
        p.mul_(1 - lr * group["weight_decay"])
        p.add_(turned, alpha=-lr * max(1, p.size(0) / p.size(1)) ** 0.5)

    def check(self, group: Group) -> None:
        super().check(group)
        for p in group["params"]:
            if p.ndim != 2 or p.is_complex():
                raise ValueError(
                    f"Muon takes real matrices, not {p.dtype} {tuple(p.shape)}: give "
                    "biases, norms and embeddings to AdamW"
                )


def orthogonalize(matrix: Tensor, *, steps: int = 5) -> Tensor:
    """(m, n) -> (m, n) with the same singular vectors and values near 1 (0.7 to 1.2).

    Values below about 1/700 of the matrix's norm stay smaller. `steps` of Newton and
    Schulz's iteration x <- (a + b xx' + c (xx')^2) x, with the coefficients of Jordan:
    products of matrices only. Raises `ValueError` for others.
    """
    if matrix.ndim != 2:
        raise ValueError(f"needs a matrix, not {tuple(matrix.shape)}")
    a, b, c = 3.4445, -4.7750, 2.0315
    wide = matrix if matrix.size(0) <= matrix.size(1) else matrix.T
    x = wide / wide.norm().clamp(min=1e-7)
    for _ in range(steps):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x if wide is matrix else x.T
