"""The same service on LitServe, which gathers requests into batches by itself.

    python -m ch07_deployment.litserve_form --port 8000 --max-batch-size 16
    curl -F file=@cat.jpg http://127.0.0.1:8000/predict

The web server and the model live in two processes; what arrives within
`batch_timeout` seconds, but at most `max_batch_size` images, is one forward pass.
"""

import argparse

import litserve
import torch
from fastapi import HTTPException, Request
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from ch07_deployment.served_model import OWN, port_number, served_model

MAX_BYTES = 10 * 1024 * 1024  # LitServe's documentation says "10MB", which fails


class PhotoAPI(litserve.LitAPI):
    """`POST /predict` with an image as the multipart field `file`: the top five."""

    name = "small"  # of the model, for `served_model`

    def setup(self, device: str) -> None:
        """Called once in the process of the model."""
        self.device = device
        self.served = served_model(self.name)
        self.model = self.served.model.to(device)

    def decode_request(self, request: Request) -> Tensor:
        """The form -> (3, 32, 32) uint8; no image is answered with 422, one of
        far too many pixels with 413.

        The annotation makes LitServe read the form and pass that in.
        """
        upload = request.get("file")
        if not hasattr(upload, "file"):
            raise HTTPException(400, "Send an image as the form field 'file'.")
        try:
            photo = Image.open(upload.file).convert("RGB")
        except Image.DecompressionBombError as error:
            raise HTTPException(413, "This image has too many pixels.") from error
        except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
            raise HTTPException(422, "This is no image that can be read.") from error
        return self.served.prepare(photo)

    def batch(self, inputs: list[Tensor]) -> Tensor:
        return torch.stack(inputs)  # (N, 3, 32, 32)

    @torch.inference_mode()
    def predict(self, x: Tensor) -> Tensor:
        x = x if x.ndim == 4 else x.unsqueeze(0)  # max_batch_size=1 does not batch
        return self.model(x.to(self.device)).cpu()  # (N, 10), probabilities

    def unbatch(self, output: Tensor) -> list[Tensor]:
        return list(output)  # N of (10,)

    def encode_response(self, output: Tensor) -> dict[str, list[dict[str, object]]]:
        best = output.flatten().topk(5)
        return {
            "predictions": [
                {"label": self.served.categories[index], "probability": value}
                for value, index in zip(
                    best.values.tolist(), best.indices.tolist(), strict=True
                )
            ]
        }


def create_server(
    *, max_batch_size: int = 16, batch_timeout: float = 0.005, model: str = "small"
) -> litserve.LitServer:
    """One worker on the CPU; `batch_timeout` is in seconds, `model` is one of `OWN`."""
    api = PhotoAPI(max_batch_size=max_batch_size, batch_timeout=batch_timeout)
    api.name = model
    return litserve.LitServer(api, accelerator="cpu", max_payload_size=MAX_BYTES)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=port_number, default=8000)
    parser.add_argument("--max-batch-size", type=int, default=16)
    parser.add_argument("--batch-timeout", type=float, default=0.005, help="seconds")
    parser.add_argument("--model", choices=[*OWN], default="small")
    args = parser.parse_args(argv)
    server = create_server(
        max_batch_size=args.max_batch_size,
        batch_timeout=args.batch_timeout,
        model=args.model,
    )
    server.run(
        host="127.0.0.1",
        port=args.port,
        num_api_servers=1,
        generate_client_file=False,  # by default it writes client.py beside you
        log_level="warning",
    )


if __name__ == "__main__":
    main()
