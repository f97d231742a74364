"""The graph that autograd builds, first as data and then as a picture.

    draw_graph(backward_graph(loss, {"w": w, "b": b}))  # the names of the leaves

Autograd's graph leads from `loss.grad_fn` through `next_functions` down to the leaves.
The arrows here are turned round: they show how numbers flow from leaves to result.
"""

from collections import defaultdict
from collections.abc import Mapping
from itertools import pairwise
from statistics import mean
from typing import NamedTuple

import matplotlib.pyplot as plt
import torch
from matplotlib.patches import Ellipse, FancyBboxPatch, Patch

COLOURS = {"leaf": "#56B4E9", "operation": "#F5D48A", "result": "#7FCDB4"}
WIDTH, HEIGHT = 0.8, 0.56  # of a drawn node; columns and rows are 1 apart


class Node(NamedTuple):
    """A leaf (a tensor whose gradient is collected), an operation, or the result."""

    label: str
    kind: str  # a key of COLOURS
    layer: int  # 0 for a leaf, else one more than the furthest of its inputs


class Graph(NamedTuple):
    """Nodes, inputs before outputs, and edges (from, to) as indices of `nodes`."""

    nodes: tuple[Node, ...]
    edges: tuple[tuple[int, int], ...]  # two for an input that is used twice


def backward_graph(
    result: torch.Tensor, names: Mapping[str, torch.Tensor] | None = None
) -> Graph:
    """Return what `result.backward()` would walk through.

    Inputs that need no gradient have no node in autograd's graph, nor here. A leaf that
    `names` does not hold is labelled by its shape. Raises `ValueError` where `result`
    has no `grad_fn`: nothing was recorded for it.
    """
    if result.grad_fn is None:
        why = "is a leaf" if result.requires_grad else "does not require a gradient"
        raise ValueError(f"no graph to follow: grad_fn is None, the tensor {why}")
    nodes, edges, index, path = [], [], {}, [result.grad_fn]
    while path:  # depth first, so that inputs are numbered before what they make
        function = path[-1]
        before = [f for f, _ in function.next_functions if f is not None]
        unseen = [f for f in before if f not in index]
        if unseen:
            path.append(unseen[0])
            continue
        index[path.pop()] = len(nodes)
        edges += [(index[f], len(nodes)) for f in before]
        label, kind = function.name(), "operation"
        if label.endswith("AccumulateGrad"):
            leaf, kind = function.variable, "leaf"
            known = (name for name, tensor in (names or {}).items() if tensor is leaf)
            label = next(known, f"{tuple(leaf.shape)}")
        layer = 1 + max((nodes[index[f]].layer for f in before), default=-1)
        nodes.append(Node(label, kind, layer))
    nodes.append(Node("result", "result", nodes[-1].layer + 1))
    return Graph(tuple(nodes), (*edges, (len(nodes) - 2, len(nodes) - 1)))


def arrange(graph: Graph) -> tuple[list[float], list[list[tuple[float, float]]]]:
    """Return each node's height and each edge's path, as points (layer, height).

    An edge that jumps over a layer holds a free place in it, and so crosses no node.
    """
    layers, chains, before = [node.layer for node in graph.nodes], [], defaultdict(list)
    for start, end in graph.edges:
        between = range(layers[start] + 1, layers[end])
        chains.append([start, *range(len(layers), len(layers) + len(between)), end])
        layers += between
        for left, right in pairwise(chains[-1]):
            before[right].append(left)
    heights = [0.0] * len(layers)
    for layer in range(max(layers) + 1):
        column = [i for i, here in enumerate(layers) if here == layer]
        wish = {i: mean(heights[j] for j in before[i] or [i]) for i in column}
        for place, i in enumerate(sorted(column, key=wish.get)):
            heights[i] = place - (len(column) - 1) / 2
    points = list(zip(layers, heights, strict=True))
    return heights[: len(graph.nodes)], [[points[i] for i in c] for c in chains]


def draw_graph(graph: Graph, ax: plt.Axes | None = None) -> plt.Axes:
    """Draw leaves as ellipses, operations as rectangles, the result as a round box."""
    (heights, paths), wide = arrange(graph), graph.nodes[-1].layer + 1
    rows = [y for path in paths for _, y in path]
    size = (1.35 * wide, 0.8 * (max(rows) - min(rows)) + 1.4)
    ax = ax or plt.subplots(figsize=size, facecolor="white")[1]
    for k, path in enumerate(paths):
        shift = 0.2 * (paths[:k].count(path) - (paths.count(path) - 1) / 2)
        ports = [(x + s * WIDTH / 2, y + shift) for x, y in path for s in (-1, 1)][1:-1]
        ax.plot(*zip(*ports, strict=True), color="black", linewidth=1)
        ax.annotate("", ports[-1], ports[-2], arrowprops={"arrowstyle": "-|>"})
    for node, y in zip(graph.nodes, heights, strict=True):
        corner = (node.layer - WIDTH / 2, y - HEIGHT / 2)
        style = f"round,pad=0,rounding_size={0.2 if node.kind == 'result' else 0.01}"
        shape = FancyBboxPatch(corner, WIDTH, HEIGHT, style)
        if node.kind == "leaf":
            shape = Ellipse((node.layer, y), WIDTH, HEIGHT)
        ax.add_patch(shape).set(facecolor=COLOURS[node.kind], edgecolor="black")
        name = node.label.replace("Backward", "\nBackward")
        ax.text(node.layer, y, name, ha="center", va="center", fontsize=9)
    keys = [Patch(fc=colour, ec="black", label=k) for k, colour in COLOURS.items()]
    ax.legend(handles=keys, loc="upper center", bbox_to_anchor=(0.5, 0), ncols=3)
    ax.set(xlim=(-0.5, wide - 0.5), ylim=(max(rows) + 0.5, min(rows) - 0.5))
    ax.set_axis_off()
    return ax
