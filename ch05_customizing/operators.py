"""An operator of one's own, `pocket::recurrence`: one name, kernels in three languages.

The linear recurrence h[t] = a[t] * h[t-1] + x[t], with h[-1] = 0, is what filters,
running averages, discounted rewards and state space models compute. PyTorch has no
operator for it. Here are its Python kernel, its gradient, and how its kernel in C++
(operators.cpp) is compiled; the one for CUDA stands in operators_triton.py.
"""

import contextlib
import hashlib
import logging
import os
import platform
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

SOURCE = Path(__file__).with_name("operators.cpp")
BUILD = Path(__file__).with_name("build")  # ignored by git
_loaded: list[Path] = []


@torch.library.custom_op("pocket::recurrence", mutates_args=())
def recurrence(a: Tensor, x: Tensor) -> Tensor:
    """h[t] = a[t] * h[t-1] + x[t] along the last dimension, with h[-1] = 0.

    `a` and `x` are (..., T), float32 or float64, and so is the result. Differentiable
    any number of times; works under `torch.vmap` and `torch.compile`. Raises
    `ValueError`, or the C++ kernel `RuntimeError`, where shapes or types differ or are
    others, and where T is 0.
    """
    _check(a, x)
    return by_loop(a, x)


def by_loop(a: Tensor, x: Tensor) -> Tensor:
    """The same in plain PyTorch, a step at a time: (..., T), (..., T) -> (..., T)."""
    state, states = torch.zeros_like(x[..., 0]), []
    for t in range(x.shape[-1]):
        state = a[..., t] * state + x[..., t]
        states.append(state)
    return torch.stack(states, -1)


def by_doubling(a: Tensor, x: Tensor) -> Tensor:
    """The same in log2(T) rounds, each of which reaches back twice as far.

    After a round with shift s, `x[t]` is the sum over the last 2 s steps and `a[t]` the
    product of their factors (Hillis and Steele, Data parallel algorithms, 1986).
    """
    shift = 1
    while shift < x.shape[-1]:
        x = x + a * F.pad(x, (shift, -shift))
        a = a * F.pad(a, (shift, -shift))
        shift *= 2
    return x


@recurrence.register_fake
def _(a: Tensor, x: Tensor) -> Tensor:
    _check(a, x)
    return torch.empty_like(x, memory_format=torch.contiguous_format)


def _setup_context(ctx, inputs, output) -> None:
    ctx.save_for_backward(inputs[0], output)


def _backward(ctx, grad: Tensor) -> tuple[Tensor | None, Tensor]:
    """Gradients flow through the same recurrence, from the last step to the first."""
    a, h = ctx.saved_tensors
    to_next = a.roll(-1, -1)  # from t to t + 1; the last one meets a state of 0
    grad_x = recurrence(to_next.flip(-1), grad.flip(-1)).flip(-1)
    grad_a = grad_x * F.pad(h, (1, -1)) if ctx.needs_input_grad[0] else None
    return grad_a, grad_x


recurrence.register_autograd(_backward, setup_context=_setup_context)


@recurrence.register_vmap
def _(info, in_dims, a: Tensor, x: Tensor) -> tuple[Tensor, int]:
    """A dimension more, in front: the operator takes any number of them."""
    a, x = (
        t.expand(info.batch_size, *t.shape) if dim is None else t.movedim(dim, 0)
        for t, dim in zip((a, x), in_dims, strict=True)
    )
    return recurrence(a, x), 0


def load_cpp(folder: Path = BUILD) -> Path:
    """Give the operator its C++ kernel for the CPU; return the library's path.

    Compiled once and then kept in `folder`. Raises `RuntimeError` where there is no
    compiler or no ninja, or with the compiler's words where it fails.
    """
    if _loaded:
        return _loaded[0]
    made_for = (SOURCE.read_text("utf-8"), torch.__version__, sys.version)
    key = hashlib.sha256(repr((*made_for, platform.platform())).encode()).hexdigest()
    library = folder / f"operators_{key[:16]}{'.dll' if os.name == 'nt' else '.so'}"
    if library.exists():
        torch.ops.load_library(library)
    else:
        _compile_to(library)
    _loaded.append(library)
    return library


def _compile_to(library: Path) -> None:
    """Compile in a folder of its own, load, and keep a copy where that can be done."""
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name,
        _tools_at_hand(),
    ):
        from torch.utils import cpp_extension  # slow, and not needed later

        cpp_extension.load(
            name="operators",
            sources=[str(SOURCE)],
            extra_cflags=["/O2" if os.name == "nt" else "-O3"],
            build_directory=name,
            with_cuda=False,
            is_python_module=False,  # the library registers an operator, no module
        )
        (built,) = (p for p in Path(name).iterdir() if p.suffix in (".so", ".pyd"))
        with contextlib.suppress(OSError):  # a folder that cannot be written
            library.parent.mkdir(parents=True, exist_ok=True)
            part = library.with_suffix(f".{os.getpid()}")
            shutil.copy(built, part)
            part.replace(library)


@contextlib.contextmanager
def _tools_at_hand() -> Iterator[None]:
    """pip's ninja on the path; of `cpp_extension`, errors only (none is about CUDA)."""
    logger, path = logging.getLogger("torch.utils.cpp_extension"), os.environ["PATH"]
    level = logger.level
    try:
        logger.setLevel(logging.ERROR)
        os.environ["PATH"] = path + os.pathsep + sysconfig.get_path("scripts")
        yield
    finally:
        os.environ["PATH"] = path
        logger.setLevel(level)


def _check(a: Tensor, x: Tensor) -> None:
    if a.shape != x.shape or x.ndim < 1 or x.shape[-1] < 1:
        raise ValueError(
            f"a and x need one shape (..., T) with T > 0, not {tuple(a.shape)} and "
            f"{tuple(x.shape)}; expand the smaller one first"
        )
    if a.dtype != x.dtype or x.dtype not in (torch.float32, torch.float64):
        raise ValueError(
            f"a and x both have to be float32 or both float64, not {a.dtype} and "
            f"{x.dtype}"
        )
