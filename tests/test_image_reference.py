"""The cell magic of pictures and TorchScript: `ch08_ecosystem.image_reference`."""

import ast
import atexit
import random
from textwrap import dedent

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import pytest
import torch
from IPython.core.interactiveshell import InteractiveShell
from PIL import Image
from torch import nn
from torchvision import transforms as T
from torchvision.transforms import functional as F
from traitlets.config import Config

from ch08_ecosystem.image_reference import (
    ImageRow,
    ImageTable,
    caption,
    evaluate,
    kind,
)
from tests.notebooks import Cell
from tests.test_book_index import looked_for


def table(cell: str, seed: int = 0, **names: object) -> ImageTable:
    torch.manual_seed(0)
    known = {
        "image": torch.randint(0, 256, (3, 12, 10), dtype=torch.uint8),
        "photo": Image.new("RGB", (10, 12), "red"),
    }
    known |= {"torch": torch, "nn": nn, "T": T, "F": F, "random": random, **names}
    return evaluate(dedent(cell).strip("\n"), known, seed=seed)


def test_a_call_is_shown_drawn_and_scripted():
    rows = table(
        """
        # crops
        T.CenterCrop(8)(photo)  # the middle
        F.hflip(image)
        T.ToTensor()(photo)
        """
    )
    assert rows == [
        ImageRow("", "", "", "crops"),
        ImageRow("T.CenterCrop(8)(photo)", "PIL RGB 8 × 8", "yes", "the middle"),
        ImageRow("F.hflip(image)", "uint8 (3, 12, 10)", "yes", ""),
        ImageRow("T.ToTensor()(photo)", "float32 (3, 12, 10)", "no", ""),
    ]
    assert list(rows.pictures) == ["original", "CenterCrop(8)", "hflip", "ToTensor"]
    assert rows.pictures["CenterCrop(8)"].size == (8, 8)


def test_other_lines_are_as_in_reference_and_draw_nothing():
    names: dict = {}
    rows = evaluate(
        "import torch\nx = torch.ones(3)\na, b = 1, 2\nc = d = max(a, b)\n"
        "max(*[1, 2])\nx.sum().item()\nx / 'a'\nx += 1\nfor i in (1,): pass",
        names,
    )
    assert [row.torchscript for row in rows] == [""] * len(rows)
    assert [row.result for row in rows[1:6]] == ["tensor([1., 1., 1.])", "(1, 2)", "2",
                                                  "2", "3.0"]  # fmt: skip
    assert rows[6].result.startswith("TypeError") and not rows.pictures
    assert names["x"].tolist() == [2, 2, 2] and names["c"] == names["d"] == 2


def test_assigned_names_stay_and_makers_have_no_verdict():
    rows = table("crop = T.CenterCrop(8)\ny = crop(photo)\ny.size")
    assert [row.torchscript for row in rows] == ["", "yes", ""]
    assert rows[2].result == "(8, 8)"


def test_errors_do_not_end_the_table():
    rows = table("T.RandomErasing(p=1)(photo)\nT.Scale(3)\nF.vflip(photo)")
    assert rows[0].result.startswith("AttributeError") and rows[0].torchscript == ""
    assert rows[1].result.startswith("AttributeError")
    assert rows[2] == ImageRow("F.vflip(photo)", "PIL RGB 12 × 10", "yes", "")


def test_each_line_starts_from_the_seed():
    cell = "torch.rand(1).item()\nrandom.random()\ntorch.rand(1).item()"
    first, second, third = (row.result for row in table(cell, seed=3))
    torch.manual_seed(3)
    random.seed(3)
    assert first == third == repr(torch.rand(1).item())
    assert second == repr(random.random())
    assert table(cell, seed=4)[0].result != first


def test_arguments_are_evaluated_once():
    calls = []

    def once() -> torch.Tensor:
        calls.append(1)
        return torch.zeros(3, 8, 8)

    table("F.hflip(once())", once=once)
    assert calls == [1]


@pytest.mark.parametrize(
    ("call", "name"),
    [
        ("T.CenterCrop(100)(photo)", "CenterCrop(100)"),
        ("T.ToTensor()(photo)", "ToTensor"),
        ("F.hflip(photo)", "hflip"),
        ("flip(photo)", "flip"),
        ("F.rotate(photo, 30, fill=0.5)", "rotate(30, fill=0.5)"),
        ("v2.ToDtype(torch.float32)(x)", "ToDtype(float32)"),
        ("F.f(x, mean=[0.48512, 0.45612, 0.406], std=[0.22912, 0.22412, 0.225])",
         "f(mean=[0.48512, 0.45612, 0.406], std=[0.22912, 0.22412, ..."),
    ],
)  # fmt: skip
def test_captions(call, name):
    assert caption(ast.parse(call, mode="eval").body) == name


def test_kinds():
    assert kind(torch.zeros(3, 9, 9, dtype=torch.uint8)) == "uint8 (3, 9, 9)"
    assert kind((torch.zeros(3, 9, 9),) * 5) == "5 of float32 (3, 9, 9)"
    assert kind(torch.tensor([1, 2])) == "tensor([1, 2])"
    assert kind(Image.new("L", (3, 2))) == "PIL L 2 × 3"


def test_text_and_html():
    rows = table("F.hflip(image)  # a < b")
    assert repr(rows).splitlines()[0].split() == [
        "call",
        "result",
        "TorchScript",
        "note",
    ]
    assert "a &lt; b" in rows._repr_html_() and "<th" in rows._repr_html_()
    assert repr(ImageTable()) == ""


def test_the_book_index_sees_the_calls():
    source = "%%reference_images\nimport torchvision.transforms as T\nT.Pad(3)(x)"
    cell = Cell("ch08_a/01_a.ipynb", 1, source, frozenset(), [], 1)
    assert "T.Pad(3)(x)" in cell.python
    assert looked_for("torchvision.transforms.Pad", source) == []


@pytest.fixture
def shell(tmp_path, monkeypatch):
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    shell = InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))
    shell.run_line_magic("load_ext", "ch08_ecosystem.image_reference")
    yield shell
    atexit.unregister(shell.atexit_operations)
    shell.atexit_operations()


def test_the_magic(shell):
    shell.user_ns |= {"F": F, "image": torch.zeros(3, 8, 8)}
    cell = "%%reference_images seed=1 columns=2\nF.hflip(image)\nF.vflip(image)"
    outcome = shell.run_cell(cell)
    assert (
        outcome.success and [row.torchscript for row in outcome.result] == ["yes"] * 2
    )
    titles = [axes.get_title() for axes in plt.gcf().axes]
    assert titles == ["original", "hflip", "vflip", ""]
    plt.close("all")


def test_an_unknown_option_is_an_error(shell):
    with pytest.raises(ValueError, match="no option rows"):
        shell.run_cell_magic("reference_images", "rows=2", "1")
