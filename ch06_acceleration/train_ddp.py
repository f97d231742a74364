"""Train a small network with DistributedDataParallel; the same file runs anywhere.

    python -m ch06_acceleration.train_ddp --epochs 4                    # one process
    torchrun --standalone --nproc-per-node=2 train_ddp.py --epochs 4    # two, here
    torchrun --nnodes=4 --nproc-per-node=8 --rdzv-backend=c10d \\
        --rdzv-endpoint=HOST:29400 train_ddp.py --checkpoint /shared/run.pt

With a GPU for each process, it takes the one with the number LOCAL_RANK and talks
through NCCL; else it is the CPU and gloo. Rank 0 prints, and writes the checkpoint. A
run that finds one, where all machines see it, goes on from it, in as many processes as
there are now. The batch size is that of all together: their number changes the time,
not the result (up to rounding). With `--max-restarts`, export
TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 as well, or restarted workers call the addresses of
the dead ones (pytorch/pytorch#167288). Public packages only: this file can be copied.
"""

import argparse
import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.elastic.multiprocessing.errors import record
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel
from torch.optim import AdamW, Optimizer
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

SEED, TRAINING = 0, 1437  # of 1,797 images; the other 360 are the test set


@contextmanager
def process_group() -> Iterator[torch.device]:
    """Join the others; gives this process's device, and leaves at the end.

    torchrun says who the others are, in RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and
    MASTER_PORT. Without torchrun this process is the only one.
    """
    device, options = _device(), {}
    if device.type != "cpu":
        torch.accelerator.set_device_index(device.index)
        options["device_id"] = device
    if "RANK" not in os.environ:
        options |= {"store": dist.HashStore(), "rank": 0, "world_size": 1}
    dist.init_process_group(_backend(device), **options)
    try:
        yield device
    finally:
        dist.destroy_process_group()


def data() -> tuple[TensorDataset, TensorDataset]:
    """scikit-learn's digits: images (N, 1, 8, 8) float32 in 0..1, labels (N,) int64."""
    package = find_spec("sklearn")  # to import it takes seconds
    if package is None or package.origin is None:
        raise ModuleNotFoundError("the digits are in scikit-learn: pip install it")
    file = Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz"
    table = torch.from_numpy(np.loadtxt(file, delimiter=",", dtype=np.float32))
    images, labels = table[:, :64].view(-1, 1, 8, 8) / 16, table[:, 64].long()
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(SEED))
    parts = order[:TRAINING], order[TRAINING:]
    train, test = (TensorDataset(images[part], labels[part]) for part in parts)
    return train, test


def network(width: int) -> nn.Module:
    """(N, 1, 8, 8) -> (N, 10); the same weights in each process and each run."""
    torch.manual_seed(SEED)
    return nn.Sequential(
        nn.Conv2d(1, width, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(width, 2 * width, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(2 * width * 16, 10),
    )


def train_epoch(
    model: nn.Module,
    loader: DataLoader,
    optimizer: Optimizer,
    device: torch.device,
    die_at: int | None = None,
) -> Tensor:
    """One pass over this process's share; the mean loss of all of them, shape ()."""
    model.train()
    total = torch.zeros((), device=device)
    for step, (images, labels) in enumerate(loader):
        images, labels = images.to(device), labels.to(device)
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images), labels)
        if step == die_at:
            os._exit(1)  # no farewell to the others, no clean-up
        loss.backward()  # here DDP averages the gradients of all processes
        optimizer.step()
        total += loss.detach()
    dist.all_reduce(total)
    return total / (len(loader) * dist.get_world_size())


@torch.inference_mode()
def accuracy(model: nn.Module, test: TensorDataset, device: torch.device) -> float:
    """On all test images, each seen by one process only."""
    model.eval()
    rank, world = dist.get_rank(), dist.get_world_size()
    images, labels = (tensor[rank::world].to(device) for tensor in test.tensors)
    right = (model(images).argmax(dim=1) == labels).sum()
    dist.all_reduce(right)
    return right.item() / len(test)


def save(path: Path, model: nn.Module, optimizer: Optimizer, epochs: int) -> None:
    """Beside its place, then renamed: whoever is killed leaves a whole file."""
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
    beside = path.with_name(f"{path.name}.{os.getpid()}.part")
    torch.save(state | {"epochs": epochs}, beside)
    beside.replace(path)


def load(path: Path | None, model: nn.Module, optimizer: Optimizer) -> int:
    """Take over what `save` wrote, if there is any; the number of epochs done."""
    if path is None or not path.exists():
        return 0
    state = torch.load(path, map_location="cpu", weights_only=True)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return state["epochs"]


@record  # torchrun then shows this process's error, not only its exit code
def main(argv: list[str] | None = None) -> None:
    args = _arguments(argv)
    torch.backends.cudnn.deterministic = True  # the same bits after a restart
    with process_group() as device:
        rank, world = dist.get_rank(), dist.get_world_size()
        if args.batch_size % world:
            raise ValueError(f"--batch-size {args.batch_size} for {world} processes")
        train, test = data()
        sampler = DistributedSampler(train, seed=SEED, drop_last=True)
        size = args.batch_size // world
        loader = DataLoader(train, batch_size=size, sampler=sampler, drop_last=True)
        plain = network(args.width).to(device)
        optimizer = AdamW(plain.parameters(), lr=2e-3)
        done = load(args.checkpoint, plain, optimizer)
        say = print if rank == 0 else lambda *_, **__: None
        say(f"{world} x {device.type}, {dist.get_backend()}, {size} images each")
        if done:
            say(f"going on after epoch {done}")
        model = DistributedDataParallel(plain)  # rank 0's weights go to all
        dies = rank == world - 1 and not done and _first_time()

        for epoch in range(done, args.epochs):
            sampler.set_epoch(epoch)  # or each epoch has the same order
            torch.manual_seed(1000 * epoch + rank)  # for dropout, if there is any
            start = time.perf_counter()
            die_at = args.die_at - epoch * len(loader) if dies else None
            loss = train_epoch(model, loader, optimizer, device, die_at).item()
            rate = len(loader) * args.batch_size / (time.perf_counter() - start)
            right = accuracy(plain, test, device)
            if rank == 0 and args.checkpoint is not None:
                save(args.checkpoint, plain, optimizer, epoch + 1)
            what = f"loss {loss:.4f}, {right:.1%} right, {rate:,.0f} images/s"
            say(f"epoch {epoch + 1}: {what}", flush=True)
        say(f"weights {_digest(plain)}", flush=True)


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--epochs", type=int, default=4)
    add("--batch-size", type=int, default=64, help="of all processes together")
    add("--width", type=int, default=16, help="channels of the first convolution")
    add("--checkpoint", type=Path, help="written after each epoch, read at the start")
    add(
        "--die-at",
        type=int,
        default=-1,
        help="a step at which the last process dies, once",
    )
    return parser.parse_args(argv)


def _device() -> torch.device:
    """This process's own GPU, or the CPU where there is not one for each."""
    found = torch.accelerator.current_accelerator(check_available=True)
    here = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    if (
        found is None
        or _backend(found) == "gloo"  # it moves tensors of CPUs
        or torch.accelerator.device_count() < here
    ):
        return torch.device("cpu")
    return torch.device(found.type, int(os.environ.get("LOCAL_RANK", 0)))


def _backend(device: torch.device) -> str:
    return dist.get_default_backend_for_device(device)


def _first_time() -> bool:
    """Whether torchrun has not restarted this process's group yet."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", 0)) == 0


def _digest(model: nn.Module) -> str:
    """The same letters for the same bits."""
    digest = hashlib.sha256()
    for tensor in model.state_dict().values():
        digest.update(tensor.cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


if __name__ == "__main__":
    main()
