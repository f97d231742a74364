"""Timing: who is slower, by about how much, and in what order the calls come."""

import logging
import time

import pytest

from ch05_customizing import timing
from ch05_customizing.timing import can_compile, compare, seconds_of_each


def test_the_longer_call_takes_longer():
    seconds = seconds_of_each(
        {"short": lambda: time.sleep(0.002), "long": lambda: time.sleep(0.02)}, rounds=5
    )
    assert list(seconds) == ["short", "long"]
    assert 0.002 <= seconds["short"] < seconds["long"]
    assert seconds["long"] >= 0.02


def test_short_calls_are_repeated_and_take_turns(monkeypatch):
    now, order = [0.0], []
    monkeypatch.setattr(timing.time, "perf_counter", lambda: now[0])

    def call(name: str, seconds: float) -> None:
        order.append(name)
        now[0] += seconds

    found = seconds_of_each(
        {"a": lambda: call("a", 0.25), "b": lambda: call("b", 2.0)},
        rounds=3,
        warm_up=1,
        at_least=1.0,
    )
    assert found == {"a": 0.25, "b": 2.0}
    assert "".join(order) == "ab" + 3 * "aaaab"  # the warm-up and three rounds


def test_the_table_gives_ratios_to_the_first(capsys):
    ratios = compare(
        {"first": lambda: time.sleep(0.004), "second": lambda: time.sleep(0.016)},
        rounds=3,
    )
    lines = capsys.readouterr().out.splitlines()
    assert ratios["first"] == 1.0 and ratios["second"] > 1.5
    assert lines[0].startswith("first ") and lines[0].endswith("1.00 x")
    assert lines[1].endswith(f"{ratios['second']:.2f} x")


def test_nothing_to_measure_is_an_error():
    with pytest.raises(ValueError, match="at least one"):
        seconds_of_each({})
    with pytest.raises(ValueError, match="one round"):
        seconds_of_each({"a": int}, rounds=0)


def test_no_compiler_is_noticed(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert not can_compile()


def test_a_compiler_is_noticed(monkeypatch):
    monkeypatch.setattr(timing.shutil, "which", lambda name: name in {"g++", "cl"})
    for platform in ("linux", "win32"):
        monkeypatch.setattr(timing.sys, "platform", platform)
        assert can_compile() is True
    monkeypatch.setattr(timing.shutil, "which", lambda name: name == "cl")
    monkeypatch.setattr(timing.sys, "platform", "linux")
    assert can_compile() is False


def test_the_compiler_does_not_remark_that_there_is_no_gpu():
    logger = logging.getLogger("torch.utils.cpp_extension")
    before = logger.level
    try:
        logger.setLevel(logging.WARNING)
        can_compile()
        assert not logger.isEnabledFor(logging.WARNING)
        assert logger.isEnabledFor(logging.ERROR)
    finally:
        logger.setLevel(before)
