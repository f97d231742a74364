"""Imports go one way: a chapter uses itself and earlier chapters."""

import ast
import re
from collections.abc import Iterator

from tests.notebooks import CHAPTERS


def imported(tree: ast.Module) -> Iterator[str]:
    """The full names of the modules that the code imports, wherever it does."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module


def magically_imported(source: str) -> list[str]:
    """The modules behind `%load_ext` and after a magic like `%time import`."""
    lines = r"(?m)^\s*%+(?:(?:re)?load_ext|\w+.*?\b(?:from|import))\s+([\w.]+)"
    return re.findall(lines, source)


def forbidden(modules: Iterator[str] | list[str], chapter: str) -> list[str]:
    """Those of the modules that this chapter may not import."""
    later = {name for name in CHAPTERS if name > chapter}
    return [name for name in modules if name.split(".")[0] in later | {"tests"}]
