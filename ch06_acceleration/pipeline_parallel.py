"""Train with pipeline parallelism: every process holds some of the layers.

    torchrun --standalone --nproc-per-node=2 -m ch06_acceleration.pipeline_parallel \\
        --schedule 1F1B --microbatches 4 --check

A batch goes through the stages in parts, so that all of them have something to do.
`--schedule` takes several names: then the training is done anew with each.
"""

import argparse

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributed.elastic.multiprocessing.errors import record
from torch.distributed.pipelining import PipelineStage, Schedule1F1B, ScheduleGPipe
from torch.optim import AdamW

from ch06_acceleration.blocks import Blocks, batch_of, run_options, seeded
from ch06_acceleration.process_group import process_group, say

SCHEDULES = {"GPipe": ScheduleGPipe, "1F1B": Schedule1F1B}


class RecordedStage(PipelineStage):
    """A stage that writes down what it did: "F0" forward, "B0" backward of part 0."""

    def __init__(self, module: nn.Module, index: int, count: int, device: torch.device):
        super().__init__(module, index, count, device)
        self.done: list[str] = []

    def forward_one_chunk(self, fwd_chunk_id: int, *args, **kwargs):
        self.done.append(f"F{fwd_chunk_id}")
        return super().forward_one_chunk(fwd_chunk_id, *args, **kwargs)

    def backward_one_chunk(self, bwd_chunk_id: int, *args, **kwargs):
        self.done.append(f"B{bwd_chunk_id}")
        return super().backward_one_chunk(bwd_chunk_id, *args, **kwargs)


def stage_of(model: Blocks, index: int, count: int) -> Blocks:
    """Cut `model` down in place to stage `index` of `count`, neighbouring blocks each.

    Names of parameters stay those of the whole model, but for the numbers of the
    blocks. Raises `ValueError` where there are fewer blocks than stages.
    """
    depth = len(model.blocks)
    if not 0 <= index < count or depth < count:
        raise ValueError(f"no stage {index} of {count} in {depth} blocks")
    model.blocks = model.blocks[index * depth // count : (index + 1) * depth // count]
    if index > 0:
        model.first = None
    if index < count - 1:
        model.last = None
    return model


class Pipeline:
    """This process's stage of seeded `Blocks`, and the schedule that drives it."""

    def __init__(self, options: argparse.Namespace, name: str, device: torch.device):
        self.rank, self.count = dist.get_rank(), dist.get_world_size()
        self.device = device
        if options.batch % options.microbatches:
            raise ValueError(
                f"a batch of {options.batch} has no {options.microbatches} equal parts"
            )
        whole = seeded(options.width, options.depth)
        self.module = stage_of(whole, self.rank, self.count).to(device)
        self.stage = RecordedStage(self.module, self.rank, self.count, device)
        self.schedule = SCHEDULES[name](
            self.stage, options.microbatches, loss_fn=F.cross_entropy
        )

    def forward_backward(self, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Gradients into this stage; on the last one the outputs (N, 10) and the loss.

        Images enter at the first stage, labels at the last; other stages give zeros.
        """
        x, y = (part.to(self.device) for part in batch)
        first, last = self.rank == 0, self.rank == self.count - 1
        losses: list[Tensor] = []
        outputs = self.schedule.step(
            *([x] if first else []),
            **({"target": y, "losses": losses} if last else {}),
        )
        if not last:
            zero = torch.zeros(1, device=self.device)
            return zero, zero[0]
        return outputs.detach(), torch.stack(losses).mean().detach()

    def differences(self, whole: Blocks, batch: tuple[Tensor, Tensor]) -> Tensor:
        """(2,): the largest difference to `whole`, of outputs and of gradients."""
        outputs, _ = self.forward_backward(batch)
        whole = whole.to(self.device)
        x, y = (part.to(self.device) for part in batch)
        wanted = whole(x)
        F.cross_entropy(wanted, y).backward()
        found = torch.zeros(2, device=self.device)
        if self.rank == self.count - 1:
            found[0] = (outputs - wanted).abs().max()
        for mine, full in zip(
            self.module.parameters(),
            stage_of(whole, self.rank, self.count).parameters(),
            strict=True,
        ):
            found[1] = torch.maximum(found[1], (mine.grad - full.grad).abs().max())
        dist.all_reduce(found, dist.ReduceOp.MAX)
        self.module.zero_grad()
        return found


def train(options: argparse.Namespace, name: str, device: torch.device) -> None:
    pipeline = Pipeline(options, name, device)
    optimizer = AdamW(pipeline.module.parameters(), lr=options.lr)
    say(f"{name}: {pipeline.count} stages, {options.microbatches} parts, {device.type}")
    if options.check:
        whole = seeded(options.width, options.depth)
        found = pipeline.differences(whole, batch_of(0, options.batch)).tolist()
        say(
            "difference to one process: outputs {:.1e}, gradients {:.1e}".format(*found)
        )
    for step in range(1, options.steps + 1):
        pipeline.stage.done.clear()
        _, loss = pipeline.forward_backward(batch_of(step, options.batch))
        optimizer.step()
        optimizer.zero_grad()
        dist.broadcast(loss, src=pipeline.count - 1)  # only the last stage knows it
        say(f"step {step:3d}  loss {loss.item():.7f}")
    orders: list = [None] * pipeline.count
    dist.all_gather_object(orders, " ".join(pipeline.stage.done))
    for rank, order in enumerate(orders):
        say(f"stage {rank}: {order}")


def main(arguments: list[str] | None = None) -> None:
    parser = run_options(__doc__.splitlines()[0])
    parser.add_argument("--schedule", nargs="+", choices=SCHEDULES, default=["1F1B"])
    parser.add_argument("--microbatches", type=int, default=4)
    parser.add_argument("--check", action="store_true", help="compare with one process")
    options = parser.parse_args(arguments)
    with process_group() as device:
        for name in options.schedule:
            train(options, name, device)


if __name__ == "__main__":
    record(main)()  # torchrun then shows the error, not only the exit code
