"""Stand in for a process that `tests.warm_workers` forks: started, killed, ended alike.

`python -IS warm_client.py SOCKET PYTHON ARGUMENTS...`; where there is nobody at the
socket, or the fork would be in another network, it becomes `PYTHON ARGUMENTS...`.
"""

import json
import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

NETWORK = Path("/proc/self/ns/net")


def main(address: str, python: str, *arguments: str) -> None:
    order = {
        "run": arguments,
        "cwd": str(Path.cwd()),
        "env": dict(os.environ),
        "network": str(NETWORK.readlink()),
    }
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        connection.connect(address)
        socket.send_fds(connection, [json.dumps(order).encode()], (1, 2))
        started = connection.recv(1)
    except OSError:
        started = b""
    if not started:
        os.execv(python, [python, *arguments])
    code = int(connection.recv(16) or 1)
    if code < 0:  # it was killed: so is this one
        with suppress(OSError):  # SIGKILL can not be set
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


if __name__ == "__main__":
    main(*sys.argv[1:])
