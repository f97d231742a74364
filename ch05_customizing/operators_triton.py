"""`pocket::recurrence` on an NVIDIA or AMD GPU: its kernel, in Triton.

Import it where `torch.cuda.is_available()` and Triton are there (PyTorch for Linux
brings it along); importing registers the kernel. One program computes one row, a block
of it at a time. In a block, all states are found together by an associative scan.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from ch05_customizing.operators import recurrence


@triton.jit
def after(a_first, x_first, a_then, x_then):
    """Two stretches of the recurrence, one after the other, as one stretch."""
    return a_first * a_then, a_then * x_first + x_then


@triton.jit
def scan_rows(a, x, h, steps, BLOCK: tl.constexpr):
    """Row `program_id` of `h` from that of `a` and of `x`: each is (rows, steps)."""
    row = tl.program_id(0).to(tl.int64) * steps
    place = tl.arange(0, BLOCK)
    state = tl.full((), 0, h.dtype.element_ty)
    for start in range(0, steps, BLOCK):
        inside = start + place < steps
        factors = tl.load(a + row + start + place, inside, other=1)
        values = tl.load(x + row + start + place, inside, other=0)
        product, total = tl.associative_scan((factors, values), 0, after)
        states = total + product * state
        tl.store(h + row + start + place, states, inside)
        state = tl.sum(tl.where(place == BLOCK - 1, states, 0), 0)


def by_triton(a: Tensor, x: Tensor) -> Tensor:
    """h[t] = a[t] * h[t-1] + x[t] on a GPU: (..., T), (..., T) -> (..., T)."""
    a, x = a.contiguous(), x.contiguous()
    h, steps = torch.empty_like(x), x.shape[-1]
    if rows := x.numel() // steps:
        block = min(1024, triton.next_power_of_2(steps))
        with torch.cuda.device_of(x):  # Triton starts kernels on the current device
            scan_rows[(rows,)](a, x, h, steps, BLOCK=block)
    return h


recurrence.register_kernel("cuda")(by_triton)
