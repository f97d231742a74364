"""The longest files first: at the end no worker is left alone with a long one.

A notebook says in its first cell how long it takes; of the test files, those that take
long are listed here. Seconds on two idle cores, roughly: they only make the order.
"""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TIME = re.compile(r"\*\*Time:\*\* about (\d+) s\b")
SECONDS = {
    "test_snippets.py": 160,
    "test_cpp.py": 80,
    "test_ray_serve_form.py": 70,
    "test_ray_train.py": 45,
    "test_browser.py": 45,
    "test_sharding.py": 40,
    "test_tensorboard.py": 35,
    "test_train_network.py": 30,
    "test_warm.py": 30,
    "test_train_ddp.py": 25,
    "test_two_machines.py": 25,
    "test_cluster.py": 20,
    "test_hygiene.py": 20,
    "test_killed.py": 20,
    "test_repository.py": 20,
    "test_service.py": 20,
    "test_ways.py": 20,
}


def seconds(path: Path) -> int:
    """How long the file may take; 0 where nothing says so."""
    if path.suffix == ".ipynb":
        found = TIME.search(path.read_text(encoding="utf-8"))
        return int(found[1]) if found else 0
    return SECONDS.get(path.name, 0) if path.parent == ROOT / "tests" else 0


def longest_first(items: list[pytest.Item]) -> None:
    """Sort in place, whole files; those that take as long stay in their order."""
    weights = {path: seconds(path) for path in {item.path for item in items}}
    items.sort(key=lambda item: -weights[item.path])
