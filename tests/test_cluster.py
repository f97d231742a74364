"""The files for Slurm and Kubernetes: valid, and their commands really run.

There is no cluster here. Of the Slurm file: the syntax, the options against those that
sbatch knows, and the whole script with stand-ins for `srun` and `scontrol` on two
machines. Of the manifest: each field against what Kubernetes has at that place, what
has to agree, and the command of both pods on two machines. Where kubectl is installed,
it reads the Job and the Service into Kubernetes' own types, without a server.
"""

import json
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import ch06_acceleration
from ch06_acceleration.two_machines import two_machines

CHAPTER = Path(ch06_acceleration.__file__).parent
SLURM = CHAPTER / "cluster" / "train_ddp.slurm"
MANIFEST = CHAPTER / "cluster" / "train_ddp.yaml"
TORCHRUN = [sys.executable, "-m", "torch.distributed.run"]
BASH = shutil.which("bash") if sys.platform != "win32" else None
needs_bash = pytest.mark.skipif(BASH is None, reason="needs bash")


# Slurm

# The long options of sbatch 24.11 that a job like this could want.
KNOWN = """
account array begin chdir comment constraint cores-per-socket cpus-per-gpu
cpus-per-task deadline dependency distribution error exclude exclusive export
gpu-bind gpu-freq gpus gpus-per-node gpus-per-socket gpus-per-task gres hint hold
input job-name licenses mail-type mail-user mem mem-bind mem-per-cpu mem-per-gpu
network nice no-requeue nodefile nodelist nodes ntasks ntasks-per-core
ntasks-per-gpu ntasks-per-node ntasks-per-socket open-mode output overcommit
partition prefer priority qos reboot requeue reservation signal sockets-per-node
spread-job switches thread-spec threads-per-core time time-min tmp tres-bind
use-min-nodes wait wait-all-nodes wckey
"""
VALUES = {  # what each value has to look like; None: without one
    "job-name": r"[\w-]+",
    "nodes": r"\d+(-\d+)?",
    "ntasks-per-node": r"\d+",
    "gpus-per-node": r"(\w+:)?\d+",
    "cpus-per-task": r"\d+",
    "mem": r"\d+[KMGT]?",
    "time": r"(\d+-)?\d+(:\d\d){0,2}",
    "output": r"[\w%./-]+",
    "open-mode": r"append|truncate",
    "requeue": None,
}


def directives(text: str) -> dict[str, str | None]:
    """The options in the `#SBATCH` lines before the first command, as sbatch reads."""
    options = {}
    for line in text.splitlines()[1:]:
        if line.startswith("#SBATCH"):
            found = re.fullmatch(r"#SBATCH --([a-z-]+)(?:=(\S+))?", line)
            assert found, f"sbatch would not understand {line!r}"
            options[found[1]] = found[2]
        elif line.strip() and not line.startswith("#"):
            break
    return options


def test_the_slurm_directives_are_those_of_sbatch():
    text = SLURM.read_text(encoding="utf-8")
    assert text.startswith("#!/bin/bash\n") and "\r" not in text
    options = directives(text)
    assert len(options) == text.count("#SBATCH")  # none too late, none twice
    assert set(options) <= set(KNOWN.split())
    for name, value in options.items():
        pattern = VALUES[name]
        assert (value is None) == (pattern is None), name
        assert pattern is None or re.fullmatch(pattern, value), name
    assert options["ntasks-per-node"] == "1"  # torchrun starts the others


def test_a_misspelt_directive_is_found():
    assert directives("#!/bin/bash\n#SBATCH --nodse=2\n").keys() - {*KNOWN.split()} == {
        "nodse"
    }
    with pytest.raises(AssertionError, match="understand"):
        directives("#!/bin/bash\n#SBATCH nodes=2\n")


@needs_bash
def test_bash_reads_the_slurm_file():
    done = subprocess.run([BASH, "-n", SLURM], capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr, done.stderr


def program(path: Path, *lines: str) -> None:
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]), encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@needs_bash
def test_the_slurm_file_trains_on_two_machines(tmp_path):
    """srun writes its command down; each machine then runs it, as Slurm would."""
    folder = tmp_path / "programs"
    folder.mkdir()
    checkpoint = tmp_path / "run.pt"
    with two_machines(namespaces=False) as machines:
        names = " ".join(machines.names)
        program(folder / "scontrol", f"printf '%s\\n' {names}")
        program(folder / "srun", "printf '%s\\n' \"$@\" > command", "env > environment")
        env = os.environ | {
            "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
            "SLURM_JOB_ID": str(machines.port),
            "SLURM_JOB_NODELIST": "node[0-1]",
            "SLURM_NNODES": "2",
            "SLURM_CPUS_PER_TASK": "1",
        }
        script = CHAPTER / "train_ddp.py"
        args = [script, "--epochs", "1", "--checkpoint", checkpoint]
        done = subprocess.run(
            [BASH, SLURM, *map(str, args)],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        words = (tmp_path / "command").read_text(encoding="utf-8").splitlines()
        start = words.index("torchrun")
        assert all(option.startswith("--") for option in words[:start])
        assert f"--rdzv-endpoint={machines.names[0]}:" in " ".join(words)
        command = [*TORCHRUN, *words[start + 1 :]]
        command.insert(3, "--local-addr=127.0.0.1")  # no name of this machine is needed
        first, second = machines.run([command, command])
        assert "2 x cpu, gloo" in first and "epoch 1" in first and not second
    environment = (tmp_path / "environment").read_text(encoding="utf-8").splitlines()
    assert {"OMP_NUM_THREADS=1", "SRUN_CPUS_PER_TASK=1"} <= set(environment)
    assert checkpoint.exists()


# Kubernetes

TEXT, NUMBER, TRUTH, WORDS = str, int, bool, [str]
META = {"name": TEXT}
LABELS = {"batch.kubernetes.io/job-name": TEXT}
KINDS = {  # the fields that these objects have, as far as this file uses them
    ("v1", "PersistentVolumeClaim"): {
        "accessModes": WORDS,
        "resources": {"requests": {"storage": TEXT}},
    },
    ("v1", "Service"): {
        "clusterIP": TEXT,
        "publishNotReadyAddresses": TRUTH,
        "selector": LABELS,
        "ports": [{"name": TEXT, "port": NUMBER}],
    },
    ("batch/v1", "Job"): {
        "completionMode": TEXT,
        "completions": NUMBER,
        "parallelism": NUMBER,
        "backoffLimit": NUMBER,
        "activeDeadlineSeconds": NUMBER,
        "ttlSecondsAfterFinished": NUMBER,
        "template": {
            "spec": {
                "subdomain": TEXT,
                "restartPolicy": TEXT,
                "automountServiceAccountToken": TRUTH,
                "securityContext": {
                    "runAsNonRoot": TRUTH,
                    "runAsUser": NUMBER,
                    "fsGroup": NUMBER,
                    "seccompProfile": {"type": TEXT},
                },
                "topologySpreadConstraints": [
                    {
                        "maxSkew": NUMBER,
                        "topologyKey": TEXT,
                        "whenUnsatisfiable": TEXT,
                        "labelSelector": {"matchLabels": LABELS},
                    }
                ],
                "containers": [
                    {
                        "name": TEXT,
                        "image": TEXT,
                        "command": WORDS,
                        "args": WORDS,
                        "env": [{"name": TEXT, "value": TEXT}],
                        "ports": [{"name": TEXT, "containerPort": NUMBER}],
                        "resources": {
                            "requests": {"cpu": TEXT, "memory": TEXT},
                            "limits": {"memory": TEXT},
                        },
                        "securityContext": {
                            "allowPrivilegeEscalation": TRUTH,
                            "readOnlyRootFilesystem": TRUTH,
                            "capabilities": {"drop": WORDS},
                        },
                        "volumeMounts": [{"name": TEXT, "mountPath": TEXT}],
                    }
                ],
                "volumes": [
                    {
                        "name": TEXT,
                        "persistentVolumeClaim": {"claimName": TEXT},
                        "emptyDir": {"medium": TEXT, "sizeLimit": TEXT},
                    }
                ],
            }
        },
    },
}


def misfits(value: object, kind: object, where: str) -> list[str]:
    """Where a value is not of its kind, or has a field that nobody knows."""
    if isinstance(kind, dict):
        if not isinstance(value, dict):
            return [f"{where}: no mapping"]
        unknown = [f"{where}: no field {name}" for name in set(value) - set(kind)]
        known = set(value) & set(kind)
        return unknown + [
            x for n in sorted(known) for x in misfits(value[n], kind[n], f"{where}.{n}")
        ]
    if isinstance(kind, list):
        if not isinstance(value, list):
            return [f"{where}: no list"]
        return [
            x for i, v in enumerate(value) for x in misfits(v, kind[0], f"{where}[{i}]")
        ]
    return [] if type(value) is kind else [f"{where}: {value!r} is no {kind.__name__}"]


def objects() -> dict[str, dict]:
    documents = yaml.safe_load_all(MANIFEST.read_text(encoding="utf-8"))
    return {document["kind"]: document for document in documents}


@pytest.fixture
def pod():
    return objects()["Job"]["spec"]["template"]["spec"]


def test_the_manifest_has_known_fields_of_the_right_kind():
    found = objects()
    assert len(found) == len(KINDS)
    for kind, document in found.items():
        spec = KINDS[document["apiVersion"], kind]
        shape = {"apiVersion": TEXT, "kind": TEXT, "metadata": META, "spec": spec}
        assert misfits(document, shape, kind) == []
        assert re.fullmatch(
            r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", document["metadata"]["name"]
        )


def test_a_misspelt_field_and_a_number_as_text_are_found():
    job = objects()["Job"]["spec"]
    job["completions"] = "2"
    job["template"]["spec"]["restartPolcy"] = "Never"
    problems = "\n".join(misfits(job, KINDS["batch/v1", "Job"], "Job"))
    assert "no field restartPolcy" in problems and "'2' is no int" in problems


def test_the_parts_of_the_manifest_agree(pod):
    found = objects()
    job, service = found["Job"], found["Service"]
    name, spec, container = job["metadata"]["name"], job["spec"], pod["containers"][0]
    assert spec["completionMode"] == "Indexed"
    assert spec["completions"] == spec["parallelism"] == 2
    assert service["spec"]["selector"] == {"batch.kubernetes.io/job-name": name}
    assert service["spec"]["clusterIP"] == "None"  # the text; null would be a balancer
    assert pod["subdomain"] == service["metadata"]["name"]
    port = service["spec"]["ports"][0]["port"]
    assert container["ports"][0]["containerPort"] == port
    assert f"--nnodes={spec['completions']}" in container["args"]
    assert f"--master-addr={name}-0.{pod['subdomain']}" in container["args"]
    assert f"--master-port={port}" in container["args"]
    assert "--node-rank=$(JOB_COMPLETION_INDEX)" in container["args"]
    mounts = {mount["name"] for mount in container["volumeMounts"]}
    assert mounts == {volume["name"] for volume in pod["volumes"]}
    claim = pod["volumes"][0]["persistentVolumeClaim"]["claimName"]
    assert claim == found["PersistentVolumeClaim"]["metadata"]["name"]
    paths = [mount["mountPath"] for mount in container["volumeMounts"]]
    assert any(arg.startswith(f"--checkpoint={paths[0]}/") for arg in container["args"])


def test_the_pods_may_do_little_and_are_bounded(pod):
    assert pod["restartPolicy"] in ("OnFailure", "Never")  # all that a Job allows
    assert (
        pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"]
    )
    for container in pod["containers"]:
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["readOnlyRootFilesystem"] is True
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert {"cpu", "memory"} <= set(container["resources"]["requests"])
        assert "memory" in container["resources"]["limits"]
        assert re.search(r":[\w.-]+$", container["image"])  # a version


def test_the_command_of_the_pods_trains_on_two_machines(pod, tmp_path):
    container = pod["containers"][0]
    assert container["command"] == ["torchrun"]
    names = "train-ddp-0.train-ddp", "train-ddp-1.train-ddp"
    with two_machines(names) as machines:
        replaced = {
            "/app/train_ddp.py": str(CHAPTER / "train_ddp.py"),
            "--epochs=20": "--epochs=1",
            "--checkpoint=/checkpoints/run.pt": f"--checkpoint={tmp_path / 'run.pt'}",
            "--master-port=29500": f"--master-port={machines.port}",
            f"--master-addr={names[0]}": f"--master-addr={machines.names[0]}",
        }
        args = [replaced.get(arg, arg) for arg in container["args"]]
        assert set(replaced) <= set(container["args"])
        commands = [
            [
                *TORCHRUN,
                *(arg.replace("$(JOB_COMPLETION_INDEX)", index) for arg in args),
            ]
            for index in "01"
        ]
        first, second = machines.run(commands)
    assert "2 x cpu, gloo" in first and "epoch 1" in first and not second
    assert (tmp_path / "run.pt").exists()


def lost(before: object, after: object, where: str) -> list[str]:
    """What is in `before` and not, or not the same, in `after`."""
    if isinstance(before, dict) and isinstance(after, dict):
        return [
            x for k, v in before.items() for x in lost(v, after.get(k), f"{where}.{k}")
        ]
    if isinstance(before, list) and isinstance(after, list):
        pairs = zip(before, after, strict=True)
        return [
            x for i, (a, b) in enumerate(pairs) for x in lost(a, b, f"{where}[{i}]")
        ]
    return [] if before == after else [where]


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="needs kubectl")
@pytest.mark.parametrize("kind", ["Job", "Service"])
def test_kubectl_reads_all_fields_without_a_server(kind, tmp_path):
    """Into Kubernetes' own types and out again: what is unknown there gets lost.

    kubectl writes only what it changes, so something is: the image, a selector.
    """
    document = objects()[kind]
    path = tmp_path / "object.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    if kind == "Job":
        container = document["spec"]["template"]["spec"]["containers"][0]
        container["image"] = "other:2"
        change = "image", f"{container['name']}=other:2"
    else:
        document["spec"]["selector"] = {"some": "label"}
        change = "selector", "some=label"
    done = subprocess.run(
        ["kubectl", "set", *change, f"--filename={path}", "--local", "--output=json"],
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert lost(document, json.loads(done.stdout), kind) == []
