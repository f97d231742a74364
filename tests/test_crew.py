"""Processes that stay and do what they are told."""

import os
import sys
import time

import psutil
import pytest
import torch
import torch.distributed as dist

from ch06_acceleration.crew import Crew


@pytest.fixture(scope="module")
def two():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules["__main__"], "__spec__", None, raising=False)
        with Crew(2) as crew:
            yield crew


def test_each_rank_answers_in_its_place(two):
    offset = 10  # carried along with the function

    def summed(x):
        dist.all_reduce(x := x * (dist.get_rank() + 1))
        return dist.get_rank(), x + offset

    results = two.call(summed, torch.ones(2))
    assert [rank for rank, _ in results] == [0, 1]
    assert all(torch.equal(x, torch.full((2,), 13.0)) for _, x in results)


def test_they_are_others_with_one_thread_and_gloo(two, capsys):
    def facts():
        import torch

        return torch.get_num_threads(), dist.get_backend(), dist.get_world_size()

    two.show(facts)
    assert capsys.readouterr().out == "".join(
        f"rank {rank}: (1, 'gloo', 2)\n" for rank in (0, 1)
    )
    assert os.getpid() not in two.call(os.getpid)


def test_an_error_is_told_and_the_next_call_works(two):
    def fails():
        if dist.get_rank() == 1:
            raise KeyError("only here")
        dist.barrier()  # waits for the other one

    with pytest.raises(RuntimeError, match=r"(?s)Traceback.*only here|Connection"):
        two.call(fails)
    assert two.call(dist.get_rank) == [0, 1]


def test_a_process_that_ends_is_an_error(two):
    def leaves():
        if dist.get_rank() == 0:
            os._exit(3)

    with pytest.raises(RuntimeError, match="the process of rank 0 ended"):
        two.call(leaves)
    two.end()


def test_it_does_not_wait_forever_and_leaves_nothing(spawning):
    before = set(psutil.Process().children(recursive=True))
    with Crew(1) as one:
        one.call(dist.get_rank)
        one.timeout = 0.2
        with pytest.raises(TimeoutError, match="done in time"):
            one.call(time.sleep, 60)
        one.end()
    left = set(psutil.Process().children(recursive=True)) - before
    assert not [p for p in left if "resource_tracker" not in " ".join(p.cmdline())]


def test_nobody_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        Crew(0)
