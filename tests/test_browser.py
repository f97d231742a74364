"""Notebooks in a real JupyterLab: they run, and what a reader should see is seen.

All of them, or some: `python -m tests.browser`. Here are three, and one that is broken.
"""

import re

import psutil
import pytest
from nbformat.v4 import new_markdown_cell, new_output

from tests import chromium
from tests.alive import alive
from tests.browser import (
    PANEL,
    TABLE,
    Shown,
    chosen,
    lab,
    main,
    problems,
)
from tests.notebooks import CHAPTERS, ROOT, name_of, notebook_paths, read
from tests.sample_notebook import code, sample, save

FINDING = "ch08_ecosystem/15_finding.ipynb"
DRAWN = new_output("display_data", data={"image/png": "", "text/plain": "<Figure>"})
PLAIN = "get_ipython().register_magic_function(print, 'cell', 'reference')"
BROKEN = {  # cells to put into the sample, and what is to be said of them, in order
    "formula": (
        new_markdown_cell("A fraction $\\frac{1}$"),
        "a formula cannot be read",
    ),
    "command": (new_markdown_cell("No sign $\\nosuch{x}$"), "a formula cannot be read"),
    "picture": (code(PLAIN, DRAWN), "no picture"),  # it is no longer drawn
    "html": (
        code("from IPython.display import HTML\nHTML('<img src=\"no.png\">')"),
        "a picture is broken",
    ),
    "magic": (code("%%reference\n1"), "no table expression, result, note"),
    "raises": (code("1 / 0"), "error: ZeroDivisionError: division by zero"),
    "after": (code("2"), "did not run"),
}


class Broken(Exception):
    """Something that a test raises on purpose."""


def family() -> set[psutil.Process]:
    return set(psutil.Process().children(recursive=True))


@pytest.fixture(scope="module")
def running():
    """A laboratory that is left by an exception: nothing of it may stay."""
    pytest.importorskip("playwright.sync_api")
    if chromium.PATH is None:
        pytest.skip("there is no chromium here")
    before = family()
    with pytest.raises(Broken), lab() as it:
        yield it
        folder, started = it.root, family() - before
        raise Broken
    assert len(started) > 2  # the server, the driver, the browser's
    assert not [process for process in started if alive(process)]
    assert not folder.exists()


# without a browser


def test_what_is_missing_is_said():
    notebook = sample(*[cell for cell, _ in BROKEN.values()])
    good = [Shown(prompt="[1]:") for _ in notebook.cells]
    assert problems(sample(), good[:6]) == []
    others = sample(code("%%reference_images seed=2\nx"), code("2"))
    assert problems(others, good[:8]) == []  # its table has columns of its own
    assert problems(notebook, good[:-1]) == ["12 of 13 cells are on the page"]
    said = problems(notebook, good)
    assert said == ["cell 7: no picture", f"cell 9: no table {', '.join(TABLE)}"]
    good[5] = Shown(prompt="[2]:", errors=["\r 50%|##  | 1/2 [00:01<00:01, 1.0it/s]\n"])
    good[6] = Shown(prompt="[3]:", pictures=[640])
    good[8] = Shown(prompt="[4]:", heads=[["a"], TABLE])
    assert problems(notebook, good) == []
    good[6] = Shown(prompt="[3]:", pictures=[640, 0])
    good[9] = Shown(prompt="[5]:", errors=["Traceback\n\nValueError: no\n"])
    good[10] = Shown(prompt="[ ]:")
    good[12] = Shown(prompt="[*]:")
    assert problems(notebook, good) == [
        "cell 7: a picture is broken",
        "cell 10: error: ValueError: no",
        "cell 11: did not run",
        "cell 13: still runs",
    ]


def test_chapters_and_notebooks_are_chosen_by_number_name_or_path():
    everything = [name_of(path) for path in notebook_paths()]
    first = [name for name in everything if name.startswith("ch01")]
    assert chosen([]) == everything == chosen([*CHAPTERS, "1"])
    assert chosen(["1"]) == chosen(["ch01_intro"]) == chosen([str(ROOT / CHAPTERS[0])])
    assert chosen(["1", first[0], str(ROOT / FINDING)]) == [*first, FINDING]


def test_what_is_neither_is_refused(capsys):
    with pytest.raises(SystemExit):
        main(["ch01_intro/77_nothing.ipynb"])
    assert "neither a chapter nor a notebook: ch01" in capsys.readouterr().err


# with one


def test_chapter_1_runs_and_shows_its_picture(running):
    name = "ch01_intro/01_what_is_pytorch.ipynb"
    done = running.try_out(name)
    assert done.problems == []
    assert (done.cells, done.pictures) == (len(read(ROOT / name).cells), 1)


def test_the_magic_shows_a_table(running):
    name = "ch02_tensors/06_pointwise.ipynb"
    with running.opened(name) as page:
        running.run_all(page)
        shown = running.look(page)
        table = page.locator(f"{PANEL} .jp-OutputArea table").first.inner_text()
    assert problems(read(ROOT / name), shown) == []
    assert sum(TABLE in cell.heads for cell in shown) > 20
    assert "torch.add(x, 1)" in table and "in place: the old values are gone" in table


def test_the_search_box_answers_and_its_link_opens_the_notebook(running):
    with running.opened(FINDING) as page:
        running.run_all(page)
        assert problems(read(ROOT / FINDING), running.look(page)) == []
        box = page.locator(f"{PANEL} .jp-Cell:has(.widget-text)")
        field = box.get_by_placeholder("cosine learning rate")

        field.fill("gathr")
        field.press("Enter")
        box.get_by_text(re.compile("Nothing found.*torch.gather")).wait_for()

        field.fill("cosine learning rate")
        field.press("Enter")
        answer = box.locator(".hit").first
        answer.wait_for()
        assert "CosineAnnealingLR" in answer.inner_text()
        answer.get_by_role("link").click()
        title = page.locator(f"{PANEL} h1", has_text="Learning-rate schedulers")
        title.wait_for()
        assert page.url.endswith("/lab/tree/ch03_deep_learning/23_schedulers.ipynb")
        assert len(page.context.pages) == 1  # in a tab of JupyterLab, not the browser's


def test_what_is_broken_is_seen(running, tmp_path):
    notebook = sample(*[cell for cell, _ in BROKEN.values()])
    name = save(notebook, running.root / "ch01_intro" / "99_sample.ipynb").name
    done = running.try_out(f"ch01_intro/{name}", screenshots=tmp_path)
    said = [f"cell {n}: {words}" for n, (_, words) in enumerate(BROKEN.values(), 5)]
    assert done.problems == [*said, "cell 13: did not run"]
    assert (tmp_path / "99_sample.png").stat().st_size > 10_000
