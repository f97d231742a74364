"""The web service: its answers, its limits, its errors, and how it stops."""

import asyncio
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
import torch

from ch01_intro.classify import classify, open_photo, small_classifier
from ch01_intro.network import CLASSES, SixViews, normalize
from ch07_deployment.example import example_model, photo_path, real_images
from ch07_deployment.hostile import png_bomb, whole_images
from ch07_deployment.processes import free_port, running
from ch07_deployment.serve import main
from ch07_deployment.served_model import (
    ServedModel,
    central_square,
    folded,
    served,
    served_model,
    small_served,
)
from ch07_deployment.service import Limits, create_app

PHOTO = photo_path().read_bytes()
WHOLE = whole_images()
TEXT, FORM = {"content-type": "text/plain"}, {"content-type": "multipart/form-data"}


class Model:
    """Says the same of every image; can be held up, and can fail."""

    def __init__(self, *, error=None):
        self.calls, self.error = 0, error
        self.go = threading.Event()
        self.go.set()

    def __call__(self, images):
        self.go.wait(5)
        self.calls += 1
        if self.error:
            raise self.error
        return torch.linspace(0, 1, 10).softmax(0).expand(len(images), 10)


def stub(model=None):
    return ServedModel("stub", central_square, model or Model(), CLASSES)


def with_client(use, *, model=None, **limits):
    """What the coroutine `use(client, app)` gives; the app is started and stopped."""

    async def session():
        app = create_app(stub(model), Limits(**limits))
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://test") as client,
        ):
            return await use(client, app)

    return asyncio.run(asyncio.wait_for(session(), 30))


def answer_of(method="POST", path="/predict", *, model=None, limits=None, **request):
    async def use(client, _):
        return await client.request(method, path, **request)

    return with_client(use, model=model, **(limits or {}))


def refused(answer, status, code):
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    error = answer.json()["error"]
    assert error["code"] == code and error["message"]
    assert "Traceback" not in answer.text and ".py" not in answer.text
    return True


def test_the_same_answer_as_chapter_1_raw_and_as_a_form():
    async def both():
        app = create_app(small_served())
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://test") as client,
        ):
            raw = await client.post("/predict", content=PHOTO)
            form = await client.post("/predict", files={"file": ("c.png", PHOTO)})
            return raw, form

    expected = classify(open_photo(photo_path()), small_classifier(), device="cpu")
    for answer in asyncio.run(both()):
        got = answer.json()
        assert [p["label"] for p in got["predictions"]] == [p.label for p in expected]
        for mine, theirs in zip(got["predictions"], expected, strict=True):
            assert mine["probability"] == pytest.approx(theirs.probability, abs=0.01)
        assert got["batch_size"] == 1 and got["milliseconds"] > 0


def test_folding_changes_nothing():
    images, model = real_images(4), example_model()
    with torch.inference_mode():
        torch.testing.assert_close(folded(model)(images), model(images))
    assert not [m for m in folded(model).modules() if "BatchNorm" in str(type(m))]


@pytest.mark.parametrize("six_views", [False, True])
def test_what_is_served_gives_the_probabilities_of_chapter_1(six_views):
    images = torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8)
    model = SixViews(example_model()) if six_views else example_model()
    name = "six-views" if six_views else "small"
    with torch.inference_mode():
        expected = model(normalize(images / 255)).softmax(dim=1)
        torch.testing.assert_close(served_model(name).model(images), expected)


def test_any_classifier_can_be_served():
    thing = served(small_classifier())
    strip = open_photo(photo_path()).resize((2000, 2))
    batch = torch.stack([thing.prepare(strip), thing.prepare(strip)])
    with torch.inference_mode():
        assert thing.model(batch).sum(1) == pytest.approx([1, 1])
    with pytest.raises(ValueError):
        served_model("no-such-model")


def test_simultaneous_requests_share_a_batch():
    async def use(client, app):
        posts = [client.post("/predict", content=WHOLE["jpeg"]) for _ in range(6)]
        answers = await asyncio.gather(*posts)
        return [a.json()["batch_size"] for a in answers]

    assert max(with_client(use, max_wait=0.5, max_batch=6)) == 6


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        ({"content": b""}, 400, "empty_body"),
        ({"content": b"x", "headers": TEXT}, 415, "unsupported_media_type"),
        ({"json": {"file": "x"}}, 415, "unsupported_media_type"),
        ({"content": b"no image"}, 422, "not_an_image"),
        ({"content": WHOLE["png"][:300]}, 422, "damaged_image"),
        ({"content": png_bomb(100_000, 100_000)}, 413, "too_many_pixels"),
        ({"content": bytes(10_000_001)}, 413, "body_too_large"),
        ({"files": {"other": ("a.png", WHOLE["png"])}}, 400, "no_file"),
        ({"files": {"file": ("a.png", b"")}}, 400, "empty_body"),
        ({"data": {"file": "text"}, "files": {"x": b"1"}}, 400, "no_file"),
        ({"files": [("file", b"1"), ("file", b"2")]}, 400, "bad_form"),
        ({"content": b"x", "headers": FORM}, 400, "bad_form"),
    ],
)
def test_what_is_wrong_with_a_request_is_said(request_, status, code):
    refused(answer_of(**request_), status, code)


def test_wrong_paths_and_methods_have_errors_of_the_same_form():
    refused(answer_of("GET", "/nothing"), 404, "not_found")
    refused(answer_of("GET", "/predict/"), 404, "not_found")
    answer = answer_of("GET", "/predict")
    assert (
        refused(answer, 405, "method_not_allowed") and "POST" in answer.headers["allow"]
    )


def test_the_size_is_counted_and_not_believed():
    async def chunks():  # no Content-Length
        for _ in range(30):
            yield bytes(100)

    refused(
        answer_of(content=chunks(), limits={"max_bytes": 1000}), 413, "body_too_large"
    )


def test_a_slow_body_is_given_up():
    async def slowly():
        yield b"\x89PNG"
        await asyncio.sleep(5)
        yield b"late"

    start = time.perf_counter()
    answer = answer_of(content=slowly(), limits={"timeout": 0.2})
    assert refused(answer, 408, "request_timeout") and time.perf_counter() - start < 4


def test_a_slow_model_is_given_up():
    model = Model()

    async def use(client, app):
        model.go.clear()
        answer = await client.post("/predict", content=WHOLE["png"])
        model.go.set()
        return answer

    refused(with_client(use, model=model, timeout=0.2), 504, "timed_out")


def test_an_error_of_the_model_is_not_shown():
    answer = answer_of(content=WHOLE["png"], model=Model(error=RuntimeError("secret")))
    assert refused(answer, 500, "internal_error") and "secret" not in answer.text


def test_overload_is_answered_at_once_and_passes():
    model = Model()

    async def use(client, app):
        model.go.clear()
        posts = [
            asyncio.ensure_future(client.post("/predict", content=WHOLE["png"]))
            for _ in range(3)
        ]
        await asyncio.sleep(0.2)
        start = time.perf_counter()
        answer = await client.post("/predict", content=WHOLE["png"])
        assert time.perf_counter() - start < 1
        assert answer.headers["retry-after"] == "1"
        refused(answer, 503, "overloaded")
        model.go.set()
        return [a.status_code for a in await asyncio.gather(*posts)]

    assert with_client(use, model=model, queue=3) == [200, 200, 200]


def test_a_client_that_leaves_is_dropped():
    model = Model()

    async def use(client, app):
        model.go.clear()
        messages = [
            {"type": "http.request", "body": WHOLE["png"], "more_body": False},
            {"type": "http.disconnect"},
        ]

        async def receive():
            await asyncio.sleep(0.05)
            return messages.pop(0)

        async def send(message):
            pass

        scope = {"type": "http", "method": "POST", "path": "/predict"}
        scope |= {"headers": [], "query_string": b"", "scheme": "http"}
        busy = [
            asyncio.ensure_future(client.post("/predict", content=WHOLE["png"]))
            for _ in range(2)
        ]
        await asyncio.sleep(0.3)  # both workers have something to do
        await app(scope, receive, send)
        await asyncio.sleep(0.1)
        assert len(app.state.batcher) == 0
        model.go.set()
        await asyncio.gather(*busy)
        return (await client.get("/metrics")).text

    text = with_client(use, model=model, max_batch=1)
    assert 'requests_total{path="/predict",status="499"} 1.0' in text
    assert model.calls == 2


def test_health_ready_page_and_metrics():
    async def use(client, app):
        for _ in range(3):
            await client.post("/predict", content=WHOLE["jpeg"])
        for n in range(5):
            await client.get(f"/{n}")
        paths = ("/health", "/ready", "/", "/metrics")
        return [await client.get(path) for path in paths]

    health, ready, page, metrics = with_client(use)
    assert health.json() == {"status": "alive"} and ready.json() == {"status": "ready"}
    assert page.text.lower().startswith("<!doctype html>")
    assert 'requests_total{path="/predict",status="200"} 3.0' in metrics.text
    assert 'requests_total{path="other",status="404"} 5.0' in metrics.text
    assert "batch_size_sum 3.0" in metrics.text and "queue_length 0.0" in metrics.text


def test_not_ready_before_the_start_and_after_the_end():
    async def ask(path, method="GET"):
        transport = httpx.ASGITransport(create_app(stub()))
        async with httpx.AsyncClient(
            transport=transport, base_url="http://t"
        ) as client:
            return await client.request(method, path)

    refused(asyncio.run(ask("/ready")), 503, "not_ready")
    refused(asyncio.run(ask("/predict", "POST")), 503, "stopping")
    assert asyncio.run(ask("/health")).status_code == 200


def test_two_apps_in_one_process_count_for_themselves():
    one, two = create_app(stub()), create_app(stub())
    one.state.metrics.batch(3, 0.1)
    assert two.state.metrics.registry.get_sample_value("batch_size_sum") == 0


def test_the_schema_names_every_status_and_both_bodies():
    operation = create_app(stub()).openapi()["paths"]["/predict"]["post"]
    assert set(operation["responses"]) == set(
        ["200", "400", "408", "413", "415", "422", "500", "503", "504"]
    )
    assert set(operation["requestBody"]["content"]) == {
        "multipart/form-data", "application/octet-stream", "image/*"
    }  # fmt: skip


def post(port, body=WHOLE["jpeg"]):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    start = time.perf_counter()
    connection.request("POST", "/predict", body, {"content-type": "image/jpeg"})
    answer = connection.getresponse()
    content = json.loads(answer.read())
    connection.close()
    return answer.status, time.perf_counter() - start, content


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM to handle")
def test_a_process_under_overload_and_its_graceful_stop():
    """Images wait 2 s for a batch: what was accepted is in the house by then."""
    port = free_port()
    command = ["-m", "ch07_deployment.serve", "--port", str(port), "--queue", "4"]
    command += ["--max-wait-ms", "2000"]
    with (
        running(command, port=port, ready="/ready", seconds=180) as server,
        ThreadPoolExecutor(10) as pool,
    ):
        answers = list(pool.map(lambda _: post(port), range(10)))
        assert sorted(status for status, *_ in answers) == [200] * 4 + [503] * 6
        assert all(took < 1.5 for status, took, _ in answers if status == 503)
        accepted = [pool.submit(post, port) for _ in range(3)]
        time.sleep(0.7)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        with pytest.raises(OSError):
            post(port)
        assert [future.result()[0] for future in accepted] == [200, 200, 200]
        assert server.process.wait(20) == 0
        assert "Traceback" not in server.log()


def test_bad_arguments_end_with_one_line(capsys):
    assert main(["--model", "no-such"]) == 2
    assert capsys.readouterr().err.startswith("serve: ")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--workers", "0"],
        ["--max-batch", "0"],
        ["--threads", "-1"],
        ["--threads", "0"],
        ["--max-wait-ms", "-1"],
        ["--max-wait-ms", "nan"],
        ["--timeout", "0"],
        ["--timeout", "inf"],
        ["--port", "-1"],
        ["--port", "99999"],
    ],
)
def test_numbers_that_can_not_be(arguments, capsys):
    with pytest.raises(SystemExit):
        main(arguments)
    assert "begin" in capsys.readouterr().err.splitlines()[-1]


def test_bad_requests_in_short():
    """The long form: `python -m ch07_deployment.fuzz`."""
    command = [sys.executable, "-m", "ch07_deployment.fuzz", "--requests", "300"]
    ended = subprocess.run(command, capture_output=True, text=True, encoding="utf-8")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "0 problems" in ended.stdout and "200: " in ended.stdout
