"""Look whether notebooks obey the rules, without running them.

    python -m tests.check                          # all
    python -m tests.check ch02_tensors/06*.ipynb   # some

Ends with 1 where a rule is broken. What it looks for stands in tests/hygiene.py.
"""

import argparse
from pathlib import Path

from tests.hygiene import RULES
from tests.notebooks import name_of, notebook_paths, read


def problems(path: Path) -> list[str]:
    """What is wrong with one notebook, in words."""
    try:
        notebook = read(path)
        cells = len(notebook.cells)
    except (OSError, ValueError, KeyError, AttributeError) as error:
        return [f"{name_of(path)}: is not a notebook that can be read: {error}"]
    if cells < 3:
        return [f"{name_of(path)}: has {cells} cells; tests.template starts one"]
    return [found for rule in RULES for found in rule(notebook, name_of(path))]


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebooks", nargs="*", type=Path, help="default: all")
    paths = [path.resolve() for path in parser.parse_args(argv).notebooks]
    found = [
        problem for path in paths or notebook_paths() for problem in problems(path)
    ]
    print("\n".join(found) or f"{len(paths or notebook_paths())} notebooks, all well")
    return int(bool(found))


if __name__ == "__main__":
    raise SystemExit(main())
