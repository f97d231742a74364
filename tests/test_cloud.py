"""The Dockerfile and the manifests: right, in agreement with the service, really run.

There is no engine and no cluster here. What the image would hold is copied into a
folder, and the image's own command and health check run there.
"""

import ast
import copy
import inspect
import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec

import pytest
import yaml

from ch07_deployment import serve
from ch07_deployment.dockerfiles import (
    copied,
    dockerfile_problems,
    hadolint,
    installed_by,
    pins,
    read_dockerfile,
)
from ch07_deployment.manifests import CLOUD, ROOT, manifest_problems
from ch07_deployment.processes import free_port, running, stop
from ch07_deployment.service import PATHS

DOCKERFILE = CLOUD / "Dockerfile"
TEXT = DOCKERFILE.read_text(encoding="utf-8")
REQUIREMENTS = (ROOT / "requirements.txt").read_text(encoding="utf-8")
INSTRUCTIONS = read_dockerfile(TEXT)
LAST = {each.name: each for each in INSTRUCTIONS}
FILES = copied(
    INSTRUCTIONS,
    ROOT,
    (CLOUD / "Dockerfile.dockerignore").read_text(encoding="utf-8"),
)
NAMES = {  # of the package, where it is not that of the import
    "PIL": "pillow",
    "skimage": "scikit-image",
    "prometheus_client": "prometheus-client",
}
NOT_IMPORTED = {"httptools", "uvloop", "python-multipart"}  # uvicorn and Starlette do
needs_schemas = pytest.mark.skipif(
    find_spec("kubernetes_validate") is None, reason="needs kubernetes-validate"
)


@pytest.fixture
def documents():
    text = (CLOUD / "deployment.yaml").read_text(encoding="utf-8")
    return {each["kind"]: each for each in yaml.safe_load_all(text)}


def pod_of(documents):
    return documents["Deployment"]["spec"]["template"]["spec"]


# The Dockerfile


def test_the_dockerfile_has_no_problem():
    assert dockerfile_problems(TEXT, root=ROOT, requirements=REQUIREMENTS) == []


@pytest.mark.skipif(hadolint(DOCKERFILE) is None, reason="needs hadolint")
def test_hadolint_has_nothing_to_say(tmp_path):
    assert hadolint(DOCKERFILE) == []
    bad = tmp_path / "Dockerfile"
    bad.write_text("FROM python\nRUN cd /app && pip install torch\n", encoding="utf-8")
    assert any("DL3006" in problem for problem in hadolint(bad))


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("USER 10001:10001\n", "", "runs as root"),
        ("USER 10001:10001", "USER root", "runs as root"),
        ("USER 10001:10001", "USER 0:0", "runs as root"),
        (
            "python:3.11.14-slim-bookworm\nRUN useradd",
            "python\nRUN useradd",
            "no version",
        ),
        ("python:3.11.14-slim-bookworm AS", "python:latest AS", "no version"),
        ('ENTRYPOINT ["python", "-m", ', "ENTRYPOINT python -m ", "shell form"),
        ('CMD ["--host=0.0.0.0", "--port=8000"]', "CMD --port=8000", "shell form"),
        ("COPY ch01_intro/ ch01_intro/", "COPY ch01/ ch01/", "no such file"),
        ("torch==2.14.1", "torch==2.14.0", "requirements say 2.14.1"),
        ("uvicorn==0.54.0", "uvicorn", "uvicorn: no version"),
        ("tqdm==4.70.1", "tdqm==4.70.1", "requirements say None"),
    ],
)
def test_damage_to_the_dockerfile_is_found(old, new, problem):
    assert TEXT.count(old) >= 1
    damaged = TEXT.replace(old, new)
    found = dockerfile_problems(damaged, root=ROOT, requirements=REQUIREMENTS)
    assert any(problem in each for each in found), found


def test_a_missing_health_check_and_a_line_that_is_none_are_found():
    without = re.sub(r"(?s)HEALTHCHECK.*?\n(?=ENTRY)", "", TEXT)
    assert "no HEALTHCHECK" in dockerfile_problems(without, root=ROOT)
    none = TEXT.replace("ENTRYPOINT", "HEALTHCHECK NONE\nENTRYPOINT")
    assert "no HEALTHCHECK" in dockerfile_problems(none, root=ROOT)
    with pytest.raises(ValueError, match="no instruction"):
        read_dockerfile("FROM python:3\n&& pip install torch\n")
    with pytest.raises(ValueError, match="no FROM"):
        dockerfile_problems("RUN true\n", root=ROOT)


def test_what_the_rules_of_a_dockerfile_leave_in_peace():
    text = "FROM host:5000/python:3.11 AS base\nFROM base\nUSER 1\n"
    text += "RUN pip install torch==2.14.1 && rm -rf /var/x\nHEALTHCHECK CMD true\n"
    assert dockerfile_problems(text, root=ROOT) == []
    assert any(
        "no version" in problem
        for problem in dockerfile_problems("FROM host:5000/python\n", root=ROOT)
    )


def third_party(files):
    """What the service imports, directly or through the chapters' modules."""
    packages, seen, open_ = set(), set(), ["ch07_deployment/serve.py"]
    while open_:
        name = open_.pop()
        if name in seen:
            continue
        seen.add(name)
        assert name in files, f"{name} does not reach the image"
        for node in ast.walk(ast.parse((ROOT / name).read_text(encoding="utf-8"))):
            modules = (
                [a.name for a in node.names] if isinstance(node, ast.Import) else []
            )
            if isinstance(node, ast.ImportFrom):
                modules = [node.module]
            for module in modules:
                top = module.split(".")[0]
                if top.startswith("ch0"):
                    open_ += [f"{top}/__init__.py", f"{module.replace('.', '/')}.py"]
                elif top not in sys.stdlib_module_names:
                    packages.add(top)
    return packages


def test_the_image_holds_what_the_service_imports_and_no_more():
    imported = {NAMES.get(each, each) for each in third_party(FILES)}
    assert set(pins("\n".join(installed_by(INSTRUCTIONS)))) == imported | NOT_IMPORTED


def test_no_notebook_no_data_and_no_cache_reaches_the_image():
    assert "ch07_deployment/page.html" in FILES
    assert "ch01_intro/weights/cifar10.pt" in FILES
    others = [each for each in FILES if not each.endswith(".py")]
    assert len(others) == 2, others


def test_the_ignore_rules_are_read_as_docker_reads_them(tmp_path):
    for name in ("a/x.py", "a/b/y.py", "a/b/z.txt", "a/key.pem"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    take_a = read_dockerfile("COPY a/ a/")
    assert len(copied(take_a, tmp_path, "")) == 4
    assert copied(take_a, tmp_path, "*\n!a/*.py") == ["a/x.py"]
    assert copied(take_a, tmp_path, "*\n!**/*.py") == ["a/b/y.py", "a/x.py"]
    assert copied(take_a, tmp_path, "# all of b\na/b\n**/*.pem") == ["a/x.py"]


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    folder = tmp_path_factory.mktemp("app")
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    return folder


def health_check(port):
    program, *words = LAST["HEALTHCHECK"].words
    assert program == "python"
    words = [word.replace(":8000/", f":{port}/") for word in words]
    done = subprocess.run([sys.executable, *words], capture_output=True, timeout=60)
    return done.returncode


def test_the_command_of_the_image_serves_and_its_health_check_knows(image, documents):
    """As in the pod: with its arguments, from the files that the image holds only."""
    port = free_port()
    command = LAST["ENTRYPOINT"].words[1:] + pod_of(documents)["containers"][0]["args"]
    replaced = {"--port=8000": f"--port={port}", "--host=0.0.0.0": "--host=127.0.0.1"}
    assert set(replaced) <= set(command) and set(replaced) == set(LAST["CMD"].words)
    command = ["-P", *(replaced.get(word, word) for word in command)]
    assert health_check(port) != 0
    with running(
        command, port=port, ready="/ready", environment={"PYTHONPATH": str(image)}
    ) as server:
        assert health_check(port) == 0
        assert stop(server.process) == 0 or os.name == "nt"  # there it is killed
    program = "import sys, ch07_deployment.serve; print(*(m.__file__ for n, m in "
    program += "sys.modules.items() if n.startswith('ch0')), sep='\\n')"
    done = subprocess.run(
        [sys.executable, "-P", "-c", program],
        env=os.environ | {"PYTHONPATH": str(image)},
        capture_output=True,
        text=True,
        check=True,
    )
    files = done.stdout.split("\n")[:-1]
    assert files and all(str(image) in file for file in files)


# The manifests


def test_the_manifests_have_no_problem(documents):
    assert manifest_problems(list(documents.values())) == []
    assert len(documents) == 4


def test_the_manifests_fit_the_image_and_the_service(documents):
    template, pod = documents["Deployment"]["spec"]["template"], pod_of(documents)
    (container,) = pod["containers"]
    port = LAST["EXPOSE"].value
    assert [str(p["containerPort"]) for p in container["ports"]] == [port]
    assert f"--port={port}" in container["args"] and f"--port={port}" in TEXT
    for name in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[name]["httpGet"]["path"] in PATHS
    assert container["readinessProbe"]["httpGet"]["path"] == "/ready"
    assert "/health" in LAST["HEALTHCHECK"].value
    annotations = template["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == port
    assert annotations["prometheus.io/path"] in PATHS
    user, group = map(int, LAST["USER"].value.split(":"))
    assert pod["securityContext"]["runAsUser"] == user
    assert pod["securityContext"]["runAsGroup"] == group


def test_the_options_are_those_of_the_service(documents, capsys):
    with pytest.raises(SystemExit):
        serve.main(["--help"])
    known = set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
    args = pod_of(documents)["containers"][0]["args"] + LAST["CMD"].words
    assert {arg.split("=")[0] for arg in args} <= known


def test_there_is_time_to_answer_what_was_accepted(documents):
    pod = pod_of(documents)
    (container,) = pod["containers"]
    pause = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    (timeout,) = (a.split("=")[1] for a in container["args"] if "--timeout" in a)
    assert "int(2 * limits.timeout) + 1" in inspect.getsource(serve.main)
    assert pod["terminationGracePeriodSeconds"] > pause + 2 * int(timeout) + 1


def test_a_pod_remains_while_another_one_goes(documents):
    scale = documents["HorizontalPodAutoscaler"]["spec"]
    budget = documents["PodDisruptionBudget"]["spec"]
    assert 0 < budget["minAvailable"] < scale["minReplicas"] < scale["maxReplicas"]
    assert "replicas" not in documents["Deployment"]["spec"]  # or each apply resets it


def damaged(documents, change):
    changed = copy.deepcopy(documents)
    change(changed)
    return "\n".join(manifest_problems(list(changed.values())))


@pytest.mark.parametrize(
    ("where", "value", "problem"),
    [
        ("image", "classifier", "no version of the image"),
        ("image", "classifier:latest", "no version of the image"),
        ("securityContext", {}, "may write to its image"),
        ("securityContext.runAsUser", 0, "may run as root"),
        ("securityContext.runAsNonRoot", False, "may run as root"),
        ("securityContext.allowPrivilegeEscalation", True, "may gain rights"),
        ("securityContext.capabilities", {}, "keeps capabilities"),
        ("resources", {"requests": {"cpu": "1"}}, "no limit of memory"),
        ("resources", {"limits": {"memory": "1Gi"}}, "asks for no CPU"),
        ("readinessProbe", None, "no readiness probe"),
        ("livenessProbe.httpGet.port", "htp", "a probe of a port"),
        ("ports.0.name", "web", "Service: no container has the port"),
        ("volumeMounts.0.name", "scrach", "mounts a volume that there is not"),
    ],
)
def test_damage_to_the_container_is_found(documents, where, value, problem):
    def change(d):
        place = pod_of(d)["containers"][0]
        *above, last = where.split(".")
        for key in above:
            place = place[int(key) if key.isdigit() else key]
        place[last] = value

    assert problem in damaged(documents, change)


def test_objects_that_do_not_find_each_other_are_found(documents):
    def other_name(d):
        d["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]["name"] = "clasifier"

    def other_label(d):
        d["Service"]["spec"]["selector"] = {"app": "classifier"}

    assert "no Deployment of that name" in damaged(documents, other_name)
    assert "Service: its selector fits no pod" in damaged(documents, other_label)


def test_other_objects_and_other_probes_are_no_error():
    config = {"kind": "ConfigMap", "metadata": {"name": "a"}, "data": {}}
    probe = {"exec": {"command": ["true"]}}
    container = {"name": "c", "image": "c:1", "ports": [{"containerPort": 80}]}
    container |= {"livenessProbe": probe, "readinessProbe": probe}
    pod = {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [container]}}
    spec = {"selector": {"matchLabels": {"app": "a"}}, "template": pod}
    deployment = {"kind": "Deployment", "metadata": {"name": "a"}, "spec": spec}
    ingress = {"kind": "Ingress", "metadata": {"name": "a"}, "spec": {"rules": []}}
    found = "\n".join(manifest_problems([config, deployment, ingress]))
    assert "may run as root" in found and "probe" not in found
    assert "fits no pod" not in found


@needs_schemas
def test_a_misspelt_field_and_a_number_as_text_are_found(documents):
    def misspelt(d):
        d["Deployment"]["spec"]["template"]["spec"]["restartPolcy"] = "Always"

    def text(d):
        d["HorizontalPodAutoscaler"]["spec"]["minReplicas"] = "2"

    assert "restartPolcy" in damaged(documents, misspelt)
    assert "spec.minReplicas: '2'" in damaged(documents, text)
