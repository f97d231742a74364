"""The training of train_ddp.py as a function that Ray Train runs on its workers.

    python -m ch06_acceleration.ray_train --workers 2 --epochs 3
    python -m ch06_acceleration.ray_train --workers 0    # in this process, to try it

Ray starts the processes, on this machine or on all those of a cluster, and joins them
in a process group; what torchrun and a scheduler do elsewhere.
"""

import argparse
import contextlib
import logging
import os
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist
from torch.utils.data import DataLoader, DistributedSampler

from ch06_acceleration import train_ddp
from ch06_acceleration.tuning import check_resources, ray_session

if TYPE_CHECKING:
    from ray.train import Result

# Ray's own settings, where they are not set: patience on a slow machine; no process
# that watches for cloud machines being taken away; a look at the workers more often.
SETTINGS = {
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "300",
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",
}
DEFAULTS = {"epochs": 3, "batch_size": 64, "width": 16}


def train_worker(config: Mapping[str, int]) -> None:
    """What each worker does; `config` as `DEFAULTS`, batch size of all together.

    Reports loss and accuracy after each epoch, and rank 0 its weights. Runs inside of
    Ray Train only.
    """
    from ray import train
    from ray.train.torch import prepare_model

    with _process_group() as device:
        rank, world = dist.get_rank(), dist.get_world_size()
        images, test = train_ddp.data()
        sampler = DistributedSampler(images, seed=train_ddp.SEED, drop_last=True)
        size = config["batch_size"] // world
        loader = DataLoader(images, batch_size=size, sampler=sampler, drop_last=True)
        plain = train_ddp.network(config["width"])
        model = prepare_model(plain, move_to_device=device)  # with DDP around it
        optimizer = torch.optim.AdamW(plain.parameters(), lr=2e-3)
        for epoch in range(config["epochs"]):
            sampler.set_epoch(epoch)
            loss = train_ddp.train_epoch(model, loader, optimizer, device, None)
            right = train_ddp.accuracy(plain, test, device)
            metrics = {"epoch": epoch + 1, "loss": loss.item(), "accuracy": right}
            with tempfile.TemporaryDirectory() as folder:
                checkpoint = None
                if rank == 0:
                    torch.save(plain.state_dict(), Path(folder, "model.pt"))
                    checkpoint = train.Checkpoint.from_directory(folder)
                train.report(metrics, checkpoint=checkpoint)  # in all, or it waits


@contextlib.contextmanager
def _process_group() -> Iterator[torch.device]:
    """The one that Ray made, and this worker's device; or one of this process alone."""
    from ray.train.torch import get_device

    if dist.is_initialized():
        yield get_device()
    else:
        with train_ddp.process_group() as device:
            yield device


def train_on_ray(
    folder: str | Path,
    *,
    workers: int = 2,
    gpus: bool = False,
    there: Mapping[str, float] | None = None,
    **config: int,
) -> "Result":
    """Train in `workers` processes of a Ray that runs, and return Ray's result.

    With 0 workers it is this process, and Ray does not have to run: to try a function.
    folder takes the checkpoints; on a cluster it is one that all machines share. there:
    what `ray_session` gave. config: of `DEFAULTS`, what is to differ. Raises
    `ValueError` for a name not in there, a batch size that the workers do not divide,
    and where more is asked for than there is: Ray would wait until somebody brings it.
    """
    if unknown := set(config) - set(DEFAULTS):
        raise ValueError(f"nothing here is called {', '.join(sorted(unknown))}")
    config = DEFAULTS | config
    if workers < 0 or config["batch_size"] % max(1, workers):
        raise ValueError(f"{workers} do not divide {config['batch_size']} images")
    if workers:
        wanted = {"cpu": workers, "gpu": workers * gpus}
        check_resources(wanted, there or {}, who=f"{workers} workers ask")
    os.environ |= SETTINGS | os.environ
    for name in ("ray.train", "ray.widgets"):
        logging.getLogger(name).setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "IProgress not found")  # widgets for tqdm
        from ray.train import RunConfig, ScalingConfig
        from ray.train.torch import TorchConfig, TorchTrainer

    trainer = TorchTrainer(
        train_worker,
        train_loop_config=config,
        torch_config=TorchConfig(backend="nccl" if gpus else "gloo"),
        scaling_config=ScalingConfig(num_workers=workers, use_gpu=gpus),
        run_config=RunConfig(name="train", storage_path=str(folder)),
    )
    return trainer.fit()


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--gpus", action="store_true", help="one for each worker")
    parser.add_argument("--epochs", type=int, default=DEFAULTS["epochs"])
    args = parser.parse_args(argv)
    wanted = {"workers": args.workers, "gpus": args.gpus, "epochs": args.epochs}
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        there = stack.enter_context(ray_session()) if args.workers else None
        result = train_on_ray(folder, there=there, **wanted)
    print(result.metrics)


if __name__ == "__main__":
    main()
