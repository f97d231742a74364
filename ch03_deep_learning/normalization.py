"""Which elements a normalization layer averages over, found by autograd and drawn.

The cube of samples, channels and pixels is a picture by Wu and He, "Group
Normalization" (2018); here each one is drawn from a call of the layer itself.
"""

import copy
from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import Tensor, nn

INK, ITSELF, SHARED, OTHER = "#111111", "#D55E00", "#56B4E9", "#FFFFFF"


def averaged_with(layer: nn.Module, shape: tuple[int, ...]) -> Tensor:
    """Which inputs the first output depends on: a boolean tensor of `shape`.

    The first output is the one at index (0, 0, ...). `shape` is that of the input,
    (N, C, ...). The layer works in float64 and in its own mode, on random numbers from
    a fixed seed; neither it nor its running statistics are changed. Raises `ValueError`
    where the layer changes the shape.
    """
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()
    y = copy.deepcopy(layer).double()(x)  # a copy: running statistics may change
    if y.shape != x.shape:
        raise ValueError(f"the layer makes {tuple(y.shape)} of {tuple(shape)}")
    (gradient,) = torch.autograd.grad(y[(0,) * y.ndim], x)
    return gradient != 0


def draw_averages(masks: Mapping[str, Tensor], *, columns: int = 3) -> None:
    """One cube a name: samples N, channels C and pixels H·W; shared elements in blue.

    Each of `masks` is boolean, (N, C, H, W), as from `averaged_with`, and the element
    at (0, 0, 0, 0) is drawn in orange. Small shapes only: each element is a cell.
    """
    if wrong := [name for name, mask in masks.items() if mask.ndim != 4]:
        raise ValueError(f"needs masks of shape (N, C, H, W), not as for {wrong}")
    rows = -(-len(masks) // columns)
    figure = plt.figure(figsize=(2.9 * columns, 2.9 * rows), facecolor="white")
    for place, (name, mask) in enumerate(masks.items(), start=1):
        axes = figure.add_subplot(rows, columns, place, projection="3d")
        samples, channels, height, width = mask.shape
        shared = mask.reshape(samples, channels, height * width).numpy()
        colours = np.where(shared, SHARED, OTHER)
        colours[0, 0, 0] = ITSELF
        # x: channels, y: samples, z: pixels; (0, 0, 0) is the corner next to the eye
        cells = colours.transpose(1, 0, 2)[:, :, ::-1]
        axes.voxels(
            np.ones(cells.shape, bool), facecolors=cells, edgecolor=INK, linewidth=0.4
        )
        axes.view_init(elev=24, azim=-120)
        axes.set_box_aspect(cells.shape, zoom=1.05)
        axes.set_title(name, fontsize=11, color=INK, y=0.98)
        axes.set(xticks=[], yticks=[], zticks=[])
        axes.set_xlabel(f"C = {channels}", labelpad=-13, color=INK)
        axes.set_ylabel(f"N = {samples}", labelpad=-13, color=INK)
        axes.set_zlabel(f"H·W = {height * width}", labelpad=-13, color=INK)
    figure.subplots_adjust(0.02, 0.02, 0.98, 0.95, 0.02, 0.08)
