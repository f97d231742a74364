"""A base for optimizers of one's own: all but the rule itself.

    class SignSGD(RuleOptimizer):
        def __init__(self, params, lr=1e-3):
            super().__init__(params, {"lr": lr})

        def update(self, p, grad, state, group):
            p.add_(grad.sign(), alpha=-group["lr"])

Imports PyTorch only: can be copied alone.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

Params = Iterable[Tensor] | Iterable[dict[str, Any]] | Iterable[tuple[str, Tensor]]
Group = dict[str, Any]
State = dict[str, Any]


class RuleOptimizer(Optimizer):
    """An optimizer whose rule is one method, `update`, for one parameter.

    A subclass hands its options to `super().__init__(params, {"lr": ..., ...})`. Each
    group is checked, also one that is added later: raises `ValueError` for an option
    out of range and, as the base class does, for an empty list of parameters.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:
        """One step for each parameter that has a gradient; returns `closure()`.

        Raises `RuntimeError` for a sparse gradient that the rule can not use.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                if p.grad.is_sparse and not self.takes_sparse(group):
                    raise RuntimeError(
                        f"{type(self).__name__} with these options needs dense "
                        "gradients: make the embedding with sparse=False, or give it "
                        "to SGD without momentum and weight decay"
                    )
                value, grad = p, p.grad
                if p.is_complex():  # two real numbers each, as `torch.optim` takes them
                    value, grad = torch.view_as_real(p), torch.view_as_real(grad)
                self.update(value, grad, self.state[p], group)
        return loss

    def update(self, p: Tensor, grad: Tensor, state: State, group: Group) -> None:
        """Change `p` in place. `state` is empty at first and kept from step to step."""
        raise NotImplementedError(f"{type(self).__name__} has to define update")

    def takes_sparse(self, group: Group) -> bool:
        return False

    def check(self, group: Group) -> None:
        """Raise `ValueError` where an option of the group is out of range."""
        for name in ("lr", "weight_decay", "eps"):
            if name in group and not 0 <= group[name] < math.inf:
                raise ValueError(f"{name} has to be 0 or more, not {group[name]}")
        shares = {"momentum": group.get("momentum", 0.0)}
        shares |= {f"betas[{i}]": b for i, b in enumerate(group.get("betas", ()))}
        for name, value in shares.items():
            if not 0 <= value < 1:
                raise ValueError(f"{name} has to be in [0, 1), not {value}")

    def add_param_group(self, param_group: Group) -> None:
        """Called by the constructor for each group, and by whoever adds one later."""
        super().add_param_group(param_group)
        try:
            self.check(self.param_groups[-1])
        except ValueError:
            self.param_groups.pop()  # as if it had never been added
            raise


def decay_groups(model: nn.Module, weight_decay: float) -> list[Group]:
    """Two groups: `weight_decay` for matrices and kernels, none for biases and norms.

    With names, so that `param_names` says who is where. Parameters that are frozen
    (`requires_grad=False`) are left out; raises `ValueError` where none is left.
    """
    named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    groups = [
        {
            "params": [(n, p) for n, p in named if p.ndim >= 2],
            "weight_decay": weight_decay,
        },
        {"params": [(n, p) for n, p in named if p.ndim < 2], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if not groups:
        raise ValueError("the model has no parameter that is to be trained")
    return groups
