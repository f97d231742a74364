"""Whether PyPI has a newer release of a project than the one that was noted."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from packaging.version import Version

if TYPE_CHECKING:
    from ch08_ecosystem.projects import Project

PYPI = "https://pypi.org/pypi/{}/json"


def newest_on_pypi(package: str, timeout: float = 5.0) -> str:
    """The newest version that PyPI names; raises `OSError` where it does not answer."""
    with urllib.request.urlopen(PYPI.format(package), timeout=timeout) as answer:
        return json.load(answer)["info"]["version"]


def check(
    projects: Iterable["Project"], newest: Callable[[str], str] = newest_on_pypi
) -> dict[str, list[str]]:
    """Ask for each version that the file took from PyPI; `newer` and `unknown` lines.

    Raises `ConnectionError` at once where PyPI can not be reached at all.
    """
    found: dict[str, list[str]] = {"newer": [], "unknown": []}
    for project in projects:
        if not (project.pypi and project.version and "PyPI" in project.released_from):
            continue
        try:
            version = newest(project.pypi)
        except urllib.error.HTTPError as error:
            found["unknown"].append(f"{project.pypi}: PyPI answers {error.code}")
        except OSError as error:
            raise ConnectionError(f"PyPI does not answer ({error})") from error
        else:
            if Version(version) > Version(project.version):
                line = f"{project.pypi}: {version} is out, noted is {project.version}"
                found["newer"].append(line)
    return found
