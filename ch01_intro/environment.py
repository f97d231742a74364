"""What this machine has for PyTorch, and how to mend what is wrong.

    python -m ch01_intro.environment

Prints versions, devices, threads, and whether data and weights can be reached. Each
thing that is wrong comes with one line that says how to mend it. Exits with 1 when
something must be mended, with 0 when all that follows will run.
"""

import http.client
import os
import platform
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ch01_intro.assets import data_home, offline
from ch01_intro.pinned import differing, pinned_here

INSTALL = "python -m pip install -r requirements.txt"
MARKS = {"ok": " ok ", "note": "note", "mend": "MEND"}
DOWNLOADS = "https://download.pytorch.org/"


@dataclass(frozen=True)
class Check:
    """One thing looked at. `level`: "ok", "note" (worth knowing) or "mend"."""

    name: str
    found: str
    level: str = "ok"
    remedy: str = ""


def check_python() -> Check:
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):  # for others there are no pins
        remedy = "Install Python 3.11 to 3.13, remove .venv, and install again."
        return Check("Python", found, "mend", remedy)
    if sys.version_info[:3] == (3, 13, 0):
        remedy = "torch.compile warns that 3.13.0 is slower: install 3.13.1 or later."
        return Check("Python", found, "note", remedy)
    return Check("Python", found)


def check_torch() -> Check:
    try:
        import torch
    except Exception as error:  # a broken installation raises ImportError, OSError ...
        return Check("torch", _failed(error), "mend", INSTALL)
    built = f"CUDA {torch.version.cuda}" if torch.version.cuda else "no CUDA"
    return Check("torch", f"{torch.__version__} (built with {built})")


def check_torchvision() -> Check:
    """Releases come in pairs: torchvision 0.N belongs to torch 2.(N - 15)."""
    try:
        import torch
        import torchvision

        boxes = torch.tensor([[0.0, 0.0, 1.0, 1.0]])
        torchvision.ops.nms(boxes, torch.ones(1), 0.5)  # a compiled operator
    except Exception as error:
        return Check("torchvision", _failed(error), "mend", INSTALL)
    found = torchvision.__version__
    if not matches(torch.__version__, found):
        found += f" does not belong to torch {torch.__version__}"
        return Check("torchvision", found, "mend", INSTALL)
    return Check("torchvision", f"{found} (matches torch)")


def matches(torch_version: str, torchvision_version: str) -> bool:
    """Whether two version strings such as "2.14.1+cu130" and "0.29.2" are a pair."""
    torch_major, torch_minor = map(int, torch_version.split(".")[:2])
    vision_major, vision_minor = map(int, torchvision_version.split(".")[:2])
    return (torch_major, vision_major) == (2, 0) and vision_minor == torch_minor + 15


def check_packages() -> Check:
    """What is installed, compared with the pins of requirements.txt."""
    requirements = Path(__file__).resolve().parent.parent / "requirements.txt"
    if not requirements.is_file():
        return Check("packages", "no requirements.txt here: versions not compared")
    wanted = pinned_here(requirements.parent)
    missing, other = differing(wanted)
    if missing:
        return Check("packages", f"missing: {', '.join(missing)}", "mend", INSTALL)
    if other:
        return Check("packages", f"other versions: {', '.join(other)}", "note", INSTALL)
    return Check("packages", f"all {len(wanted)} as pinned in requirements.txt")


def check_devices() -> Check:
    import torch

    from ch01_intro.devices import pick_device

    cores = os.cpu_count()
    parts = []
    if torch.cuda.is_available():
        for i in range(torch.cuda.device_count()):
            gib = torch.cuda.get_device_properties(i).total_memory / 2**30
            parts.append(f"cuda:{i} {torch.cuda.get_device_name(i)}, {gib:.0f} GiB")
    if torch.backends.mps.is_available():
        parts.append("mps (Apple GPU)")
    if torch.xpu.is_available():
        parts += [f"xpu:{i} (Intel GPU)" for i in range(torch.xpu.device_count())]
    parts.append(f"cpu with {cores} cores")
    found = "; ".join(parts)
    try:
        found += f"; used by default: {pick_device()}"
    except ValueError as error:  # PYTORCH_BOOK_DEVICE names what is not there
        return Check("devices", str(error), "mend", "Unset PYTORCH_BOOK_DEVICE.")
    if len(parts) == 1 and shutil.which("nvidia-smi"):
        remedy = (
            "An NVIDIA driver is installed but PyTorch sees no GPU: "
            + "compare `nvidia-smi` with the CUDA version that torch was built with."
            if torch.version.cuda
            else "this torch was built without CUDA (as all wheels for Windows on PyPI "
            "are): notebook 02 of chapter 1 says where the others are."
        )
        return Check("devices", found, "note", remedy)
    return Check("devices", found)


def check_threads() -> Check:
    import torch

    threads, cores = torch.get_num_threads(), os.cpu_count() or 1
    found = f"{threads} for one operation, {torch.get_num_interop_threads()} between"
    if threads > cores:
        remedy = f"More threads than the {cores} cores: unset OMP_NUM_THREADS."
        return Check("threads", found, "note", remedy)
    return Check("threads", found)


def check_small_network() -> Check:
    from ch01_intro.network import WEIGHTS, facts, small_network

    try:
        small_network()
        known = facts()
        once = float(known["test_accuracy"])
        six = float(known["test_accuracy_six_views"])
    except (OSError, ValueError, KeyError) as error:
        remedy = "git checkout -- ch01_intro/weights"
        return Check("own weights", _failed(error), "mend", remedy)
    size = WEIGHTS.stat().st_size / 1e6
    right = f"{once:.1%} of CIFAR-10's test set, {six:.1%} in six views"
    return Check("own weights", f"{size:.2f} MB, {right}")


def check_data() -> Check:
    """Whether the data folder is there, what it holds, whether it can be written."""
    home = data_home()
    remedy = "Set PYTORCH_BOOK_DATA to a folder that can be written."
    try:
        above = (home, *home.absolute().parents)
        probe = next((path for path in above if path.exists()), None)
    except OSError:  # a folder on the way that may not be entered
        probe = None
    if probe is None or not probe.is_dir() or not os.access(probe, os.W_OK):
        return Check("data", f"{home} can not be written", "note", remedy)
    if not home.exists():
        return Check("data", f"{home} is not there yet: it is made when needed")
    held = sorted(p.name for p in home.iterdir() if not p.name.startswith("."))
    free = shutil.disk_usage(home).free / 1e9
    listed = ", ".join(held[:6]) or "empty"
    found = f"{home}: {listed} ({free:.0f} GB free)"
    if free < 2:
        return Check("data", found, "note", "Less than 2 GB free: " + remedy)
    return Check("data", found)


def check_network(timeout: float = 3.0) -> Check:
    """Whether downloads can work; with none, everything runs on stand-ins."""
    stand_ins = "Nothing to mend: what is on disk, or a stand-in, is used instead."
    if offline():
        return Check("downloads", "off: PYTORCH_BOOK_OFFLINE is set", "ok")
    try:
        urllib.request.urlopen(DOWNLOADS, timeout=timeout).close()  # heeds proxies
    except urllib.error.HTTPError:
        pass  # any answer at all will do
    except (OSError, http.client.HTTPException) as error:
        found = f"{DOWNLOADS} is out of reach ({error})"
        return Check("downloads", found, "note", stand_ins)
    return Check("downloads", f"{DOWNLOADS} answers")


NEED_TORCH = (check_devices, check_threads, check_small_network)
CHECKS: tuple[Callable[[], Check], ...] = (
    check_python,
    check_torch,
    check_torchvision,
    check_packages,
    *NEED_TORCH,
    check_data,
    check_network,
)


def checks() -> list[Check]:
    """All checks; those that need torch are left out where it can not be imported."""
    results = []
    for check in CHECKS:
        torch_failed = any(c.name == "torch" and c.level == "mend" for c in results)
        if not (torch_failed and check in NEED_TORCH):
            results.append(check())
    return results


def report(results: list[Check]) -> str:
    """One line a check, and under each that asks for it the line that mends it."""
    width = max(len(check.name) for check in results)
    lines = []
    for check in results:
        lines.append(f"[{MARKS[check.level]}] {check.name:{width}s}  {check.found}")
        if check.remedy:
            lines.append(f"{'':{width + 9}s}-> {check.remedy}")
    return "\n".join(lines)


def _failed(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"


def main() -> int:
    results = checks()
    print(report(results))
    wrong = [check.name for check in results if check.level == "mend"]
    print(f"\nTo mend: {', '.join(wrong)}" if wrong else "\nReady.")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
