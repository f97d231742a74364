"""The book's web service: a small Flask app, one forward pass for each request.

    python -m ch07_deployment.flask_form --port 8000 --model six-views
    curl -F file=@cat.jpg http://127.0.0.1:8000/predict

Flask's own server is for trying things out: a thread for each request, no limit on how
many of them compute at once. `ch07_deployment.service` is the form for real use.
"""

import argparse
from pathlib import Path

from flask import Flask, jsonify, request
from flask.typing import ResponseReturnValue
from PIL import Image, UnidentifiedImageError

from ch01_intro.classify import Classifier, classify, small_classifier
from ch07_deployment.served_model import OWN, port_number

MAX_BYTES = 10 * 1024 * 1024


def create_app(classifier: Classifier | None = None) -> Flask:
    """An app whose `POST /predict` takes an image as the multipart field `file`.

    Answers `{"predictions": [{"label": ..., "probability": ...}, ...]}`, most probable
    first, or `{"error": ...}` with 400 (no file), 413 (too large) or 422 (no image).
    """
    app = Flask(Path(__file__).stem)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BYTES  # Flask answers 413 by itself
    app.json.sort_keys = False
    classifier = classifier or small_classifier()

    @app.get("/")
    def index() -> ResponseReturnValue:
        return jsonify(model=classifier.name, classes=list(classifier.categories))

    @app.post("/predict")
    def predict() -> ResponseReturnValue:
        upload = request.files.get("file")
        if upload is None:
            return jsonify(error="Send an image as the form field 'file'."), 400
        try:
            photo = Image.open(upload.stream).convert("RGB")
        except (UnidentifiedImageError, OSError, SyntaxError, ValueError):
            return jsonify(error="This is no image that can be read."), 422
        except Image.DecompressionBombError:
            return jsonify(error="This image has too many pixels."), 413
        best = classify(photo, classifier, device="cpu")  # a batch of one
        return jsonify(predictions=[vars(prediction) for prediction in best])

    return app


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=port_number, default=8000)
    parser.add_argument("--model", choices=[*OWN], default="small")
    args = parser.parse_args(argv)
    classifier = small_classifier(six_views=OWN[args.model])
    create_app(classifier).run(host=args.host, port=args.port)


if __name__ == "__main__":
    main()
