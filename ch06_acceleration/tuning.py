"""A small training to be tuned, and Ray started and stopped with care.

`train_digits` is what the trials run, in Ray, in Optuna or in a loop. Processes that
Ray starts import it from here by its name.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ch03_deep_learning.digits import digits

DEFAULTS = {"lr": 1e-3, "width": 32, "batch_size": 64, "dropout": 0.0}


@cache
def parts() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Images (N, 64) in [0, 1] and labels (N,) of digits: 1,000 to learn, 437 held out.

    The test set of `digits` is left alone: it is for the one that wins.
    """
    images, labels = map(torch.from_numpy, digits(8, train=True))
    images = images.flatten(1).float() / 255
    return images[:1000], labels[:1000], images[1000:], labels[1000:]


def train_digits(
    config: Mapping[str, float], *, epochs: int = 16, seed: int = 0
) -> Iterator[dict[str, float]]:
    """Train a small network; after each epoch give its loss and accuracy held out.

    config: `lr`, `width`, `batch_size`, `dropout`, or some of them. A generator, so
    that whoever asks can stop asking. Raises `ValueError` for a name that it does not
    know, and for a rate that is not above 0.
    """
    if unknown := set(config) - set(DEFAULTS):
        raise ValueError(f"nothing here is called {', '.join(sorted(unknown))}")
    config = DEFAULTS | dict(config)
    if not config["lr"] > 0:
        raise ValueError(f"lr has to be above 0, not {config['lr']}")
    width, size = int(config["width"]), int(config["batch_size"])
    images, labels, held_out, truth = parts()
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        model = nn.Sequential(
            nn.Linear(64, width), nn.ReLU(), nn.Dropout(config["dropout"]),
            nn.Linear(width, 10),
        )  # fmt: skip
    optimizer = torch.optim.SGD(model.parameters(), lr=config["lr"], momentum=0.9)
    for epoch in range(1, epochs + 1):
        model.train()
        for chosen in torch.randperm(len(images), generator=generator).split(size):
            loss = F.cross_entropy(model(images[chosen]), labels[chosen])
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        model.eval()
        with torch.inference_mode():
            logits = model(held_out)  # (437, 10)
            loss = F.cross_entropy(logits, truth).item()
            right = (logits.argmax(1) == truth).float().mean().item()
        yield {"epoch": epoch, "loss": loss, "accuracy": right}


@contextmanager
def ray_session(
    *, cpus: int | None = None, address: str | None = None, attempts: int = 3
) -> Iterator[dict[str, float]]:
    """Ray on this machine, quiet, without a dashboard; it ends with the block.

    address: of a cluster to join instead, "auto" for the one that this machine is in.
    Gives what there is, such as `{"CPU": 2.0}`. Ray gives itself 30 s to start: where a
    machine is busy that may take several `attempts`. Raises `ImportError` with the
    command that helps where Ray is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError as error:
        raise ImportError(
            "this needs Ray: python -m pip install 'ray[tune,train]==2.60.0'"
        ) from error
    own: dict = {"num_cpus": cpus, "include_dashboard": False}
    own["object_store_memory"] = 100 * 2**20
    options = {"address": "local", **own} if address is None else {"address": address}
    for left in reversed(range(attempts)):
        try:
            ray.init(log_to_driver=False, logging_level="ERROR", **options)
            break
        except Exception as error:
            if not left or "timed out during startup" not in str(error):
                raise
    try:
        yield {name: ray.cluster_resources().get(name, 0.0) for name in ("CPU", "GPU")}
    finally:
        ray.shutdown()


def check_resources(
    wanted: Mapping[str, float],
    there: Mapping[str, float],
    *,
    who: str = "a trial asks",
) -> None:
    """Raise `ValueError` where somebody asks for more than all there is.

    Ray would wait for it, without an end: in a cluster a machine may still come.
    """
    for name, amount in wanted.items():
        kind = name.upper()
        if amount > there.get(kind, 0):
            raise ValueError(
                f"{who} for {amount:g} {kind}, and there is "
                f"{there.get(kind, 0):g}: ask for less, or go where there is more"
            )
