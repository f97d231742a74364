"""Where a training run stands, how it is written down, and how it goes on.

What `fit` keeps between two batches. A checkpoint holds the weights, the optimizers,
schedulers and the gradient scaler, the rows so far, the best weights, the states of all
random generators, and the loader's position. The loader itself can not be stored: a
resumed run sets the generators to what they were at the beginning of the epoch, lets
the loader give the batches that were used already once more, drops them, and sets the
generators to what they were at the checkpoint.
"""

import copy
import math
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from ch03_deep_learning.checkpoints import (
    load_checkpoint,
    random_states,
    restore_random_states,
    save_checkpoint,
)


class Run:
    """The state of one run; `path` None: nothing is written."""

    def __init__(
        self,
        model: nn.Module,
        optimizers: list[Optimizer],
        schedulers: list[LRScheduler],
        scaler: torch.amp.GradScaler,
        loader: Iterable[Any],
        path: Path | str | None = None,
    ) -> None:
        self.model, self.loader = model, loader
        self.parts = [*optimizers, *schedulers, scaler]
        self.optimizers, self.schedulers = optimizers, schedulers
        self.path = Path(path) if path is not None else None
        self.epoch = 0  # how many are complete
        self.done = 0  # batches of the epoch that is running
        self.total: Tensor | float = 0.0  # of their losses
        self.history: list[dict[str, float]] = []
        self.best: float | None = None
        self.best_weights: dict[str, Tensor] | None = None
        self.waited = 0  # epochs without a better one
        self.stopped = False
        self._began: dict[str, Any] = {}  # generators at the beginning of the epoch

    # ---- Through an epoch ------------------------------------------------------------

    def batches(self) -> Iterator[Any]:
        """The batches of this epoch that are still to be used."""
        now = None
        if self.done:
            now = random_states()
            self._set_generators(self._began)
        else:
            self._began = self._generators()
        batches = iter(self.loader)
        used = sum(1 for _ in islice(batches, self.done))
        if used < self.done:
            raise ValueError(self._other(f"the loader gave {used} of {self.done}"))
        if now is not None:
            restore_random_states(now)
        yield from batches

    def count(self, loss: Tensor) -> None:
        """One more batch is used; `loss` is its mean, on any device."""
        self.total = self.total + loss
        self.done += 1

    def step_schedulers(self) -> None:
        for scheduler in self.schedulers:
            if not isinstance(scheduler, ReduceLROnPlateau):
                scheduler.step()

    def mean_loss(self) -> float:
        """Of the epoch so far; raises where it is not finite."""
        loss = float(self.total) / self.done
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"the loss became {loss} in epoch {self.epoch + 1}. A lower learning "
                "rate, clip_norm=1.0, or inputs without nan may help; the last "
                "checkpoint, if there is one, is from before"
            )
        return loss

    def row(self, seconds: float) -> dict[str, float]:
        """What there is to say of the epoch; raises where its loss is not finite."""
        if not self.done:
            raise ValueError("there is nothing to train on: the loader gave no batch")
        return {
            "epoch": self.epoch + 1,
            "loss": self.mean_loss(),
            "lr": self.optimizers[0].param_groups[0]["lr"],
            "seconds": seconds,
        }

    def end_epoch(
        self,
        row: dict[str, float],
        *,
        monitor: str,
        patience: int | None,
        per_epoch: bool,
    ) -> None:
        """Keep the row, compare with the best epoch, step what steps now, and save."""
        self.history.append(row)
        self.epoch, self.done, self.total = self.epoch + 1, 0, 0.0
        if per_epoch:
            self.step_schedulers()
        for scheduler in self.schedulers:
            if isinstance(scheduler, ReduceLROnPlateau):
                scheduler.step(self._watched(row, monitor))
        if patience is not None:
            value = self._watched(row, monitor)
            sign = 1 if monitor.endswith("loss") else -1
            first = self.best is None or math.isnan(self.best)
            if first or sign * value < sign * self.best:
                self.best, self.waited = value, 0
                self.best_weights = copy.deepcopy(self.model.state_dict())
            else:
                self.waited += 1
                self.stopped = self.waited >= patience
        self.save()

    def restore_best(self) -> None:
        """Give the model the weights of the best epoch, where one was looked for."""
        if self.best_weights is not None:
            self.model.load_state_dict(self.best_weights)

    @staticmethod
    def _watched(row: dict[str, float], monitor: str) -> float:
        if monitor not in row:
            raise ValueError(f"monitor={monitor!r} is no column of {sorted(row)}")
        return row[monitor]

    # ---- Written down and picked up again --------------------------------------------

    def save(self) -> None:
        if self.path is None:
            return
        keep = ("epoch", "done", "total", "history", "best", "best_weights", "waited")
        state = {name: getattr(self, name) for name in (*keep, "stopped")}
        state["batches"], state["kinds"] = self._length(), self._kinds()
        state["model"] = self.model.state_dict()
        state["parts"] = [part.state_dict() for part in self.parts]
        state["began"], state["now"] = self._began, self._generators()
        save_checkpoint(state, self.path)

    def resume(self) -> None:
        """Go on from the checkpoint, where there is one.

        Raises `ValueError` where it is damaged or belongs to another run.
        """
        if self.path is None or not self.path.exists():
            return
        state = load_checkpoint(self.path)
        try:
            if state["batches"] != self._length():
                raise ValueError(
                    f"it counts {state['batches']} batches an epoch, the loader "
                    f"{self._length()}"
                )
            if state["kinds"] != self._kinds():
                raise ValueError(f"it is one of {', '.join(state['kinds'])}")
            self.model.load_state_dict(state["model"])
            for part, saved in zip(self.parts, state["parts"], strict=True):
                part.load_state_dict(saved)
            self._began, now = state["began"], state["now"]
            for name in ("epoch", "done", "total", "history", "best", "waited"):
                setattr(self, name, state[name])
            self.best_weights, self.stopped = state["best_weights"], state["stopped"]
        except (KeyError, ValueError, RuntimeError) as error:
            raise ValueError(self._other(str(error))) from error
        self._set_generators(now)

    def _other(self, why: str) -> str:
        return (
            f"{self.path} belongs to another run ({why}). Delete it to begin anew, or "
            "give this run a file of its own."
        )

    def _kinds(self) -> list[str]:
        return [type(part).__name__ for part in self.parts]

    def _length(self) -> int | None:
        return len(self.loader) if hasattr(self.loader, "__len__") else None

    def _generators(self) -> dict[str, Any]:
        """All global generators, and those that the loader was given."""
        own = [g.get_state() for g in self._own_generators()]
        return {"global": random_states(), "own": own}

    def _set_generators(self, states: dict[str, Any]) -> None:
        restore_random_states(states["global"])
        for generator, state in zip(self._own_generators(), states["own"], strict=True):
            generator.set_state(state)

    def _own_generators(self) -> list[torch.Generator]:
        batches = getattr(self.loader, "batch_sampler", None)
        samplers = (getattr(each, "sampler", None) for each in (self.loader, batches))
        holders = (self.loader, batches, *samplers)
        found = [getattr(holder, "generator", None) for holder in holders]
        unique = {id(g): g for g in found if isinstance(g, torch.Generator)}
        return list(unique.values())
