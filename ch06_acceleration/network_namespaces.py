"""Two network namespaces of Linux, and the only way between them: a virtual cable.

Each has a name, an address, a loopback and a network card of its own, as two machines
have. Nothing outside changes, and all of it is gone when the last process inside ends,
so that no names clash. Needs the programs unshare, nsenter and ip.
"""

import contextlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from ch06_acceleration.launch import LOOPBACK, environment

CARD = "eth0"
ADDRESSES = "10.77.0.1", "10.77.0.2"


@contextlib.contextmanager
def joined(names: tuple[str, str]) -> Iterator[list[list[str]]]:
    """Two of them as long as the block lasts; what takes a command into each.

    These words, `nsenter ...`, stand before those of the command. Raises `OSError` with
    the reason where the system has no namespaces, or refuses.
    """
    if sys.platform != "linux":
        raise OSError("only Linux has them")
    for program in ("unshare", "nsenter", "ip"):
        if not shutil.which(program):
            raise OSError(f"the program {program} is missing")
    own = "--net", "--uts", "--mount"
    with contextlib.ExitStack() as stack:
        pairs = list(zip(ADDRESSES, names, strict=True))
        hosts = Path(stack.enter_context(tempfile.TemporaryDirectory()), "hosts")
        rows = [f"{p}{a} {n}" for p in ("", "::ffff:") for a, n in pairs]
        hosts.write_text("\n".join([f"{LOOPBACK} localhost", *rows, ""]), "utf-8")
        enter: list[list[str]] = []
        for user in (["--user", "--map-root-user"], []):  # the second is in the first
            unshare = [*(enter[0] if enter else []), "unshare", *user, *own]
            pid = stack.enter_context(_held(unshare))
            enter.append(["nsenter", f"--target={pid}", "--user", *own, "--wd=."])
            enter[-1].append("--preserve-credentials")
        cable = f"ip link add {CARD} type veth peer name {CARD} netns {pid}"
        call([*enter[0], *cable.split()])
        for inside, (address, name) in zip(enter, pairs, strict=True):
            call([*inside, "mount", "--bind", str(hosts), "/etc/hosts"])
            for command in (
                f"hostname {name}",
                f"ip address add {address}/24 dev {CARD}",
                f"ip link set {CARD} up",
                "ip link set lo up",
            ):
                call([*inside, *command.split()])
            call([*inside, sys.executable, "-c", "pass"])  # it has to be there, too
        yield enter


@contextlib.contextmanager
def _held(unshare: Sequence[str]) -> Iterator[int]:
    """New namespaces as long as a `cat` in them reads from us: even a kill ends it."""
    holder = subprocess.Popen(
        [*unshare, "sh", "-c", "echo ready; exec cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    with holder:  # closes its stdin and waits
        if (line := holder.stdout.readline().strip()) != "ready":
            raise OSError(line or "unshare failed")
        yield holder.pid


def call(command: Sequence[str]) -> str:
    """What a short command prints. Raises `OSError` with its words if it fails."""
    done = subprocess.run(
        command, env=environment(), capture_output=True, encoding="utf-8", timeout=20
    )
    if done.returncode:
        raise OSError(done.stderr.strip() or f"{command} failed")
    return done.stdout
