"""Checkpoints: everything that a run needs to go on as if it had not stopped.

A checkpoint is a dictionary of tensors, numbers, strings and containers, so that it is
read with `weights_only=True`: no code of a stranger runs. It is written beside its
place and renamed: whoever kills the process finds a whole one, the last or the one
before.
"""

import os
import random
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch


def save_checkpoint(state: dict[str, Any], path: Path | str) -> Path:
    """Write `state` to `path`, all or nothing; what stood there is replaced.

    Raises `TypeError` where `state` holds what could not be read again, `OSError` where
    the disk refuses. `path` is then as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}.part")  # a killed one is written over
    try:
        with beside.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())  # on the disk before the name points at it
        unsafe = torch.serialization.get_unsafe_globals_in_checkpoint(beside)
        if unsafe:
            raise TypeError(
                f"{', '.join(unsafe)} can not be read again with weights_only=True; "
                "put tensors, numbers, strings, lists and dictionaries into it"
            )
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    return path


def load_checkpoint(path: Path | str) -> dict[str, Any]:
    """What `save_checkpoint` wrote, its tensors on the CPU.

    Raises `FileNotFoundError`, or `ValueError`, naming the file and what to do, where
    it is cut off or damaged or no checkpoint.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:  # torch.load compares no checksums
            if archive.testzip() is not None:
                raise zipfile.BadZipFile("a checksum differs")
        state = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(state, dict):
            raise TypeError(f"it holds a {type(state).__name__}, not a dictionary")
    except FileNotFoundError:
        raise
    except Exception as error:  # damaged bytes can raise almost anything
        reason = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        raise ValueError(
            f"{path} is not a whole checkpoint ({reason}). Delete it to begin anew, or "
            "put an earlier copy in its place."
        ) from error
    return state


def random_states() -> dict[str, Any]:
    """The states of all global generators: Python's, NumPy's, PyTorch's on each device.

    A dictionary that `save_checkpoint` can write and `restore_random_states` takes.
    """
    kind, keys, *rest = np.random.get_state()  # noqa: NPY002 - the global one is meant
    states = {
        "python": random.getstate(),
        "numpy": (kind, torch.from_numpy(keys.astype(np.int64)), *rest),
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state_all()
    if torch.backends.mps.is_available():
        states["mps"] = torch.mps.get_rng_state()
    return states


def restore_random_states(states: dict[str, Any]) -> None:
    """Set all global generators to what `random_states` returned.

    A state of a device that this machine does not have is passed over.
    """
    random.setstate(states["python"])
    kind, keys, *rest = states["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002
    torch.set_rng_state(states["torch"])
    if "cuda" in states and torch.cuda.device_count() == len(states["cuda"]):
        torch.cuda.set_rng_state_all(states["cuda"])
    if "mps" in states and torch.backends.mps.is_available():
        torch.mps.set_rng_state(states["mps"])
