"""Run notebooks as a reader does: in JupyterLab, in a browser without a window.

    python -m tests.browser                              # all
    python -m tests.browser ch01_intro 8                 # two chapters
    python -m tests.browser ch02_tensors/06*.ipynb       # some
    python -m tests.browser 3 --screenshots build/shots  # and the pages that fail

Each notebook of a copy is opened, its outputs cleared and all its cells run by the
menu; then each cell must have run without an error, and show the pictures and tables
that it has in the committed notebook. Needs Playwright and an installed Chromium.
"""

import argparse
import json
import os
import re
import shutil
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import nbformat

from ch07_deployment.processes import free_port, running
from tests import chromium
from tests.notebooks import CHAPTERS, ENVIRONMENT, ROOT, name_of, notebook_paths, read

START = 120  # seconds that JupyterLab, a page or a kernel may take to come up
TOKEN = "a-test-on-this-machine"
TABLE = ["expression", "result", "note"]  # what the magic %%reference shows
BAR = re.compile(r"\d+%\||[\d?]+(it|B|s)/(s|it)\b")  # a line of a progress bar
NOT_COPIED = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints", "*.part")
SETTINGS = {
    "@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"},
    "@jupyterlab/apputils-extension:notification": {
        "fetchNews": "false",
        "checkForUpdates": False,
    },
}

PANEL = ".jp-NotebookPanel:not(.lm-mod-hidden)"  # the notebook that is in front
# pictures that come from elsewhere, as the badges do, may be missing
PICTURES = "img:not([src^=http]), img[src^='${location.origin}']"
CELLS = f"""() => [...document.querySelectorAll("{PANEL} .jp-Cell")].map(cell => {{
  const all = (what) => [...cell.querySelectorAll(what)];
  return {{
    prompt: cell.querySelector(".jp-InputPrompt")?.innerText ?? "",
    errors: all("[data-mime-type='application/vnd.jupyter.stderr']")
      .map(text => text.innerText),
    pictures: all(`{PICTURES}`).map(img => img.naturalWidth),
    heads: all(".jp-OutputArea thead tr")
      .map(row => [...row.cells].map(head => head.innerText.trim())),
    formulas: all("mjx-merror, mjx-mtext[style*=red]").length,
  }};
}})"""
# the cells are there, and a kernel that has nothing to do
READY = f"""() => document.querySelector("{PANEL} .jp-Cell .jp-InputPrompt") &&
  document.querySelector("{PANEL} [data-status=idle]") &&
  /^Python/.test(
    document.querySelector("{PANEL} .jp-Toolbar-kernelName")?.innerText ?? "")"""
# no cell waits or runs and no picture is on its way; or a window says something
AT_REST = f"""() => document.querySelector(".jp-Dialog") ||
  ![...document.querySelectorAll("{PANEL} .jp-Cell .jp-InputPrompt")]
    .some(prompt => prompt.innerText.includes("*")) &&
  [...document.querySelectorAll(`{PANEL} .jp-Cell :is({PICTURES})`)]
    .every(img => img.complete)"""


@dataclass(frozen=True)
class Shown:
    """What a page shows of one cell, its outputs included."""

    prompt: str = ""
    errors: list[str] = field(default_factory=list)  # tracebacks, stderr
    pictures: list[int] = field(default_factory=list)  # their widths; 0: not there
    heads: list[list[str]] = field(default_factory=list)  # the tables' first rows
    formulas: int = 0  # that could not be set


@dataclass(frozen=True)
class Outcome:
    """What became of one notebook."""

    name: str
    seconds: float
    cells: int
    pictures: int
    problems: list[str]


def kinds(cell: nbformat.NotebookNode) -> set[str]:
    """The types of data that a cell's committed outputs have."""
    return {kind for output in cell.outputs for kind in output.get("data", {})}


def problems(notebook: nbformat.NotebookNode, shown: list[Shown]) -> list[str]:
    """What the page lacks or has too much, in words, in the order of the cells."""
    if len(shown) != len(notebook.cells):
        return [f"{len(shown)} of {len(notebook.cells)} cells are on the page"]
    found = []
    for number, (cell, seen) in enumerate(
        zip(notebook.cells, shown, strict=True), start=1
    ):
        said = []
        if seen.formulas:
            said.append("a formula cannot be read")
        if not all(seen.pictures):
            said.append("a picture is broken")
        if cell.cell_type == "code":
            errors = [line for text in seen.errors if (line := last_line(text))]
            said += [f"error: {line}" for line in errors]
            if not any(map(str.isdigit, seen.prompt)) and cell.source.strip():
                said.append("still runs" if "*" in seen.prompt else "did not run")
            elif not errors:
                said += missing(cell, seen)
        found += [f"cell {number}: {text}" for text in said]
    return found


def missing(cell: nbformat.NotebookNode, seen: Shown) -> Iterator[str]:
    """The outputs that a code cell should show and does not."""
    if any(kind.startswith("image/") for kind in kinds(cell)) and not seen.pictures:
        yield "no picture"
    magic = cell.source.split(maxsplit=1)[:1]  # %%reference_images has other columns
    if magic == ["%%reference"] and TABLE not in seen.heads:
        yield f"no table {', '.join(TABLE)}"


def last_line(text: str) -> str:
    """What stderr says in the end (a traceback names the error there); no bars."""
    lines = [line.strip() for line in text.splitlines() if not BAR.search(line)]
    return next(filter(None, reversed(lines)), "")[:200]


class Lab:
    """A running JupyterLab over a copy of the notebooks, and a browser to look at it.

    `root`: the copy. `context`: Playwright's, in which pages are opened.
    """

    def __init__(self, url: str, root: Path, context: Any) -> None:
        self.url, self.root, self.context = url, root, context

    @contextmanager
    def opened(self, name: str) -> Iterator[Any]:
        """A page with the notebook `name` of the copy, its kernel up; then both go."""
        page = self.context.new_page()
        try:
            page.goto(f"{self.url}/lab/tree/{quote(name)}?token={TOKEN}&reset")
            page.wait_for_function(READY)
            yield page
        finally:
            page.close()
            self.shut_down()

    def run_all(self, page: Any, *, seconds: float = 600) -> None:
        """Clear all outputs, run all cells by the menu, wait until none runs.

        Raises `RuntimeError` with the words of a window that opens, because the kernel
        died or because it was not there, and Playwright's `TimeoutError`.
        """
        menu(page, "Edit", "editmenu:clear-all")
        menu(page, "Run", "runmenu:run-all")
        page.wait_for_timeout(200)  # the first cell has got its star
        page.wait_for_function(AT_REST, timeout=1000 * seconds, polling=200)
        if window := page.query_selector(".jp-Dialog"):
            raise RuntimeError(" ".join(window.inner_text().split()))

    def look(self, page: Any) -> list[Shown]:
        """The cells of the page's notebook as they look now."""
        return [Shown(**cell) for cell in page.evaluate(CELLS)]

    def try_out(
        self, name: str, *, seconds: float = 600, screenshots: Path | None = None
    ) -> Outcome:
        """Open a notebook, run it, look at it; nothing that goes wrong is raised."""
        start, shown, found = time.perf_counter(), [], []
        try:
            notebook = read(self.root / name)
            with self.opened(name) as page:
                try:
                    self.run_all(page, seconds=seconds)
                except Exception as error:
                    found.append(" ".join(str(error).split())[:200] or repr(error))
                shown = self.look(page)
                found += problems(notebook, shown)
                if found and screenshots:
                    picture(page, found, screenshots / f"{Path(name).stem}.png")
        except Exception as error:  # of the page, the browser, the server
            found.append(" ".join(str(error).split())[:200] or repr(error))
        return Outcome(
            name=name,
            seconds=time.perf_counter() - start,
            cells=len(shown),
            pictures=sum(len(cell.pictures) for cell in shown),
            problems=found,
        )

    def ask(self, path: str, method: str = "GET") -> Any:
        """The server's answer to a request of its REST interface."""
        headers = {"Authorization": f"token {TOKEN}"}
        request = urllib.request.Request(
            f"{self.url}/api/{path}", headers=headers, method=method
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=START) as answer:
            return json.loads(answer.read() or "null")

    def shut_down(self) -> None:
        """End all kernels."""
        with suppress(OSError):
            for session in self.ask("sessions"):
                with suppress(OSError):
                    self.ask(f"sessions/{session['id']}", "DELETE")


def menu(page: Any, name: str, command: str) -> None:
    """Choose a command of the main menu with the mouse."""
    page.click(f".lm-MenuBar-item:has-text('{name}')")
    page.click(f".lm-Menu-item[data-command='{command}']")


def picture(page: Any, found: list[str], path: Path) -> None:
    """Scroll to the first cell that a problem names; write what is to be seen there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for problem in found:
        if number := re.match(r"cell (\d+):", problem):
            cell = page.locator(f"{PANEL} .jp-Cell").nth(int(number[1]) - 1)
            cell.evaluate("cell => cell.scrollIntoView({block: 'center'})")
            break
    page.screenshot(path=path)


def copy(folder: Path) -> Path:
    """Copy the chapters and what stands beside them, so that the tree stays as is."""
    for chapter in CHAPTERS:
        shutil.copytree(ROOT / chapter, folder / chapter, ignore=NOT_COPIED)
    for path in ROOT.iterdir():
        if path.is_file() and not path.name.startswith("."):
            shutil.copy(path, folder)
    return folder


@contextmanager
def lab() -> Iterator[Lab]:
    """JupyterLab and Chromium; both and all kernels are gone afterwards."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        own = Path(name).resolve()
        root = copy(own / "notebooks")
        settings = own / "config" / "labconfig" / "default_setting_overrides.json"
        settings.parent.mkdir(parents=True)
        settings.write_text(json.dumps(SETTINGS), encoding="utf-8")
        port = free_port()
        command = [
            *("-m", "jupyter", "lab", "--no-browser", "--ServerApp.allow_root=True"),
            *(f"--ServerApp.port={port}", "--ServerApp.port_retries=0"),
            *(f"--ServerApp.root_dir={root}", f"--IdentityProvider.token={TOKEN}"),
        ]
        environment = {
            key: os.environ.get(key, ENVIRONMENT[key]) for key in ENVIRONMENT
        }
        environment |= {
            "TQDM_DISABLE": "",  # with it a notebook takes itself to be under test
            "PYTHONPATH": str(root),  # before the installed one, which is the tree
            "IPYTHONDIR": str(own / "ipython"),
        }
        for kind in ("config", "data", "runtime"):
            environment[f"JUPYTER_{kind.upper()}_DIR"] = str(own / kind)
        with (
            running(
                command,
                port=port,
                ready=f"/api/status?token={TOKEN}",
                seconds=START,
                environment=environment,
            ) as server,
            chromium.chromium() as browser,
        ):
            context = browser.new_context(viewport={"width": 1280, "height": 900})
            context.set_default_timeout(1000 * START)
            it = Lab(server.url, root, context)
            try:
                yield it
            finally:
                it.shut_down()


def chosen(wanted: list[str]) -> list[str]:
    """The names of the notebooks meant by chapters (a number, a folder) and paths.

    Raises `ValueError` for what is neither.
    """
    names = [name_of(path) for path in notebook_paths()]
    if not wanted:
        return names
    found = []
    for word in wanted:
        path = Path(word)
        tail = "/".join(path.parts[-2:])
        here = [
            name
            for name in names
            if name == tail
            or name.split("/")[0] == path.name
            or (word.isdigit() and name.startswith(f"ch{int(word):02d}_"))
        ]
        if not here:
            raise ValueError(f"neither a chapter nor a notebook: {word}")
        found += here
    return list(dict.fromkeys(found))


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebooks", nargs="*", help="or chapters; default: all")
    parser.add_argument("--timeout", type=float, default=600, help="seconds for each")
    parser.add_argument(
        "--screenshots", type=Path, help="a folder for pictures of the pages that fail"
    )
    args = parser.parse_args(argv)
    try:
        names = chosen(args.notebooks)
    except ValueError as error:
        parser.error(str(error))
    if chromium.PATH is None:
        parser.error("there is no chromium here")
    width, failed = max(map(len, names)), 0
    print(f"{'notebook':{width}}  seconds  cells  pictures  problem")
    with lab() as it:
        for name in names:
            done = it.try_out(name, seconds=args.timeout, screenshots=args.screenshots)
            failed += bool(done.problems)
            print(
                f"{name:{width}}  {done.seconds:7.1f}  {done.cells:5}  "
                f"{done.pictures:8}  {'; '.join(done.problems)}".rstrip(),
                flush=True,
            )
    print(f"{len(names)} notebooks, {failed} with a problem")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
