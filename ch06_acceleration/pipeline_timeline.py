"""What each stage of a pipeline does, and when: GPipe and 1F1B as bars on a time line.

The order of 1F1B ("one forward, one backward") is that of PipeDream's flush variant.
Imports the standard library only: this module can be copied alone.
"""

from collections.abc import Sequence
from typing import NamedTuple

FORWARD, BACKWARD = "F", "B"


class Bar(NamedTuple):
    """One piece of work: a stage computes forward or backward for one part."""

    stage: int
    kind: str  # "F" or "B"
    part: int
    start: float
    end: float


def order(schedule: str, stage: int, stages: int, parts: int) -> list[tuple[str, int]]:
    """What one stage does, in its order: pairs ("F" or "B", number of the part).

    "GPipe": all forward, then all backward. "1F1B": as few forward as keep the later
    stages busy, then one backward and one forward in turn. Raises `ValueError` for
    another schedule and for numbers that make no pipeline.
    """
    if schedule not in ("GPipe", "1F1B"):
        raise ValueError(f'schedule has to be "GPipe" or "1F1B", not {schedule!r}')
    if not 0 <= stage < stages or parts < 1:
        raise ValueError(f"no stage {stage} of {stages} with {parts} parts")
    ahead = parts if schedule == "GPipe" else min(parts, stages - stage)
    work = [(FORWARD, part) for part in range(ahead)]
    for part in range(parts):
        work.append((BACKWARD, part))
        if ahead + part < parts:
            work.append((FORWARD, ahead + part))
    return work


def timeline(
    orders: Sequence[Sequence[tuple[str, int]]],
    *,
    forward: float = 1.0,
    backward: float = 2.0,
) -> list[Bar]:
    """When each stage does its work, one order for each; durations in any unit.

    Forward waits for the stage before, backward for the stage after. Raises
    `ValueError` where the stages would wait for each other for ever.
    """
    ends: dict[tuple[int, str, int], float] = {}
    clocks, next_one, bars = [0.0] * len(orders), [0] * len(orders), []
    while len(bars) < sum(map(len, orders)):
        before = len(bars)
        for stage, work in enumerate(orders):
            if next_one[stage] == len(work):
                continue
            kind, part = work[next_one[stage]]
            source = stage - 1 if kind == FORWARD else stage + 1
            outside = not 0 <= source < len(orders)
            if not outside and (source, kind, part) not in ends:
                continue
            ready = 0.0 if outside else ends[source, kind, part]
            start = max(clocks[stage], ready)
            end = start + (forward if kind == FORWARD else backward)
            bars.append(Bar(stage, kind, part, start, end))
            ends[stage, kind, part] = clocks[stage] = end
            next_one[stage] += 1
        if len(bars) == before:
            raise ValueError("the stages wait for each other: check their orders")
    return bars


def bubble(bars: Sequence[Bar]) -> float:
    """The share of time, in [0, 1), in which stages wait: the same for all of them."""
    stages = 1 + max(bar.stage for bar in bars)
    total = stages * max(bar.end for bar in bars)
    return 1 - sum(bar.end - bar.start for bar in bars) / total


def most_kept(work: Sequence[tuple[str, int]]) -> int:
    """The most parts whose activations a stage keeps at once, for their backward."""
    kept = most = 0
    for kind, _ in work:
        kept += 1 if kind == FORWARD else -1
        most = max(most, kept)
    return most
