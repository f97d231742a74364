"""The recurrence: its kernels against a loop, its gradients, `vmap`, `opcheck`."""

import os
import shutil
import subprocess
import sys
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck, gradgradcheck

from ch05_customizing import operators
from ch05_customizing.operators import by_doubling, by_loop, load_cpp, recurrence
from ch05_customizing.timing import can_compile
from tests.notebooks import ROOT

QUIET = settings(max_examples=25)
shapes = st.lists(st.integers(1, 5), min_size=1, max_size=3)


@pytest.fixture(scope="module", params=["python", "cpp"])
def kernel(request, tmp_path_factory):
    """The Python kernel first; the C++ kernel, once loaded, stays."""
    if request.param == "cpp":
        if not can_compile() or not shutil.which("ninja"):
            pytest.skip("no C++ compiler or no ninja")
        load_cpp(tmp_path_factory.mktemp("build"))
    elif operators._loaded:
        pytest.skip("the C++ kernel is loaded already")
    return request.param


def inputs(*shape, dtype=torch.double, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(shape, dtype=dtype, generator=generator).requires_grad_()
        for _ in range(2)
    ]


def test_by_hand(kernel):
    a, x = torch.tensor([9.0, 0.5, 0.0, 2.0]), torch.tensor([4.0, 1.0, 7.0, 1.0])
    assert recurrence(a, x).tolist() == [4, 3, 7, 15]


@QUIET
@given(shape=shapes, seed=st.integers(0, 99), double=st.booleans())
def test_all_ways_agree_forward_and_backward(kernel, shape, seed, double):
    dtype = torch.float64 if double else torch.float32
    a, x = inputs(*shape, dtype=dtype, seed=seed)
    expected = by_loop(a, x)
    weights = torch.randn_like(expected)
    grads = torch.autograd.grad((weights * expected).sum(), (a, x))
    for way in (recurrence, by_doubling):
        found = way(a, x)
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
        theirs = torch.autograd.grad(
            (weights * found).sum(), (a, x), allow_unused=True, materialize_grads=True
        )  # of one step, the doubling does not use a
        torch.testing.assert_close(theirs, grads, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("shape", [(1,), (4,), (2, 3), (2, 1, 3)])
def test_gradients(kernel, shape):
    a, x = inputs(*shape)
    assert gradcheck(recurrence, (a, x)) and gradgradcheck(recurrence, (a, x))


def test_the_gradient_of_one_argument_only(kernel):
    a, x = inputs(2, 5)
    for of, other in ((a, x.detach()), (x, a.detach())):
        pair = (of, other) if of is a else (other, of)
        (found,) = torch.autograd.grad(recurrence(*pair).sum(), of)
        (expected,) = torch.autograd.grad(by_loop(*pair).sum(), of)
        torch.testing.assert_close(found, expected)


def test_strides_do_not_matter(kernel):
    a, x = (t.detach() for t in inputs(6, 4, 5))
    for view in (
        lambda t: t.mT,
        lambda t: t[::2, 1:, ::2],
        lambda t: t.permute(2, 0, 1),
    ):
        torch.testing.assert_close(
            recurrence(view(a), view(x)), by_loop(view(a), view(x))
        )
    assert recurrence(torch.empty(0, 4), torch.empty(0, 4)).shape == (0, 4)


def test_many_rows_on_several_threads(kernel):
    a, x = (t.detach() / 3 for t in inputs(300, 300, dtype=torch.float32))
    torch.testing.assert_close(recurrence(a, x), by_loop(a, x))


@pytest.mark.parametrize("in_dims", [(0, 0), (1, 2), (None, 1), (2, None)])
def test_vmap(kernel, in_dims):
    sizes = [[3, 4] for _ in in_dims]
    for size, dim in zip(sizes, in_dims, strict=True):
        if dim is not None:
            size.insert(dim, 6)
    a, x = torch.rand(sizes[0]), torch.randn(sizes[1])
    found = torch.vmap(recurrence, in_dims)(a, x)
    torch.testing.assert_close(found, torch.vmap(by_loop, in_dims)(a, x))


@pytest.mark.filterwarnings("ignore:The .grad attribute")
def test_opcheck(kernel):
    for pair in (inputs(2, 5), inputs(3, dtype=torch.float32)):
        found = torch.library.opcheck(recurrence, pair)
        assert set(found.values()) == {"SUCCESS"}


def test_broken_use_says_what_was_wrong(kernel):
    good = torch.rand(2, 3)
    for other in (torch.rand(3), torch.rand(2, 4), torch.rand(2, 3, 1)):
        with pytest.raises((ValueError, RuntimeError), match="need one shape"):
            recurrence(good, other)
    for empty in (torch.rand(2, 0), torch.tensor(1.0)):
        with pytest.raises((ValueError, RuntimeError), match="T > 0"):
            recurrence(empty, empty)
    with pytest.raises((ValueError, RuntimeError), match=r"one dtype|both float64"):
        recurrence(good, good.double())
    for dtype in (torch.int64, torch.bfloat16, torch.complex64):
        with pytest.raises(
            (ValueError, RuntimeError), match=r"float32|float or double"
        ):
            recurrence(good.to(dtype), good.to(dtype))


def test_one_call_in_a_compiled_graph(kernel):
    counts = []

    def backend(graph, _):
        counts.append(sum(n.op == "call_function" for n in graph.graph.nodes))
        return graph.forward

    compiled = torch.compile(recurrence, backend=backend, fullgraph=True)
    compiled(*inputs(2, 50))
    torch.compiler.reset()
    assert counts == [1]


def test_a_second_process_finds_the_library(kernel, tmp_path):
    if kernel != "cpp":
        pytest.skip("about the C++ kernel")
    shutil.copy(operators._loaded[0], tmp_path)
    code = (
        "import sys, torch, pathlib; from ch05_customizing import operators as o;"
        "o.load_cpp(pathlib.Path(sys.argv[1])); x = torch.ones(3);"
        "print(o.recurrence(x, x), 'torch.utils.cpp_extension' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "tensor([1., 2., 3.]) False\n" and not done.stderr


def test_the_compilers_words_are_handed_on(kernel, tmp_path, monkeypatch):
    if kernel != "cpp":
        pytest.skip("about the C++ kernel")
    broken = tmp_path / "broken.cpp"
    broken.write_text("int f() { return not_there; }", encoding="utf-8")
    monkeypatch.setattr(operators, "_loaded", [])
    monkeypatch.setattr(operators, "SOURCE", broken)
    with pytest.raises(RuntimeError, match="not_there"):
        load_cpp(tmp_path)


def test_the_triton_kernel():
    """On a CPU Triton's interpreter runs it, in a process of its own."""
    pytest.importorskip("triton")
    code = """
import torch
from ch05_customizing.operators import by_loop
from ch05_customizing.operators_triton import by_triton
for seed, shape in enumerate([(1,), (3, 5), (2, 3, 1), (2, 2500), (1, 1024), (0, 4)]):
    for dtype in (torch.float32, torch.float64):
        torch.manual_seed(seed)
        a, x = torch.rand(2, *shape, dtype=dtype)
        torch.testing.assert_close(by_triton(a, x), by_loop(a, x), atol=1e-5, rtol=1e-5)
print("equal")
"""
    environment = os.environ | {"TRITON_INTERPRET": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT, capture_output=True, text=True, env=environment, check=False,
    )  # fmt: skip
    assert done.stdout == "equal\n", done.stderr


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu():
    from ch05_customizing import operators_triton  # noqa: F401

    a, x = (t.detach().cuda().requires_grad_() for t in inputs(4, 33))
    torch.testing.assert_close(recurrence(a, x), by_loop(a, x))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert gradcheck(recurrence, (a, x))
