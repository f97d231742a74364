"""What is read out of notebooks: headings, prose, the full names of what is used."""

import json

import pytest

from ch08_ecosystem.reading import (
    ROOT,
    code_cells,
    link,
    notebook_paths,
    plain,
    since_the_book,
)

CELLS = [
    ("markdown", "# Title `x`\n\n**Book:** chapter 2\n\nWhy *this*, [see](a.md)."),
    (
        "code",
        "import torch\nimport torch.nn.functional as F\nfrom torch import nn\n"
        "from torch.nn.utils.rnn import pad_sequence as pad",
    ),
    ("markdown", "## A `head`\n\n> **Since the book.** `old()` is\n> gone.\n\nMore."),
    (
        "code",
        "%%reference\nF.relu(x)  # bend\nnn.Conv2d(1, 2, 3)(x).sum().item()\n"
        "pad([x])\nx.split(',')\nmodel.state_dict()",
    ),
    ("code", "%%bash\nls -l"),
]


@pytest.fixture
def notebook(tmp_path):
    folder = tmp_path / "ch02_tensors"
    folder.mkdir()
    path = folder / "01_topic.ipynb"
    cells = [
        {"cell_type": kind, "source": text.splitlines(True)} for kind, text in CELLS
    ]
    path.write_text(json.dumps({"cells": cells}), encoding="utf-8")
    return path


def test_cells(notebook):
    imports, table, other = code_cells(notebook)
    assert imports.title == table.title == "Title x"
    assert (imports.heading, table.heading) == ("Title x", "A head")
    assert imports.prose == "Why this, see." and table.prose.endswith("More.")
    assert table.number == 4 and table.notebook == "ch02_tensors/01_topic.ipynb"
    assert other.names == {}


def test_names_are_full_and_know_their_lines(notebook):
    _, table, _ = code_cells(notebook)
    assert table.names["torch.nn.functional.relu"] == [2]
    assert table.names["torch.nn.Conv2d"] == [3]
    assert table.names["torch.Tensor.sum"] == [3]
    assert table.names["torch.nn.utils.rnn.pad_sequence"] == [4]
    assert table.names["torch.nn.Module.state_dict"] == [6]
    assert not any("split" in name for name in table.names)  # it may be a string


def test_since_the_book(notebook):
    (note,) = since_the_book(notebook)
    assert note.text == "`old()` is gone." and note.heading == "A head"


def test_links_are_those_of_jupyter():
    assert link("a.ipynb", "What is lost") == "a.ipynb#What-is-lost"
    assert link("a.ipynb", "When, why?") == "a.ipynb#When,-why?"
    assert link("a.ipynb", "f(x) | g") == "a.ipynb#f%28x%29-%7C-g"  # in a table
    assert plain("**bold** `code` [text](x)") == "bold code text"


def test_a_file_that_is_no_notebook_is_named(tmp_path):
    path = tmp_path / "x.ipynb"
    for content in ("", "[]", "{}", '{"cells": '):
        path.write_text(content, encoding="utf-8")
        with pytest.raises(ValueError, match=r"x\.ipynb is not a notebook"):
            list(code_cells(path))


def test_all_notebooks_can_be_read():
    assert len(notebook_paths()) == len(list(ROOT.glob("ch0*/*.ipynb")))
