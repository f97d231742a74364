"""Whether a process that a test started is still there."""

import psutil


def alive(process: psutil.Process) -> bool:
    """Also false for one that has ended and that nobody has asked about yet."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
