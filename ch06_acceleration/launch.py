"""Start `torchrun` and other commands from a notebook or a test, and stop all of it.

    from ch06_acceleration.launch import torchrun
    print(torchrun("ch06_acceleration.train_ddp", "--epochs", "2", processes=2))

What such a command starts is a tree: torchrun's agent, its workers, their data loaders.
Here the tree ends with the call, whether it comes to its end, fails, takes too long or
is interrupted. Ports are free ones that the system chooses, all addresses are on
loopback: no network and no host name is needed, and two notebooks can run at once.
Imports public packages only: this module can be copied alone.
"""

import contextlib
import os
import re
import secrets
import socket
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

LOOPBACK = "127.0.0.1"
PORTS = range(20_000, 32_000)  # of `free_port`
MARK = "LAUNCHED_AS"  # a variable of all processes of a run, by which they are found
# A worker has these from its agent; inherited by a new run they would mislead it.
OF_A_WORKER = re.compile(
    r"((LOCAL_|GROUP_|ROLE_)?(RANK|WORLD_SIZE)|ROLE_NAME|MASTER_(ADDR|PORT)"
    r"|TORCHELASTIC_\w+)"
)
AGENT = re.compile(  # its own traceback, always the same
    r"^Traceback \(most recent call last\):\n(?: .*\n)+\S*ChildFailedError: *\n", re.M
)


class CommandFailed(RuntimeError):
    """A command that ended with an error; the text says which, and what it wrote."""


@dataclass
class Started:
    """A command that runs, or did: its process, and what it has written so far."""

    arguments: Sequence[str]
    process: psutil.Popen
    folder: Path
    _kept: dict[str, str] = field(default_factory=dict)  # when the folder is gone

    @property
    def stdout(self) -> str:
        return self._text("stdout")

    @property
    def stderr(self) -> str:
        return self._text("stderr")

    def wait(self, timeout: float = 300.0) -> str:
        """Wait for its end; return what it wrote to stdout.

        Raises `CommandFailed` with the end of stderr where it fails, `TimeoutError`
        with the same where it takes longer than `timeout` seconds.
        """
        name = " ".join(map(str, self.arguments[1:]))
        try:
            code = self.process.wait(timeout)
        except psutil.TimeoutExpired:
            end_tree(self.process)
            message = f"stopped after {timeout:g} s: {name}\n{self._tail()}"
            raise TimeoutError(message) from None
        if code:
            raise CommandFailed(f"ended with {code}: {name}\n{self._tail()}")
        return self.stdout

    def _tail(self, lines: int = 60) -> str:
        """The end of stderr, or of stdout where stderr is empty.

        Without the traceback of torchrun's agent: it would push out the workers' own.
        """
        said = AGENT.sub("", self.stderr).strip()
        written = said or self.stdout.strip() or "(it wrote nothing)"
        return "\n".join(written.splitlines()[-lines:])

    def _text(self, name: str) -> str:
        if name in self._kept:
            return self._kept[name]
        path = self.folder / name
        return path.read_text(encoding="utf-8", errors="replace")

    def _keep(self) -> None:
        self._kept |= {name: self._text(name) for name in ("stdout", "stderr")}


def torchrun(
    script: str | Path,
    *args: object,
    processes: int = 2,
    options: Sequence[str] = ("--standalone",),
    env: Mapping[str, str] | None = None,
    timeout: float = 300.0,
) -> str:
    """Run a module or a script (.py) in `processes` workers; return its stdout.

    `options` are torchrun's own, such as `--max-restarts=1`; each worker computes with
    one thread. Raises as `Started.wait`.
    """
    arguments = command(script, *args, processes=processes, options=options)
    with started(arguments, env=env) as run:
        return run.wait(timeout)


def command(
    script: str | Path,
    *args: object,
    processes: int = 2,
    options: Sequence[str] = ("--standalone",),
) -> list[str]:
    """The `torchrun` command, as `python -m` of this interpreter.

    On Windows `--standalone` meets in a file: torchrun's TCPStore asks for libuv, which
    PyTorch lacks there (https://github.com/pytorch/pytorch/issues/178600).
    """
    if sys.platform == "win32":
        options = [o for option in options for o in _without_libuv(option)]
    target = [str(script)] if str(script).endswith(".py") else ["-m", str(script)]
    return [
        *(sys.executable, "-m", "torch.distributed.run", *options),
        *(f"--nproc-per-node={processes}", f"--local-addr={LOOPBACK}"),
        *(*target, *map(str, args)),
    ]


def _without_libuv(option: str) -> list[str]:
    if option != "--standalone":
        return [option]
    name = f"rendezvous-{uuid.uuid4().hex}"
    place = Path(tempfile.gettempdir(), name)
    return [
        *("--rdzv-backend=c10d", "--rdzv-conf=store_type=file"),
        *(f"--rdzv-endpoint={place}", f"--rdzv-id={name}"),
    ]


@contextlib.contextmanager
def started(
    arguments: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Iterator[Started]:
    """Start a command; at the end of the `with` block its whole tree is gone.

    `env` adds to the environment of `environment()`, or replaces what is in it.
    """
    mark = uuid.uuid4().hex
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        out, err = (folder / "stdout").open("wb"), (folder / "stderr").open("wb")
        with out, err:  # the process has its own copies of them
            process = psutil.Popen(
                list(map(str, arguments)),
                env=environment(env) | {MARK: mark},
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )
        run = Started(arguments, process, folder)
        try:
            yield run
        finally:
            end_tree(process)
            for lost in marked(mark):  # their parent died before us
                end_tree(lost)
            run._keep()


def marked(mark: str) -> list[psutil.Process]:
    """The processes of this user that have `mark` in their environment."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):  # another user's, or ended
            if process.environ().get(MARK) == mark:
                found.append(process)
    return found


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment for a run of its own: one thread, gloo on loopback.

    Workers that torchrun restarts would find the addresses of the dead ones in the
    store that its agent keeps for them, and be refused (pytorch/pytorch#167288); with
    this variable each start gets a store of its own.
    """
    env = {k: v for k, v in os.environ.items() if not OF_A_WORKER.fullmatch(k)}
    env |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONUTF8": "1"}
    env.setdefault("TORCH_DISABLE_SHARE_RDZV_TCP_STORE", "1")
    if sys.platform == "win32":
        env.setdefault("USE_LIBUV", "0")  # PyTorch is built without it there
    elif "GLOO_SOCKET_IFNAME" not in env:
        env["GLOO_SOCKET_IFNAME"] = loopback_interface()
    return env | dict(more or {})


def loopback_interface() -> str:
    """The name of the interface that has 127.0.0.1: "lo" on Linux, "lo0" on macOS."""
    for name, addresses in psutil.net_if_addrs().items():
        if any(address.address == LOOPBACK for address in addresses):
            return name
    raise OSError(f"no network interface has the address {LOOPBACK}")


def free_port() -> int:
    """A port on loopback that was free a moment ago.

    From below those that systems give to outgoing connections (32768 and up on Linux,
    49152 elsewhere): a server that takes seconds to start still finds it free.
    """
    for _ in range(100):
        port = PORTS.start + secrets.randbelow(len(PORTS))
        with contextlib.suppress(OSError), socket.create_server((LOOPBACK, port)):
            return port
    with socket.create_server((LOOPBACK, 0)) as server:
        return server.getsockname()[1]


def end_tree(process: psutil.Process, *, patience: float = 10.0) -> None:
    """End a process and all that it started; the first one cannot start more meanwhile.

    Kills, without a last word: for what should have ended, or is not needed any more.
    """
    family = []
    with contextlib.suppress(psutil.Error):
        process.suspend()
        family = process.children(recursive=True)
    for member in [*family, process]:
        with contextlib.suppress(psutil.Error):
            member.kill()
    psutil.wait_procs([*family, process], timeout=patience)
