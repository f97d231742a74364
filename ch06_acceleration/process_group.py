"""Join the other processes, on GPUs or on CPUs, and leave them at the end.

Imports PyTorch only: this module can be copied alone.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist


@contextmanager
def process_group() -> Iterator[torch.device]:
    """Within the block the processes that torchrun started can talk; gives the device.

    NCCL and one GPU a process where there are GPUs, gloo on CPUs. Started without
    torchrun it is a group of one, so a script runs with `python -m` as well. Raises
    `RuntimeError` where a machine has GPUs, but fewer than processes.
    """
    local = int(os.environ.get("LOCAL_RANK", 0))
    gpus = torch.cuda.device_count()
    if gpus and int(os.environ.get("LOCAL_WORLD_SIZE", 1)) > gpus:
        raise RuntimeError(
            f"{os.environ['LOCAL_WORLD_SIZE']} processes for {gpus} GPUs: start as "
            "many as there are GPUs, or hide these with an empty CUDA_VISIBLE_DEVICES"
        )
    device = torch.device("cuda", local) if gpus else torch.device("cpu")
    if gpus:
        torch.cuda.set_device(device)
    options: dict = {"device_id": device} if gpus else {}
    if "RANK" not in os.environ:
        options |= {"store": dist.HashStore(), "rank": 0, "world_size": 1}
    dist.init_process_group("nccl" if gpus else "gloo", **options)
    try:
        yield device
    finally:
        dist.destroy_process_group()


def say(*lines: object) -> None:
    """Print lines, in the process with rank 0 only, at once."""
    if dist.get_rank() == 0:
        print(*lines, sep="\n", flush=True)
