"""Pictures that set drawn numbers beside the distribution that they come from."""

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch.distributions import Distribution

SAMPLE, LAW, DARK = "#56B4E9", "#D55E00", "#222222"
BINS = 40
COLUMNS = 4
TAIL = 0.005  # the share at each end of a continuous sample that is not drawn


def frequencies(sample: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The whole numbers from the smallest to the largest in `sample`, and their shares.

    Returns values (K,) and shares (K,), which add up to 1; a value that does not occur
    in between has share 0. Raises `ValueError` where the sample has other numbers or
    none.
    """
    whole = sample.flatten().long()
    if not whole.numel() or not torch.equal(whole.to(sample.dtype), sample.flatten()):
        raise ValueError("the sample has to hold whole numbers")
    low, high = whole.aminmax()
    counts = torch.bincount(whole - low, minlength=int(high - low) + 1)
    return torch.arange(int(low), int(high) + 1), counts / whole.numel()


def densities(
    sample: torch.Tensor, bins: int = BINS, tail: float = TAIL
) -> tuple[torch.Tensor, torch.Tensor]:
    """The edges (bins + 1,) of equal bins, and the sample's density (bins,) in each.

    The bins reach from the quantile `tail` to 1 - `tail`; the density is that of the
    whole sample, so that the area drawn is 1 - 2 * `tail`. Raises `ValueError` where
    (nearly) all of the sample is one number: it has no density.
    """
    flat = sample.flatten()
    low, high = flat.quantile(torch.tensor([tail, 1 - tail], dtype=flat.dtype)).tolist()
    if not low < high:
        raise ValueError(f"the sample does not spread: from {low:g} to {high:g}")
    shares = torch.histc(flat, bins, low, high) / flat.numel()
    return torch.linspace(low, high, bins + 1), shares * bins / (high - low)


def draw_histograms(samples: dict[str, tuple[torch.Tensor, Distribution]]) -> Figure:
    """Draw each sample's histogram (blue) and its law (vermilion: a curve, or dots).

    The keys are the titles. A law over whole numbers is drawn as one bar and one dot
    for each number.
    """
    rows = -(-len(samples) // COLUMNS)
    figure, grid = plt.subplots(
        rows,
        min(len(samples), COLUMNS),
        figsize=(11, 2.3 * rows),
        layout="constrained",
        squeeze=False,
    )
    figure.set_facecolor("white")
    for axes in grid.flat[len(samples) :]:
        axes.axis("off")
    for axes, (title, (sample, law)) in zip(grid.flat, samples.items(), strict=False):
        (_draw_whole if law.support.is_discrete else _draw_real)(axes, sample, law)
        axes.set_title(title, size=10, color=DARK)
        axes.tick_params(labelsize=9, colors=DARK)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_ylim(bottom=0)
    return figure


def _draw_whole(axes: Axes, sample: torch.Tensor, law: Distribution) -> None:
    values, shares = frequencies(sample)
    axes.bar(values.numpy(), shares.numpy(), color=SAMPLE)
    expected = law.log_prob(values.float()).exp()
    axes.plot(values.numpy(), expected.numpy(), "o", color=LAW, markersize=4)
    if len(values) <= 10:
        axes.set_xticks(values.tolist())


def _draw_real(axes: Axes, sample: torch.Tensor, law: Distribution) -> None:
    edges, density = densities(sample)
    axes.stairs(density.numpy(), edges.numpy(), fill=True, color=SAMPLE)
    expected = law.log_prob(edges).exp()
    axes.plot(edges.numpy(), expected.numpy(), color=LAW, linewidth=2)
