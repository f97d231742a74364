"""Whether a process that a test started is still there; waiting for something."""

import time
from collections.abc import Callable

import psutil


def alive(process: psutil.Process) -> bool:
    """Also false for one that has ended and that nobody has asked about yet."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def ends(pid: int, seconds: float = 10) -> bool:
    """Whether the process has ended, or does so within `seconds`."""
    try:
        process = psutil.Process(pid)
    except psutil.NoSuchProcess:
        return True
    end = time.monotonic() + seconds
    while alive(process) and time.monotonic() < end:
        time.sleep(0.1)
    return not alive(process)


def until(true: Callable[[], bool], seconds: float, what: str = "it") -> None:
    """Wait until it is true; after `seconds` that is an `AssertionError`."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"after {seconds:g} s there is no {what}"
        time.sleep(0.1)
