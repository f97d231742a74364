"""The same service on Ray Serve: replicas of the model behind a gateway.

    python -m ch07_deployment.ray_serve_form --port 8000 --replicas 1 2
    curl -F file=@cat.jpg http://127.0.0.1:8000/predict
    curl http://127.0.0.1:8000/status

Ray's proxy speaks HTTP. A `Gateway` reads the photograph and asks one of the replicas
of `Classifier`: each is a process of its own, on a cluster wherever there is room. What
arrives at one within `--wait` seconds is one forward pass. A replica that dies is
replaced, and what it had begun another one is asked. SIGTERM lets requests finish.
"""

import argparse
import asyncio
import os
import signal
import time
import warnings
from collections.abc import Mapping

import torch
from fastapi import FastAPI, HTTPException, Response, UploadFile
from ray import serve
from ray.exceptions import RayActorError
from ray.serve.handle import DeploymentHandle
from torch import Tensor

from ch01_intro.network import CLASSES, small_network
from ch06_acceleration.tuning import check_resources, ray_session
from ch07_deployment.decoding import BadImage, decode
from ch07_deployment.served_model import FromBytes, central_square, port_number

MAX_BATCH, BATCH_WAIT = 16, 0.005  # images, seconds
TRIES = 5  # replicas that are asked, where one after the other dies
app = FastAPI()


class Classifier:
    """One replica: a copy of the model in a process of its own."""

    def __init__(self, device: str = "cpu", wait: float = BATCH_WAIT) -> None:
        self.device = device
        self.model = FromBytes(small_network()).to(device).eval()
        self.__call__.set_batch_wait_timeout_s(wait)

    @serve.batch(max_batch_size=MAX_BATCH, batch_wait_timeout_s=BATCH_WAIT)
    async def __call__(self, images: list[Tensor]) -> list[dict[str, object]]:
        """Called with one image (3, 32, 32) uint8; Ray Serve gathers the list.

        Gives for each its probabilities, the process, and how many ran together.
        """
        with torch.inference_mode():
            rows = self.model(torch.stack(images).to(self.device)).tolist()  # N of 10
        about = {"pid": os.getpid(), "batch_size": len(images)}
        return [{"probabilities": row} | about for row in rows]


class Gateway:
    """`POST /predict` with an image as the form field `file`, and `GET /status`."""

    def __init__(self, model: DeploymentHandle) -> None:
        self.model = model

    @app.post("/predict")
    async def predict(self, file: UploadFile) -> dict[str, object]:
        """The top five, the process that answered, its batch, and how many were asked.

        What is no image is answered with 422.
        """
        data = await file.read()
        try:
            image = await asyncio.to_thread(prepare, data)
        except BadImage as error:
            raise HTTPException(422, str(error)) from error
        answer, tries = await ask(self.model, image)
        best = torch.tensor(answer.pop("probabilities")).topk(5)
        predictions = [
            {"label": CLASSES[index], "probability": value}
            for value, index in zip(*map(Tensor.tolist, best), strict=True)
        ]
        return {"predictions": predictions, **answer, "tries": tries}

    @app.get("/status")
    async def status(self, response: Response) -> dict[str, object]:
        """How many replicas are in which state; 503 until all is up."""
        overview = (await asyncio.to_thread(serve.status)).applications["default"]
        response.status_code = 200 if overview.status == "RUNNING" else 503
        return {
            name: {"status": one.status, "replicas": one.replica_states}
            for name, one in overview.deployments.items()
        }


def prepare(data: bytes) -> Tensor:
    """The file of a photograph -> the middle of it, (3, 32, 32) uint8.

    A plain tensor, not one of torchvision's classes, to receive which a replica would
    import torchvision: of everything here that takes the longest.
    """
    return central_square(decode(data))


async def ask(model: DeploymentHandle, image: Tensor) -> tuple[dict, int]:
    """The answer of a replica that lives, and how many were asked.

    Ray Serve itself asks another replica only as long as none has taken the request:
    of what was begun it can not know whether doing it twice would do harm. A prediction
    does none. Raises the last `RayActorError` after `TRIES`.
    """
    tries = 1
    while True:
        try:
            return await model.remote(image), tries
        except RayActorError:  # it died, or can not be reached
            if tries == TRIES:
                raise
        tries += 1


def application(
    *,
    replicas: tuple[int, int] = (1, 2),
    target: float = 4,
    gpus: float = 0,
    wait: float = BATCH_WAIT,
) -> serve.Application:
    """The deployments, not yet started: at least and at most so many `replicas`.

    There will be one for each `target` requests that are on their way, counted over
    two seconds. Each takes one CPU and `gpus` GPUs, which may be a part of one, and
    waits up to `wait` seconds for its batch to fill.
    """
    scaling = {
        "min_replicas": replicas[0],
        "max_replicas": replicas[1],
        "target_ongoing_requests": target,
        "upscale_delay_s": 1,  # by default 30
        "downscale_delay_s": 60,  # by default 600
        "look_back_period_s": 2,
        "metrics_interval_s": 0.5,  # deprecated; what is to replace it has no effect
    }
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The `metrics_interval_s`")
        model = serve.deployment(Classifier).options(
            ray_actor_options={"num_cpus": 1, "num_gpus": gpus},
            max_ongoing_requests=2 * MAX_BATCH,  # by default 5, and so the batches
            autoscaling_config=scaling,
            health_check_period_s=1,  # how soon it is noticed that one is gone
            graceful_shutdown_wait_loop_s=0.1,
        )
    gateway = serve.deployment(serve.ingress(app)(Gateway)).options(
        name="Gateway",
        ray_actor_options={"num_cpus": 0},
        max_ongoing_requests=256,
        graceful_shutdown_wait_loop_s=0.1,
    )
    return gateway.bind(model.bind("cuda" if gpus else "cpu", wait))


def check_fits(
    replicas: int, each: Mapping[str, float], there: Mapping[str, float]
) -> None:
    """Raise `ValueError` where `replicas` ask for more than all there is."""
    wanted = {kind: replicas * amount for kind, amount in each.items()}
    check_resources(wanted, there, who=f"{replicas} replicas ask")


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=port_number, default=8000)
    parser.add_argument("--replicas", type=int, nargs=2, default=(1, 2),
                        metavar=("LEAST", "MOST"))  # fmt: skip
    parser.add_argument("--target", type=float, default=4, help="requests for each")
    parser.add_argument("--wait", type=float, default=BATCH_WAIT,
                        help="seconds for a batch to fill")  # fmt: skip
    parser.add_argument("--cpus", type=int, default=2, help="that Ray may give away")
    parser.add_argument("--gpus", type=float, default=0, help="of each replica")
    args = parser.parse_args(argv)
    there = {"CPU": args.cpus, "GPU": torch.cuda.device_count()}
    try:
        check_fits(args.replicas[1], {"CPU": 1, "GPU": args.gpus}, there)
    except ValueError as error:
        parser.error(str(error))
    # by default 15: anything else on the machine would go before the service
    os.environ.setdefault("RAY_worker_niceness", "0")
    with ray_session(cpus=args.cpus):
        signal.signal(signal.SIGTERM, leave)
        try:
            serve.start(
                http_options={"host": "127.0.0.1", "port": args.port},
                logging_config={"log_level": "ERROR"},
            )
            least, most = args.replicas
            served = application(
                replicas=(least, most),
                target=args.target,
                gpus=args.gpus,
                wait=args.wait,
            )
            serve.run(served)
            print(f"Ray Serve: http://127.0.0.1:{args.port}", flush=True)
            while True:
                time.sleep(60)
        except KeyboardInterrupt:
            pass
        finally:
            serve.shutdown()


def leave(*_: object) -> None:
    """For SIGTERM: leave the `with` block, once."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise SystemExit(0)


if __name__ == "__main__":
    main()
