"""On which device a batch lies, and in which precision that device is fast."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


def to_device(batch: Any, device: torch.device | str) -> Any:
    """The same batch with its tensors on `device`; tuples, lists and dicts are kept."""
    if isinstance(batch, Tensor):
        return batch.to(device, non_blocking=True)
    if isinstance(batch, Mapping):
        return {key: to_device(value, device) for key, value in batch.items()}
    if isinstance(batch, tuple | list):
        values = [to_device(value, device) for value in batch]
        named = hasattr(batch, "_fields")  # a named tuple takes them one by one
        return type(batch)(*values) if named else type(batch)(values)
    return batch


def fast_dtype(device: torch.device | str) -> torch.dtype | None:
    """The dtype for autocast that this device computes with faster than float32.

    None where there is none: a CPU without bfloat16 instructions emulates them, which
    was 10 to 300 times slower when it was measured.
    """
    device = torch.device(device)
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if native else torch.float16
    if device.type == "cpu":
        able = getattr(torch.cpu, "get_capabilities", dict)()  # new in 2.12
        names = ("amx_bf16", "avx512_bf16", "sve_bf16", "bf16")
        return torch.bfloat16 if any(able.get(name) for name in names) else None
    return torch.float16 if device.type in {"mps", "xpu"} else None
