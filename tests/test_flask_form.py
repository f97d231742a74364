import io

import pytest
from PIL import Image

from ch01_intro.classify import classify, open_photo, small_classifier
from ch07_deployment.example import photo_path

pytest.importorskip("flask")
from ch07_deployment.flask_form import MAX_BYTES, create_app


@pytest.fixture(scope="module")
def client():
    return create_app().test_client()


def post(client, content: bytes, field="file"):
    return client.post("/predict", data={field: (io.BytesIO(content), "a.png")})


def test_it_answers_what_chapter_1_answers(client):
    answer = post(client, photo_path().read_bytes())
    expected = classify(open_photo(photo_path()), small_classifier(), device="cpu")
    assert answer.status_code == 200
    got = answer.get_json()["predictions"]
    assert [row["label"] for row in got] == [p.label for p in expected]
    assert [row["probability"] for row in got] == pytest.approx(
        [p.probability for p in expected], abs=1e-6
    )
    assert list(got[0]) == ["label", "probability"] and got[0]["label"] == "cat"


@pytest.mark.parametrize(
    ("content", "field", "status"),
    [
        (b"", "file", 422),
        (b"hello", "file", 422),
        (photo_path().read_bytes()[:9000], "file", 422),
        (photo_path().read_bytes(), "photo", 400),
        (b"x" * (MAX_BYTES + 1), "file", 413),
    ],
)
def test_bad_input_gets_a_reason(client, content, field, status):
    answer = post(client, content, field)
    assert answer.status_code == status
    assert answer.get_data(as_text=True)


def test_a_bomb_is_refused(client, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    assert post(client, photo_path().read_bytes()).status_code == 413


def test_what_it_serves(client):
    about = client.get("/").get_json()
    assert "CIFAR-10" in about["model"] and len(about["classes"]) == 10
