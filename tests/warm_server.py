"""The process of `tests.warm` that imports packages once and forks for each program.

`python warm_server.py SOCKET MODULE...`, where SOCKET is the number of an open one.
Imports the standard library only, and then the modules.
"""

import atexit
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import sys
import threading
import warnings
from pathlib import Path

LARGEST = 1 << 20  # bytes of a message


def serve(connection: socket.socket) -> list[str]:
    """Answer orders until nobody asks; in each fork: the arguments of its program."""
    while True:
        message, files, *_ = socket.recv_fds(connection, LARGEST, 3)
        if not message:
            os._exit(0)  # its own way out takes seconds
        order = json.loads(message)
        if "ready" in order:
            answer = True
        elif "poll" in order:
            pid, status = os.waitpid(order["poll"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if pid else None
        elif not (answer := fork()):
            connection.close()
            become(order, files)
            return order["run"]
        for file in files:
            os.close(file)
        connection.send(json.dumps(answer).encode())


def fork() -> int:
    """`os.fork`; since 3.12 Python warns where a library has threads: OpenBLAS has."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def become(order: dict, files: list[int]) -> None:
    """Make of this fork the process that was asked for."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["env"])
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()  # else each program draws the same numbers


def main(arguments: list[str]) -> None:
    """As `python *arguments` does; nothing of this file is in the way."""
    if arguments[0] == "-u":
        arguments = arguments[1:]
        sys.stdout.reconfigure(line_buffering=True)
    first, *rest = arguments
    if first == "-m":
        sys.argv[:] = rest
        sys.path.insert(0, str(Path.cwd()))
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif first == "-c":
        sys.argv[:] = ["-c", *rest[1:]]
        sys.path.insert(0, "")
        exec(compile(rest[0], "<string>", "exec"), {"__name__": "__main__"})
    else:
        sys.argv[:] = arguments
        sys.path.insert(0, str(Path(first).resolve().parent))
        runpy.run_path(first, run_name="__main__")


def leave(arguments: list[str]) -> None:
    """Do it and end as an interpreter does, but leave the memory to the system.

    To take hundreds of modules apart would cost a third of a second each time.
    """
    code = 0
    try:
        main(arguments)
    except SystemExit as error:
        code = error.code
        if not isinstance(code, int | None):
            print(code, file=sys.stderr)
            code = 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code or 0)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for those who ask
    sys.path.pop(0)
    for module in sys.argv[2:]:
        importlib.import_module(module)
    gc.freeze()
    leave(serve(socket.socket(fileno=int(sys.argv[1]))))
