"""Learning-rate schedules as numbers and as pictures, without a network."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import nn
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from ch02_tensors.panels import label_outer, small_plots

LINE = "#0072B2"
MakeScheduler = Callable[[torch.optim.Optimizer], LRScheduler]


def learning_rates(
    make_scheduler: MakeScheduler,
    steps: int,
    *,
    lr: float = 1.0,
    key: str = "lr",
    losses: Sequence[float] | None = None,
) -> list[float]:
    """The learning rate in force at each of `steps` optimizer steps.

    `make_scheduler` gets an SGD optimizer with this `lr` and a momentum of 0.9. With
    another `key`, such as `"momentum"`, that option is followed instead. `losses`, one
    a step, is what a ReduceLROnPlateau looks at; the others need none.

    Raises `ValueError` for fewer than 0 steps, a key that the optimizer lacks, and a
    ReduceLROnPlateau without a loss for each step.
    """
    if steps < 0:
        raise ValueError(f"steps has to be 0 or more, not {steps}")
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=lr, momentum=0.9)
    scheduler = make_scheduler(optimizer)
    group = optimizer.param_groups[0]
    if key not in group:
        raise ValueError(f"no option {key!r}; there are {sorted(group)}")
    plateau = isinstance(scheduler, ReduceLROnPlateau)
    if plateau and (losses is None or len(losses) < steps):
        raise ValueError(
            f"ReduceLROnPlateau needs losses, one for each of {steps} steps"
        )
    values = []
    for step in range(steps):
        values.append(float(group[key]))
        optimizer.step()  # there is no gradient: nothing moves
        if step < steps - 1:  # OneCycleLR counts, and refuses one too many
            scheduler.step(losses[step]) if plateau else scheduler.step()
    return values


def draw_schedules(
    curves: Mapping[str, Sequence[float]],
    *,
    columns: int = 4,
    label: str = "learning rate",
) -> None:
    """One panel for each title, with its values over the steps, all on one scale."""
    _, grid = small_plots(curves, columns=columns, size=(2.5, 1.75))
    for axes, values in zip(grid, curves.values(), strict=True):
        axes.step(range(len(values)), values, where="post", color=LINE, linewidth=1.8)
        axes.set_ylim(bottom=0)
        axes.tick_params(labelbottom=True)
    label_outer(grid, columns=columns, x="step", y=label)
