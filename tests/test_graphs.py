"""The graph behind a tensor: its nodes, its edges, its picture."""

from collections import Counter

import matplotlib.pyplot as plt
import pytest
import torch
from matplotlib.patches import Ellipse, FancyBboxPatch

from ch02_tensors.graphs import Graph, arrange, backward_graph, draw_graph


@pytest.fixture(autouse=True)
def _agg():
    plt.switch_backend("agg")
    yield
    plt.close("all")


@pytest.fixture
def leaves() -> dict[str, torch.Tensor]:
    return {name: torch.tensor([2.0], requires_grad=True) for name in "abc"}


def labelled(graph: Graph) -> Counter:
    """The edges by their labels; right where every label stands once."""
    names = [node.label for node in graph.nodes]
    assert len(set(names)) == len(names)
    return Counter((names[start], names[end]) for start, end in graph.edges)


def test_diamond(leaves):
    a, b = leaves["a"], leaves["b"]
    graph = backward_graph((a * b + a).sum(), leaves)
    assert {node.label: (node.kind, node.layer) for node in graph.nodes} == {
        "a": ("leaf", 0),
        "b": ("leaf", 0),
        "MulBackward0": ("operation", 1),
        "AddBackward0": ("operation", 2),
        "SumBackward0": ("operation", 3),
        "result": ("result", 4),
    }
    assert labelled(graph) == {
        ("a", "MulBackward0"): 1,
        ("b", "MulBackward0"): 1,
        ("a", "AddBackward0"): 1,
        ("MulBackward0", "AddBackward0"): 1,
        ("AddBackward0", "SumBackward0"): 1,
        ("SumBackward0", "result"): 1,
    }


def test_shared_operation_is_one_node(leaves):
    shared = leaves["a"].exp()
    graph = backward_graph(shared.sin() * shared.cos(), leaves)
    assert Counter(node.kind for node in graph.nodes) == {
        "leaf": 1,
        "operation": 4,
        "result": 1,
    }
    assert labelled(graph)["ExpBackward0", "SinBackward0"] == 1
    assert labelled(graph)["ExpBackward0", "CosBackward0"] == 1


def test_input_used_twice_has_two_edges(leaves):
    graph = backward_graph(leaves["a"] * leaves["a"], leaves)
    assert labelled(graph)["a", "MulBackward0"] == 2


def test_inputs_come_before_outputs(leaves):
    a, b, c = leaves.values()
    graph = backward_graph(((a + b) * c).exp() + a * c, leaves)
    assert all(start < end for start, end in graph.edges)
    assert all(graph.nodes[i].layer < graph.nodes[j].layer for i, j in graph.edges)


def test_what_needs_no_gradient_is_not_there(leaves):
    graph = backward_graph(leaves["a"] * torch.ones(1) + leaves["b"].detach(), leaves)
    assert [n.label for n in graph.nodes if n.kind == "leaf"] == ["a"]


def test_unnamed_leaf_is_labelled_by_its_shape():
    w = torch.ones(3, 4, requires_grad=True)
    assert "(3, 4)" in [node.label for node in backward_graph(w.sum()).nodes]
    # equal values are not the same tensor
    other = {"w": torch.ones(3, 4, requires_grad=True)}
    assert "w" not in [node.label for node in backward_graph(w.sum(), other).nodes]


def test_function_of_ones_own(leaves):
    class Square(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.variable = "not a leaf"
            return x**2

        @staticmethod
        def backward(ctx, gradient):
            return gradient

    graph = backward_graph(Square.apply(leaves["a"]), leaves)
    assert labelled(graph)["a", "SquareBackward"] == 1


@pytest.mark.parametrize(
    ("tensor", "reason"),
    [
        (torch.ones(2), "does not require a gradient"),
        (torch.ones(2, requires_grad=True), "is a leaf"),
        ((torch.ones(2, requires_grad=True) * 2).detach(), "does not require"),
    ],
)
def test_no_graph_is_an_error(tensor, reason):
    with pytest.raises(ValueError, match=f"grad_fn is None.*{reason}"):
        backward_graph(tensor)


def test_no_edge_crosses_a_node(leaves):
    a, b, c = leaves.values()
    graph = backward_graph(((a * b + c).exp() * a - b).sum() * a, leaves)
    heights, paths = arrange(graph)
    places = [(n.layer, y) for n, y in zip(graph.nodes, heights, strict=True)]
    assert len(set(places)) == len(places)
    for path, (start, end) in zip(paths, graph.edges, strict=True):
        assert (path[0], path[-1]) == (places[start], places[end])
        assert not set(path[1:-1]) & set(places)
        layers = [layer for layer, _ in path]
        assert layers == list(range(layers[0], layers[-1] + 1))


def test_drawing(leaves):
    graph = backward_graph(leaves["a"] * leaves["b"] + leaves["a"], leaves)
    ax = draw_graph(graph)
    shapes = Counter(type(patch) for patch in ax.patches)
    assert shapes == {Ellipse: 2, FancyBboxPatch: 3}
    written = {text.get_text() for text in ax.texts} - {""}
    assert written == {"a", "b", "Mul\nBackward0", "Add\nBackward0", "result"}
    assert len({patch.get_facecolor() for patch in ax.patches}) == 3
    assert len(ax.lines) == len(graph.edges)


def test_drawing_into_given_axes(leaves):
    _, ax = plt.subplots()
    assert draw_graph(backward_graph(leaves["a"].exp(), leaves), ax) is ax
