"""A training loop to build on: the basic loop, and what real runs need around it.

    history = fit(model, loader, optimizer=optimizer, epochs=10, validation=held_out)

The five lines of the basic loop stand in `fit` as a reader knows them. Around them:
mixed precision, accumulated and clipped gradients, schedulers, validation, early
stopping, and checkpoints from which a run that was killed goes on bit for bit
(`runs.py`).
"""

import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from tqdm import tqdm

from ch01_intro.devices import pick_device
from ch01_intro.download import show_bar
from ch03_deep_learning.evaluation import (
    Batch,
    BatchLoss,
    Loss,
    Metrics,
    evaluate,
    forward,
)
from ch03_deep_learning.placement import to_device
from ch03_deep_learning.runs import Run

__all__ = ["Batch", "evaluate", "fit"]


def fit(
    model: nn.Module,
    loader: Iterable[Batch],
    *,
    optimizer: Optimizer | Sequence[Optimizer],
    epochs: int,
    loss: Loss = F.cross_entropy,
    batch_loss: BatchLoss | None = None,
    scheduler: LRScheduler | Sequence[LRScheduler] = (),
    per_epoch: bool = False,
    validation: Iterable[Batch] | None = None,
    metrics: Metrics | None = None,
    device: torch.device | str | None = None,
    amp: torch.dtype | None = None,
    accumulate: int = 1,
    clip_norm: float | None = None,
    patience: int | None = None,
    monitor: str = "val_loss",
    checkpoint: Path | str | None = None,
    checkpoint_every: int | None = None,
    after_epoch: Callable[[dict[str, float]], None] | None = None,
    progress: bool = True,
) -> list[dict[str, float]]:
    """Train `model` in place; return one row for each epoch, for a table or a curve.

    loader, validation: batches `(inputs, targets)`, moved to `device`; a tuple or a
        dictionary of inputs becomes the arguments of the model.
    loss: `loss(outputs, targets)`, a mean over the batch. For other batches
        `batch_loss(model, batch)` takes its place and that of the metrics.
    scheduler: stepped after each step of the optimizer, or, with `per_epoch` (and
        `ReduceLROnPlateau` always, by `monitor`), after each epoch. As with optimizers,
        there may be several.
    metrics: name to `metric(outputs, targets)`, a mean over the batch; by default the
        accuracy, where the targets are numbers of classes (N,).
    amp: None, or the dtype of autocast; `placement.fast_dtype` knows which one pays.
    accumulate: so many batches go into one step of the optimizer (the last step of an
        epoch takes what is left; each batch counts 1 / accumulate in it, as in others).
    clip_norm: the longest gradient that a step may take (2-norm, over all parameters
        that the optimizers hold).
    patience: stop after so many epochs without a better `monitor`, a column of the
        rows ("...loss" is better when lower, others when higher); the model then gets
        its best weights back.
    checkpoint: a file, written after each epoch and, with `checkpoint_every`, after so
        many batches. Where it is there already, the run goes on from it, and ends with
        the same weights, to the bit on the same machine, as a run without interruption.
    after_epoch: called with each row.

    A row has `epoch`, `loss` (the mean over the batches), `lr`, `seconds` and, with
    `validation`, `val_loss` and one `val_...` for each metric. Raises `ValueError` for
    settings that do not fit together and for a checkpoint of another run,
    `FloatingPointError` where the loss is no longer finite.
    """
    _check(epochs, accumulate, clip_norm, patience, checkpoint_every)
    optimizers, schedulers = _listed(optimizer), _listed(scheduler)
    plateau = any(isinstance(each, ReduceLROnPlateau) for each in schedulers)
    watched = monitor.startswith("val_") and (plateau or patience is not None)
    if watched and validation is None:
        raise ValueError(f"to watch {monitor}, give `validation`, too")
    device = torch.device(device) if device is not None else pick_device()
    model.to(device)
    trained = [p for each in optimizers for g in each.param_groups for p in g["params"]]
    scaler = torch.amp.GradScaler(device.type, enabled=amp is torch.float16)
    run = Run(model, optimizers, schedulers, scaler, loader, checkpoint)
    run.resume()

    def clear() -> None:
        model.zero_grad()  # also what no optimizer holds
        for optimizer in optimizers:
            optimizer.zero_grad()

    def update() -> None:
        for optimizer in optimizers:
            scaler.unscale_(optimizer)
        if clip_norm is not None:
            nn.utils.clip_grad_norm_(trained, clip_norm)
        for optimizer in optimizers:
            scaler.step(optimizer)
        clear()
        scale = scaler.get_scale()
        scaler.update()  # lower, where float16 overflowed and no step was taken
        if not per_epoch and scaler.get_scale() >= scale:
            run.step_schedulers()

    clear()  # what a run that was stopped left behind
    while run.epoch < epochs and not run.stopped:
        model.train()
        start = time.perf_counter()
        title = f"epoch {run.epoch + 1}/{epochs}"
        total = len(loader) if hasattr(loader, "__len__") else None
        hidden = not show_bar(progress)
        for batch in tqdm(run.batches(), title, total, leave=False, disable=hidden):
            batch = to_device(batch, device)
            with torch.autocast(device.type, dtype=amp, enabled=amp is not None):
                value, _ = forward(model, batch, loss, batch_loss)
            scaler.scale(value / accumulate).backward()
            run.count(value.detach().float())
            if run.done % accumulate == 0:
                update()
                if checkpoint_every and run.done % checkpoint_every == 0:
                    run.mean_loss()  # raises before weights of nan are written
                    run.save()
        if run.done % accumulate:
            update()
        row = run.row(time.perf_counter() - start)
        if validation is not None:
            found = evaluate(
                model,
                validation,
                loss=loss,
                batch_loss=batch_loss,
                metrics=metrics,
                device=device,
                amp=amp,
            )
            row |= {f"val_{name}": value for name, value in found.items()}
        run.end_epoch(row, monitor=monitor, patience=patience, per_epoch=per_epoch)
        if after_epoch is not None:
            after_epoch(row)
    run.restore_best()
    return run.history


def _listed(one_or_more: Any) -> list:
    return list(one_or_more) if isinstance(one_or_more, Sequence) else [one_or_more]


def _check(epochs, accumulate, clip_norm, patience, checkpoint_every) -> None:
    for name, value in {
        "epochs": epochs,
        "accumulate": accumulate,
        "patience": patience,
        "checkpoint_every": checkpoint_every,
    }.items():
        if value is not None and (not isinstance(value, int) or value < 1):
            raise ValueError(f"{name} has to be a whole number from 1 up, not {value}")
    if clip_norm is not None and not clip_norm > 0:
        raise ValueError(f"clip_norm has to be above 0, not {clip_norm}")
    if checkpoint_every and checkpoint_every % accumulate:
        raise ValueError(
            f"checkpoint_every={checkpoint_every} has to be a multiple of "
            f"accumulate={accumulate}: gradients are not written down"
        )
