"""Two machines on one: two network namespaces with a cable between them.

    python -m ch06_acceleration.two_machines --epochs 2   # train_ddp.py across both

On Linux, where a user may make namespaces, the cable counts the bytes, and tc makes it
slower. Elsewhere both machines are this one's loopback; `Machines.how` says which it
is. Can be copied together with network_namespaces.py and launch.py.
"""

import contextlib
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ch06_acceleration.launch import LOOPBACK, Started, free_port, started
from ch06_acceleration.network_namespaces import CARD, call, joined

PORT = 29500  # in a namespace of its own each one is free


@dataclass
class Machines:
    """Two machines, numbered 0 and 1, and what runs on them."""

    how: str  # "two network namespaces", or "loopback" and why
    names: tuple[str, str]  # by which each is found from the other
    port: int  # a free one on machine 0, for the rendezvous
    enter: Sequence[Sequence[str]] | None = None  # what takes a command into each
    running: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    @property
    def endpoint(self) -> str:
        """Where the machines meet: a port of machine 0, as "name:port"."""
        return f"{self.names[0]}:{self.port}"

    def start(self, machine: int, command: Sequence[str | Path]) -> Started:
        """Start a command on one of them; it ends with the block of `two_machines`.

        It sees no GPU: two machines with one GPU each do not fit onto one.
        """
        inside, env = [], {"CUDA_VISIBLE_DEVICES": "", "TORCH_CPP_LOG_LEVEL": "ERROR"}
        if self.enter is not None:
            inside, env["GLOO_SOCKET_IFNAME"] = self.enter[machine], CARD
        run = started([*inside, *map(str, command)], env=env)
        return self.running.enter_context(run)

    def run(
        self, commands: Sequence[Sequence[str | Path]], *, timeout: float = 300.0
    ) -> list[str]:
        """The first command on machine 0 and the second one on 1; what each printed.

        Raises `CommandFailed` for the one that fails first, as the other may wait for
        it in vain, and `TimeoutError` where they need more than `timeout` seconds.
        """
        both = [self.start(n, command) for n, command in enumerate(commands)]
        end = time.monotonic() + timeout
        while any(run.process.poll() is None for run in both):
            if failed := [run for run in both if run.process.poll()]:
                failed[0].wait()
            if time.monotonic() > end:
                wrote = "\n".join(run.stdout + run.stderr for run in both)
                raise TimeoutError(f"not done after {timeout:g} s:\n{wrote}")
            time.sleep(0.02)
        return [run.wait() for run in both]

    def bytes_sent(self) -> tuple[int, int] | None:
        """What the card of each machine has sent so far, with headers, in bytes.

        None on loopback: nobody could tell the bytes from those of other programs.
        """
        if self.enter is None:
            return None
        tables = [call([*enter, "cat", "/proc/net/dev"]) for enter in self.enter]
        lines = [table.partition(f"{CARD}:")[2].split() for table in tables]
        return int(lines[0][8]), int(lines[1][8])  # eight numbers about receiving

    def slow_down(self, mbit: float) -> bool:
        """Let the cable carry at most `mbit` megabits a second, in each direction.

        False where it can not be done: on loopback, without the program tc, or where
        the kernel lacks its module. Raises `ValueError` unless it is above 0.
        """
        if not mbit > 0:
            raise ValueError(f"a cable of {mbit} Mbit/s carries nothing")
        if self.enter is None or not shutil.which("tc"):
            return False
        bucket = f"tbf rate {mbit}mbit burst 64kb latency 400ms"
        queue = f"tc qdisc replace dev {CARD} root {bucket}".split()
        try:
            for enter in self.enter:
                call([*enter, *queue])
        except OSError:
            return False
        return True


@contextlib.contextmanager
def two_machines(
    names: tuple[str, str] = ("node0", "node1"), *, namespaces: bool = True
) -> Iterator[Machines]:
    """Two machines as long as the block lasts; then all that runs on them is ended.

    Namespaces where the system allows it; else, or with `namespaces=False`, loopback,
    which works everywhere, and where `names` are left out.
    """
    with contextlib.ExitStack() as stack:
        how, enter = "loopback", None
        try:
            enter = stack.enter_context(joined(names)) if namespaces else None
        except (OSError, subprocess.SubprocessError) as error:
            how = f"loopback, as there are no namespaces: {error}"
        if enter is None:
            machines = Machines(how, (LOOPBACK, LOOPBACK), free_port())
        else:
            machines = Machines("two network namespaces", names, PORT, enter)
        with machines.running:
            yield machines


def agents(
    machines: Machines,
    *arguments: object,
    processes: int = 1,
    options: Sequence[str] = ("--nnodes=2",),
) -> list[list[str]]:
    """The torchrun command of each machine; the two differ in their own address only.

    `options` are torchrun's own, `arguments` the script (or `-m` and a module) and what
    it is to know.
    """
    meeting = [
        f"--nproc-per-node={processes}",
        "--rdzv-backend=c10d",
        f"--rdzv-endpoint={machines.endpoint}",
        f"--rdzv-id={machines.port}",
    ]
    start = [sys.executable, "-m", "torch.distributed.run", *options, *meeting]
    return [
        [*start, f"--local-addr={name}", *map(str, arguments)]
        for name in machines.names
    ]


def wait_for(run: Started, text: str, *, timeout: float = 120.0) -> str:
    """Wait until a command has printed `text`; all that it has printed.

    Raises `TimeoutError` with the end of what it wrote if that does not come, because
    it ended or because it takes more than `timeout` seconds.
    """
    end = time.monotonic() + timeout
    over = False
    while text not in (wrote := run.stdout):
        if over:
            error = run.stderr[-2000:]
            raise TimeoutError(f"{text!r} did not come; it wrote:\n{wrote}{error}")
        time.sleep(0.02)
        over = time.monotonic() > end or run.process.poll() is not None
    return wrote


def main(arguments: Sequence[str]) -> None:
    with two_machines() as machines:
        print(machines.how, flush=True)
        script = "-m", "ch06_acceleration.train_ddp", *arguments
        for number, text in enumerate(machines.run(agents(machines, *script))):
            print(f"--- machine {number}\n{text}", end="")


if __name__ == "__main__":
    main(sys.argv[1:])
