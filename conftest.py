"""What every test inherits, a notebook that is tested alone included."""

import pytest

from tests import warm_kernels, warm_workers
from tests.notebooks import set_environment
from tests.order import longest_first

set_environment()
warm_kernels.use()
warm_workers.use()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    longest_first(items)
