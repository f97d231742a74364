"""Programs that are forked behave as those of a new interpreter, and end as they do."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbval.kernel
import pytest
from jupyter_client.manager import start_new_kernel
from jupyter_client.provisioning import LocalProvisioner

from tests import warm, warm_kernels, warm_workers
from tests.alive import ends
from tests.warm import forked_or_new, needs_fork

ABOUT = """
import json, os, sys
print(json.dumps({
    "argv": sys.argv,
    "name": __name__,
    "folder": os.getcwd(),
    "path": sys.path,
    "more": os.environ.get("MORE"),
    "leader": not hasattr(os, "getsid") or os.getsid(0) == os.getpid(),
}))
"""


def test_it_is_what_python_would_start(tmp_path):
    (tmp_path / "about.py").write_text(ABOUT)
    env = os.environ | {"MORE": "yes"}
    for arguments in (["-c", ABOUT, "-x", "1"], ["-m", "about", "2"], ["about.py"]):
        where = {"cwd": tmp_path, "env": env}
        forked, new = (
            json.loads(warm.run(arguments, forks=forks, **where).stdout)
            for forks in (warm.FORKS, False)
        )
        assert forked == new
        assert forked["more"] == "yes" and forked["argv"][1:] == arguments[2:]


@forked_or_new
@pytest.mark.parametrize(
    ("code", "exit_code", "last"),
    [
        ("print(1)", 0, ""),
        ("import sys; sys.exit(3)", 3, ""),
        ("raise SystemExit('no such thing')", 1, "no such thing"),
        ("1 / 0", 1, "ZeroDivisionError: division by zero"),
        ("import os; os.kill(os.getpid(), 9)", 9 if os.name == "nt" else -9, ""),
        ("input()", 1, "EOFError: EOF when reading a line"),
        ("import atexit, sys; atexit.register(print, 'ä', file=sys.stderr)", 0, "ä"),
        (
            "import sys, threading as t\n"
            "t.Timer(0.2, print, ['late'], {'file': sys.stderr}).start()",
            0,
            "late",
        ),
    ],
)
def test_how_it_ends(forks, code, exit_code, last):
    done = warm.run(["-c", code], forks=forks, env=os.environ | {"PYTHONUTF8": "1"})
    assert done.returncode == exit_code
    assert ["", *done.stderr.splitlines()][-1] == last


@forked_or_new
def test_its_time_is_over_with_all_that_it_started(forks, tmp_path):
    code = (
        "import pathlib, subprocess, sys\n"
        "code = 'import time; time.sleep(60)'\n"
        "child = subprocess.Popen([sys.executable, '-c', code])\n"
        "pathlib.Path('pid').write_text(str(child.pid))\nchild.wait()"
    )
    with pytest.raises(subprocess.TimeoutExpired):
        warm.run(["-c", code], forks=forks, cwd=tmp_path, timeout=3)
    assert ends(int((tmp_path / "pid").read_text())), "its child goes on"


@needs_fork
def test_nothing_goes_from_one_to_the_next():
    leave = "import numpy, os, torch; torch.set_default_dtype(torch.float64)\n"
    leave += "os.environ['LEFT'] = '1'; torch.left = numpy.left = 1"
    look = "import numpy, os, torch; print(torch.get_default_dtype(), 'LEFT' in "
    look += "os.environ, hasattr(torch, 'left'), numpy.random.rand())"
    assert warm.run(["-c", leave]).returncode == 0
    first, second = (warm.run(["-c", look]).stdout for _ in range(2))
    assert first.startswith("torch.float32 False False 0.")
    assert first != second, "both drew the same number"


@needs_fork
def test_it_does_not_import_what_is_there(tmp_path):
    code = "import sys; print(*('torch' in sys.modules, 'torchvision' in sys.modules))"
    assert warm.run(["-c", code]).stdout == "True True\n"
    assert warm.run(["-c", code], modules=("json",)).stdout == "False False\n"


@needs_fork
def test_what_packages_read_early_asks_for_another_server():
    env = dict(os.environ)
    pids = [
        warm.server(env | more, ("json",)).pid
        for more in ({}, {"HOME": "/"}, {"OMP_NUM_THREADS": "7"})
    ]
    assert pids[0] == pids[1] != pids[2]


@needs_fork
def test_signals_and_a_server_that_ends():
    env = os.environ | {"MKL_NUM_THREADS": "3"}
    program = warm.start(
        ["-c", "import time; time.sleep(60)"], env=env, modules=("json",)
    )
    while os.getpgid(program.pid) != program.pid:  # it is on its way
        time.sleep(0.01)
    time.sleep(0.5)
    assert program.poll() is None
    program.send_signal(signal.SIGINT)
    assert program.wait(20) in (1, -signal.SIGINT)  # a KeyboardInterrupt
    server = warm.server(env, ("json",))
    server.close()
    with pytest.raises(RuntimeError, match="ended"):
        warm.start(["-c", "pass"], env=env, modules=("json",))


def in_kernel(manager_and_client, code: str) -> str:
    manager, client = manager_and_client
    try:
        said = []
        client.execute_interactive(
            code,
            timeout=120,
            output_hook=lambda m: said.append(m["content"].get("text", "")),
        )
        return "".join(said)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def test_a_kernel_of_nbval_is_as_a_new_one(tmp_path):
    code = """
import os, sys
print(sys.path, os.getcwd(), __name__, os.environ["MPLBACKEND"], sys.argv[0][-20:])
import matplotlib.pyplot as plt
plt.figure()
print(plt.get_backend())
print("torchvision" in sys.modules)
"""
    where = {"cwd": str(tmp_path), "kernel_name": nbval.kernel.CURRENT_ENV_KERNEL_NAME}
    warm_one = in_kernel(nbval.kernel.start_new_kernel(**where), code)
    new_one = in_kernel(start_new_kernel(cwd=str(tmp_path)), code)
    assert warm_one.replace("True\n", "False\n") == new_one
    assert warm_one.endswith("True\n") is warm.FORKS
    assert new_one.count(warm_kernels.INLINE.removeprefix("module://")) == 2


@needs_fork
def test_ports_are_chosen_only_when_the_kernel_can_start_at_once(tmp_path, monkeypatch):
    chosen = LocalProvisioner.pre_launch
    waited = []

    async def choose(self, **kwargs):
        start = time.monotonic()
        env = warm_kernels.environment(kwargs.get("env"))
        warm.server(env, warm_kernels.MODULES).ask({"ready": True})
        waited.append(time.monotonic() - start)
        return await chosen(self, **kwargs)

    monkeypatch.setattr(LocalProvisioner, "pre_launch", choose)
    monkeypatch.setenv("PYTHONHASHSEED", "3")  # asks for a server that is not there yet
    name = nbval.kernel.CURRENT_ENV_KERNEL_NAME
    kernel = nbval.kernel.start_new_kernel(cwd=str(tmp_path), kernel_name=name)
    assert in_kernel(kernel, "print(6 * 7)") == "42\n"
    assert waited[0] < 1  # its imports take several seconds


IMPORTED = "import os, sys; print(os.getcwd(), sys.argv, 'torch' in sys.modules)"
workers = pytest.mark.skipif(
    "PYTHON_EXEC" not in os.environ, reason="workers of torchrun are not started warm"
)


@workers
@pytest.mark.parametrize("end, code", [("", 0), ("sys.exit(3)", 3), ("0 / 0", 1),
                                       ("os.kill(os.getpid(), 9)", -9)])  # fmt: skip
def test_a_worker_of_torchrun_is_as_a_new_one_and_ends_so(tmp_path, end, code):
    given = ["-u", "-c", f"{IMPORTED}\n{end}", "-x"]
    warm_one, new_one = (
        subprocess.run([python, *given], cwd=tmp_path, capture_output=True, text=True)
        for python in (os.environ["PYTHON_EXEC"], sys.executable)
    )
    assert warm_one.stdout == f"{tmp_path} ['-c', '-x'] True\n"
    assert warm_one.stdout.replace("True", "False") == new_one.stdout
    assert warm_one.returncode == new_one.returncode == code
    last = [done.stderr.splitlines()[-1:] for done in (warm_one, new_one)]
    assert last[0] == last[1]


@workers
def test_a_worker_that_is_killed_is_gone():
    code = "import os, time; print(os.getpid()); time.sleep(60)"
    command = [os.environ["PYTHON_EXEC"], "-u", "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as client:
        pid = int(client.stdout.readline())
        assert pid != client.pid
        client.kill()
        assert ends(pid)


@workers
def test_a_worker_whose_server_has_ended_is_a_new_one(monkeypatch):
    monkeypatch.setattr(warm_workers, "MODULES", ("json",))
    env = os.environ | {"MKL_NUM_THREADS": "5"}
    server = warm.server(env, ("json",))
    server.close()
    command = [os.environ["PYTHON_EXEC"], "-c", "print(6 * 7)"]
    for _ in range(2):
        done = subprocess.run(command, env=env, capture_output=True, text=True)
        assert (done.stdout, done.stderr, done.returncode) == ("42\n", "", 0)


@workers
@pytest.mark.parametrize("where", ["another network", "nobody listens"])
def test_a_worker_that_can_not_be_forked_is_a_new_one(tmp_path, where):
    python = Path(os.environ["PYTHON_EXEC"])
    command = [str(python), "-c", IMPORTED]
    if where == "another network":
        command = ["unshare", "--net", *command]
        if (
            not shutil.which("unshare")
            or subprocess.run([*command[:2], "true"]).returncode
        ):
            pytest.skip("the system allows no network of one's own")
    else:
        alone = tmp_path / "python"
        text = python.read_text(encoding="utf-8")
        alone.write_text(text.replace(f"{python.parent}/socket", f"{tmp_path}/socket"))
        alone.chmod(0o700)
        command[0] = str(alone)
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.endswith("['-c'] False\n")
