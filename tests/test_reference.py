"""The cell magic of the reference tables: `ch02_tensors.reference`."""

import atexit
import warnings
from collections import namedtuple
from textwrap import dedent

import pytest
import torch
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from ch02_tensors.reference import MANY, WIDTH, Row, Table, evaluate, show


def table(cell: str, **names: object) -> Table:
    return evaluate(dedent(cell).strip("\n"), {"torch": torch, **names})


def result(cell: str, **names: object) -> str:
    """The result in the table's last row."""
    return table(cell, **names)[-1].result


# Rows, notes and headings


def test_each_statement_is_a_row_with_expression_result_and_note():
    rows = table(
        """
        x = torch.tensor([3, 1, 2])  # the input

        x.sum()
        torch.add(x, 1)  # one more
        """
    )
    assert rows == [
        Row("x = torch.tensor([3, 1, 2])", "tensor([3, 1, 2])", "the input"),
        Row("x.sum()", "tensor(6)", ""),
        Row("torch.add(x, 1)", "tensor([4, 2, 3])", "one more"),
    ]


def test_a_comment_alone_on_its_line_is_a_heading_where_it_stands():
    rows = table("# first\n1 + 1\n# second\n# third\n2 + 2  # four")
    assert [row.expression for row in rows] == ["", "1 + 1", "", "", "2 + 2"]
    assert [row.note for row in rows] == ["first", "", "second", "third", "four"]


def test_a_hash_inside_a_string_is_not_a_note():
    assert table('"# no note"  # a note') == [
        Row('"# no note"', "'# no note'", "a note")
    ]


def test_a_statement_over_several_lines_is_one_row_and_keeps_its_lines():
    code = "torch.tensor(\n    [1,  # one\n     2],\n)"
    rows = table(code + "  # after the last line\n1")
    assert rows[0] == Row(code, "tensor([1, 2])", "after the last line")
    assert len(rows) == 2  # the comment inside is neither note nor heading


def test_two_statements_on_one_line_are_two_rows():
    assert [row.result for row in table("1; 2")] == ["1", "2"]


def test_a_comment_behind_the_last_statement_is_a_heading_too():
    rows = table("1  # one\n# the end")
    assert [row.note for row in rows] == ["one", "the end"]
    assert table("# alone") == [Row("", "", "alone")]


@pytest.mark.parametrize("cell", ["", "\n\n"])
def test_an_empty_cell_is_an_empty_table(cell):
    assert table(cell) == []
    assert repr(table(cell)) == ""


# Statements


def test_what_is_assigned_stays_in_the_namespace():
    namespace = {"torch": torch}
    evaluate("x = torch.ones(2)\nx += 1\na, b = x", namespace)
    assert namespace["x"].tolist() == [2, 2]
    assert namespace["b"].item() == 2
    assert evaluate("x", namespace)[0].result == "tensor([2., 2.])"


@pytest.mark.parametrize(
    ("statement", "shown"),
    [
        ("x = 3", "3"),
        ("y = x = 3", "3"),
        ("x: int = 3", "3"),
        ("x += 3", "13"),
        ("x, y = 1, 2", "(1, 2)"),
        ("first, *rest = 1, 2, 3", "(1, 2, 3)"),
        ("box[1] = 3", "3"),
    ],
)
def test_an_assignment_shows_the_new_value(statement, shown):
    assert result(statement, x=10, box=[0, 0]) == shown


@pytest.mark.parametrize(
    "statement", ["import math", "for n in (1, 2): last = n", "def f(): ...", "x: int"]
)
def test_a_statement_without_a_value_runs_and_says_so(statement):
    namespace = {}
    assert "no value" in evaluate(statement, namespace)[0].result
    if statement.startswith("for"):
        assert namespace["last"] == 2


def test_an_expression_without_a_value_shows_none():
    assert result("[].append(1)") == "None"


# Errors and warnings


def test_an_error_is_a_row_and_the_table_goes_on():
    rows = table("1 / 0  # no number\ntorch.ones(2) + torch.ones(3)\n'still here'")
    assert rows[0] == Row("1 / 0", "ZeroDivisionError: division by zero", "no number")
    assert rows[1].result.startswith("RuntimeError: The size of tensor a (2) must")
    assert rows[2].result == "'still here'"


def test_a_failed_assignment_leaves_the_old_value():
    assert result("x = 1 / 0\nx", x=5) == "5"


def test_a_warning_stands_below_the_value_each_time():
    warn = "[0, warnings.warn('old call', FutureWarning)][0]"
    rows = table(f"{warn}\n{warn}", warnings=warnings)
    assert [row.result for row in rows] == ["0\nFutureWarning: old call"] * 2


def test_a_warning_before_an_error_is_shown_too():
    def fail() -> None:
        warnings.warn("careful", UserWarning, stacklevel=2)
        raise ValueError("too late")

    assert result("fail()", fail=fail) == "ValueError: too late\nUserWarning: careful"


def test_a_real_deprecation_shows_its_warning():
    shown = result("torch.testing.assert_allclose(torch.ones(1), torch.ones(1))")
    assert shown.startswith("None\nFutureWarning: `torch.testing.assert_allclose()`")


def test_a_warning_that_pytorch_gives_once_a_process_is_in_each_row():
    x = torch.ones(1)
    old = ["torch.add(x, 2, x)", "torch.add(x, 2, x)", "torch.addcmul(x, 2, x, x)"]
    rows = table("\n".join(old), x=x)
    for row in rows:
        assert row.result.startswith("tensor([3.])\nUserWarning: This overload of")
    assert not torch.is_warn_always_enabled()  # and other cells are as they were


def test_long_messages_are_cut_and_wrapped():
    def fail() -> None:
        raise ValueError("many words " * 100)

    lines = result("fail()", fail=fail).splitlines()
    assert lines[-1].endswith(" ...")
    assert 1 < len(lines) <= 5
    assert max(map(len, lines)) <= WIDTH


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_a_request_to_stop_is_not_swallowed(stop):
    def interrupt() -> None:
        raise stop

    with pytest.raises(stop):
        table("interrupt()", interrupt=interrupt)


@pytest.mark.parametrize("line", ["!ls", "%time 1 + 1", "%%time", "torch.add(1,", " 1"])
def test_what_is_not_plain_python_is_a_syntax_error(line):
    with pytest.raises(SyntaxError):
        evaluate(f"1 + 1\n{line}", {})


# Values


def test_named_tuples_are_shown_field_by_field():
    shown = result("torch.tensor([3, 1, 2]).sort()")
    assert shown == "values=tensor([1, 2, 3])\nindices=tensor([1, 2, 0])"
    pair = namedtuple("Pair", "data length")(torch.ones(1), 4)
    assert show(pair) == "data=tensor([1.])\nlength=4"


def test_a_named_tuple_without_tensors_keeps_its_own_text():
    assert show(namedtuple("Pair", "a b")(1, 2)) == "Pair(a=1, b=2)"


def test_the_lines_of_a_matrix_in_a_named_tuple_stay_aligned():
    first, second = show(torch.eye(2).max(1, keepdim=True)).splitlines()[:2]
    assert first == "values=tensor([[1.],"
    assert second == " " * len("values=tensor([") + "[1.]])"


def test_tuples_and_lists_of_tensors_show_one_tensor_a_line():
    one, two = torch.tensor(1), torch.tensor([2])
    assert show((one, two)) == "(tensor(1),\n tensor([2]))"
    assert show([one, two]) == "[tensor(1),\n tensor([2])]"
    assert show((one,)) == "(tensor(1),)"
    assert show([one]) == "[tensor(1)]"
    assert show(([one], two)) == "([tensor(1)],\n tensor([2]))"


def test_a_large_tensor_is_shown_by_dtype_and_shape():
    assert show(torch.arange(MANY)).startswith("tensor([ 0,  1, ")
    assert show(torch.arange(MANY + 1)) == f"torch.int64 tensor of shape ({MANY + 1},)"
    shown = show((torch.zeros(7, 8), torch.tensor(1)))
    assert shown == "(torch.float32 tensor of shape (7, 8),\n tensor(1))"


def test_floats_have_four_digits_whatever_the_reader_has_set():
    torch.set_printoptions(precision=2)
    try:
        assert show(torch.tensor(2 / 3)) == "tensor(0.6667)"
        assert repr(torch.tensor(2 / 3)) == "tensor(0.67)"  # the reader's, unchanged
    finally:
        torch.set_printoptions(profile="default")


@pytest.mark.parametrize(
    ("expression", "shown"),
    [
        ("object()", "a builtins.object"),
        ("lambda x: x", "a builtins.function"),
        ("torch.relu", "a builtins.builtin_function_or_method"),
        ("compile('1', 'file', 'eval')", "a builtins.code"),
        ("{'f': lambda x: x}", "a builtins.dict"),
    ],
)
def test_object_addresses_are_never_shown(expression, shown):
    assert result(expression) == shown


@pytest.mark.parametrize("address", ["0x7f32643fdcd0", "0x000001F2ABCD0000"])  # Windows
def test_object_addresses_are_taken_out_of_messages(address):
    def fail() -> None:
        raise ValueError(f"cannot use <Box object at {address}> here")

    assert result("fail()", fail=fail) == "ValueError: cannot use <Box object> here"


# The two forms of the table


def test_the_text_is_aligned_in_columns():
    text = repr(table("x = 12  # two digits\n# sums\nx + 100\nx  # again"))
    assert text.splitlines() == [
        "x = 12   12   two digits",
        "",
        "sums",
        "----",
        "x + 100  112",
        "x        12   again",
    ]


def test_the_text_of_a_result_over_two_lines_stays_in_its_column():
    lines = repr(table("torch.eye(2)  # note\n1  # next")).splitlines()
    assert lines == [
        "torch.eye(2)  tensor([[1., 0.],   note",
        "                      [0., 1.]])",
        "1             1                   next",
    ]


def test_html_escapes_what_stands_in_the_cell():
    page = table("# a & b\n'<b>' < 'c'  # <i>no</i>")._repr_html_()
    assert "<b>" not in page
    assert "<i>" not in page
    assert "&lt;b&gt;&#x27; &lt; &#x27;c&#x27;</pre>" in page
    assert "a &amp; b</th>" in page
    assert "&lt;i&gt;no&lt;/i&gt;</div></td>" in page


def test_html_has_a_row_a_statement_and_one_wide_row_a_heading():
    page = table("# head\n1\n2")._repr_html_()
    assert page.count("<tr>") == 1 + 3  # the names of the columns, then the rows
    assert page.count('colspan="3"') == 1
    for name in Row._fields:
        assert f">{name}</th>" in page


# In a notebook


@pytest.fixture
def shell(tmp_path, monkeypatch):
    """A shell of its own, with its files in a temporary folder."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    shell = InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))
    yield shell
    atexit.unregister(shell.atexit_operations)
    shell.atexit_operations()


def test_the_magic_in_a_real_shell(shell):
    shell.run_cell("import torch").raise_error()
    shell.run_cell("%load_ext ch02_tensors.reference").raise_error()
    outcome = shell.run_cell("%%reference\nx = torch.ones(2)  # two\nx / 0\nx.no")
    outcome.raise_error()
    assert isinstance(outcome.result, Table)
    assert [row.result for row in outcome.result] == [
        "tensor([1., 1.])",
        "tensor([inf, inf])",
        "AttributeError: 'Tensor' object has no attribute 'no'",
    ]
    assert shell.user_ns["x"].tolist() == [1, 1]  # a later cell sees it
    formats, _ = shell.display_formatter.format(outcome.result)
    assert formats["text/plain"] == repr(outcome.result)
    assert formats["text/html"].startswith("<table>")


def test_the_magic_refuses_a_shell_command_in_a_real_shell(shell, capsys):
    shell.run_cell("%load_ext ch02_tensors.reference").raise_error()
    outcome = shell.run_cell("%%reference\n!ls")
    assert isinstance(outcome.error_in_exec, SyntaxError)
    assert "SyntaxError" in "".join(capsys.readouterr())
