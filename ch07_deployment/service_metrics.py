"""What the service counts, for Prometheus, and the middleware that counts requests."""

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
SIZES = (1, 2, 4, 8, 16, 32, 64)


class ServiceMetrics:
    """One registry for each app: several can live in one process, as in tests."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter(
            "requests", "Requests answered", ["path", "status"], registry=registry
        )
        self.seconds = Histogram(
            "request_seconds", "From the header to the end of the answer", ["path"],
            buckets=SECONDS, registry=registry,
        )  # fmt: skip
        self.batch_size = Histogram(
            "batch_size", "Images that ran together", buckets=SIZES, registry=registry
        )
        self.batch_seconds = Histogram(
            "batch_seconds", "Of the model for a batch", buckets=SECONDS,
            registry=registry,
        )  # fmt: skip
        self.in_flight = Gauge(
            "requests_in_flight", "Accepted, not yet answered", registry=registry
        )
        self.waiting = Gauge(
            "queue_length", "Images that wait for the model", registry=registry
        )

    def batch(self, size: int, seconds: float) -> None:
        self.batch_size.observe(size)
        self.batch_seconds.observe(seconds)


class CountRequests:
    """ASGI middleware: counts answers by path and status, and how long they took.

    Paths that the service does not have are counted as `other`: a stranger must not be
    able to fill the memory with new labels.
    """

    def __init__(self, app: ASGIApp, metrics: ServiceMetrics, paths: set[str]) -> None:
        self.app, self.metrics, self.paths = app, metrics, paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start, status = time.perf_counter(), 500

        async def observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, observed)
        finally:
            path = scope["path"] if scope["path"] in self.paths else "other"
            self.metrics.requests.labels(path, status).inc()
            self.metrics.seconds.labels(path).observe(time.perf_counter() - start)
