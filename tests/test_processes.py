"""Servers in processes of their own: they come up, they go, their children too."""

import os
import socket
import threading
import time

import psutil
import pytest

from ch07_deployment.processes import ServerFailed, answers, free_port, running
from tests.alive import alive

FAMILY = """
import subprocess, sys
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
import http.server
print("up", flush=True)
http.server.test(http.server.SimpleHTTPRequestHandler, port={port}, bind="127.0.0.1")
"""
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);" + FAMILY
)


@pytest.mark.parametrize("code", [FAMILY, STUBBORN], ids=["polite", "stubborn"])
def test_nothing_is_left_of_a_server(code, monkeypatch):
    monkeypatch.setattr("ch07_deployment.processes.PATIENCE", 1)
    port = free_port()
    with running(["-c", code.format(port=port)], port=port) as server:
        assert server.memory_mb() > 5
        assert "up" in server.log()
        family = psutil.Process(server.process.pid).children(recursive=True)
        assert len(family) == 1
    assert server.process.poll() is not None
    assert not answers(server.url)
    assert not any(alive(child) for child in family)


LAST_WORDS = """
import subprocess, sys
code = "import pathlib, signal, sys, time\\n"
code += "def end(*_): pathlib.Path({note!r}).touch(); sys.exit()\\n"
code += "signal.signal(signal.SIGTERM, end); print('up', flush=True); time.sleep(60)"
child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
child.stdout.readline()
import http.server
http.server.test(http.server.SimpleHTTPRequestHandler, port={port}, bind="127.0.0.1")
"""


def test_what_is_no_http_gives_no_answer():
    with socket.create_server(("127.0.0.1", 0)) as server:

        def speak() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"220 another protocol\n")

        speaker = threading.Thread(target=speak)
        speaker.start()
        assert not answers(f"http://127.0.0.1:{server.getsockname()[1]}/")
        speaker.join()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM")
def test_a_child_that_a_server_leaves_behind_is_asked_to_end_too(tmp_path):
    note, port = tmp_path / "note", free_port()
    code = LAST_WORDS.format(note=str(note), port=port)
    with running(["-c", code], port=port) as server:
        (child,) = psutil.Process(server.process.pid).children()
        assert not note.exists()
    assert note.exists() and not alive(child)


def test_a_server_that_ends_at_once_is_an_error_with_its_last_words():
    command = ["-c", "print('no model at hand'); raise SystemExit(3)"]
    with (
        pytest.raises(ServerFailed, match=r"(?s)ended with 3 .*no model at hand"),
        running(command, port=free_port()),
    ):
        pytest.fail("it did not come up")


def test_a_server_that_never_answers_is_given_up():
    start = time.monotonic()
    with (
        pytest.raises(ServerFailed, match="no answer"),
        running(["-c", "import time; time.sleep(60)"], port=free_port(), seconds=1),
    ):
        pytest.fail("it did not come up")
    assert time.monotonic() - start < 30


def test_what_the_block_raises_comes_through_and_the_server_still_stops():
    port = free_port()
    with (
        pytest.raises(KeyError),
        running(["-c", FAMILY.format(port=port)], port=port) as server,
    ):
        raise KeyError("in the block")
    assert server.process.poll() is not None
