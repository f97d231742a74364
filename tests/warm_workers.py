"""torchrun's workers, started warm (see `tests.warm`).

torchrun asks the variable PYTHON_EXEC for the interpreter of its workers. Here that is
a program of a few lines (`tests.warm_client`) which asks this process for a fork, waits
for its end and ends in the same way; when it is killed, so is the fork.
"""

import atexit
import json
import os
import select
import shlex
import shutil
import socket
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

from tests import warm, warm_client

MODULES = ("numpy", "torch", "torch.distributed.elastic", "torch._dynamo")
PAUSE = 0.01  # seconds between two looks


def use() -> None:
    """Let torchrun start its workers so, where that can be."""
    if not warm.FORKS or "PYTHON_EXEC" in os.environ:
        return
    folder = Path(tempfile.mkdtemp(prefix="warm"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(str(folder / "socket"))
    listener.listen(64)
    python = folder / "python"
    words = (sys.executable, "-IS", warm_client.__file__, folder / "socket")
    command = shlex.join(map(str, (*words, sys.executable)))
    python.write_text(f'#!/bin/sh\nexec {command} "$@"\n', encoding="utf-8")
    python.chmod(0o700)
    os.environ["PYTHON_EXEC"] = str(python)
    threading.Thread(target=_listen, args=(listener,), daemon=True).start()


def _listen(listener: socket.socket) -> None:
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=_serve, args=(connection,), daemon=True).start()


def _serve(connection: socket.socket) -> None:
    """Start what a client asks for, and tell it how that ends.

    Where that fails, no answer comes: the client then starts an interpreter itself.
    """
    with connection, suppress(OSError, RuntimeError):  # the client, the server is gone
        message, files, *_ = socket.recv_fds(connection, warm.LARGEST, 2)
        order = json.loads(message)
        out, err = files
        where = {"cwd": order["cwd"], "env": order["env"], "modules": MODULES}
        try:
            if order["network"] != str(warm_client.NETWORK.readlink()):
                return
            program = warm.start(order["run"], stdout=out, stderr=err, **where)
        finally:
            os.close(out)
            os.close(err)
        connection.send(b"+")
        while (code := program.poll()) is None:
            if select.select([connection], [], [], PAUSE)[0]:  # the client was killed
                warm.end(program)
                return
        connection.send(str(code).encode())
