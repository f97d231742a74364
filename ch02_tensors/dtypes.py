"""Short names, families and pictures of data types.

    short_name(torch.bfloat16)           # "bf16"
    draw_bits({"float32": (1, 8, 23)})   # sign, exponent and fraction bits
    draw_grid(rows, columns, words, colours)

What the pictures show is worked out by the caller; these functions only draw.
"""

import re
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

COLOURS = {  # dark text is legible on all of them
    "bool": "#D9D9D9",
    "integer": "#8CCBEF",
    "float": "#F5C55A",
    "complex": "#E3AECB",
    "none": "#FFFFFF",
}
BIT_COLOURS = {"sign": "#E3AECB", "exponent": "#F5C55A", "fraction": "#8CCBEF"}


def full_name(dtype: torch.dtype) -> str:
    """`torch.float32` as "float32"."""
    return str(dtype).removeprefix("torch.")


def short_name(dtype: torch.dtype) -> str:
    """`torch.float32` as "f32", `torch.bfloat16` as "bf16", `torch.uint8` as "u8".

    What follows the width is dropped: every 8-bit float is "f8". Raises `ValueError`
    for names of another form, such as `torch.bits8`.
    """
    name = full_name(dtype)
    parts = re.fullmatch(r"(b?)(float|int|uint|complex)(\d+)(_.*)?", name)
    if parts is None and name != "bool":
        raise ValueError(f"no short name for {dtype}")
    return "".join([parts[1], parts[2][0], parts[3]]) if parts else name


def family(dtype: torch.dtype | None) -> str:
    """The key of `COLOURS` that a dtype belongs to; "none" for None."""
    if dtype is None:
        return "none"
    if dtype.is_complex:
        return "complex"
    if dtype.is_floating_point:
        return "float"
    return "bool" if dtype == torch.bool else "integer"


def draw_bits(layouts: Mapping[str, tuple[int, int, int]]) -> Axes:
    """Draw one bar for each format: its sign, exponent and fraction bits."""
    _, ax = plt.subplots(figsize=(8, 0.42 * len(layouts) + 0.8), facecolor="white")
    for row, bits in enumerate(layouts.values()):
        left = 0
        for (part, colour), count in zip(BIT_COLOURS.items(), bits, strict=True):
            label = part if row == 0 else None
            ax.barh(row, count, left=left, color=colour, ec="white", label=label)
            if count > 1:
                ax.text(left + count / 2, row, count, ha="center", va="center")
            left += count
    ax.set_yticks(range(len(layouts)), list(layouts))
    ax.invert_yaxis()
    ax.set_xlabel("bits")
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(loc="lower right", fontsize=9)
    return ax


def draw_grid(
    rows: Sequence[str],
    columns: Sequence[str],
    words: Sequence[Sequence[str]],
    colours: Sequence[Sequence[str]],
) -> Axes:
    """Draw a table of coloured cells with a word in each.

    `words` and `colours` hold a sequence for each row, with an entry for each column.
    Raises `ValueError` where their shapes do not fit the names of rows and columns.
    """
    for table in (words, colours):
        if [len(line) for line in table] != [len(columns)] * len(rows):
            raise ValueError(f"{len(rows)} rows of {len(columns)} entries are needed")
    size = (0.62 * len(columns) + 1.6, 0.3 * len(rows) + 1.0)
    _, ax = plt.subplots(figsize=size, facecolor="white")
    for i, (line, fills) in enumerate(zip(words, colours, strict=True)):
        for j, (word, fill) in enumerate(zip(line, fills, strict=True)):
            cell = Rectangle((j, i), 1, 1, fc=fill, ec="#777777", clip_on=False)
            ax.add_patch(cell)
            ax.text(j + 0.5, i + 0.5, word, ha="center", va="center", fontsize=9)
    middles = [i + 0.5 for i in range(max(len(rows), len(columns)))]
    ax.set_yticks(middles[: len(rows)], rows, fontsize=9)
    ax.set_xticks(middles[: len(columns)], columns, fontsize=9, rotation=45, ha="left")
    ax.xaxis.tick_top()
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set(xlim=(0, len(columns)), ylim=(len(rows), 0))
    return ax
