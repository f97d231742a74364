"""Tensors as grids of cells: indexing, gather and scatter, strides, broadcasting.

Each picture is drawn from the tensors of a real call. What it shows (which cells are
picked, which cell a value comes from, which place of the storage is read) is worked
out by the functions of the first half, which know nothing of drawing.
"""

import itertools
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from torch import Tensor

# Five of the colours by Okabe and Ito, told apart with any colour vision, made lighter.
COLOURS = ("#F3C766", "#9AD2F2", "#66C5AB", "#E3BCD4", "#E89E66")
INK, GREY = "#111111", "#666666"
MIDDLE = dict(ha="center", va="center", color=INK)

Cell = tuple[int, int]  # row, column


# ---- What a picture shows ------------------------------------------------------------


def picked(x: Tensor, part: Tensor) -> Tensor:
    """Which elements of `x` stand in `part`: a boolean tensor of the shape of `x`.

    Elements are found by value, so `ValueError` where two elements of `x` are equal.
    """
    if x.unique().numel() != x.numel():
        raise ValueError("the values of x must all differ, so that each can be found")
    if not torch.isin(part, x.flatten()).all():  # isin needs it contiguous
        raise ValueError("part holds a value that x does not have")
    return torch.isin(x, part.flatten())


def gather_moves(index: Tensor, dim: int) -> list[tuple[Cell, Cell]]:
    """For `torch.gather(x, dim, index)`: (cell of x, cell of the result), in order.

    `torch.scatter(y, dim, index, x)` goes the other way: (cell of y, cell of x).
    """
    if index.ndim != 2 or index.dtype != torch.int64 or dim not in (-2, -1, 0, 1):
        got = f"dim {dim} and an index of {index.ndim} dimensions, {index.dtype}"
        raise ValueError(f"needs dim 0 or 1, 2 dimensions and int64, not {got}")
    if index.numel() and index.min() < 0:
        raise ValueError("gather and scatter take no negative indices")
    numbers, down = index.tolist(), dim in (0, -2)
    cells = itertools.product(*map(range, index.shape))
    return [
        ((numbers[r][c], c) if down else (r, numbers[r][c]), (r, c)) for r, c in cells
    ]


def storage_offsets(x: Tensor) -> Tensor:
    """Where in its storage each element of `x` is read: integers of the shape of `x`.

    Element [i, j] is read at `x.storage_offset() + i * x.stride(0) + j * x.stride(1)`.
    """
    if x.layout != torch.strided:
        raise ValueError(f"a tensor of layout {x.layout} has no strides")
    offsets = torch.tensor(x.storage_offset())
    for size, stride in zip(x.shape, x.stride(), strict=True):
        offsets = offsets.unsqueeze(-1) + torch.arange(size) * stride
    return offsets


def stretched(shape: Sequence[int], target: Sequence[int]) -> Tensor:
    """True where a cell is read again when `shape` is broadcast to `target`."""
    target = tuple(target)
    try:
        there = torch.arange(torch.Size(shape).numel()).reshape(tuple(shape))
        read = there.expand(target).flatten().tolist()
    except RuntimeError as error:
        raise ValueError(f"{tuple(shape)} does not broadcast to {target}") from error
    again = [place in read[:k] for k, place in enumerate(read)]
    return torch.tensor(again, dtype=torch.bool).reshape(target)


# ---- Drawing -------------------------------------------------------------------------


def draw_cells(
    axes: Axes,
    values: Tensor,
    colours: Mapping[Cell, object],
    at: tuple[float, float],
    title: str,
    hatched: Tensor | None = None,
) -> None:
    """Draw a tensor of at most 2 dimensions; `at` is its upper left corner, (x, y)."""
    if values.ndim > 2:
        raise ValueError(f"a grid has at most 2 dimensions, not {values.ndim}")
    grid = torch.atleast_2d(values)
    again = torch.atleast_2d(torch.zeros_like(grid) if hatched is None else hatched)
    paper = dict(boxstyle="round,pad=0.15", facecolor="white", edgecolor="none")
    for cell in itertools.product(*map(range, grid.shape)):
        x, y, shade = at[0] + cell[1], at[1] + cell[0], colours.get(cell, "white")
        stripes = dict(hatch="////", hatchcolor="white") if again[cell] else {}
        box = plt.Rectangle((x, y), 1, 1, facecolor=shade, edgecolor=INK, **stripes)
        axes.add_patch(box)
        text, around = f"{grid[cell].item():g}", paper if again[cell] else None
        axes.text(x + 0.5, y + 0.5, text, size=11, bbox=around, **MIDDLE)
    x, y = at[0] + grid.shape[1] / 2, at[1] - 0.25
    axes.text(x, y, title, size=10, **MIDDLE | {"va": "bottom"})


def canvas(width: float, height: float) -> Axes:
    """A white figure of `width` by `height` cells of size 1; y grows downwards."""
    figure, axes = plt.subplots(figsize=(width / 2, height / 2), facecolor="white")
    figure.subplots_adjust(0, 0, 1, 1)
    axes.set(xlim=(0, width), ylim=(height, 0), aspect="equal")
    axes.axis("off")
    return axes


def draw_picks(x: Tensor, parts: Mapping[str, Tensor], *, columns: int = 4) -> None:
    """One panel for each expression: the cells of `x` that its value `parts` holds."""
    height, width = (size + 2 for size in torch.atleast_2d(x).shape)
    axes = canvas(width * columns, height * -(-len(parts) // columns))
    for i, (name, part) in enumerate(parts.items()):
        cells = torch.atleast_2d(picked(x, part)).nonzero().tolist()
        shades = {tuple(cell): COLOURS[0] for cell in cells}
        at = (1 + width * (i % columns), 1.5 + height * (i // columns))
        draw_cells(axes, x, shades, at, name)


def draw_moves(grids: Mapping[str, Tensor], dim: int, *, scatter: bool = False) -> None:
    """Draw the index, the source and the result of a gather (or scatter) side by side.

    `grids` holds these three by their titles. One colour for each cell that the index
    points at (`ValueError` where there is none); for `dim` 1, also an arrow a value.
    """
    index, source, result = grids.values()
    far, moves = result if scatter else source, gather_moves(index, dim)
    pointed = sorted({cell for cell, _ in moves})
    if any(i >= far.shape[d] for cell in pointed for d, i in enumerate(cell)):
        raise ValueError(f"the index points out of a tensor of {tuple(far.shape)}")
    shade = {cell: COLOURS[i % len(COLOURS)] for i, cell in enumerate(pointed)}
    near = {cell: shade[there] for there, cell in moves}
    widths = (grid.shape[1] + 2 for grid in grids.values())
    *lefts, width = itertools.accumulate(widths, initial=1)
    axes = canvas(width - 1, max(map(len, grids.values())) + 2)
    for left, (title, grid) in zip(lefts, grids.items(), strict=True):
        draw_cells(axes, grid, shade if grid is far else near, (left, 1.5), title)
    for pointed_at, end in moves if dim in (1, -1) else ():
        y = 1.5 + end[0] + (0.2, 0.8, 0.3, 0.7)[end[1] % 4]  # beside the numbers
        start, end = (end, pointed_at) if scatter else (pointed_at, end)
        a, b = (lefts[1] + start[1] + 0.8, y), (lefts[2] + end[1] + 0.2, y)
        axes.plot(*a, "o", color=GREY, markersize=4)
        axes.annotate("", b, a, arrowprops={"arrowstyle": "-|>", "color": GREY})


def draw_strides(views: Mapping[str, Tensor], *, columns: int = 3) -> None:
    """One storage, and under it the views that read it; same place, same colour.

    The numbers are places in the storage, counted in elements. Raises `ValueError`
    where the tensors do not all share one storage, or their elements differ in size.
    """
    storages = {view.untyped_storage() for view in views.values()}
    if len({storage.data_ptr() for storage in storages}) != 1:
        raise ValueError(
            "these are not views of one tensor: they have several storages"
        )
    size, *others = {view.element_size() for view in views.values()}
    if others:
        raise ValueError("these views count in elements of several sizes")
    places = torch.arange(storages.pop().nbytes() // size)
    shades = plt.get_cmap("viridis")(torch.linspace(0, 1, len(places)).numpy())
    shades = 1 - 0.6 * (1 - shades[:, :3])  # lighter, so that the numbers can be read
    grids = {}
    for name, x in views.items():
        title = f"{name}\nshape {tuple(x.shape)}, strides {x.stride()}"
        title += f", offset {x.storage_offset()}" * (x.storage_offset() > 0)
        grids[title] = torch.atleast_2d(storage_offsets(x))
    height, width = (max(g.shape[d] for g in grids.values()) + 2 + d for d in (0, 1))
    axes = canvas(width * columns, 2.7 + height * -(-len(grids) // columns))
    corners = [((width * columns - len(places)) / 2, 1)]
    for i, grid in enumerate(grids.values()):
        row, column = divmod(i, columns)
        corners.append((width * (column + 0.5) - grid.shape[1] / 2, 4.3 + height * row))
    grids = {"storage": places[None]} | grids
    for at, (title, grid) in zip(corners, grids.items(), strict=True):
        cells = itertools.product(*map(range, grid.shape))
        draw_cells(axes, grid, {c: shades[grid[c]] for c in cells}, at, title)


def draw_broadcast(a: Tensor, b: Tensor, result: Tensor, *, sign: str = "+") -> None:
    """`a`, `b` and `result` side by side; the cells that are read again are hatched."""
    rows, columns = torch.atleast_2d(result).shape
    axes = canvas(3 * columns + 4, rows + 1.8)
    for i, (name, x) in enumerate({"a": a, "b": b, "result": result}.items()):
        again, at = stretched(x.shape, result.shape), (0.5 + i * (columns + 1.5), 1.3)
        cells = itertools.product(range(rows), range(columns))
        shades = dict.fromkeys(cells, (*COLOURS[:2], "white")[i])
        title = f"{name}: {tuple(x.shape)}"
        title += f" read as {tuple(result.shape)}" * bool(again.any())
        draw_cells(axes, x.expand(result.shape), shades, at, title, again)
        x, y = at[0] + columns + 0.75, 1.3 + rows / 2
        axes.text(x, y, (sign, "=", "")[i], size=18, **MIDDLE)
