"""Optimizers of one's own beside the library's: the same weights after 100 steps."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn, optim
from torch.testing import assert_close

from ch05_customizing import optimizers as own
from ch05_customizing.optimizer_base import RuleOptimizer, decay_groups

SHAPES = [(3, 5), (7,), (), (1, 1), (2, 3, 4)]
MATRICES = [(3, 5), (8, 2), (1, 4), (6, 6)]
CASES = {
    "SGD": {"lr": 0.01},
    "SGD, momentum": {"lr": 0.01, "momentum": 0.9},
    "SGD, decay": {"lr": 0.01, "weight_decay": 0.1},
    "SGD, nesterov": {
        "lr": 0.01,
        "momentum": 0.8,
        "weight_decay": 0.1,
        "nesterov": True,
    },
    "Adam": {},
    "Adam, decay": {"lr": 0.1, "weight_decay": 0.2, "betas": (0.8, 0.95), "eps": 1e-3},
    "AdamW": {"lr": 0.01},
    "AdamW, decay": {"lr": 0.1, "weight_decay": 0.3},
    "Muon": {"lr": 0.02},
    "Muon, plain": {"lr": 0.02, "nesterov": False, "momentum": 0.7, "weight_decay": 0},
}
ALL = ["SGD", "Adam", "AdamW", "Lion", "Muon"]


def problem(shapes, seed=0, dtype=torch.float32):
    """Parameters, and a closure that computes a loss which depends on all of them."""
    g = torch.Generator().manual_seed(seed)
    params = [
        nn.Parameter(torch.randn(s, generator=g, dtype=torch.float64).to(dtype))
        for s in shapes
    ]
    goals = [torch.randn(p.shape, generator=g, dtype=torch.float64) for p in params]

    def loss():
        for p in params:
            p.grad = None
        pairs = zip(params, goals, strict=True)
        value = sum(
            ((p - q.to(dtype)) ** 2 * (1 + q.abs())).sum() + 0.01 * (p**4).sum()
            for p, q in pairs
        )
        value.backward()
        return value

    return params, loss


def walk(make, shapes, steps=100, **options):
    params, loss = problem(shapes, **options)
    optimizer = make(params)
    for _ in range(steps):
        loss()
        optimizer.step()
    return [p.detach() for p in params]


SEEDS = pytest.mark.parametrize(
    "seed, dtype", [(0, torch.float32), (1, torch.float64), (2, torch.float32)]
)


@SEEDS
@pytest.mark.parametrize("case", CASES)
def test_a_hundred_steps_beside_the_library(case, seed, dtype):
    name, options = case.split(",")[0], CASES[case]
    shapes = MATRICES if name == "Muon" else SHAPES
    Own, Library = getattr(own, name), getattr(optim, name)
    ours = walk(lambda p: Own(p, **options), shapes, seed=seed, dtype=dtype)
    theirs = walk(lambda p: Library(p, **options), shapes, seed=seed, dtype=dtype)
    assert_close(ours, theirs)


@settings(max_examples=15)
@given(
    lr=st.floats(0, 0.02),
    momentum=st.floats(0, 0.95),
    weight_decay=st.floats(0, 0.5),
    shape=st.lists(st.integers(0, 4), max_size=3),
    seed=st.integers(0, 1000),
)
def test_sgd_for_any_options_and_shapes(lr, momentum, weight_decay, shape, seed):
    options = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay}
    options["nesterov"] = momentum > 0.5
    settings = {"shapes": [shape], "steps": 10, "seed": seed, "dtype": torch.float64}
    ours = walk(lambda p: own.SGD(p, **options), **settings)
    assert_close(ours, walk(lambda p: optim.SGD(p, **options), **settings))


@settings(max_examples=15)
@given(
    lr=st.floats(0, 0.1),
    betas=st.tuples(st.floats(0, 0.99), st.floats(0, 0.9999)),
    weight_decay=st.floats(0, 0.5),
    seed=st.integers(0, 1000),
)
def test_adamw_for_any_options(lr, betas, weight_decay, seed):
    options = {"lr": lr, "betas": betas, "weight_decay": weight_decay, "eps": 1e-6}
    settings = {"shapes": [(3, 2)], "steps": 10, "seed": seed, "dtype": torch.float64}
    ours = walk(lambda p: own.AdamW(p, **options), **settings)
    assert_close(ours, walk(lambda p: optim.AdamW(p, **options), **settings))


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_lion_beside_its_formula(decay, seed):
    """The paper's three lines, out of place; a sign near 0 hangs on the last digit."""
    dtype = torch.float64
    lr, beta1, beta2 = 0.02, 0.8, 0.95
    params, loss = problem(SHAPES, seed=seed, dtype=dtype)
    ours = walk(
        lambda p: own.Lion(p, lr=lr, betas=(beta1, beta2), weight_decay=decay),
        SHAPES,
        seed=seed,
        dtype=dtype,
    )
    momenta = [torch.zeros_like(p) for p in params]
    for _ in range(100):
        loss()
        for i, p in enumerate(params):
            c = momenta[i] + (1 - beta1) * (p.grad - momenta[i])
            p.data = p.data * (1 - lr * decay) - lr * c.sign()
            momenta[i] = momenta[i] + (1 - beta2) * (p.grad - momenta[i])
    assert_close(ours, [p.detach() for p in params])


def test_lions_steps_all_have_one_length():
    params, loss = problem([(5, 4)])
    before = params[0].detach().clone()
    loss()
    own.Lion(params, lr=0.25).step()
    assert_close((params[0] - before).abs(), torch.full((5, 4), 0.25))


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
def test_complex_numbers_count_as_two_real_ones(name):
    ends = []
    for module in (own, optim):
        torch.manual_seed(0)
        z = nn.Parameter(torch.randn(3, 2, dtype=torch.complex128))
        optimizer = getattr(module, name)([z], lr=0.1, weight_decay=0.1)
        for _ in range(30):
            optimizer.zero_grad()
            ((z - (1 + 2j)).abs() ** 2).sum().backward()
            optimizer.step()
        ends.append(z.detach())
    assert_close(*ends)


@pytest.mark.parametrize("name", ALL)
def test_saved_in_the_middle_it_ends_at_the_same_bits(name, tmp_path):
    Own = getattr(own, name)
    whole = walk(lambda p: Own(p, lr=0.02), MATRICES, steps=40)
    params, loss = problem(MATRICES)
    optimizer = Own(params, lr=0.02)
    for step in range(40):
        if step == 17:
            torch.save(optimizer.state_dict(), tmp_path / "optimizer.pt")
            optimizer = Own(params, lr=99.0)  # forgotten: the state brings its own
            state = torch.load(tmp_path / "optimizer.pt", weights_only=False)
            optimizer.load_state_dict(state)
        loss()
        optimizer.step()
    assert all(p.equal(q) for p, q in zip(params, whole, strict=True))


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "Lion"])
def test_the_state_is_plain_data(name, tmp_path):
    optimizer = getattr(own, name)(nn.Linear(2, 2).parameters())
    torch.save(optimizer.state_dict(), tmp_path / "optimizer.pt")
    torch.load(tmp_path / "optimizer.pt", weights_only=True)


@pytest.mark.parametrize(
    "name, first",
    [("SGD", optim), ("Adam", optim), ("Adam", own), ("AdamW", optim), ("AdamW", own)],
)
def test_own_and_library_take_over_from_each_other(name, first):
    options = {"lr": 0.02} | ({"momentum": 0.9} if name == "SGD" else {})
    whole = walk(lambda p: getattr(optim, name)(p, **options), SHAPES, steps=40)
    params, loss = problem(SHAPES)
    optimizer = getattr(first, name)(params, **options)
    for step in range(40):
        if step == 20:
            state = copy.deepcopy(optimizer.state_dict())
            second = optim if first is own else own
            optimizer = getattr(second, name)(params, **options)
            optimizer.load_state_dict(state)
        loss()
        optimizer.step()
    assert_close([p.detach() for p in params], whole)


@pytest.mark.parametrize("name", ALL)
def test_closure_runs_once_with_gradients_and_its_loss_comes_back(name):
    params, loss = problem(MATRICES)
    calls = []

    def closure():
        calls.append(torch.is_grad_enabled())
        return loss()

    with torch.no_grad():
        value = getattr(own, name)(params).step(closure)
    assert calls == [True] and value.item() > 0 and torch.is_grad_enabled()


@pytest.mark.parametrize("name", ALL)
def test_no_gradient_no_step(name):
    params, loss = problem(MATRICES)
    optimizer = getattr(own, name)(params, weight_decay=0.1)
    loss()
    before, params[1].grad = [p.detach().clone() for p in params], None
    optimizer.step()
    moved = [not p.equal(b) for p, b in zip(params, before, strict=True)]
    assert moved == [True, False, True, True] and params[1] not in optimizer.state


def test_sparse_gradients():
    torch.manual_seed(0)
    ends = []
    start = torch.randn(5, 3)
    for sparse in (True, False):
        table = nn.Embedding.from_pretrained(start.clone(), freeze=False, sparse=sparse)
        optimizer = own.SGD(table.parameters(), lr=0.1)
        table(torch.tensor([1, 1, 4])).square().sum().backward()
        optimizer.step()
        ends.append(table.weight.detach())
    assert_close(*ends)
    assert ends[0][0].equal(start[0])


@pytest.mark.parametrize(
    "make",
    [lambda p: own.SGD(p, momentum=0.9), own.Adam, own.AdamW, own.Lion, own.Muon],
)
def test_sparse_gradients_refused_where_the_rule_needs_all(make):
    table = nn.Embedding(5, 3, sparse=True)
    optimizer = make(table.parameters())
    table(torch.tensor([1])).sum().backward()
    with pytest.raises(RuntimeError, match="needs dense gradients"):
        optimizer.step()


@pytest.mark.parametrize("name", ALL)
def test_learns_one_batch(name):
    torch.manual_seed(0)
    x, y = torch.randn(16, 8), torch.randn(16, 4)
    weight = nn.Parameter(0.1 * torch.randn(8, 4))
    optimizer = getattr(own, name)([weight], lr=0.02)
    before = (x @ weight - y).square().mean().item()
    for _ in range(100):
        optimizer.zero_grad()
        loss = (x @ weight - y).square().mean()
        loss.backward()
        optimizer.step()
    assert loss < 0.75 * before  # the best there is: 0.55


# Broken use


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(
    "options, words",
    [
        ({"lr": -0.1}, "lr has to be 0 or more, not -0.1"),
        ({"lr": float("nan")}, "lr has to be 0 or more, not nan"),
        ({"weight_decay": -1}, "weight_decay has to be 0 or more"),
    ],
)
def test_bad_options(name, options, words):
    with pytest.raises(ValueError, match=words):
        getattr(own, name)([nn.Parameter(torch.zeros(2, 2))], **options)


@pytest.mark.parametrize("name", ["Adam", "AdamW", "Lion"])
@pytest.mark.parametrize("betas", [(1.0, 0.9), (0.9, 1.0), (-0.1, 0.9)])
def test_bad_betas(name, betas):
    with pytest.raises(ValueError, match=r"betas\[\d\] has to be in \[0, 1\)"):
        getattr(own, name)([nn.Parameter(torch.zeros(2, 2))], betas=betas)


@pytest.mark.parametrize("name", ALL)
def test_empty_list_and_bare_tensor(name):
    with pytest.raises(ValueError, match="empty parameter list"):
        getattr(own, name)([])
    with pytest.raises(TypeError, match="iterable"):
        getattr(own, name)(nn.Parameter(torch.zeros(2, 2)))


def test_options_that_do_not_go_together():
    w = nn.Parameter(torch.zeros(2, 2))
    with pytest.raises(ValueError, match="momentum has to be"):
        own.SGD([w], momentum=1.0)
    with pytest.raises(ValueError, match="nesterov"):
        own.SGD([w], nesterov=True)
    with pytest.raises(ValueError, match="takes real matrices"):
        own.Muon(nn.Linear(2, 2).parameters())
    with pytest.raises(ValueError, match="complex64"):
        own.Muon([nn.Parameter(torch.zeros(2, 2, dtype=torch.complex64))])
    with pytest.raises(NotImplementedError, match="define update"):
        rule = RuleOptimizer([w], {})
        w.sum().backward()
        rule.step()


def test_a_bad_group_is_refused_and_leaves_no_trace():
    a, b = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(2))
    with pytest.raises(ValueError, match="lr"):
        own.SGD([{"params": [a]}, {"params": [b], "lr": -1}], lr=0.1)
    optimizer = own.SGD([a], lr=0.1)
    with pytest.raises(ValueError, match="lr"):
        optimizer.add_param_group({"params": [b], "lr": -1})
    assert len(optimizer.param_groups) == 1
    optimizer.add_param_group({"params": [b], "lr": 1})
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 1]


# Parts


@settings(max_examples=20)
@given(rows=st.integers(1, 12), columns=st.integers(1, 12), seed=st.integers(0, 99))
def test_orthogonalize_keeps_the_directions(rows, columns, seed):
    g = torch.Generator().manual_seed(seed)
    matrix = torch.randn(rows, columns, generator=g, dtype=torch.float64)
    u, s, vh = torch.linalg.svd(matrix, full_matrices=False)
    found = u.mT @ own.orthogonalize(matrix) @ vh.mT  # diagonal
    values = found.diagonal()
    assert_close(found, torch.diag(values), rtol=0, atol=1e-6)
    assert (values[s > 0.05 * s[0]] > 0.6).all() and (values < 1.3).all()


def test_orthogonalize_of_zeros_and_of_no_matrix():
    assert own.orthogonalize(torch.zeros(3, 2)).equal(torch.zeros(3, 2))
    with pytest.raises(ValueError, match=r"matrix, not \(3,\)"):
        own.orthogonalize(torch.zeros(3))


def test_decay_groups():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Linear(2, 2))
    decayed, others = decay_groups(model, 0.1)
    assert [n for n, _ in decayed["params"]] == ["0.weight", "2.weight"]
    assert decayed["weight_decay"] == 0.1 and others["weight_decay"] == 0
    optimizer = own.AdamW(decay_groups(model, 0.1))
    held = sum(len(group["params"]) for group in optimizer.param_groups)
    assert held == len(list(model.parameters()))
    assert optimizer.param_groups[0]["param_names"] == ["0.weight", "2.weight"]
    model.requires_grad_(False)
    with pytest.raises(ValueError, match="no parameter"):
        decay_groups(model, 0.1)
