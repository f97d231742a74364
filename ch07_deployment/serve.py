"""Serve an image classifier over HTTP.

    python -m ch07_deployment.serve                       # http://127.0.0.1:8000
    python -m ch07_deployment.serve --port 9000 --model resnet50
    curl --data-binary @cat.jpg -H "Content-Type: image/jpeg" localhost:8000/predict
    curl -F file=@cat.jpg localhost:8000/predict

A demonstration server: no login, no TLS, one process. SIGTERM (or Ctrl-C) lets it
finish what it accepted; then it ends with 0.
"""

import argparse
import math
import signal
import sys
import warnings

import torch
import uvicorn
from PIL import Image

from ch01_intro.assets import AssetUnavailable
from ch07_deployment.served_model import ServedModel, port_number, served_model
from ch07_deployment.service import Limits, create_app


def warm_up(served: ServedModel, sizes: list[int]) -> None:
    """Run the model once for each size: the first call of each plans and allocates."""
    item = served.prepare(Image.new("RGB", (64, 64)))
    with torch.inference_mode():
        for size in sizes:
            served.model(torch.stack([item] * size))


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    default = Limits()
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0: all interfaces")
    parser.add_argument("--port", type=port_number, default=8000)
    parser.add_argument(
        "--model", default="small", help="or six-views, or one of torchvision"
    )
    parser.add_argument("--max-batch", type=int, default=default.max_batch)
    parser.add_argument("--max-wait-ms", type=float, default=1000 * default.max_wait)
    parser.add_argument(
        "--queue", type=int, default=default.queue, help="requests in the house"
    )
    parser.add_argument("--max-bytes", type=int, default=default.max_bytes)
    parser.add_argument("--max-pixels", type=int, default=default.max_pixels)
    parser.add_argument(
        "--timeout", type=float, default=default.timeout, help="seconds"
    )
    parser.add_argument("--decoders", type=int, default=default.decoders)
    parser.add_argument("--workers", type=int, default=default.workers)
    parser.add_argument("--threads", type=int, help="of each worker")
    args = parser.parse_args(argv)
    sizes = ("max_batch", "queue", "max_bytes", "max_pixels", "decoders", "workers")
    numbers = [getattr(args, name) for name in sizes]
    if min(numbers) < 1 or (args.threads is not None and args.threads < 1):
        parser.error("sizes and numbers of threads begin at 1")
    if not (0 <= args.max_wait_ms < math.inf and 0 < args.timeout < math.inf):
        parser.error("--max-wait-ms begins at 0, and --timeout above it")
    try:
        served = served_model(args.model)
    except (AssetUnavailable, ValueError) as error:
        print(f"serve: {error}", file=sys.stderr)
        return 2
    cores = torch.get_num_threads()
    torch.set_num_threads(args.threads or max(1, cores // args.workers))
    limits = Limits(
        max_batch=args.max_batch,
        max_wait=args.max_wait_ms / 1000,
        queue=args.queue,
        max_bytes=args.max_bytes,
        max_pixels=args.max_pixels,
        timeout=args.timeout,
        decoders=args.decoders,
        workers=args.workers,
    )
    warm_up(served, [1, limits.max_batch])
    config = uvicorn.Config(
        create_app(served, limits),
        host=args.host,
        port=args.port,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=int(2 * limits.timeout) + 1,
        ws="none",
    )
    warnings.filterwarnings("ignore", module=r"PIL\.")  # on photographs, not on code
    signal.signal(signal.SIGTERM, lambda *_: None)  # uvicorn raises it again at the end
    print(f"{served.name}: http://{args.host}:{args.port}", flush=True)
    uvicorn.Server(config).run()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
