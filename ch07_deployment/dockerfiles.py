"""Read a Dockerfile and say what is wrong with it; no Docker engine is needed.

`hadolint` knows far more rules: it is asked where it is installed. Imports the standard
library only: this module can be copied alone.
"""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

INSTALL = re.compile(r"pip install ([^;&|]+)")
PIN = re.compile(r"(?m)^([A-Za-z0-9][\w.-]*)(?:\[[\w,-]+\])?==([\w.!+]+)")


@dataclass(frozen=True)
class Instruction:
    """One instruction: `Instruction("EXPOSE", "8000")`; lines that go on are joined."""

    name: str
    value: str

    @property
    def words(self) -> list[str]:
        """The words of an exec form, `["a", "b"]`, or of the line without its flags."""
        if self.is_exec_form:
            return json.loads(self.value[self.value.index("[") :])
        return [word for word in self.value.split() if not word.startswith("--")]

    @property
    def is_exec_form(self) -> bool:
        return bool(re.search(r'\[\s*".*"\s*\]$', self.value))


def read_dockerfile(text: str) -> list[Instruction]:
    """The instructions in order. Raises `ValueError` for a line that is none."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\s*\n\s*", " ", "\n".join(lines))
    found = []
    for line in filter(None, map(str.strip, joined.splitlines())):
        name, _, value = line.partition(" ")
        if not (re.fullmatch(r"[A-Za-z]+", name) and value):
            raise ValueError(f"no instruction of a Dockerfile: {line!r}")
        found.append(Instruction(name.upper(), value.strip()))
    return found


def pins(text: str) -> dict[str, str]:
    """`name==version` at the beginning of a line -> {name: version}."""
    return dict(PIN.findall(text))


def installed_by(instructions: Sequence[Instruction]) -> list[str]:
    """What `RUN pip install` gets, as written: `["torch==2.14.1", ...]`."""
    packages = []
    for each in instructions:
        if each.name == "RUN" and (found := INSTALL.search(each.value)):
            words = re.sub(r"--[\w-]+[ =]https?://\S+", "", found[1]).split()
            packages += [word for word in words if not word.startswith("-")]
    return packages


def copied(instructions: Sequence[Instruction], root: Path, ignore: str) -> list[str]:
    """The files below `root` that `COPY` brings in, but for those that are ignored.

    `ignore` is the text of a .dockerignore: the last pattern that fits decides.
    """
    rules = [line.strip() for line in ignore.splitlines() if line.strip()]
    rules = [rule for rule in rules if not rule.startswith("#")]
    files = []
    for source in _sources(instructions):
        for path in sorted((root / source).rglob("*")):
            name = path.relative_to(root).as_posix()
            keep = True
            for rule in rules:
                if re.match(_as_regex(rule.lstrip("!")), name):
                    keep = rule.startswith("!")
            if keep and path.is_file():
                files.append(name)
    return files


def dockerfile_problems(
    text: str, *, root: Path, requirements: str | None = None
) -> list[str]:
    """What is wrong, in words; `requirements` is the text with the versions to hold.

    Raises `ValueError` for a text that is no Dockerfile.
    """
    found = read_dockerfile(text)
    last = [each.name for each in found]
    if "FROM" not in last:
        raise ValueError("no FROM: this is no Dockerfile")
    stages = {each.words[-1] for each in found if len(each.words) == 3}  # x AS name
    final = found[len(last) - 1 - last[::-1].index("FROM") :]  # the last stage
    by_name = {each.name: each for each in final}
    problems = [
        f"FROM {each.words[0]}: no version of the base image"
        for each in found
        if each.name == "FROM" and each.words[0] not in stages
        if not re.search(r":(?!latest\b)[\w.-]+", each.words[0].rpartition("/")[2])
    ]
    user = by_name["USER"].value.split(":")[0] if "USER" in by_name else "root"
    if user in ("root", "0"):
        problems.append("runs as root; let the last stage end in another USER")
    for name in ("CMD", "ENTRYPOINT"):
        if name in by_name and not by_name[name].is_exec_form:
            problems.append(f"{name} in shell form: the shell keeps the signals")
    if by_name.get("HEALTHCHECK", Instruction("", "NONE")).value == "NONE":
        problems.append("no HEALTHCHECK")
    for source in _sources(found):
        if not (root / source).exists():
            problems.append(f"COPY {source}: there is no such file")
    wanted = pins(requirements or "")
    for package in installed_by(found):
        name, _, version = package.partition("==")
        if not version:
            problems.append(f"{package}: no version")
        elif requirements and wanted.get(name) != version:
            problems.append(f"{package}: the requirements say {wanted.get(name)}")
    return problems


def hadolint(path: Path) -> list[str] | None:
    """Warnings and errors of hadolint about a Dockerfile; None where it is missing."""
    beside = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    program = beside or shutil.which("hadolint")
    if program is None:
        return None
    done = subprocess.run(
        [program, "--format=json", "--no-fail", str(path)],
        capture_output=True,
        encoding="utf-8",
    )
    return [
        f"line {each['line']}: {each['code']} {each['message']}"
        for each in json.loads(done.stdout)
        if each["level"] in ("error", "warning")
    ]


def _sources(instructions: Sequence[Instruction]) -> Iterator[str]:
    """What `COPY` takes from the folder of the build, not from another stage."""
    for each in instructions:
        if each.name == "COPY" and "--from=" not in each.value:
            yield from each.words[:-1]


def _as_regex(pattern: str) -> str:
    """A pattern of .dockerignore; what fits a folder fits all that is in it."""
    parts = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    pieces = re.split(r"(\*\*/|\*\*|\*|\?)", pattern.strip("/"))
    return "".join(parts.get(p, re.escape(p)) for p in pieces) + r"(?:/|\Z)"
