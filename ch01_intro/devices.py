"""Which device to compute on, how precisely, and one call that seeds everything."""

import os
import random

import numpy as np
import torch


def pick_device(wanted: str | torch.device | None = None) -> torch.device:
    """The device to use: `wanted`, else an accelerator (CUDA, MPS, XPU ...), else CPU.

    The environment variable `PYTORCH_BOOK_DEVICE` stands in for `wanted`.
    Raises `ValueError`, saying what is there, where the wanted device is not.
    """
    wanted = wanted or os.environ.get("PYTORCH_BOOK_DEVICE") or None
    found = torch.accelerator.current_accelerator(check_available=True)
    if wanted is None:
        return found if found is not None else torch.device("cpu")
    try:
        device = torch.device(wanted)
    except RuntimeError as error:
        raise ValueError(f"{wanted!r} is not the name of a device") from error
    there = {"cpu", "meta"} | ({found.type} if found is not None else set())
    count = torch.accelerator.device_count() if found is not None else 0
    missing = device.type not in there
    if not missing and found is not None and device.type == found.type:
        missing = (device.index or 0) >= count
    if missing:
        have = f"{count} x {found.type}, cpu" if found is not None else "cpu"
        raise ValueError(f"No {device} on this machine; it has: {have}")
    return device


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


def seed_everything(
    seed: int = 0, *, deterministic: bool | None = None
) -> torch.Generator:
    """Seed Python, NumPy and PyTorch on every device; return PyTorch's CPU generator.

    `deterministic=True` also asks PyTorch for algorithms that give the same bits on
    each run, and for an error where there is none (slower, above all on CUDA), and
    switches `cudnn.benchmark` off; `False` allows the others again. By default both
    stay as they are. Raises `ValueError` for a seed that NumPy's legacy generator
    cannot take.
    """
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed has to be in 0..2**32 - 1, not {seed}")
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - for libraries that still draw from it
    generator = torch.manual_seed(seed)
    if deterministic:
        os.environ.setdefault(
            "CUBLAS_WORKSPACE_CONFIG", ":4096:8"
        )  # older PyTorch asks
        torch.backends.cudnn.benchmark = False
    if deterministic is not None:
        torch.use_deterministic_algorithms(deterministic)
    return generator
