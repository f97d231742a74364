"""Start a new notebook that obeys the rules already.

    python -m tests.template ch02_tensors/12_sparse "Sparse tensors"

Fill it in JupyterLab, then `python -m tests.execute ch02_tensors/12_sparse.ipynb`.
"""

import argparse
import re
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from tests.colab_cell import colab_cell
from tests.notebooks import BADGE, CHAPTERS, METADATA, ROOT

FIRST = """\
# {title}

{badge}

**Book:** chapter {chapter}, "(the section)"

**You will be able to:** (what a reader can do afterwards).

**Time:** about ? s on 2 CPU cores"""


def template(name: str, title: str) -> nbformat.NotebookNode:
    """A notebook with the cells that each has. `name`: "ch02_tensors/12_sparse.ipynb".

    Raises `ValueError` where the name does not fit a chapter.
    """
    fits = re.fullmatch(r"(ch(\d\d)_\w+)/\d\d_\w+\.ipynb", name)
    if not fits or fits[1] not in CHAPTERS:
        raise ValueError(f"{name} is no chapter/NN_topic; there are {list(CHAPTERS)}")
    badge = BADGE.format(name)
    first = FIRST.format(title=title, badge=badge, chapter=int(fits[2]))
    snippet = new_code_cell("print(1 + 1)", metadata={"tags": ["snippet"]})
    return new_notebook(
        metadata=METADATA,
        cells=[
            new_markdown_cell(first),
            new_code_cell(colab_cell(name), id="colab"),
            new_code_cell("import torch"),
            new_markdown_cell("## The first idea\n\nWhy, and what to notice."),
            new_code_cell("torch.arange(3)  # (3,)"),
            new_markdown_cell("## In one cell"),
            snippet,
        ],
    )


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", help="chapter/NN_topic")
    parser.add_argument("title", help="what stands above the notebook")
    args = parser.parse_args(argv)
    name = args.name.removesuffix(".ipynb") + ".ipynb"
    try:
        notebook = template(Path(name).as_posix(), args.title)
    except ValueError as error:
        parser.error(str(error))
    path = ROOT / name
    if path.exists():
        parser.error(f"{name} exists already")
    nbformat.write(notebook, path)
    print(f"{name} written; next: python -m tests.execute {name}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
