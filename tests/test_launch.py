"""Commands that a notebook starts: what they say comes back, and nothing is left."""

import socket
import sys
import time

import psutil
import pytest

from ch06_acceleration import launch
from ch06_acceleration.launch import CommandFailed, command, started, torchrun
from tests.alive import alive

FAMILY = """
import subprocess, sys, time
child = "import time; time.sleep(120)"
own = subprocess.Popen([sys.executable, "-c", child], start_new_session=True)
sys.stdout.write(f"ready {own.pid}\\n")
sys.stdout.flush()
"""


def until_ready(run, lines=1) -> list[psutil.Process]:
    """Wait until it said so `lines` times; the children that it named."""
    end = time.monotonic() + 60
    while run.stdout.count("\n") < lines and time.monotonic() < end:
        time.sleep(0.05)
    return [psutil.Process(int(line.split()[1])) for line in run.stdout.splitlines()]


def test_what_it_writes_comes_back_and_stays():
    code = "import sys; print('größer'); print('aside', file=sys.stderr)"
    with started([sys.executable, "-c", code]) as run:
        assert run.wait() == "größer\n"
    assert (run.stdout, run.stderr) == ("größer\n", "aside\n")


def test_a_failure_says_what_was_written_last():
    code = "print('before'); raise SystemExit('no such data set')"
    with (
        pytest.raises(CommandFailed, match=r"(?s)ended with 1: -c .*no such data set"),
        started([sys.executable, "-c", code]) as run,
    ):
        run.wait()


@pytest.mark.parametrize("last", ["time.sleep(120)", "sys.exit()"])
def test_the_tree_is_gone_at_the_end_of_the_block(last):
    with started([sys.executable, "-c", FAMILY + last]) as run:
        family = until_ready(run)
        assert all(map(alive, family))
    assert family and not any(map(alive, [*family, run.process]))


def test_what_has_lost_its_parent_is_found_as_well():
    with started([sys.executable, "-c", FAMILY + "time.sleep(120)"]) as run:
        family = until_ready(run)
        run.process.kill()
        run.process.wait()
        assert all(map(alive, family))
    assert not any(map(alive, family))


def test_an_interrupt_ends_it_too():
    with (
        pytest.raises(KeyboardInterrupt),
        started([sys.executable, "-c", FAMILY + "time.sleep(120)"]) as run,
    ):
        family = until_ready(run)
        raise KeyboardInterrupt
    assert not any(map(alive, [*family, run.process]))


def test_a_time_out_ends_the_workers_of_torchrun_which_have_sessions_of_their_own(
    tmp_path,
):
    script = tmp_path / "endless.py"
    script.write_text(FAMILY + "time.sleep(120)", encoding="utf-8")
    with started(command(script, processes=2)) as run:
        family = until_ready(run, lines=2)
        workers = run.process.children()
        with pytest.raises(TimeoutError, match=r"stopped after 0\.1 s: .*endless"):
            run.wait(timeout=0.1)
        assert not any(map(alive, workers))
    assert len(family) == 2 and len(workers) >= 2
    assert not any(map(alive, [*family, *workers, run.process]))


def test_torchrun_tells_each_worker_who_it_is_and_two_runs_do_not_clash(tmp_path):
    script = tmp_path / "who.py"
    names = "RANK WORLD_SIZE MASTER_ADDR OMP_NUM_THREADS MASTER_PORT"
    script.write_text(
        f"import os, sys, time\ntime.sleep(float(sys.argv[1]))\n"
        f"said = ' '.join(os.environ[n] for n in {names.split()})\n"
        r"sys.stdout.write(said + '\n')",  # in one piece, as two speak at once
        encoding="utf-8",
    )
    with started(command(script, 1, processes=2)) as beside:
        one = sorted(line.split() for line in torchrun(script, 0).splitlines())
        two = sorted(line.split() for line in beside.wait().splitlines())
    for lines in (one, two):
        assert [line[:4] for line in lines] == [
            [rank, "2", "127.0.0.1", "1"] for rank in "01"
        ]
    assert one[0][4] != two[0][4]


def test_a_run_within_a_run_does_not_inherit_whose_worker_it_is(monkeypatch):
    monkeypatch.setenv("RANK", "3")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    monkeypatch.setenv("MASTER_PORT", "29500")
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    monkeypatch.setenv("RANKING", "kept")
    env = launch.environment({"MORE": "1"})
    assert not {"RANK", "LOCAL_WORLD_SIZE", "MASTER_PORT"} & set(env)
    assert "TORCHELASTIC_RESTART_COUNT" not in env
    assert env["RANKING"] == "kept" and env["MORE"] == env["OMP_NUM_THREADS"] == "1"


def test_loopback_has_a_name(monkeypatch):
    name = launch.loopback_interface()
    assert any(a.address == launch.LOOPBACK for a in psutil.net_if_addrs()[name])
    monkeypatch.setattr(psutil, "net_if_addrs", dict)
    with pytest.raises(OSError, match="no network interface"):
        launch.loopback_interface()


def test_where_all_ports_of_its_range_are_taken_it_gives_another(monkeypatch):
    port = launch.free_port()
    monkeypatch.setattr(launch, "PORTS", range(port, port + 1))
    with socket.create_server((launch.LOOPBACK, port)):
        assert launch.free_port() != port
    assert launch.free_port() == port


def test_a_free_port_can_be_taken():
    port = launch.free_port()
    assert port in launch.PORTS
    with socket.create_server((launch.LOOPBACK, port)):
        pass


def test_a_module_or_a_file():
    assert command("a.module", "--x", 1)[-4:] == ["-m", "a.module", "--x", "1"]
    assert command("some/file.py", processes=3)[-1] == "some/file.py"
    assert "--nproc-per-node=3" in command("a", processes=3)
    assert "--max-restarts=1" in command("a", options=["--max-restarts=1"])


def test_on_windows_the_processes_meet_in_a_file(monkeypatch):
    """For want of libuv they can do nothing else; here it works as well."""
    monkeypatch.setattr(launch.sys, "platform", "win32")
    arguments = command("ch06_acceleration.train_ddp", "--epochs", 1)
    monkeypatch.undo()
    assert "--standalone" not in arguments and "--rdzv-backend=c10d" in arguments
    with started(arguments) as run:
        assert "2 x cpu, gloo" in run.wait(120)


def test_a_worker_that_cannot_begin_says_why(tmp_path):
    script = tmp_path / "begins.py"
    script.write_text("import nothing_here\n", encoding="utf-8")
    with pytest.raises(CommandFailed, match="No module named 'nothing_here'") as error:
        torchrun(script, processes=2)
    assert "torch/distributed/launcher" not in str(error.value)  # the agent's own
