"""Which index comes when: small pictures of what samplers give."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ch02_tensors.panels import GREY, INK, label_outer, small_plots

FIRST, AGAIN = "#0072B2", "#D55E00"  # told apart with any colour vision
MARKERS = "osD^"  # one for each process

Order = Iterable[int] | Iterable[Iterable[int]] | Mapping[str, Iterable[int]]


class Visit(NamedTuple):
    """One index at one step, by one of several processes that run side by side."""

    step: int
    index: int
    process: int
    again: bool  # the index has been there at an earlier visit


def visits(order: Order) -> tuple[list[Visit], list[int]]:
    """Take an order apart: its visits, and the steps at which a batch ends.

    order: indices; or batches of indices, one after another; or for each of several
        processes, by name, its indices, side by side.
    """
    ends = []
    if isinstance(order, Mapping):
        rows = [list(row) for row in order.values()]
    else:
        row = []
        for item in order:
            if isinstance(item, Iterable):
                row += item
                ends.append(len(row))
            else:
                row.append(item)
        rows = [row]
    found, seen = [], set()
    for step in range(max(map(len, rows), default=0)):
        for process, row in enumerate(rows):
            if step < len(row):
                found.append(Visit(step, row[step], process, row[step] in seen))
                seen.add(row[step])
    return found, ends[:-1]


def draw_orders(
    panels: Mapping[str, Order], *, size: int, columns: int = 4, width: float = 10
) -> None:
    """One panel for each title: the step from left to right, the index upwards.

    size: the number of items in the data set; all panels have its axis. An index that
    came before is orange, a thin line stands between two batches, and processes that
    run side by side have markers of their own. Raises `ValueError` for an index that
    the data set does not have.
    """
    taken = {title: visits(order) for title, order in panels.items()}
    for title, (found, _) in taken.items():
        wrong = [visit.index for visit in found if not 0 <= visit.index < size]
        if wrong:
            raise ValueError(f"{title}: index {wrong[0]} is not in 0..{size - 1}")
    longest = max((v.step for found, _ in taken.values() for v in found), default=0)

    _, grid = small_plots(panels, columns=columns, size=(width / columns, 2.6))
    for axes, (title, order) in zip(grid, panels.items(), strict=True):
        found, ends = taken[title]
        axes.set_facecolor("white")
        for end in ends:
            axes.axvline(end - 0.5, color=GREY, linewidth=0.8)
        for visit in found:
            axes.plot(
                visit.step,
                visit.index,
                MARKERS[visit.process % len(MARKERS)],
                color=AGAIN if visit.again else FIRST,
                markersize=5,
            )
        if isinstance(order, Mapping):  # which marker is whose
            for marker, name in zip(MARKERS, order, strict=False):
                axes.plot([], [], marker, color=INK, markersize=4, label=name)
            axes.legend(fontsize=7.5, loc="center right", handletextpad=0, framealpha=1)
        axes.set(xlim=(-0.8, longest + 0.8), ylim=(-0.8, size - 0.2))
        axes.grid(color="#E5E5E5", linewidth=0.6)
        axes.set_axisbelow(True)
    label_outer(grid, columns=columns, x="step", y="index")
