"""Optimizers on two numbers: `ch03_deep_learning.surfaces`."""

import matplotlib.pyplot as plt
import pytest
import torch
from torch import optim
from torch.testing import assert_close

from ch03_deep_learning.surfaces import descend, draw_paths, rosenbrock, valley


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.mark.parametrize(
    ("function", "minimum"), [(valley, (1.0, 0.5)), (rosenbrock, (1.0, 1.0))]
)
def test_the_minimum_is_where_it_is_said_to_be(function, minimum):
    at = torch.tensor(minimum, requires_grad=True)
    value = function(at)
    value.backward()
    assert value.item() == 0
    assert_close(at.grad, torch.zeros(2))
    around = at.detach() + 0.1 * torch.randn(100, 2)
    assert (function(around) > 0).all()
    assert function(around.view(4, 25, 2)).shape == (4, 25)


def test_the_valley_is_25_times_as_steep_across_as_along():
    curvature = torch.autograd.functional.hessian(valley, torch.zeros(2))
    assert_close(torch.linalg.eigvalsh(curvature), torch.tensor([1.0, 25.0]))


def test_sgd_takes_the_steps_that_one_takes_by_hand():
    path, evaluations = descend(lambda p: optim.SGD(p, lr=0.01), valley, (-2.0, 1.0), 3)
    point, by_hand = torch.tensor([-2.0, 1.0]), []
    for _ in range(4):
        by_hand.append(point)
        point = point - 0.01 * torch.func.grad(valley)(point)
    assert path.shape == (4, 2)
    assert evaluations == 3
    assert_close(path, torch.stack(by_hand))


def test_lbfgs_calls_its_closure_several_times_a_step():
    path, evaluations = descend(optim.LBFGS, valley, (-2.0, 1.0), 1)
    assert evaluations > 1
    assert path.shape == (2, 2)
    assert valley(path[-1]) < valley(path[0])


def test_sparse_adam_gets_a_sparse_gradient_and_goes_where_adam_goes():
    sparse = descend(lambda p: optim.SparseAdam(p, lr=0.1), valley, (-2.0, 1.0), 20)
    dense = descend(lambda p: optim.Adam(p, lr=0.1), valley, (-2.0, 1.0), 20)
    assert_close(sparse.path, dense.path)


@pytest.mark.skipif(not hasattr(optim, "Muon"), reason="this torch has no Muon")
def test_muon_gets_a_matrix():
    path, _ = descend(lambda p: optim.Muon(p, lr=0.1), valley, (-2.0, 1.0), 20)
    assert valley(path[-1]) < valley(path[0])


def test_a_path_may_diverge():
    path, _ = descend(lambda p: optim.SGD(p, lr=10.0), valley, (-2.0, 1.0), 60)
    assert not path[-1].isfinite().all()


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="two numbers, not 3"):
        descend(optim.Adam, valley, (1.0, 2.0, 3.0), 1)
    with pytest.raises(ValueError, match="0 or more, not -1"):
        descend(optim.Adam, valley, (1.0, 2.0), -1)
    other = torch.zeros(2, requires_grad=True)
    with pytest.raises(ValueError, match="pass on the parameters"):
        descend(lambda p: optim.SGD([other]), valley, (1.0, 2.0), 1)


def test_one_map_a_path():
    path = torch.tensor([[-1.0, 0.0], [0.5, 0.5]])
    draw_paths(
        valley, {"a": path}, minimum=(1.0, 0.5), x=(-2.0, 2.0), y=(-1.0, 1.0), columns=2
    )
    first, second = plt.gcf().axes
    assert first.get_title() == "a"
    assert first.lines[0].get_xdata() == pytest.approx([-1.0, 0.5])
    assert first.get_xlim() == (-2, 2)
    assert not second.axison
    assert plt.gcf().get_facecolor() == (1, 1, 1, 1)
