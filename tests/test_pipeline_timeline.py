"""When the stages of a pipeline work, and when they wait."""

import itertools

import pytest

from ch06_acceleration.pipeline_timeline import (
    Bar,
    bubble,
    most_kept,
    order,
    timeline,
)

BOTH = pytest.mark.parametrize("schedule", ["GPipe", "1F1B"])


def orders(schedule, stages, parts):
    return [order(schedule, stage, stages, parts) for stage in range(stages)]


def words(work):
    return " ".join(f"{kind}{part}" for kind, part in work)


def test_orders_by_hand():
    assert words(order("GPipe", 0, 2, 3)) == "F0 F1 F2 B0 B1 B2"
    assert words(order("1F1B", 0, 2, 4)) == "F0 F1 B0 F2 B1 F3 B2 B3"
    assert words(order("1F1B", 1, 2, 4)) == "F0 B0 F1 B1 F2 B2 F3 B3"
    assert words(order("1F1B", 0, 4, 2)) == "F0 F1 B0 B1"  # fewer parts than stages


@BOTH
@pytest.mark.parametrize("stages", [1, 2, 4, 5])
@pytest.mark.parametrize("parts", [1, 2, 7, 12])
def test_each_part_goes_through_each_stage_once_and_in_turn(schedule, stages, parts):
    bars = timeline(orders(schedule, stages, parts))
    ends = {(bar.stage, bar.kind, bar.part): bar.end for bar in bars}
    assert len(bars) == len(ends) == 2 * stages * parts
    for bar in bars:
        before = bar.stage + (-1 if bar.kind == "F" else 1)
        assert bar.start >= ends.get((before, bar.kind, bar.part), 0)
        if bar.kind == "B":
            assert bar.start >= ends[bar.stage, "F", bar.part]
    for stage in range(stages):
        mine = sorted(bar[3:] for bar in bars if bar.stage == stage)
        assert all(a[1] <= b[0] for a, b in itertools.pairwise(mine))


@BOTH
@pytest.mark.parametrize(("stages", "parts"), [(1, 3), (2, 1), (4, 8), (3, 20)])
def test_the_bubble_has_its_formula(schedule, stages, parts):
    bars = timeline(orders(schedule, stages, parts), forward=1.5, backward=2.5)
    assert bubble(bars) == pytest.approx((stages - 1) / (parts + stages - 1))


def test_1f1b_keeps_as_many_parts_as_there_are_stages_from_here_on():
    for stage in range(4):
        assert most_kept(order("1F1B", stage, 4, 8)) == 4 - stage
        assert most_kept(order("GPipe", stage, 4, 8)) == 8


def test_bad_input():
    with pytest.raises(ValueError, match="GPipe"):
        order("gpipe", 0, 2, 4)
    for stage, stages, parts in [(2, 2, 4), (-1, 2, 4), (0, 2, 0)]:
        with pytest.raises(ValueError, match="no stage"):
            order("1F1B", stage, stages, parts)
    waiting = [[("B", 0), ("F", 0)], [("F", 0), ("B", 0)]]
    with pytest.raises(ValueError, match="wait for each other"):
        timeline(waiting)


def test_bars_are_tuples():
    assert timeline([[("F", 0)]]) == [Bar(0, "F", 0, 0.0, 1.0)]
