"""Train with FSDP2: every process holds a slice of each parameter.

    torchrun --standalone --nproc-per-node=2 -m ch06_acceleration.train_fsdp \\
        --steps 20 --save-every 10 --checkpoints runs/fsdp

Go on with the same command, in as many processes as you like: the newest complete
checkpoint in the folder is loaded. Without torchrun it is one process. `--resume` makes
it an error if there is no checkpoint to go on from.
"""

import argparse
from pathlib import Path

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
import torch.nn.functional as F
from torch import nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_state_dict,
    set_model_state_dict,
    set_state_dict,
)
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.elastic.multiprocessing.errors import record
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor
from torch.optim import AdamW, Optimizer

from ch06_acceleration.blocks import Blocks, batch_of, run_options, seeded, share_of
from ch06_acceleration.process_group import process_group, say

COMPLETE = ".metadata"  # the file that a save writes last


def sharded(
    width: int, depth: int, device: torch.device, dtype: torch.dtype | None = None
) -> Blocks:
    """`Blocks` whose parameters are shared out over all processes.

    Only rank 0 ever holds the whole model; the others start without memory for it.
    dtype: in which blocks compute and gather their weights; the slices stay float32.
    """
    main = dist.get_rank() == 0
    whole = seeded(width, depth) if main else None
    with torch.device("meta"):
        model = Blocks(width, depth)
    mesh = init_device_mesh(device.type, (dist.get_world_size(),))
    policy = MixedPrecisionPolicy(param_dtype=dtype, reduce_dtype=torch.float32)
    for block in model.blocks:
        fully_shard(block, mesh=mesh, mp_policy=policy)  # gathered one after the other
    fully_shard(model, mesh=mesh, mp_policy=policy)  # what is left: first and last
    model.to_empty(device=device)
    set_model_state_dict(
        model,
        whole.state_dict() if whole is not None else {},
        options=StateDictOptions(full_state_dict=True, broadcast_from_rank0=True),
    )
    return model


def train_step(model: nn.Module, optimizer: Optimizer, step: int, size: int) -> float:
    """One step on this process's share of the batch; the loss of the whole batch."""
    rank, count = dist.get_rank(), dist.get_world_size()
    device = next(model.parameters()).device
    x, y = (part.to(device) for part in share_of(batch_of(step, size), rank, count))
    loss = F.cross_entropy(model(x).float(), y)
    loss.backward()  # gradients: the mean over all processes, each keeps its slice
    optimizer.step()
    optimizer.zero_grad()
    total = loss.detach()
    dist.all_reduce(total)
    return total.item() / count


def save(folder: Path, model: nn.Module, optimizer: Optimizer, step: int) -> Path:
    """Write `folder`/step-N; every process writes what it holds."""
    path = folder / f"step-{step:06d}"
    dcp.save(_state(model, optimizer, step), checkpoint_id=path)
    return path


def newest(folder: Path) -> Path | None:
    """The complete checkpoint with the most steps, or None; broken-off ones are not."""
    found = [path.parent for path in folder.glob(f"step-[0-9]*/{COMPLETE}")]
    return max(found, key=lambda path: int(path.name[5:]), default=None)


def load(path: Path, model: nn.Module, optimizer: Optimizer) -> int:
    """Load a checkpoint of any number of processes in place; returns its step.

    Raises `FileNotFoundError` where there is none, `ValueError` where it is damaged or
    of another model.
    """
    if not (path / COMPLETE).is_file():
        raise FileNotFoundError(
            f"{path} is not a complete checkpoint: it has no file {COMPLETE}. "
            "Name a folder step-N, or start without --resume."
        )
    state = _state(model, optimizer, 0)
    try:
        dcp.load(state, checkpoint_id=path)
    except (Exception, dcp.CheckpointException) as error:  # the latter is no Exception
        raise ValueError(
            f"{path} is damaged or of another model ({_reason(error)}). "
            "If the file is damaged, delete the folder to go on from the one before it."
        ) from error
    set_state_dict(
        model,
        optimizer,
        model_state_dict=state["model"],
        optim_state_dict=state["optimizer"],
    )
    return state["step"]


def bytes_held(model: nn.Module, optimizer: Optimizer) -> tuple[int, int]:
    """Bytes in this process: parameters (gradients: as many), optimizer's state."""
    states = [value for state in optimizer.state.values() for value in state.values()]
    return tuple(
        sum(_local(t).nbytes for t in tensors if isinstance(t, torch.Tensor))
        for tensors in (list(model.parameters()), states)
    )


def main(arguments: list[str] | None = None) -> None:
    parser = run_options(__doc__.splitlines()[0])
    parser.add_argument("--bfloat16", action="store_true", help="compute in 16 bits")
    parser.add_argument("--checkpoints", type=Path, help="a folder all machines see")
    parser.add_argument("--save-every", type=int, default=10, help="steps")
    parser.add_argument("--resume", action="store_true", help="fail if there is none")
    options = parser.parse_args(arguments)
    if options.resume and options.checkpoints is None:
        parser.error("--resume needs --checkpoints FOLDER")
    with process_group() as device:
        train(options, device)


def train(options: argparse.Namespace, device: torch.device) -> None:
    dtype = torch.bfloat16 if options.bfloat16 else None
    model = sharded(options.width, options.depth, device, dtype)
    optimizer = AdamW(model.parameters(), lr=options.lr)
    say(f"{dist.get_world_size()} x {device.type}, {dist.get_backend()}")
    step, folder = 0, options.checkpoints
    if folder is not None:
        path = newest(folder)
        if path is None and options.resume:
            raise FileNotFoundError(f"no complete checkpoint step-N in {folder}")
        if path is not None:
            step = load(path, model, optimizer)
            say(f"goes on after step {step}")
    while step < options.steps:
        step += 1
        loss = train_step(model, optimizer, step, options.batch)
        say(f"step {step:3d}  loss {loss:.7f}")
        if folder is not None and step % options.save_every == 0:
            say(f"saved {save(folder, model, optimizer, step).name}")
    held: list = [None] * dist.get_world_size()
    dist.all_gather_object(held, bytes_held(model, optimizer))
    for rank, (parameters, states) in enumerate(held):
        say(f"rank {rank}: parameters {parameters} bytes, optimizer {states} bytes")


def _state(model: nn.Module, optimizer: Optimizer, step: int) -> dict:
    parameters, states = get_state_dict(model, optimizer)
    return {"model": parameters, "optimizer": states, "step": step}


def _reason(error: BaseException) -> str:
    """The first line of what went wrong, in the first process where it did."""
    if isinstance(error, dcp.CheckpointException):
        error, _ = next(iter(error.failures.values()))
    return (str(error).strip() or repr(error)).splitlines()[0].rstrip(".")


def _local(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


if __name__ == "__main__":
    record(main)()  # torchrun then shows the error, not only the exit code
