"""Send the service thousands of bad requests and look whether it minds.

    python -m ch07_deployment.fuzz                    # 10,000 of them
    python -m ch07_deployment.fuzz --requests 500 --seed 3

Two kinds: mutated files (`hostile.py`) over connections of their own, some of which
hang up in the middle, and requests that schemathesis makes from the OpenAPI schema,
where it is installed. Each must be answered with 2xx, or 4xx and a reason in JSON.
The process must live and answer a photograph right at the end; its memory is printed.
"""

import argparse
import http.client
import importlib.util
import json
import socket
import sys
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field

from ch07_deployment.example import photo_path
from ch07_deployment.hostile import Hostile, Maker
from ch07_deployment.processes import Server, free_port, running


@dataclass
class Report:
    """What came back."""

    statuses: Counter = field(default_factory=Counter)
    codes: Counter = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)  # MB, after each tenth

    def add(self, what: str, status: int, kind: str, body: bytes) -> None:
        """Count an answer; note it as a problem where it is none of those allowed."""
        self.statuses[status] += 1
        if 200 <= status < 300:
            return
        try:
            error = json.loads(body)["error"]
            self.codes[error["code"]] += 1
            told = bool(error["message"]) and kind.startswith("application/json")
        except (ValueError, KeyError, TypeError):
            told = False
        if not (400 <= status < 500 and told):
            self.problems.append(f"{what}: {status} {body[:200]!r}")


class Client:
    """One kept-alive connection, made anew whenever the server closes it."""

    def __init__(self, server: Server) -> None:
        host, port = server.url.removeprefix("http://").split(":")
        self.address = (host, int(port))
        self.connection: http.client.HTTPConnection | None = None

    def send(self, hostile: Hostile) -> tuple[int, str, bytes]:
        """Status, content type and body of the answer."""
        for fresh in (False, True):
            if self.connection is None or fresh:
                self.connection = http.client.HTTPConnection(*self.address, timeout=60)
            try:
                self.connection.request(
                    "POST", "/predict", hostile.body, hostile.headers
                )
                answer = self.connection.getresponse()
                body = answer.read()
                return answer.status, answer.getheader("content-type", ""), body
            except (http.client.HTTPException, OSError):
                self.connection.close()
                if fresh:
                    raise
        raise AssertionError("the loop ends before")

    def hang_up(self, hostile: Hostile) -> None:
        """Promise more than is sent, and leave."""
        head = "POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n"
        length = f"Content-Length: {len(hostile.body) + 100}\r\n\r\n"
        with suppress(OSError), socket.create_connection(self.address, 10) as raw:
            raw.sendall((head + length).encode() + hostile.body)


def send_files(
    server: Server, requests: Iterable[Hostile], report: Report, *, threads: int = 8
) -> None:
    """All of them over several connections at a time; one in twenty hangs up."""
    clients = [Client(server) for _ in range(threads)]

    def send(client: Client, share: list[Hostile]) -> list[tuple]:
        answers = []
        for number, hostile in enumerate(share, start=1):
            if number % 20 == 0:
                client.hang_up(hostile)
                answers.append((hostile.kind, 0, "", b""))
                continue
            try:
                answers.append((hostile.kind, *client.send(hostile)))
            except (http.client.HTTPException, OSError) as error:
                answers.append((hostile.kind, -1, "", repr(error).encode()))
        return answers

    requests = list(requests)
    shares = [requests[start::threads] for start in range(threads)]
    with ThreadPoolExecutor(threads) as pool:
        for answers in pool.map(send, clients, shares):
            for what, status, kind, body in answers:
                if status == 0:
                    report.statuses["hung up"] += 1
                else:
                    report.add(what, status, kind, body)


def send_schema(server: Server, count: int, report: Report, *, seed: int = 0) -> None:
    """What schemathesis makes of the OpenAPI schema, checked against it.

    All its checks but one: bytes chosen by chance conform to `format: binary`, and
    are still no image.
    """
    import schemathesis
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import seed as hypothesis_seed
    from schemathesis.specs.openapi.checks import positive_data_acceptance

    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    operations = [found.ok() for found in schema.get_all_operations()]
    quiet = {
        "database": None,
        "deadline": None,
        "phases": [Phase.generate],
        "suppress_health_check": list(HealthCheck),
    }

    def send(case: schemathesis.Case) -> None:
        response = case.call()
        kind = response.headers.get("content-type", [""])[0]
        report.add(str(case), response.status_code, kind, response.content)
        try:
            case.validate_response(response, excluded_checks=[positive_data_acceptance])
        except BaseExceptionGroup as failures:
            label = case.operation.label
            report.problems += [f"{label}: {one}" for one in failures.exceptions]

    for operation in operations:
        posts = operation.method.upper() == "POST"
        examples = int(count * (0.8 if posts else 0.2 / (len(operations) - 1)))
        modes = list(schemathesis.GenerationMode) if posts else [None]
        for mode in modes:
            options = {} if mode is None else {"generation_mode": mode}
            check = given(case=operation.as_strategy(**options))(send)
            number = max(1, examples // len(modes))
            hypothesis_seed(seed)(settings(max_examples=number, **quiet)(check))()


def fuzz(requests: int = 10_000, *, seed: int = 0, log: bool = True) -> Report:
    """Start the service, send it so many bad requests, stop it; what came back."""
    report, maker, port = Report(), Maker(seed), free_port()
    command = ["-m", "ch07_deployment.serve", "--port", str(port)]
    has_schemathesis = importlib.util.find_spec("schemathesis") is not None
    by_schema = requests // 5 if has_schemathesis else 0
    with running(command, port=port, ready="/ready", seconds=180) as server:
        tenth = -(-(requests - by_schema) // 10)
        for part in range(11):
            if part < 10:
                send_files(server, (maker.request() for _ in range(tenth)), report)
            elif by_schema:
                send_schema(server, by_schema, report, seed=seed)
                left = requests - sum(report.statuses.values())  # it may find fewer
                send_files(server, (maker.request() for _ in range(left)), report)
            report.memory.append(server.memory_mb())
            if log:
                sent = sum(report.statuses.values())
                print(f"{sent:6d} sent, {report.memory[-1]:.0f} MB", flush=True)
        photo = photo_path().read_bytes()
        last = Client(server).send(Hostile("", photo, {"content-type": "image/png"}))
        if last[0] != 200 or json.loads(last[2])["predictions"][0]["label"] != "cat":
            report.problems.append(f"at the end a photograph gives {last}")
        if server.process.poll() is not None:
            report.problems.append("the process died")
        if "Traceback" in (written := server.log()):
            report.problems.append(written[-2000:])
    return report


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    report = fuzz(args.requests, seed=args.seed)
    print("statuses:", dict(sorted(report.statuses.items(), key=str)))
    print("reasons: ", dict(report.codes.most_common()))
    print(f"memory:   {report.memory[0]:.0f} MB -> {report.memory[-1]:.0f} MB")
    for problem in report.problems[:20]:
        print("PROBLEM", problem, file=sys.stderr)
    print(f"{len(report.problems)} problems")
    return bool(report.problems)


if __name__ == "__main__":
    raise SystemExit(main())
