"""Rooflines: limits by hand, measured limits, dots where they belong."""

import matplotlib.pyplot as plt
import pytest

from ch06_acceleration.roofline import Machine, Work, draw_roofline, measure_machine


def test_limits_by_hand():
    machine = Machine(peak=100.0, bandwidth=20.0)
    assert machine.ridge == 5.0
    assert [machine.limit(x) for x in (1, 5, 50)] == [20.0, 100.0, 100.0]


def test_work_by_hand():
    work = Work("sum", flops=10.0, bytes=120.0, seconds=2.0)
    assert work.speed == 5.0 and work.intensity == pytest.approx(1 / 12)


def test_a_machine_is_measured():
    machine = measure_machine(size=256, numbers=2**20)
    assert machine.peak > 1e8 and machine.bandwidth > 1e7


def test_the_picture_has_the_roof_and_a_dot_for_each_work():
    works = [Work("a", 1e6, 1e6, 1e-3), Work("b", 1e9, 1e6, 1e-2)]
    draw_roofline(Machine(1e11, 1e10), works)
    axes = plt.gca()
    roof, *dots = axes.get_lines()
    assert list(roof.get_ydata()) == pytest.approx([1e10 / 3e9, 100, 100])
    assert [dot.get_xdata()[0] for dot in dots] == [1.0, 1000.0]
    assert {"1", "2"} <= {text.get_text() for text in axes.texts}
    plt.close("all")
