"""Two network namespaces: apart, gone with the block, and what is said without them."""

import contextlib
import subprocess
import sys

import psutil
import pytest

from ch06_acceleration import network_namespaces
from ch06_acceleration.network_namespaces import ADDRESSES, CARD, call, joined


def test_each_has_the_card_its_own_address_and_nothing_else():
    names, outside = ("left", "right"), psutil.net_if_addrs().keys()
    with contextlib.ExitStack() as stack:
        try:
            enter = stack.enter_context(joined(names))
        except OSError as error:
            pytest.skip(str(error))
        for inside, address, name in zip(enter, ADDRESSES, names, strict=True):
            assert call([*inside, "hostname"]).strip() == name
            rows = call([*inside, "ip", "-brief", "-4", "address"]).splitlines()
            cards = {row.split()[0].partition("@")[0]: row.split()[-1] for row in rows}
            assert cards == {"lo": "127.0.0.1/8", CARD: f"{address}/24"}
        assert psutil.net_if_addrs().keys() == outside
        holders = [int(words[1].partition("=")[2]) for words in enter]
        assert all(map(psutil.pid_exists, holders))
    assert not any(map(psutil.pid_exists, holders))


def reason() -> str:
    with (
        pytest.raises(OSError, match=r"\w") as caught,
        joined(("node0", "node1")),
    ):
        pass
    return str(caught.value)


def test_other_systems_and_missing_programs(monkeypatch):
    monkeypatch.setattr(network_namespaces.sys, "platform", "darwin")
    assert reason() == "only Linux has them"
    monkeypatch.setattr(network_namespaces.sys, "platform", "linux")
    monkeypatch.setattr(network_namespaces.shutil, "which", lambda program: None)
    assert reason() == "the program unshare is missing"


def test_a_refusal_of_the_system_is_told_in_its_words(monkeypatch):
    real = subprocess.Popen
    refused = [sys.executable, "-c", "print('unshare failed: Operation not permitted')"]
    monkeypatch.setattr(network_namespaces.sys, "platform", "linux")
    monkeypatch.setattr(network_namespaces.shutil, "which", lambda program: program)
    monkeypatch.setattr(
        network_namespaces.subprocess,
        "Popen",
        lambda command, **more: real(refused, **more),
    )
    assert reason() == "unshare failed: Operation not permitted"


def test_a_command_that_fails():
    with pytest.raises(OSError, match="no such thing"):
        call([sys.executable, "-c", "raise ValueError('no such thing')"])
    assert call([sys.executable, "-c", "print(1)"]) == "1\n"
