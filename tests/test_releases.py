"""Newer releases are found, and what PyPI lacks is told; here without a network."""

import io
import urllib.error
from dataclasses import replace

import pytest

from ch08_ecosystem import releases
from ch08_ecosystem.projects import load
from ch08_ecosystem.releases import check, newest_on_pypi

ONE = replace(load()[0], pypi="one", version="1.10", released_from="PyPI")


def test_newer_releases_are_found():
    assert check([ONE], {"one": "1.9"}.get) == {"newer": [], "unknown": []}
    assert check([ONE], {"one": "1.11"}.get)["newer"] == [
        "one: 1.11 is out, noted is 1.10"
    ]


@pytest.mark.parametrize(
    "other", [{"pypi": ""}, {"version": ""}, {"released_from": "its page on GitHub"}]
)
def test_what_was_not_taken_from_pypi_is_not_asked_for(other):
    found = check([replace(ONE, **other)], lambda package: pytest.fail("asked"))
    assert found == {"newer": [], "unknown": []}


def test_what_pypi_does_not_have():
    def newest(package):
        raise urllib.error.HTTPError("", 404, "", {}, io.BytesIO())

    assert check([ONE], newest)["unknown"] == ["one: PyPI answers 404"]


def test_where_pypi_does_not_answer_it_is_asked_once():
    asked = []

    def newest(package):
        asked.append(package)
        raise urllib.error.URLError("no route")

    with pytest.raises(ConnectionError, match="no route"):
        check([ONE, ONE], newest)
    assert asked == ["one"]


def test_the_answer_of_pypi_is_read(monkeypatch):
    asked = {}

    def urlopen(address, timeout):
        asked.update(address=address, timeout=timeout)
        return io.BytesIO(b'{"info": {"version": "1.2.3"}}')

    monkeypatch.setattr(releases.urllib.request, "urlopen", urlopen)
    assert newest_on_pypi("one") == "1.2.3"
    assert asked == {"address": "https://pypi.org/pypi/one/json", "timeout": 5.0}
