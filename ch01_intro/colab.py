"""Make a notebook of this repository work on Colab: the repository, missing packages.

Each notebook's first code cell fetches this one file there and calls `prepare`. Imports
the standard library only, and works before the repository is there.
"""

import ast
import importlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

REPOSITORY = "https://github.com/pytorch-pocket-reference/pytorch-pocket-reference"
KEPT = ("torch", "torchvision", "numpy")  # a package that wants others is left out
NAMES = {  # of the package where the module's name does not tell
    "PIL": "pillow",
    "google": "protobuf",
    "mlflow": "mlflow-skinny",
    "multipart": "python-multipart",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}


def prepare(notebook: str, folder: str = "book") -> None:
    """Clone the repository into `folder`, install what `notebook` needs and is missing.

    `notebook` is a path from the root, as in "ch02_tensors/06_pointwise.ipynb". What is
    installed already stays as it is. Afterwards the working directory is the notebook's
    and the chapters can be imported. A second call finds all done.

    Raises `RuntimeError` where the repository cannot be fetched. A package that cannot
    be installed is named, and the notebook goes on without it.
    """
    root = clone(Path(folder))
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    os.chdir((root / notebook).parent)
    installed, failed = install(missing(root, root / notebook))
    print("Added:", ", ".join(installed) or "nothing, all packages were there")
    if failed:
        print("Could not be added, so some cells will fail:", ", ".join(failed))


def clone(folder: Path) -> Path:
    """The absolute path of the repository, which is fetched where it is missing."""
    here = Path.cwd()
    for root in (here / folder, here, *here.parents):
        if (root / "ch01_intro" / "colab.py").exists():
            return root
    command = ["git", "clone", "--quiet", "--depth=1", REPOSITORY, str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, encoding="utf-8")
    except FileNotFoundError as error:
        raise RuntimeError("git is not installed: install it and run again") from error
    if done.returncode:
        raise RuntimeError(
            f"{REPOSITORY} could not be fetched; check the connection and run this "
            f"cell again. git says: {done.stderr.strip()}"
        )
    return here / folder


def missing(root: Path, notebook: Path) -> list[str]:
    """The pins of packages that the notebook and its helpers import and that are not
    installed. What has no pin is left out."""
    known = pins(root)
    names = {package(name) for name in third_party(root, notebook) if not there(name)}
    return sorted(known[name] for name in names & known.keys())


def there(name: str) -> bool:
    return name in sys.modules or find_spec(name) is not None


def package(name: str) -> str:
    return NAMES.get(name, name).lower().replace("_", "-")


def pins(root: Path) -> dict[str, str]:
    """A package's name -> its line of requirements.txt, as pip takes it."""
    lines = (root / "requirements.txt").read_text(encoding="utf-8").splitlines()
    lines = [re.sub(r"\s+#.*", "", line).strip() for line in lines]
    return {
        re.split(r"[=\[]", line)[0].lower().replace("_", "-"): line
        for line in lines
        if line and not line.startswith(("#", "-"))
    }


def third_party(root: Path, notebook: Path) -> set[str]:
    """The first names of what the notebook imports, through the helpers as well."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    sources = ["".join(c["source"]) for c in cells if c["cell_type"] == "code"]
    found, seen = set(), set()
    while sources:
        for module in imported(sources.pop()):
            first = module.split(".")[0]
            if not (root / first / "__init__.py").exists():
                found.add(first)
            elif module not in seen:
                seen.add(module)
                file = root.joinpath(*module.split(".")).with_suffix(".py")
                if file.exists():
                    sources.append(file.read_text(encoding="utf-8"))
    return found - sys.stdlib_module_names


def imported(source: str) -> Iterator[str]:
    """The modules that a cell or a file imports, `%load_ext` and `from package import
    module` included."""
    yield from re.findall(r"(?m)^\s*%load_ext\s+([\w.]+)", source)
    try:
        tree = ast.parse(re.sub(r"(?m)^\s*[%!].*$", "", source))
    except SyntaxError:  # a cell of another language
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def install(wanted: list[str]) -> tuple[list[str], list[str]]:
    """Those that pip could add without another version of PyTorch, and the others."""
    added: list[str] = []
    failed: list[str] = []
    if not wanted:
        return added, failed
    constraints = Path.home() / ".pytorch_book_constraints.txt"
    constraints.write_text("\n".join(installed(KEPT)), encoding="utf-8")
    for pin in wanted:
        print("adding", pin)
        command = [sys.executable, "-m", "pip", "install", "--quiet", pin]
        done = subprocess.run(
            [*command, "--constraint", str(constraints)], capture_output=True
        )
        (failed if done.returncode else added).append(pin)
    importlib.invalidate_caches()
    return added, failed


def installed(names: tuple[str, ...]) -> Iterator[str]:
    for name in names:
        try:
            yield f"{name}=={version(name)}"
        except PackageNotFoundError:
            continue
