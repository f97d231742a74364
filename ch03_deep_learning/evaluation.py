"""What a network says of its batches: the loss, and the metrics over a whole loader."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from ch01_intro.devices import pick_device
from ch03_deep_learning.metrics import accuracy
from ch03_deep_learning.placement import to_device

Batch = Any  # (inputs, targets); with a `batch_loss` of your own, anything
Loss = Callable[[Tensor, Tensor], Tensor]
BatchLoss = Callable[[nn.Module, Batch], Tensor]
Metrics = Mapping[str, Callable[[Tensor, Tensor], Tensor | float]]
ACCURACY: Metrics = {"accuracy": accuracy}


def evaluate(
    model: nn.Module,
    loader: Iterable[Batch],
    *,
    loss: Loss = F.cross_entropy,
    batch_loss: BatchLoss | None = None,
    metrics: Metrics | None = None,
    device: torch.device | str | None = None,
    amp: torch.dtype | None = None,
) -> dict[str, float]:
    """The mean `loss` and metrics over all examples of `loader`, in `eval()` mode.

    With `batch_loss`, over its batches. The model is left in the mode in which it came.
    Arguments as in `training.fit`. Raises `ValueError` where the loader is empty.
    """
    device = torch.device(device) if device is not None else pick_device()
    was_training = model.training
    model.to(device).eval()  # not in inference mode: it could not be trained any more
    sums: dict[str, Any] = defaultdict(float)
    count = 0
    try:
        with torch.inference_mode():
            for batch in loader:
                batch = to_device(batch, device)
                with torch.autocast(device.type, dtype=amp, enabled=amp is not None):
                    value, outputs = forward(model, batch, loss, batch_loss)
                values, size = {"loss": value.float()}, 1
                if batch_loss is None:
                    values |= _measured(metrics, outputs, batch[1])
                    size = len(batch[1])
                for name, value in values.items():
                    sums[name] = sums[name] + size * value
                count += size
    finally:
        model.train(was_training)
    if not count:
        raise ValueError("there is nothing to evaluate: the loader gave no batch")
    return {name: float(value) / count for name, value in sums.items()}


def forward(
    model: nn.Module, batch: Batch, loss: Loss, batch_loss: BatchLoss | None
) -> tuple[Tensor, Any]:
    """The loss, and the outputs where the batch is `(inputs, targets)`."""
    if batch_loss is not None:
        return batch_loss(model, batch), None
    inputs, targets = batch
    if isinstance(inputs, Mapping):
        outputs = model(**inputs)
    elif isinstance(inputs, tuple | list) and not isinstance(inputs, PackedSequence):
        outputs = model(*inputs)
    else:
        outputs = model(inputs)
    return loss(outputs, targets), outputs


def _measured(metrics: Metrics | None, outputs: Any, targets: Any) -> dict[str, Any]:
    if metrics is None:
        classes = torch.is_tensor(targets) and not targets.is_floating_point()
        metrics = ACCURACY if classes and targets.ndim == 1 else {}
    return {name: metric(outputs, targets) for name, metric in metrics.items()}
