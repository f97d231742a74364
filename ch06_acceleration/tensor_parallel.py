"""Train with tensor parallelism, and FSDP over the rest: a 2-D mesh, data x tensor.

    torchrun --standalone --nproc-per-node=4 -m ch06_acceleration.tensor_parallel \\
        --tensor 2 --check

Here 4 processes are 2 groups of 2. The two of a group hold half of each block's weights
and see the same examples; the groups see different ones. `--tensor` is the size of a
group: no more than one machine has GPUs, because a group talks in every layer. With as
many processes as `--tensor` it is tensor parallelism alone.
"""

import argparse

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.elastic.multiprocessing.errors import record
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.distributed.tensor.parallel import (
    ColwiseParallel,
    RowwiseParallel,
    parallelize_module,
)
from torch.optim import AdamW

from ch06_acceleration.blocks import Blocks, batch_of, run_options, seeded, share_of
from ch06_acceleration.process_group import process_group, say


def data_by_tensor(processes: int, tensor: int, device_type: str) -> DeviceMesh:
    """All processes as a table: `processes` / `tensor` rows, neighbours in a row.

    Raises `ValueError` where they do not fill the rows.
    """
    if tensor < 1 or processes % tensor:
        raise ValueError(
            f"{processes} processes are no groups of {tensor}: start a multiple of "
            f"{tensor}, or choose another --tensor"
        )
    shape = processes // tensor, tensor
    return init_device_mesh(device_type, shape, mesh_dim_names=("data", "tensor"))


def split(model: Blocks, mesh: DeviceMesh, source: int | None = 0) -> Blocks:
    """Share out `model` in place: each block over "tensor", all of it over "data".

    The output features of `up` are shared out and the input features of `down`: what
    lies between the two needs no exchange, and one sum after `down` is enough. source:
    the rank in a group whose weights count; None where all have the same anyway.
    Raises `ValueError` where a block's width inside cannot be shared evenly.
    """
    size = mesh["tensor"].size()
    plan = {"up": ColwiseParallel(), "down": RowwiseParallel()}
    for block in model.blocks:
        if block.up.out_features % size:
            raise ValueError(f"{block.up.out_features} features for {size} processes")
        parallelize_module(block, mesh["tensor"], plan, src_data_rank=source)
        if mesh["data"].size() > 1:
            fully_shard(block, mesh=mesh["data"])
    if mesh["data"].size() > 1:
        fully_shard(model, mesh=mesh["data"])
    return model


def mean_loss(
    model: nn.Module, mesh: DeviceMesh, batch: tuple, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """The outputs and the loss of this group's share of the batch."""
    x, y = (
        part.to(device)
        for part in share_of(batch, mesh["data"].get_local_rank(), mesh["data"].size())
    )
    outputs = model(x)  # (N / groups, 10)
    return outputs, F.cross_entropy(outputs, y)


def differences(
    model: nn.Module, whole: Blocks, mesh: DeviceMesh, batch: tuple
) -> tuple[float, float]:
    """The largest difference to `whole` in outputs and in gradients, over all ranks."""
    device = next(whole.parameters()).device
    outputs, loss = mean_loss(model, mesh, batch, device)
    loss.backward()
    x, y = (part.to(device) for part in batch)
    wanted = whole(x)
    F.cross_entropy(wanted, y).backward()
    (mine,) = share_of((wanted,), mesh["data"].get_local_rank(), mesh["data"].size())
    gradients = [
        (_full(p.grad) - q.grad).abs().max()
        for p, q in zip(model.parameters(), whole.parameters(), strict=True)
    ]
    found = torch.stack([(outputs - mine).abs().max(), torch.stack(gradients).max()])
    found = found.detach()
    dist.all_reduce(found, dist.ReduceOp.MAX)
    model.zero_grad()
    return found[0].item(), found[1].item()


def train(options: argparse.Namespace, device: torch.device) -> None:
    mesh = data_by_tensor(dist.get_world_size(), options.tensor, device.type)
    model = split(seeded(options.width, options.depth).to(device), mesh)
    # not `foreach`: it takes no plain tensors and DTensors together
    optimizer = AdamW(model.parameters(), lr=options.lr, foreach=False)
    say(f"data {mesh['data'].size()} x tensor {mesh['tensor'].size()}, {device.type}")
    lines: list = [None] * dist.get_world_size()
    weight = model.blocks[0].up.weight
    held = weight.to_local() if isinstance(weight, DTensor) else weight
    place = f"rank {dist.get_rank()} at {tuple(mesh.get_coordinate())}"
    dist.all_gather_object(lines, f"{place}: up.weight {tuple(held.shape)}")
    say(f"up.weight {tuple(weight.shape)}", *lines)
    if options.check:
        whole = seeded(options.width, options.depth).to(device)
        found = differences(model, whole, mesh, batch_of(0, options.batch))
        say(
            "difference to one process: outputs {:.1e}, gradients {:.1e}".format(*found)
        )
    for step in range(1, options.steps + 1):
        _, loss = mean_loss(model, mesh, batch_of(step, options.batch), device)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        total = loss.detach()
        dist.all_reduce(total)
        say(f"step {step:3d}  loss {total.item() / dist.get_world_size():.7f}")


def main(arguments: list[str] | None = None) -> None:
    parser = run_options(__doc__.splitlines()[0])
    parser.add_argument("--tensor", type=int, default=2, help="processes in a group")
    parser.add_argument("--check", action="store_true", help="compare with one process")
    options = parser.parse_args(arguments)
    with process_group() as device:
        train(options, device)


def _full(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


if __name__ == "__main__":
    record(main)()  # torchrun then shows the error, not only the exit code
