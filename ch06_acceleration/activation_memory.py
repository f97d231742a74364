"""How much memory a training step needs for its activations, counted on any device.

A GPU has `torch.cuda.max_memory_allocated`; this counts tensors, so that a CPU can show
the same. Imports PyTorch only: this module can be copied alone.
"""

import weakref
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary


def saved_bytes(call: Callable[[], object], *, without: Iterable[Tensor] = ()) -> int:
    """The bytes that autograd keeps of a forward pass, for the backward pass.

    call: runs the forward pass. without: tensors that are there anyway, such as
    `model.parameters()`. What is kept by several operations, or as several views of one
    memory, counts once. Raises `TypeError` where `call` is not a function. The idea is
    that of `torch.autograd.graph.saved_tensors_hooks`.
    """
    if not callable(call):
        raise TypeError(f"give a function, such as lambda: model(x), not {type(call)}")
    anyway = {tensor.untyped_storage().data_ptr() for tensor in without}
    kept: dict[int, torch.UntypedStorage] = {}  # held: no address is used twice

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in anyway:
            kept[storage.data_ptr()] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        call()
    return sum(storage.nbytes() for storage in kept.values())


class LiveBytes(TorchDispatchMode):
    """Counts the memory of the tensors that are made in a `with` block and still live.

    now: bytes at this moment; peak: the most so far; history: bytes after each
    operation, forward and backward. What was there before is not counted, nor is what
    an operation takes for itself and gives back. Use an object once: a second `with`
    raises `RuntimeError`. After `torch.distributed._tools.mem_tracker`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now, self.peak = 0, 0
        self.history: list[int] = []
        self._known = WeakIdKeyDictionary()  # storages
        self._entered = False

    def __enter__(self) -> "LiveBytes":
        if self._entered:
            raise RuntimeError("a LiveBytes counts one block: make a new one")
        self._entered = True
        super().__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        super().__exit__(kind, error, trace)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        for storage in _storages((args, kwargs)):
            self._known.setdefault(storage, True)  # from before the block
        result = func(*args, **kwargs)
        for storage in _storages(result):
            if storage not in self._known:
                self._known[storage] = True
                self._add(storage.nbytes())
                weakref.finalize(storage, self._add, -storage.nbytes())
        self.history.append(self.now)
        return result

    def _add(self, number: int) -> None:
        self.now += number
        self.peak = max(self.peak, self.now)


def _storages(tree: Any) -> list[torch.UntypedStorage]:
    strided = (
        leaf
        for leaf in tree_leaves(tree)
        if isinstance(leaf, Tensor) and leaf.layout is torch.strided
    )
    return [tensor.untyped_storage() for tensor in strided]
