"""The search box: its answers as HTML, and the field that asks for them."""

import html
import re
import sys

import pytest

from ch08_ecosystem.find import finder
from ch08_ecosystem.reading import ROOT
from ch08_ecosystem.search_box import HINT, answers, search_box


def test_an_answer_has_name_link_and_lines():
    page = answers("gather", limit=1).data
    hit = finder().search("gather", limit=1)[0]
    assert "<b>torch.gather</b>" in page
    assert html.escape(hit.lines) in page
    target = re.search(r'href="\.\./([^"#]+)#', page)[1]
    assert (ROOT / target).is_file()


def test_code_cannot_break_out_of_its_frame():
    for question in ("less than", "a tag in html", "clamp"):
        page = answers(question, limit=20).data
        inside = re.findall(r"<pre>(.*?)</pre>", page, re.DOTALL)
        assert inside and not any("<" in lines for lines in inside)


def test_what_is_not_there():
    page = answers("gathr").data
    assert "Nothing found" in page and "gather" in page
    assert "none" in answers("qqqqqqqqq").data
    assert "<script" not in answers("<script>alert(1)</script>").data
    assert HINT in answers("   ").data


def test_the_field_asks_when_it_changes(monkeypatch):
    shown = []
    monkeypatch.setattr("ch08_ecosystem.search_box.display", shown.append)
    field, _ = search_box("gather", limit=2).children
    field.value = "nn.Conv2d"
    assert ["torch.gather" in page.data for page in shown] == [True, False]
    assert "torch.nn.Conv2d" in shown[1].data
    assert not field.continuous_update


def test_without_ipywidgets_the_error_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    with pytest.raises(ImportError, match="pip install ipywidgets"):
        search_box()
