"""Dynamic batching: requests that come one by one run through the model together.

A request waits a few milliseconds at most for others to join it. While the model is at
work more of them queue up, so the batches grow with the load by themselves. The idea is
that of TorchServe and Triton ("dynamic batching"), in a hundred lines.

Imports PyTorch only: this module can be copied alone.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


class Overloaded(RuntimeError):
    """The queue is full: come again later."""


class Closed(RuntimeError):
    """The batcher was stopped, or not yet started."""


@dataclass(frozen=True)
class Answer:
    """A request's share of the model's output, and how it came about."""

    output: Tensor  # the row of the batch
    batch_size: int  # how many requests ran together
    waited: float  # seconds in the queue
    computed: float  # seconds that the whole batch took


@dataclass(frozen=True, eq=False)  # equal only to itself
class _Request:
    item: Tensor
    future: asyncio.Future
    arrived: float


class Batcher:
    """Awaitable calls of one model, which sees them in batches.

    `model` takes (N, ...) and gives (N, ...). An item waits `max_wait` seconds at most
    before a batch smaller than `max_batch` starts; more than `capacity` waiting items
    are refused. `observe(batch_size, seconds)` is called after each batch, from the
    thread that ran it. Only items of the same shape and type can be stacked.

        async with Batcher(model) as batched:
            answer = await batched(image)  # (3, H, W) -> answer.output (classes,)

    The model runs under `inference_mode` in `workers` threads of its own, so the event
    loop stays free. Leaving the block answers what was accepted, and then ends.
    """

    def __init__(
        self,
        model: Callable[[Tensor], Tensor],
        *,
        max_batch: int = 32,
        max_wait: float = 0.002,
        capacity: int = 256,
        workers: int = 1,
        observe: Callable[[int, float], Any] | None = None,
    ) -> None:
        if min(max_batch, capacity, workers) < 1 or max_wait < 0:
            raise ValueError("sizes must be at least 1, and max_wait at least 0")
        self.model, self.observe = model, observe
        self.max_batch, self.max_wait, self.capacity = max_batch, max_wait, capacity
        self._waiting: deque[_Request] = deque()
        self._changed = threading.Condition()
        self._open = False
        self._threads = [
            threading.Thread(target=self._work, name=f"model-{i}", daemon=True)
            for i in range(workers)
        ]

    async def __aenter__(self) -> "Batcher":
        self._loop = asyncio.get_running_loop()
        self._open = True
        for thread in self._threads:
            thread.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        with self._changed:
            self._open = False
            self._changed.notify_all()
        for thread in self._threads:
            await asyncio.to_thread(thread.join)

    def __len__(self) -> int:
        """How many requests wait."""
        return len(self._waiting)

    async def __call__(self, item: Tensor) -> Answer:
        """The model's output for one item, (...) without the batch dimension.

        Raises `Overloaded` at once where `capacity` items wait already, `Closed` after
        the end, and what the model raises for this item. Cancelling the call takes the
        item out of its batch if that has not started.
        """
        future = self._loop.create_future()
        with self._changed:
            if not self._open:
                raise Closed("the batcher is not running")
            if len(self._waiting) >= self.capacity:
                raise Overloaded(f"{self.capacity} requests wait already")
            request = _Request(item, future, time.perf_counter())
            self._waiting.append(request)
            if len(self._waiting) == 1 or len(self._waiting) >= self.max_batch:
                self._changed.notify()  # those between only wait for company
        try:
            return await future
        except asyncio.CancelledError:
            with self._changed, suppress(ValueError):  # it may be running already
                self._waiting.remove(request)
            raise

    def _work(self) -> None:
        while batch := self._next_batch():
            outcomes = self._run(batch)
            self._loop.call_soon_threadsafe(_deliver, batch, outcomes)

    def _next_batch(self) -> list[_Request]:
        """Wait for requests; an empty list after the end."""
        with self._changed:
            while True:
                while self._open and not self._waiting:
                    self._changed.wait()
                if not self._waiting:
                    return []
                end = self._waiting[0].arrived + self.max_wait
                while (
                    self._open
                    and 0 < len(self._waiting) < self.max_batch
                    and (left := end - time.perf_counter()) > 0
                ):
                    self._changed.wait(left)
                batch: list[_Request] = []
                while self._waiting and len(batch) < self.max_batch:
                    request = self._waiting.popleft()
                    if not request.future.cancelled():
                        batch.append(request)
                if batch:
                    return batch

    def _run(self, batch: Sequence[_Request]) -> list[Answer | Exception]:
        start = time.perf_counter()
        try:
            with torch.inference_mode():
                outputs = self.model(torch.stack([request.item for request in batch]))
            if len(outputs) != len(batch):
                raise ValueError(f"{len(batch)} items gave {len(outputs)} outputs")
            took = time.perf_counter() - start
            if self.observe is not None:
                self.observe(len(batch), took)
        except Exception as error:
            if len(batch) == 1:
                return [error]
            # one of them may have spoilt it for all: each on its own
            return [self._run([request])[0] for request in batch]
        return [
            Answer(output, len(batch), start - request.arrived, took)
            for request, output in zip(batch, outputs, strict=True)
        ]


def _deliver(batch: Sequence[_Request], outcomes: Sequence[Answer | Exception]) -> None:
    """In the event loop: futures are not to be touched from another thread."""
    for request, outcome in zip(batch, outcomes, strict=True):
        if request.future.done():  # cancelled meanwhile
            continue
        if isinstance(outcome, Exception):
            request.future.set_exception(outcome)
        else:
            request.future.set_result(outcome)
