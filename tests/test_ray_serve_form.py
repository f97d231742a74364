"""Ray Serve: the answers of eager, growth, a replica killed under load, a clean end."""

import asyncio
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import psutil
import pytest
import torch
from torchvision.transforms.v2.functional import to_pil_image

from ch01_intro.network import CLASSES, MEAN, STD
from ch07_deployment.example import example_model, photo_path, real_images

pytest.importorskip("ray.serve")
import httpx
from ray.exceptions import ActorDiedError

from ch07_deployment.processes import free_port, running, stop
from ch07_deployment.ray_serve_form import (
    TRIES,
    application,
    ask,
    check_fits,
    prepare,
)
from tests.alive import alive, until

THERE = {"CPU": 2, "GPU": 0}


class Dying:
    """As a handle of Ray Serve: the first `deaths` calls lose their replica."""

    def __init__(self, deaths: int) -> None:
        self.deaths, self.calls = deaths, 0

    async def remote(self, image):
        self.calls += 1
        if self.calls <= self.deaths:
            raise ActorDiedError
        return {"image": image}


async def outcome(model):
    return await ask(model, "an image")


def test_what_a_dead_replica_had_begun_another_one_is_asked():

    assert asyncio.run(outcome(Dying(0))) == ({"image": "an image"}, 1)
    assert asyncio.run(outcome(Dying(TRIES - 1))) == ({"image": "an image"}, TRIES)
    for_ever = Dying(1000)
    with pytest.raises(ActorDiedError):
        asyncio.run(outcome(for_ever))
    assert for_ever.calls == TRIES


@pytest.mark.parametrize(
    ("each", "words"),
    [
        ({"CPU": 0.5, "GPU": 1}, "3 replicas ask for 3 GPU, and there is 0"),
        ({"CPU": 1}, "3 replicas ask for 3 CPU, and there is 2"),
        ({"TPU": 0.5}, "3 replicas ask for 1.5 TPU, and there is 0"),
    ],
)
def test_what_can_not_be_is_an_error_and_no_wait(each, words):
    with pytest.raises(ValueError, match=words):
        check_fits(3, each, THERE)
    check_fits(2, {"CPU": 1, "GPU": 0}, THERE)


def test_the_command_refuses_before_ray_starts():
    command = [sys.executable, "-m", "ch07_deployment.ray_serve_form", "--gpus", "99"]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=300)
    assert done.returncode == 2
    assert "2 replicas ask for 198 GPU, and there is" in done.stderr


def test_more_at_least_than_at_most_is_an_error():
    with pytest.raises(ValueError, match="min_replicas"):
        application(replicas=(3, 2))


def test_a_replica_need_not_import_torchvision_to_receive_an_image():
    image = prepare(photo_path().read_bytes())
    assert type(image) is torch.Tensor
    assert image.shape == (3, 32, 32) and image.dtype == torch.uint8
    script = "import sys, ch07_deployment.ray_serve_form; "
    script += "sys.exit('torchvision' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], timeout=300).returncode == 0


def rounded_images(n: int):
    """Real images as PNG files, and eager's probabilities (n, 10) for their pixels."""
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    pixels = ((real_images(n) * std + mean) * 255).round().clamp(0, 255).byte()
    with torch.inference_mode():
        expected = example_model()((pixels / 255 - mean) / std).softmax(dim=1)
    return [png(one) for one in pixels], expected


def png(pixels: torch.Tensor) -> bytes:
    file = BytesIO()
    to_pil_image(pixels).save(file, "PNG")
    return file.getvalue()


def test_a_replica_is_killed_under_load_and_no_request_fails():
    files, expected = rounded_images(32)
    port, over, answers = free_port(), threading.Event(), []
    command = ["-m", "ch07_deployment.ray_serve_form", "--port", str(port)]
    command += ["--wait", "0.5"]  # which leaves the CPUs to the replicas that start
    url = f"http://127.0.0.1:{port}"
    with (
        running(command, port=port, ready="/status", seconds=400) as server,
        httpx.Client(base_url=url, trust_env=False, timeout=120) as http,
    ):

        def post(file):
            return http.post("/predict", files={"file": file})

        def check(i):
            response = post(files[i])
            assert response.status_code == 200, response.text
            answer = response.json()
            rows = answer["predictions"]
            indices = [CLASSES.index(row["label"]) for row in rows]
            actual = torch.tensor([row["probability"] for row in rows])
            torch.testing.assert_close(actual, expected[i, indices])
            torch.testing.assert_close(actual, expected[i].topk(5).values)
            answers.append(answer)

        def client(i):
            while not over.is_set():
                check(i)
                i = (i + 1) % 32

        def processes():
            return {answer["pid"] for answer in answers[:]}

        status = http.get("/status").json()
        assert status["Classifier"] == {
            "status": "HEALTHY",
            "replicas": {"RUNNING": 1},
        }
        with ThreadPoolExecutor(32) as pool:
            list(pool.map(check, range(32)))
        (first,) = processes()
        assert (
            post(photo_path().read_bytes()).json()["predictions"][0]["label"] == "cat"
        )
        assert post(b"no image").status_code == post(b"").status_code == 422
        assert http.post("/predict").status_code == 422
        with ThreadPoolExecutor(12) as pool:
            clients = [pool.submit(client, i) for i in range(12)]
            try:
                until(lambda: len(processes()) == 2, 240)
                psutil.Process(first).kill()
                until(lambda: len(processes()) == 3, 240)
            finally:
                over.set()
        for done in clients:
            done.result()  # raises what the client met
        assert max(answer["batch_size"] for answer in answers) > 1
        assert max(answer["tries"] for answer in answers) <= TRIES

        family = psutil.Process(server.process.pid).children(recursive=True)
        assert len(family) > 5 and processes() - {first} <= {p.pid for p in family}
        code = stop(server.process, seconds=120)
        assert code == 0 or os.name == "nt", server.log()
    until(lambda: not any(map(alive, family)), 30)
