"""One snippet, in a process of its own: `python alone.py FOLDER`.

Imports the standard library only, and nothing of this repository.
"""

import os
import re
import runpy
import sys
import warnings
from importlib.abc import MetaPathFinder
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


class _Stranger(MetaPathFinder):
    """Finds nothing of this repository, although it is installed."""

    def find_spec(self, fullname: str, path: object = None, target: object = None):
        if re.match(r"(ch0\d_\w+|tests|conftest)(\.|$)", fullname):
            raise ModuleNotFoundError(f"{fullname} is part of this repository")


def alone(name: str) -> None:
    """Run the folder's snippet.py as a script, in the empty folder beside it."""
    folder = Path(name)
    os.chdir(folder / "empty")
    sys.path[:] = [
        p for p in sys.path if Path(p).resolve() not in (ROOT, ROOT / "tests")
    ]
    sys.meta_path.insert(0, _Stranger())
    warnings.filterwarnings("ignore", message=".*non-interactive")  # plt.show()
    runpy.run_path(str(folder / "snippet.py"), run_name="__main__")
    (folder / "finished").touch()


if __name__ == "__main__":
    alone(sys.argv[1])
