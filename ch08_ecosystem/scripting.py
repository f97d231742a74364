"""Does a transform work under TorchScript? It is compiled, run and compared.

Imports PyTorch, torchvision and Pillow only: this module can be copied alone.
"""

import random
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from PIL import Image
from torch import nn
from torchvision.transforms import functional as F

SEEDS = range(8)  # one alone may agree by chance
WHERE = re.compile(r" \(of Python compilation unit at: 0x[0-9a-f]+\)")


@dataclass(frozen=True)
class Verdict:
    """Whether the scripted one runs, why not, and whether its result is the same.

    True in a condition where it `works`. `same` compares it with the plain one on the
    same tensors and some seeds; it is False where it does not work.
    """

    works: bool
    reason: str = ""
    same: bool = False

    def __bool__(self) -> bool:
        return self.works

    def __str__(self) -> str:
        if self.works:
            return "yes" if self.same else "yes, with another result"
        return f"no: {self.reason}"


def works_under_torchscript(
    transform: Callable, *inputs: object, **options: object
) -> Verdict:
    """Compile `transform` with `torch.jit.script`, run it on `inputs`, and compare.

    TorchScript knows tensors only, so PIL images among the inputs become uint8 tensors
    (C, H, W) first. Scripting is deprecated; its warnings stay quiet. Sets the seeds
    of `torch` and `random`, to several in turn. Raises what the plain transform raises
    on the tensors, where the scripted one works.
    """
    inputs = tuple(map(as_tensor, inputs))
    with warnings.catch_warnings(action="ignore"):
        try:
            scripted = torch.jit.script(transform)
            results = [_seeded(scripted, inputs, options, seed) for seed in SEEDS]
        except Exception as error:
            return Verdict(False, short_reason(error))
        plain = [_seeded(transform, inputs, options, seed) for seed in SEEDS]
    return Verdict(True, same=same(results, plain))


def as_tensor(value: object) -> object:
    """A PIL image as a uint8 tensor (C, H, W); anything else as it is."""
    return F.pil_to_tensor(value) if isinstance(value, Image.Image) else value


def same(one: object, other: object) -> bool:
    """Whether two results are equal: tensors, numbers, or sequences of them."""
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        pairs = zip(one, other, strict=False)
        return len(one) == len(other) and all(same(a, b) for a, b in pairs)
    if torch.is_tensor(one) and torch.is_tensor(other):
        return one.dtype == other.dtype and torch.equal(one, other)
    return type(one) is type(other) and one == other


def short_reason(error: Exception, width: int = 90) -> str:
    """The sentence of TorchScript's long message that says what is wrong."""
    lines = [line.strip(" :") for line in str(error).splitlines()]
    places = [n for n, line in enumerate(lines) if line.startswith('File "')]
    head = [line for line in lines[: places[0] if places else None] if line]
    # Where it ran and raised, the last line names the error; else the last one before
    # the place in the source does.
    said = head[-1] if head else type(error).__name__
    if "Traceback of TorchScript" in str(error):
        said = [line for line in lines if line][-1]
    said = WHERE.sub("", said).split(". ")[0].split(" (This attribute")[0]
    return said if len(said) <= width else said[: width - 3] + "..."


def _seeded(
    function: Callable | nn.Module, inputs: tuple, options: dict, seed: int
) -> object:
    torch.manual_seed(seed)
    random.seed(seed)
    return function(*inputs, **options)
