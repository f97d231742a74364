"""Read Kubernetes manifests and say what is wrong with them; no cluster is needed.

    python -m ch07_deployment.manifests   # and the Dockerfile; ends with 1 if any

The package `kubernetes-validate` knows every field of Kubernetes: it is asked where it
is installed.
"""

import re
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from ch07_deployment.dockerfiles import dockerfile_problems, hadolint

CLOUD = Path(__file__).with_name("cloud")
ROOT = Path(__file__).parents[1]
KUBERNETES = "1.34"  # whose fields the manifests may use


def manifest_problems(documents: Sequence[Mapping[str, Any]]) -> list[str]:
    """What is wrong in a set of Kubernetes objects, in words.

    Of each object: its fields (where `kubernetes-validate` is installed); of each
    Deployment: what it may do, and that it is bounded and watched; and whether the
    objects name each other rightly.
    """
    problems = [problem for each in documents for problem in _schema(each)]
    pods = [d["spec"]["template"] for d in documents if d["kind"] == "Deployment"]
    names = [d["metadata"]["name"] for d in documents if d["kind"] == "Deployment"]
    for pod in pods:
        problems += _pod_problems(pod["spec"])
    labels = [pod["metadata"]["labels"] for pod in pods]
    ports = {name for pod in pods for name in _port_names(_ports(pod["spec"]))}
    for each in documents:
        kind, spec = each["kind"], each.get("spec", {})
        scaled = spec.get("scaleTargetRef", {}).get("name")  # by an autoscaler
        if kind == "HorizontalPodAutoscaler" and scaled not in names:
            problems.append(f"{kind}: no Deployment of that name")
        if kind not in ("Deployment", "Service", "PodDisruptionBudget"):
            continue
        selector = spec["selector"].get("matchLabels", spec["selector"])
        if not any(selector.items() <= have.items() for have in labels):
            problems.append(f"{kind}: its selector fits no pod")
        for port in spec.get("ports", []):
            if port.get("targetPort", port["port"]) not in ports:
                problems.append(f"{kind}: no container has the port of {port}")
    return problems


def _schema(document: Mapping[str, Any]) -> list[str]:
    if find_spec("kubernetes_validate") is None:
        return []
    import kubernetes_validate as kubernetes

    if "apiVersion" not in document:
        return [f"{document['kind']}: no apiVersion"]
    try:
        kubernetes.validate(dict(document), KUBERNETES, strict=True)
    except (kubernetes.ValidationError, kubernetes.SchemaNotFoundError) as error:
        where = ".".join(map(str, getattr(error, "path", [])))
        return [f"{document['kind']}.{where}: {error.message}"]
    return []


def _ports(pod: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [port for each in pod["containers"] for port in each.get("ports", [])]


def _port_names(ports: Sequence[Mapping[str, Any]]) -> set[str | int]:
    """What a probe or a Service may call them: names and numbers."""
    keys = ("name", "containerPort")
    return {port[key] for port in ports for key in keys if key in port}


def _pod_problems(pod: Mapping[str, Any]) -> list[str]:
    """What each container lacks that keeps it small, bounded and watched."""
    volumes = {volume["name"] for volume in pod.get("volumes", [])}
    problems = []
    for each in pod["containers"]:
        may = each.get("securityContext", {})
        user = pod.get("securityContext", {}) | may
        resources = each.get("resources", {})
        requests, limits = resources.get("requests", {}), resources.get("limits", {})
        names = _port_names(each.get("ports", []))
        probes = [each.get(f"{kind}Probe") for kind in ("liveness", "readiness")]
        mounts = {mount["name"] for mount in each.get("volumeMounts", [])}
        faults = {
            "no version of the image": not re.search(
                r":(?!latest$)[\w.-]+$", each["image"]
            ),
            "may run as root": not (user.get("runAsNonRoot") and user.get("runAsUser")),
            "may gain rights": may.get("allowPrivilegeEscalation") is not False,
            "may write to its image": not may.get("readOnlyRootFilesystem"),
            "keeps capabilities": may.get("capabilities", {}).get("drop") != ["ALL"],
            "asks for no CPU or memory": not {"cpu", "memory"} <= requests.keys(),
            "no limit of memory": "memory" not in limits,
            "no liveness or no readiness probe": not all(probes),
            "a probe of a port that it has not": any(
                probe["httpGet"]["port"] not in names
                for probe in filter(None, probes)
                if "httpGet" in probe
            ),
            "mounts a volume that there is not": not mounts <= volumes,
        }
        problems += [f"{each['name']}: {text}" for text, bad in faults.items() if bad]
    return problems


def main() -> int:
    dockerfile = CLOUD / "Dockerfile"
    requirements = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    text = dockerfile.read_text(encoding="utf-8")
    manifest = (CLOUD / "deployment.yaml").read_text(encoding="utf-8")
    problems = dockerfile_problems(text, root=ROOT, requirements=requirements)
    problems += hadolint(dockerfile) or []
    problems += manifest_problems(list(yaml.safe_load_all(manifest)))
    print("\n".join(problems) or "no problem found")
    return int(bool(problems))


if __name__ == "__main__":
    raise SystemExit(main())
