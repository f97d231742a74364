"""How long a call takes: medians of interleaved rounds, and ratios between calls.

Imports PyTorch only: this module can be copied alone.
"""

import logging
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Mapping

import torch


def seconds_of_each(
    calls: Mapping[str, Callable[[], object]],
    *,
    rounds: int = 15,
    warm_up: int = 3,
    at_least: float = 2e-3,
) -> dict[str, float]:
    """The median seconds of one call of each, measured in the same run.

    In a round every function has its turn, so that what slows the machine down for a
    moment slows all of them; short ones are repeated until a turn takes `at_least`
    seconds. Waits for the GPU where there is one. Raises `ValueError` where there is
    nothing to measure.
    """
    if not calls or rounds < 1:
        raise ValueError("needs at least one function and one round")
    repeats = {}
    for name, call in calls.items():
        for _ in range(max(1, warm_up)):
            once = _seconds(call, 1)
        repeats[name] = max(1, round(at_least / max(once, 1e-9)))
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            taken[name].append(_seconds(call, repeats[name]) / repeats[name])
    return {name: statistics.median(values) for name, values in taken.items()}


def compare(
    calls: Mapping[str, Callable[[], object]], *, rounds: int = 15, warm_up: int = 3
) -> dict[str, float]:
    """Measure and print a table; the ratios are to the first function's time.

    Returns them by name, the first one being 1.0; above 1 is slower.
    """
    seconds = seconds_of_each(calls, rounds=rounds, warm_up=warm_up)
    first = next(iter(seconds.values()))
    ratios = {name: value / first for name, value in seconds.items()}
    width = max(map(len, seconds))
    for name, value in seconds.items():
        print(f"{name:<{width}}  {value * 1e6:10,.1f} µs  {ratios[name]:6.2f} x")
    return ratios


def can_compile() -> bool:
    """Whether `torch.compile` finds what it needs to make code for the CPU.

    Also silences what its first use remarks where CUDA is installed and no GPU is
    there ("No CUDA runtime is found"): the logger of `torch.utils.cpp_extension` is
    left with errors only.
    """
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    names = ("cl",) if sys.platform == "win32" else ("c++", "g++", "clang++")
    return any(shutil.which(name) for name in names)


def _seconds(call: Callable[[], object], repeats: int) -> float:
    _wait()
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    _wait()
    return time.perf_counter() - start


def _wait() -> None:
    """Until the GPU has done what it was given; on a CPU nothing is pending."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
