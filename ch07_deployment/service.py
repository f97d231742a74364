"""The web service: photographs in, the five most probable classes out.

A demonstration server: it has limits, metrics and honest errors, but no login and no
TLS. On the open internet a proxy that has both (and limits slow clients) stands before
it.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from heapq import nlargest
from pathlib import Path

import torch
from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, PlainTextResponse
from PIL import Image
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException

from ch07_deployment.batching import Answer, Batcher, Closed, Overloaded
from ch07_deployment.bodies import ClientDisconnect, Problem, image_bytes
from ch07_deployment.decoding import BadImage, TooManyPixels, open_image, unpack
from ch07_deployment.served_model import ServedModel
from ch07_deployment.service_metrics import CountRequests, ServiceMetrics
from ch07_deployment.service_schema import BODY, Predicted, State, refusals

PAGE = Path(__file__).with_name("page.html")
PATHS = {"/", "/predict", "/health", "/ready", "/metrics", "/openapi.json", "/docs"}
TOP = 5
SMALL_FILE, SMALL_IMAGE = 50_000, 256 * 256  # bytes, pixels: under a millisecond


@dataclass(frozen=True)
class Limits:
    """How much the service takes on; more is refused with a reason."""

    max_batch: int = 16  # images that run through the model together
    max_wait: float = 0.002  # seconds that an image waits for others
    queue: int = 128  # requests in the house at a time; the next one gets 503
    max_bytes: int = 10_000_000  # of a body
    max_pixels: int = 25_000_000  # of an image
    timeout: float = 10.0  # seconds for reading a request, and again for answering it
    decoders: int = 2  # threads that unpack images
    workers: int = 2  # threads that run the model


def error_response(problem: Problem) -> Response:
    body = {"error": {"code": problem.code, "message": problem.message}}
    return Response(
        json.dumps(body), problem.status, problem.headers, "application/json"
    )


def create_app(served: ServedModel, limits: Limits | None = None) -> FastAPI:
    """The service for one model, as an ASGI app; each call makes one of its own.

    `app.state.metrics` are its metrics, `app.state.batcher` its batcher while it runs.
    """
    limits = limits or Limits()
    metrics = ServiceMetrics()
    labels = [json.dumps(name) for name in served.categories]
    opening = f'{{"model": {json.dumps(served.name)}, "predictions": ['
    in_flight = 0
    ready = False

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        nonlocal ready
        batcher = app.state.batcher = Batcher(
            served.model,
            max_batch=limits.max_batch,
            max_wait=limits.max_wait,
            capacity=limits.queue,
            workers=limits.workers,
            observe=metrics.batch,
        )
        metrics.waiting.set_function(lambda: len(batcher))
        metrics.in_flight.set_function(lambda: in_flight)
        with ThreadPoolExecutor(limits.decoders, "decode") as app.state.decoders:
            async with batcher:
                ready = True
                yield
                ready = False

    app = FastAPI(
        title="Image classifier",
        version="1.0.0",
        summary="The five most probable classes of a photograph.",
        lifespan=lifespan,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.metrics = metrics
    app.add_middleware(CountRequests, metrics=metrics, paths=PATHS)

    def prepare(image: Image.Image) -> torch.Tensor:
        return served.prepare(unpack(image, enough=512))

    async def classify(data: bytes) -> Answer:
        """Small images at once; large ones in a thread, so that the loop stays free."""
        if len(data) <= SMALL_FILE:
            image = open_image(data, max_pixels=limits.max_pixels)
            if image.width * image.height <= SMALL_IMAGE:
                return await app.state.batcher(prepare(image))
        item = await asyncio.get_running_loop().run_in_executor(
            app.state.decoders,
            lambda: prepare(open_image(data, max_pixels=limits.max_pixels)),
        )
        return await app.state.batcher(item)

    def to_json(answer: Answer, start: float) -> str:
        best = nlargest(TOP, zip(answer.output.tolist(), labels, strict=True))
        rows = ", ".join(
            f'{{"label": {label}, "probability": {value:.6f}}}' for value, label in best
        )
        took = 1000 * (time.perf_counter() - start)
        return (
            f'{opening}{rows}], "batch_size": {answer.batch_size}, '
            f'"milliseconds": {took:.2f}}}'
        )

    @app.post(
        "/predict",
        response_model=Predicted,
        responses=refusals(400, 408, 413, 415, 422, 500, 503, 504),
        openapi_extra=BODY,
    )
    async def predict(request: Request) -> Response:
        """The five most probable classes of the image in the body."""
        nonlocal in_flight
        start = time.perf_counter()
        if not ready:
            raise busy("stopping", "the service is not taking requests")
        if in_flight >= limits.queue:
            raise busy("overloaded", f"{limits.queue} requests are being answered")
        in_flight += 1
        try:
            data = await image_bytes(
                request, limit=limits.max_bytes, timeout=limits.timeout
            )
            answer = await unless_gone(request, classify(data), limits.timeout)
        except ClientDisconnect:
            return Response(status_code=499)  # nobody reads it; it is counted
        except BadImage as error:
            status = 413 if isinstance(error, TooManyPixels) else 422
            raise Problem(status, error.code, str(error)) from None
        except (Overloaded, Closed) as error:
            raise busy("overloaded", str(error)) from None
        finally:
            in_flight -= 1
        return Response(to_json(answer, start), media_type="application/json")

    @app.get("/health", response_model=State)
    async def health() -> Response:
        """Whether the process is alive."""
        return Response('{"status": "alive"}', media_type="application/json")

    @app.get("/ready", response_model=State, responses=refusals(503))
    async def is_ready() -> Response:
        """Whether it takes requests: a balancer sends none where this is not 200."""
        if not ready:
            raise busy("not_ready", "the model is not running")
        return Response('{"status": "ready"}', media_type="application/json")

    @app.get("/metrics", response_class=PlainTextResponse)
    async def show_metrics() -> Response:
        """Counters and histograms in the text format of Prometheus."""
        text = generate_latest(metrics.registry)
        return Response(text, headers={"content-type": CONTENT_TYPE_LATEST})

    @app.get("/", response_class=HTMLResponse)
    async def page() -> Response:
        """A page to drop a photograph on."""
        if PAGE.is_file():
            return HTMLResponse(PAGE.read_text(encoding="utf-8"))
        return HTMLResponse(
            "<!doctype html><title>Image classifier</title>POST /predict"
        )

    @app.exception_handler(Problem)
    async def refuse(_: Request, problem: Problem) -> Response:
        return error_response(problem)

    @app.exception_handler(HTTPException)
    async def refuse_http(_: Request, error: HTTPException) -> Response:
        code = {404: "not_found", 405: "method_not_allowed"}.get(
            error.status_code, "bad_request"
        )
        headers = dict(error.headers or {})
        return error_response(Problem(error.status_code, code, error.detail, headers))

    @app.exception_handler(Exception)
    async def fail(_: Request, __: Exception) -> Response:  # the log has the traceback
        return error_response(Problem(500, "internal_error", "an error of the service"))

    return app


def busy(code: str, message: str) -> Problem:
    return Problem(503, code, message, {"retry-after": "1"})


async def unless_gone(
    request: Request, work: Awaitable[Answer], timeout: float
) -> Answer:
    """What `work` gives; it is cancelled when the client leaves or the time is up.

    Raises `ClientDisconnect`, or `Problem` 504.
    """
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(request.receive())  # after the body: only its leaving
    try:
        await asyncio.wait(
            (task, gone), timeout=timeout, return_when=asyncio.FIRST_COMPLETED
        )
        if task.done():
            return task.result()
        if gone.done():
            raise ClientDisconnect
        raise Problem(504, "timed_out", f"no answer within {timeout:g} s")
    finally:
        task.cancel()
        gone.cancel()
