"""Two machines: what they see of each other, what is counted, that all of it ends."""

import re
import subprocess
import sys
import time

import psutil
import pytest
import torch

from ch06_acceleration import network_namespaces
from ch06_acceleration import two_machines as module
from ch06_acceleration.launch import CommandFailed, torchrun
from ch06_acceleration.two_machines import agents, two_machines, wait_for

HELLO = "import socket; print(socket.gethostname())"
WAITS = "import time; print('here', flush=True); time.sleep(600)"
BOTH = pytest.mark.parametrize("namespaces", [True, False])


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


@pytest.fixture(scope="module")
def joined():
    with two_machines() as machines:
        if machines.enter is None:
            pytest.skip(machines.how)
        yield machines


def test_each_has_a_name_and_they_find_each_other(joined):
    assert joined.how == "two network namespaces" and joined.names == ("node0", "node1")
    assert joined.run([python(HELLO)] * 2) == ["node0\n", "node1\n"]
    server = (
        "import socket; s = socket.create_server(('', 1234))\n"
        "print('ready', flush=True); print(s.accept()[0].recv(99).decode())"
    )
    client = (
        "import socket; socket.create_connection(('node0', 1234)).sendall(b'hello')"
    )
    listening = joined.start(0, python(server))
    wait_for(listening, "ready")
    joined.start(1, python(client)).wait()
    assert listening.wait() == "ready\nhello\n"


def test_the_bytes_on_the_cable_are_counted(joined):
    script = (
        "import socket; s = socket.create_server(('', 1235))\n"
        "print('ready', flush=True); c = s.accept()[0]\nwhile c.recv(65536): pass"
    )
    receiving = joined.start(0, python(script))
    wait_for(receiving, "ready")
    before = joined.bytes_sent()
    client = (
        "import socket; socket.create_connection(('node0', 1235)).sendall(bytes(10**6))"
    )
    joined.start(1, python(client)).wait()
    receiving.wait()
    sent = [new - old for new, old in zip(joined.bytes_sent(), before, strict=True)]
    assert sent[0] < 1e5 and 1e6 < sent[1] < 1.1e6


def test_nothing_is_seen_from_outside_and_two_do_not_clash(joined):
    outside = set(psutil.net_if_addrs())
    with two_machines() as others:
        assert others.run([python(HELLO)] * 2) == ["node0\n", "node1\n"]
        assert others.bytes_sent()[0] < joined.bytes_sent()[0] + 1e5
        assert set(psutil.net_if_addrs()) == outside


def test_without_namespaces_it_is_loopback_and_says_why(monkeypatch):
    monkeypatch.setattr(network_namespaces.sys, "platform", "darwin")
    with two_machines() as machines:
        assert machines.how.startswith("loopback, as") and "Linux" in machines.how
        assert machines.names == ("127.0.0.1", "127.0.0.1") and machines.enter is None
        assert machines.bytes_sent() is None and not machines.slow_down(10)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError("the program unshare is missing"), "unshare is missing"),
        (OSError("unshare failed: Operation not permitted"), "not permitted"),
        (subprocess.TimeoutExpired("ip", 20), "timed out"),
    ],
)
def test_a_refusal_of_the_system_is_loopback(monkeypatch, error, words):
    def joined(names):
        raise error

    monkeypatch.setattr(module, "joined", joined)
    with two_machines() as machines:
        assert words in machines.how and machines.enter is None


@BOTH
def test_all_that_runs_ends_with_the_block(namespaces):
    with two_machines(namespaces=namespaces) as machines:
        runs = [machines.start(n, python(WAITS)) for n in (0, 1)]
        for run in runs:
            wait_for(run, "here")
        holders = [int(enter[1].split("=")[1]) for enter in machines.enter or []]
    assert not any(map(psutil.pid_exists, holders))
    assert not any(run.process.is_running() for run in runs)


@BOTH
def test_the_one_that_fails_is_heard_and_not_the_one_that_waits(namespaces):
    start = time.monotonic()
    with two_machines(namespaces=namespaces) as machines:
        with pytest.raises(CommandFailed, match="no such thing"):
            machines.run([python(WAITS), python("raise OSError('no such thing')")])
        assert time.monotonic() - start < 60
        with pytest.raises(TimeoutError):
            machines.run([python(WAITS), python("pass")], timeout=1)


def test_waiting_for_what_does_not_come():
    with two_machines(namespaces=False) as machines:
        run = machines.start(0, python("print('other')"))
        with pytest.raises(TimeoutError, match=r"(?s)'this' did not come.*other"):
            wait_for(run, "this")


@pytest.mark.parametrize("mbit", [0, -1, float("nan")])
def test_a_speed_that_carries_nothing(mbit):
    with (
        two_machines(namespaces=False) as machines,
        pytest.raises(ValueError, match="carries nothing"),
    ):
        machines.slow_down(mbit)


def test_two_machines_train_as_one_does(tmp_path):
    script = "-m", "ch06_acceleration.train_ddp", "--epochs", "2", "--checkpoint"
    with two_machines() as machines:
        first, second = machines.run(agents(machines, *script, tmp_path / "two.pt"))
    args = "--epochs", 2, "--checkpoint", tmp_path / "one.pt"
    one = torchrun("ch06_acceleration.train_ddp", *args, processes=2)
    speed = re.compile(r", [\d,]+ images/s")
    assert speed.sub("", first) == speed.sub("", one) and not second  # the same bits
    weights = [
        torch.load(tmp_path / f"{name}.pt", weights_only=True)["model"]
        for name in ("one", "two")
    ]
    assert all(weights[0][name].equal(weights[1][name]) for name in weights[0])
