"""What every test inherits, a notebook that is tested alone included."""

import os

from tests.notebooks import ENVIRONMENT

for variable, value in ENVIRONMENT.items():
    os.environ.setdefault(variable, value)
