"""On which device a batch lies, and in which precision that device is fast."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from ch01_intro.devices import fast_dtype

__all__ = ["fast_dtype", "to_device"]


def to_device(batch: Any, device: torch.device | str) -> Any:
    """The same batch with its tensors on `device`; tuples, lists and dicts are kept."""
    if isinstance(batch, Tensor | PackedSequence):
        there = torch.device(device)  # a copy to the CPU is used at once: wait for it
        return batch.to(there, non_blocking=there.type != "cpu")
    if isinstance(batch, Mapping):
        return {key: to_device(value, device) for key, value in batch.items()}
    if isinstance(batch, tuple | list):
        values = [to_device(value, device) for value in batch]
        named = hasattr(batch, "_fields")  # a named tuple takes them one by one
        return type(batch)(*values) if named else type(batch)(values)
    return batch
