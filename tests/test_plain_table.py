"""A table shows its rows as text and as HTML."""

import pytest

from ch08_ecosystem.plain_table import PlainTable


def test_text_is_aligned_and_none_is_empty():
    sheet = PlainTable(("a", "b"), [(1, None), ("<x>", "long one")])
    assert repr(sheet).splitlines() == [
        "a    b",
        "-" * 6,
        "1",
        "<x>  long one",
    ]


def test_html_is_escaped_and_has_every_cell():
    page = PlainTable(("a", "b"), [("<x>", "&"), (2.5, "c")])._repr_html_()
    assert "&lt;x&gt;" in page and "&amp;" in page and "2.5" in page
    assert page.count("<tr>") == 3 and page.count("<th ") == 2


def test_a_row_of_another_length_is_an_error():
    with pytest.raises(ValueError, match="2 columns"):
        PlainTable(("a", "b"), [(1, 2, 3)])
