"""Processes that stay: call a function in all of them, and get what each returned.

    two = Crew(2)
    two.call(function, 3)   # [what rank 0 returned, what rank 1 returned]
    two.end()

For trying out collectives in a notebook, where starting processes for each cell would
take seconds. They are joined by gloo on the CPU, one thread each, and the function may
stand in the notebook. For training there is `torchrun`. Can be copied together with
launch.py.
"""

import contextlib
import io
import multiprocessing
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import cloudpickle  # it carries functions of a notebook, too
import torch
import torch.distributed as dist

from ch06_acceleration.launch import loopback_interface


class Crew:
    """`size` processes with the ranks 0 ... size - 1; they start with the object.

    They end with `end`, with a `with` block, or with this process.
    """

    def __init__(self, size: int = 2, *, timeout: float = 300.0) -> None:
        if size < 1:
            raise ValueError(f"needs at least one process, not {size}")
        self.size, self.timeout = size, timeout
        self._members: list[tuple[Any, Connection]] = []
        self._start()

    def __enter__(self) -> "Crew":
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def call(self, function: Callable[..., Any], *args: Any) -> list[Any]:
        """`function(*args)` in each process at once; the results in order of rank.

        Raises `RuntimeError` with the traceback of the process that failed first,
        `TimeoutError` where they are not done in time. All are then ended, as the
        others may wait for it forever, and the next call starts new ones.
        """
        if not self._members:
            self._start()
        try:
            task = cloudpickle.dumps((function, args))
            for _, pipe in self._members:
                pipe.send_bytes(task)
            return self._answers()
        except BaseException:  # a KeyboardInterrupt as well
            self.end()
            raise

    def show(self, function: Callable[..., Any], *args: Any) -> None:
        """Call it, and print a line for each rank."""
        for rank, result in enumerate(self.call(function, *args)):
            print(f"rank {rank}: {result}")

    def end(self) -> None:
        """Stop the processes; a second time it does nothing."""
        for process, pipe in self._members:
            pipe.close()
            process.kill()
            process.join()
        if self._members:
            self._folder.cleanup()
        self._members = []

    def _start(self) -> None:
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        meeting = Path(self._folder.name) / "store"  # a file: no port, no address
        spawn = multiprocessing.get_context("spawn")
        for rank in range(self.size):
            pipe, theirs = spawn.Pipe()
            job = theirs, str(meeting), rank, self.size, self.timeout
            process = spawn.Process(target=_serve, args=job, daemon=True)
            process.start()
            theirs.close()
            self._members.append((process, pipe))

    def _answers(self) -> list[Any]:
        deadline = time.monotonic() + self.timeout
        answers: dict[int, Any] = {}
        while len(answers) < self.size:
            for rank, (_, pipe) in enumerate(self._members):
                if rank in answers or not pipe.poll(0.005):
                    continue
                try:
                    done, value = cloudpickle.loads(pipe.recv_bytes())
                except EOFError:
                    raise RuntimeError(f"the process of rank {rank} ended") from None
                if not done:
                    raise RuntimeError(f"in rank {rank}:\n{value}")
                answers[rank] = value
            if time.monotonic() > deadline:
                raise TimeoutError(f"only ranks {sorted(answers)} are done in time")
        return [answers[rank] for rank in range(self.size)]


def _serve(pipe: Connection, meeting: str, rank: int, size: int, limit: float) -> None:
    """The life of a process: join the group, then do what it is told to."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started it decides
    torch.set_num_threads(1)
    if sys.platform != "win32":
        os.environ["GLOO_SOCKET_IFNAME"] = loopback_interface()
    dist.init_process_group(
        "gloo",
        store=dist.FileStore(meeting, size),
        rank=rank,
        world_size=size,
        timeout=timedelta(seconds=limit),
    )
    while True:
        try:
            task = pipe.recv_bytes()
        except (EOFError, OSError):  # nobody is there any more
            os._exit(0)
        try:
            function, args = cloudpickle.loads(task)
            with contextlib.redirect_stderr(io.StringIO()):
                answer = True, function(*args)
            content = cloudpickle.dumps(answer)
        except Exception:
            content = cloudpickle.dumps((False, traceback.format_exc()))
        pipe.send_bytes(content)
