"""Dynamic batching: who runs together, who waits, who is turned away."""

import asyncio
import random
import threading
import time

import pytest
import torch
from torch import nn

from ch07_deployment.batching import Answer, Batcher, Closed, Overloaded


class Recorder:
    """Doubles its input, remembers the sizes, and can be held up."""

    def __init__(self):
        self.sizes, self.threads, self.grad = [], set(), None
        self.go = threading.Event()
        self.go.set()

    def __call__(self, x):
        self.go.wait(5)
        self.sizes.append(len(x))
        self.threads.add(threading.current_thread().name)
        self.grad = torch.is_inference_mode_enabled()
        return 2 * x


def item(value):
    return torch.full((3,), float(value))


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 20))


def test_each_gets_its_own_answer():
    model = nn.Linear(3, 2).eval()
    items = [torch.randn(3) for _ in range(20)]

    async def calls():
        async with Batcher(model, max_batch=8) as batched:
            return await asyncio.gather(*map(batched, items))

    answers = run(calls())
    torch.testing.assert_close(
        torch.stack([a.output for a in answers]), model(torch.stack(items)).detach()
    )
    assert sum(1 / a.batch_size for a in answers) == pytest.approx(3)  # 8 + 8 + 4
    assert all(a.waited >= 0 and a.computed > 0 for a in answers)


def test_requests_at_a_time_run_together_and_off_the_loop():
    model, seen = Recorder(), []

    async def calls():
        observe = lambda n, seconds: seen.append((n, seconds))  # noqa: E731
        async with Batcher(model, max_batch=4, max_wait=1, observe=observe) as batched:
            return await asyncio.gather(*(batched(item(i)) for i in range(8)))

    start = time.perf_counter()
    assert [a.output[0].item() for a in run(calls())] == [2 * i for i in range(8)]
    assert time.perf_counter() - start < 0.9  # a full batch does not wait
    assert model.sizes == [4, 4] == [n for n, _ in seen]
    assert model.threads == {"model-0"} and model.grad


def test_one_alone_waits_no_longer_than_it_must():
    async def call():
        async with Batcher(Recorder(), max_wait=0.05) as batched:
            return await batched(item(1))

    answer = run(call())
    assert isinstance(answer, Answer) and answer.batch_size == 1
    assert 0.04 < answer.waited < 2


def test_what_arrives_while_the_model_works_becomes_the_next_batch():
    model = Recorder()

    async def calls():
        async with Batcher(model, max_wait=0) as batched:
            model.go.clear()
            first = asyncio.ensure_future(batched(item(0)))
            await asyncio.sleep(0.05)
            others = [asyncio.ensure_future(batched(item(i))) for i in range(5)]
            await asyncio.sleep(0.05)
            assert len(batched) == 5
            model.go.set()
            await asyncio.gather(first, *others)

    run(calls())
    assert model.sizes == [1, 5]


def test_a_full_queue_refuses_at_once_and_recovers():
    model = Recorder()

    async def calls():
        async with Batcher(model, max_batch=1, max_wait=0, capacity=2) as batched:
            model.go.clear()
            running = asyncio.ensure_future(batched(item(0)))
            await asyncio.sleep(0.05)
            waiting = [asyncio.ensure_future(batched(item(i))) for i in (1, 2)]
            await asyncio.sleep(0)
            start = time.perf_counter()
            with pytest.raises(Overloaded, match="2 requests wait"):
                await batched(item(3))
            assert time.perf_counter() - start < 0.5
            model.go.set()
            await asyncio.gather(running, *waiting)
            return await batched(item(4))

    assert run(calls()).output[0] == 8


def test_who_is_cancelled_leaves_the_queue():
    model = Recorder()

    async def calls():
        async with Batcher(model, max_batch=1, max_wait=0, capacity=1) as batched:
            model.go.clear()
            running = asyncio.ensure_future(batched(item(0)))
            await asyncio.sleep(0.05)
            gone = asyncio.ensure_future(batched(item(1)))
            await asyncio.sleep(0)
            gone.cancel()
            with pytest.raises(asyncio.CancelledError):
                await gone
            assert len(batched) == 0
            running.cancel()  # while it runs: its result is thrown away
            last = asyncio.ensure_future(batched(item(2)))
            await asyncio.sleep(0)
            model.go.set()
            return await last

    assert run(calls()).output[0] == 4
    assert model.sizes == [1, 1]


def test_an_error_reaches_only_the_one_that_caused_it():
    def model(x):
        if (x < 0).any():
            raise ValueError("negative")
        return x

    async def calls():
        async with Batcher(model, max_wait=0.05) as batched:
            values = (1, -1, 2, 3)
            return await asyncio.gather(
                *(batched(item(v)) for v in values), return_exceptions=True
            )

    first, second, third, fourth = run(calls())
    assert isinstance(second, ValueError) and "negative" in str(second)
    assert [a.output[0].item() for a in (first, third, fourth)] == [1, 2, 3]


def test_another_shape_does_no_harm_to_the_others():
    async def calls():
        async with Batcher(Recorder(), max_wait=0.05) as batched:
            return await asyncio.gather(
                batched(item(1)), batched(torch.ones(5)), batched(item(2))
            )

    assert [len(a.output) for a in run(calls())] == [3, 5, 3]


def test_a_model_that_loses_items_is_an_error():
    async def calls():
        async with Batcher(lambda x: x[:0], max_wait=0) as batched:
            await batched(item(1))

    with pytest.raises(ValueError, match="1 items gave 0 outputs"):
        run(calls())


def test_the_end_answers_what_was_accepted_and_refuses_the_rest():
    model = Recorder()

    async def calls():
        batched = Batcher(model, max_batch=2, max_wait=60)
        async with batched:
            accepted = [asyncio.ensure_future(batched(item(i))) for i in range(3)]
            await asyncio.sleep(0)
        answers = await asyncio.gather(*accepted)
        with pytest.raises(Closed):
            await batched(item(9))
        return answers

    assert [a.output[0].item() for a in run(calls())] == [0, 2, 4]
    assert not [t for t in threading.enumerate() if t.name.startswith("model-")]


def test_several_workers_run_at_the_same_time():
    both = threading.Barrier(2, timeout=5)

    def model(x):
        both.wait()
        return x

    async def calls():
        async with Batcher(model, max_batch=1, workers=2) as batched:
            await asyncio.gather(batched(item(0)), batched(item(1)))

    run(calls())


def test_nobody_is_forgotten_whenever_they_come():
    """Workers are woken by the first and by a full batch: those between count, too."""
    model, moments = Recorder(), random.Random(0)

    async def late(batched, i):
        await asyncio.sleep(moments.uniform(0, 0.2))
        return (await batched(item(i))).output[0].item()

    async def calls():
        options = {"max_batch": 4, "max_wait": 0.002, "workers": 2}
        async with Batcher(model, **options) as batched:
            return await asyncio.gather(*(late(batched, i) for i in range(300)))

    assert run(calls()) == [2 * i for i in range(300)]
    assert sum(model.sizes) == 300 and max(model.sizes) <= 4


@pytest.mark.parametrize(
    "wrong", [{"max_batch": 0}, {"capacity": 0}, {"workers": 0}, {"max_wait": -1}]
)
def test_bad_sizes(wrong):
    with pytest.raises(ValueError, match="at least"):
        Batcher(Recorder(), **wrong)
