"""What requirements.txt pins for this platform, compared with what is installed."""

import importlib.metadata
import sys
from collections.abc import Mapping
from pathlib import Path

from ch01_intro.colab import pins


def pinned_here(root: Path) -> dict[str, str]:
    """A package's name -> its version, of those in `root` that this platform needs."""
    wanted = {}
    for name, line in pins(root).items():
        pin, _, condition = line.partition(";")  # of platforms only
        if _holds(condition.strip()):
            wanted[name] = pin.partition("==")[2].strip()
    return wanted


def _holds(condition: str) -> bool:
    """Whether a pin's condition, such as `sys_platform != "win32"`, is met here."""
    _, sign, platform = condition.partition("==")
    if not sign:
        _, sign, platform = condition.partition("!=")
    return not sign or (platform.strip(" '\"") == sys.platform) == (sign == "==")


def differing(wanted: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """The names that are not installed, and a few words on each in another version.

    What follows a `+`, as in 2.14.1+cu130, says how it was built and is not compared.
    """
    missing, other = [], []
    for name, version in wanted.items():
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
            continue
        if found.split("+")[0] != version:
            other.append(f"{name} {found} (pinned {version})")
    return missing, other
