"""The cell magic of the tables of layers: `ch03_deep_learning.layers`."""

import atexit
from textwrap import dedent

import pytest
import torch
from IPython.core.interactiveshell import InteractiveShell
from torch import nn
from torch.nn.utils.rnn import pack_sequence
from traitlets.config import Config

from ch02_tensors.reference import WIDTH
from ch03_deep_learning.layers import LayerRow, LayerTable, evaluate, shapes, trainable
from tests.notebooks import Cell
from tests.test_book_index import looked_for


def table(cell: str, **names: object) -> LayerTable:
    return evaluate(dedent(cell).strip("\n"), {"torch": torch, "nn": nn, **names})


def row(cell: str, **names: object) -> LayerRow:
    """The table's last row."""
    return table(cell, **names)[-1]


# Layers


def test_a_layer_call_shows_its_shapes_and_counts_its_parameters():
    rows = table(
        """
        # filters
        images = torch.zeros(2, 3, 32, 32)  # a batch

        nn.Conv2d(3, 6, 5)(images)  # six filters
        """
    )
    assert rows == [
        LayerRow("", "", "", "filters"),
        LayerRow(
            "images = torch.zeros(2, 3, 32, 32)",
            "torch.float32 tensor of shape (2, 3, 32, 32)",
            "",
            "a batch",
        ),
        LayerRow(
            "nn.Conv2d(3, 6, 5)(images)",
            "(2, 3, 32, 32) → (2, 6, 28, 28)",
            "456",  # 6 · (3 · 5 · 5 + 1)
            "six filters",
        ),
    ]


@pytest.mark.parametrize(
    ("call", "said", "parameters"),
    [
        ("nn.ReLU()(torch.zeros(3))", "(3,) → (3,)", "0"),
        ("nn.Linear(999, 9)(torch.zeros(999))", "(999,) → (9,)", "9,000"),
        ("nn.LazyLinear(2)(torch.zeros(5, 3))", "(5, 3) → (5, 2)", "8"),
        ("nn.Linear(3, 2).requires_grad_(False)(torch.zeros(3))", "(3,) → (2,)", "0"),
        (
            "nn.Bilinear(2, 3, 4)(torch.zeros(5, 2), torch.zeros(5, 3))",
            "((5, 2), (5, 3)) → (5, 4)",
            "28",
        ),
        (
            "nn.MaxPool1d(2, return_indices=True)(torch.zeros(1, 4))",
            "(1, 4) → ((1, 2), (1, 2))",
            "0",
        ),
        (
            "nn.LSTM(3, 4)(torch.zeros(7, 2, 3))",
            "(7, 2, 3) → ((7, 2, 4), ((1, 2, 4), (1, 2, 4)))",
            "144",
        ),
    ],
)
def test_layers_of_one_and_of_several_tensors(call, said, parameters):
    assert row(call) == LayerRow(call, said, parameters, "")


def test_keywords_count_as_inputs_and_what_is_no_tensor_does_not():
    cell = "nn.MaxUnpool1d(2)(x, indices=torch.tensor([[1]]), output_size=[3])"
    assert row(cell, x=torch.ones(1, 1)).shapes == "((1, 1), (1, 1)) → (1, 3)"


def test_what_a_line_assigns_stays_defined():
    names = {"torch": torch, "nn": nn}
    rows = evaluate("y = z = nn.Linear(3, 2)(torch.zeros(5, 3))\na, b = z.shape", names)
    assert rows[0][1:3] == ("(5, 3) → (5, 2)", "8")
    assert names["y"] is names["z"]
    assert (names["a"], names["b"]) == (5, 2)
    assert "__called__" not in names


def test_a_module_with_a_name_is_a_layer_too():
    rows = table("net = nn.Linear(3, 2)\nnet(torch.zeros(3))\nnet.bias.shape")
    assert rows[0][1:3] == ("Linear(in_features=3, out_features=2, bias=True)", "")
    assert rows[1][1:3] == ("(3,) → (2,)", "8")
    assert rows[2][1:3] == ("torch.Size([2])", "")


def test_a_module_is_built_and_called_once():
    made, seen = [], []

    class Layer(nn.Module):
        def forward(self, x):
            seen.append(x)
            return x

    def make():
        made.append(Layer())
        return made[-1]

    assert row("make()(torch.ones(2))", make=make).shapes == "(2,) → (2,)"
    assert row("make().extra_repr()", make=make).shapes == "''"
    assert (len(made), len(seen)) == (2, 1)


def test_long_shapes_break_before_the_arrow():
    said = row("nn.Identity()(torch.zeros([1] * 12))").shapes
    first, second = said.splitlines()
    assert second == f"→ {first}"
    assert len(first) < WIDTH < len(said)


# Other lines, errors and warnings


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("1 + 1", "2"),
        ("len('abc')", "3"),
        ("x = torch.ones(2)", "tensor([1., 1.])"),
        ("nn.Linear(3, 2)(torch.zeros(3)).shape", "torch.Size([2])"),
        ("import math", "(runs; a statement has no value to show)"),
        ("[].append(1)", "None"),
    ],
)
def test_what_is_no_layer_call_shows_its_value(line, said):
    assert row(line) == LayerRow(line, said, "", "")


def test_an_error_is_a_row_and_the_table_goes_on():
    rows = table(
        "nn.Linear(4, 2)(torch.zeros(3))  # 3\nnope(1)\nnn.ReLU()(torch.ones(1))"
    )
    assert rows[0].shapes.startswith("RuntimeError: ")
    assert rows[0][2:] == ("", "3")
    assert rows[1][1:3] == ("NameError: name 'nope' is not defined", "")
    assert rows[2][1:3] == ("(1,) → (1,)", "0")


def test_a_warning_stands_below_the_shapes():
    said = row("nn.Softmax()(torch.ones(2, 2))").shapes
    assert said.startswith("(2, 2) → (2, 2)\nUserWarning: Implicit dimension")


def test_what_is_not_plain_python_is_a_syntax_error_and_leaves_nothing():
    names: dict = {}
    with pytest.raises(SyntaxError):
        evaluate("nn.Linear(3, 2)(x)\n!ls", names)
    assert names == {}


def test_parameters_that_are_shared_count_once_and_lazy_ones_are_refused():
    linear = nn.Linear(3, 2)
    assert trainable(nn.ModuleList([linear, linear])) == 8
    with pytest.raises(ValueError, match="uninitialized"):
        trainable(nn.LazyLinear(2))


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (torch.tensor(1), "()"),
        ([torch.ones(1)], "((1,),)"),
        ({"a": torch.ones(2)}, "{a: (2,)}"),
        (None, "None"),
        (3, "int"),
        (
            pack_sequence([torch.zeros(2, 5), torch.zeros(1, 5)]),
            "PackedSequence((3, 5), (2,), None, None)",
        ),
    ],
)
def test_shapes_of_what_is_no_plain_tensor(value, said):
    assert shapes(value) == said


# The two forms of the table


def test_the_text_is_aligned_below_the_names_of_the_columns():
    lines = repr(table("# head\nnn.ReLU()(torch.ones(2))  # note\n1")).splitlines()
    assert lines == [
        "layer and call            input → output  parameters  note",
        "",
        "head",
        "----",
        "nn.ReLU()(torch.ones(2))  (2,) → (2,)     0           note",
        "1                         1",
    ]
    assert repr(table("")) == ""


def test_html_has_four_columns_and_headings_over_all_of_them():
    page = table("# a & b\nnn.ReLU()(torch.ones(2))")._repr_html_()
    assert page.count("<tr>") == 1 + 2
    assert page.count('colspan="4"') == 1
    assert page.count("<td") == 4
    assert ">input → output</th>" in page
    assert "a &amp; b</th>" in page


# In a notebook, and to the tests


def test_the_magic_in_a_real_shell(tmp_path, monkeypatch):
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    shell = InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))
    try:
        shell.run_cell("import torch\nfrom torch import nn").raise_error()
        shell.run_cell("%load_ext ch03_deep_learning.layers").raise_error()
        outcome = shell.run_cell("%%layers\ny = nn.Linear(3, 2)(torch.ones(3))")
        outcome.raise_error()
        assert outcome.result[0].shapes == "(3,) → (2,)"
        assert shell.user_ns["y"].shape == (2,)
    finally:
        atexit.unregister(shell.atexit_operations)
        shell.atexit_operations()


def test_cells_of_the_magic_are_python_to_the_tests():
    source = "%%layers\nnn.Linear(1, 1)(x)  # a note"
    cell = Cell("ch03/01.ipynb", 1, source, frozenset(), [], None)
    assert cell.python == "nn.Linear(1, 1)(x)  # a note"
    start = "from torch import nn"
    assert looked_for("torch.nn.Linear", start, source) == []
    assert looked_for("torch.nn.Conv2d", start, source) != []
