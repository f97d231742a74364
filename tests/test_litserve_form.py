import io

import pytest
import torch

from ch01_intro.network import CLASSES, small_network
from ch07_deployment.example import names_of, photo_path, real_images
from ch07_deployment.hostile import png_bomb

pytest.importorskip("litserve")
import httpx
from fastapi import HTTPException
from starlette.datastructures import FormData, UploadFile

from ch07_deployment.litserve_form import PhotoAPI, create_server
from ch07_deployment.processes import free_port, running


@pytest.fixture(scope="module")
def api():
    api = PhotoAPI(max_batch_size=4)
    api.setup("cpu")
    return api


def form(name):
    content = io.BytesIO(photo_path(name).read_bytes())
    return FormData([("file", UploadFile(content, filename=name))])


def test_a_batch_is_what_the_single_ones_are(api):
    items = [api.decode_request(form(n)) for n in ("chelsea.png", "coffee.png")]
    rows = api.unbatch(api.predict(api.batch(items)))
    expected = small_network()(real_images(1)).softmax(dim=1)  # resized by torchvision
    torch.testing.assert_close(rows[0][None], expected, rtol=0, atol=0.01)
    torch.testing.assert_close(rows[0], api.predict(items[0])[0])
    answer = api.encode_response(rows[0])["predictions"]
    assert [row["label"] for row in answer][:1] == names_of(rows[0][None]) == ["cat"]
    assert len(answer) == 5 and {row["label"] for row in answer} <= {*CLASSES}


@pytest.mark.parametrize("fields", [[], [("file", "text")], [("other", "text")]])
def test_a_form_without_a_file(api, fields):
    with pytest.raises(HTTPException) as caught:
        api.decode_request(FormData(fields))
    assert caught.value.status_code == 400


def test_a_decompression_bomb_is_refused(api):
    content = io.BytesIO(png_bomb(100_000, 100_000))
    with pytest.raises(HTTPException) as caught:
        api.decode_request(FormData([("file", UploadFile(content, filename="b.png"))]))
    assert caught.value.status_code == 413


def test_the_server_gathers_batches(api):
    settings = dict(max_batch_size=7, batch_timeout=0.25, model="six-views")
    (lit_api,) = create_server(**settings).litapi_connector
    assert (lit_api.max_batch_size, lit_api.batch_timeout) == (7, 0.25)
    lit_api.setup("cpu")
    assert "six views" in lit_api.served.name


def test_it_answers():
    port = free_port()
    command = ["-m", "ch07_deployment.litserve_form", "--port", str(port)]
    with (
        running(command, port=port, ready="/health", seconds=120) as server,
        httpx.Client(base_url=server.url, trust_env=False, timeout=30) as client,
    ):
        good = client.post("/predict", files={"file": photo_path().read_bytes()})
        bad = client.post("/predict", files={"file": b"hello"})
    assert good.json()["predictions"][0]["label"] == "cat"
    assert (good.status_code, bad.status_code) == (200, 422)
