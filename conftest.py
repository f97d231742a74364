"""What every test inherits, a notebook that is tested alone included.

Without Jupyter the helpers can be tested: `python -m pytest -o addopts= tests`.
"""

from importlib.util import find_spec

import pytest

from tests import warm_workers
from tests.notebooks import set_environment
from tests.order import longest_first

set_environment()
warm_workers.use()
if find_spec("nbval"):
    from tests import warm_kernels

    warm_kernels.use()
else:
    about_notebooks = ("execute", "nbval", "tools", "warm")
    collect_ignore = [f"tests/test_{name}.py" for name in about_notebooks]
if find_spec("hypothesis"):
    from hypothesis import HealthCheck, settings

    settings.register_profile(
        "book",
        derandomize=True,  # the same examples in each run
        database=None,
        deadline=None,  # what is slow may be the machine
        suppress_health_check=[HealthCheck.too_slow],
    )
    settings.load_profile("book")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    longest_first(items)
