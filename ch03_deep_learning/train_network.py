"""Train the network of chapter 1 on CIFAR-10 with this chapter's loop.

    python -m ch03_deep_learning.train_network --widen 3 --epochs 60 --batch-size 512 \
        --lr 0.5 --fast --output teacher.pt
    python -m ch03_deep_learning.train_network --epochs 200 --batch-size 512 \
        --lr 0.5 --fast --teacher teacher.pt

First a network with three times the channels, then the small one, which learns from
what the large one answers: not only that a picture shows a cat, but how much of a dog
it sees in it (Hinton et al., "Distilling the knowledge in a neural network",
arXiv:1503.02531). SGD with a one-cycle schedule, label smoothing, flips, shifts and
cutout, and `fit` with the arithmetic that is fast on the device. With `--checkpoint
FILE` a run that breaks off goes on from there. CIFAR-10 has to be on disk.

The weights that the repository carries came from these two commands, with the same
steps written out in place of `fit`: on an H200 91.5 % right after 90 s for the large
network, and after 236 s 90.8 % for the small one, 92.0 % where it looks at each image
in six views (`SixViews`). The images had been through JPEG compression once, which
costs some points.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ch01_intro.devices import fast_dtype, pick_device, seed_everything
from ch01_intro.network import (
    MEAN,
    STD,
    WEIGHTS,
    SixViews,
    SmallResNet,
    load_file,
    save_file,
)
from ch03_deep_learning.augmentation import crop_and_flip
from ch03_deep_learning.loader import BatchLoader
from ch03_deep_learning.real_data import real_data
from ch03_deep_learning.recipe import accuracy_of
from ch03_deep_learning.training import Batch, fit


def distillation(logits: Tensor, taught: Tensor, *, temperature: float = 4) -> Tensor:
    """How far the student's answers (N, C) are from the teacher's, both softened.

    The divergence of Kullback and Leibler, a mean over the images; the square of the
    temperature keeps the gradients as large as those of a cross-entropy.
    """
    student = F.log_softmax(logits / temperature, dim=1)
    teacher = F.log_softmax(taught / temperature, dim=1)
    far = F.kl_div(student, teacher, reduction="batchmean", log_target=True)
    return far * temperature**2


def pupil_loss(model: nn.Module, batch: Batch, teacher: nn.Module | None) -> Tensor:
    """Nine tenths `distillation`, one tenth what the labels say; or only the labels."""
    images, labels = batch
    logits = model(images)
    said = F.cross_entropy(logits.float(), labels, label_smoothing=0.1)
    if teacher is None:
        return said
    with torch.no_grad():
        taught = teacher(images)
    return 0.9 * distillation(logits.float(), taught.float()) + 0.1 * said


def train(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    epochs: int,
    batch_size: int = 256,
    peak_lr: float = 0.25,
    weight_decay: float = 5e-4,
    hole: int = 8,
    teacher: nn.Module | None = None,
    fast: bool = False,
    checkpoint: Path | str | None = None,
    after_epoch: Callable[[dict[str, float]], None] | None = None,
) -> nn.Module:
    """Train in place on images (N, 3, 32, 32) uint8 and labels (N,) int64.

    Where the model is, there it is trained. With a teacher, see `pupil_loss`. `hole` is
    the side of the square that is blanked out; `fast` compiles both networks. The last
    two arguments, and what is raised, are those of `fit`.
    """
    device = next(model.parameters()).device
    networks = [model] if teacher is None else [model, teacher.eval()]
    for network in networks:
        network.to(device, memory_format=torch.channels_last)
        if fast:
            network.compile()
    loader = BatchLoader(
        images,
        labels,
        batch_size=min(batch_size, len(images)),
        shuffle=True,
        drop_last=True,
        augment=crop_and_flip(cutout=hole),
        mean=MEAN,
        std=STD,
        device=device,
    )
    decayed = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]  # biases and batch norm
    optimizer = torch.optim.SGD(
        [{"params": decayed, "weight_decay": weight_decay}, {"params": others}],
        lr=peak_lr,
        momentum=0.9,
        nesterov=True,
    )
    fit(
        model,
        loader,
        optimizer=optimizer,
        scheduler=torch.optim.lr_scheduler.OneCycleLR(
            optimizer, peak_lr, total_steps=epochs * len(loader), pct_start=0.2
        ),
        epochs=epochs,
        batch_loss=partial(pupil_loss, teacher=teacher),
        device=device,
        amp=fast_dtype(device),
        checkpoint=checkpoint,
        after_epoch=after_epoch,
    )
    return model.eval()


def network_in(path: Path | str) -> SmallResNet:
    """The network of any depth and width whose weights a file holds."""
    content = load_file(path)
    facts = content["facts"]
    model = SmallResNet(depth=int(facts["depth"]), widen=int(facts["widen"]))
    model.load_state_dict(content["state_dict"])
    return model.eval()


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--limit", type=int, help="train on the first LIMIT images")
    parser.add_argument("--lr", type=float, default=0.25, help="the highest one")
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--hole", type=int, default=8, help="pixels, 0: no cutout")
    parser.add_argument("--depth", type=int, default=4, help="residual blocks at 8 x 8")
    parser.add_argument("--widen", type=int, default=1, help="times the channels")
    parser.add_argument("--teacher", type=Path, help="weights of a network to learn of")
    parser.add_argument("--fast", action="store_true", help="with torch.compile")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--checkpoint", type=Path, help="written after each epoch")
    parser.add_argument("--output", type=Path, default=WEIGHTS)
    args = parser.parse_args(argv)

    data, test = real_data("training", args.limit)
    some = (test[0][:2000], test[1][:2000])
    seed_everything(args.seed)
    device = pick_device()
    model = SmallResNet(depth=args.depth, widen=args.widen).to(device)
    start = time.perf_counter()

    def report(row: dict[str, float]) -> None:
        seconds = time.perf_counter() - start
        found = (
            f"loss {row['loss']:.3f}  2000 test images {accuracy_of(model, *some):.1%}"
        )
        print(f"epoch {row['epoch']:3d}  {found}  {seconds:.0f} s", flush=True)

    train(
        model,
        *data,
        epochs=args.epochs,
        batch_size=args.batch_size,
        peak_lr=args.lr,
        hole=args.hole,
        teacher=network_in(args.teacher) if args.teacher else None,
        fast=args.fast,
        checkpoint=args.checkpoint,
        after_epoch=report,
    )
    seconds = time.perf_counter() - start
    # What is measured is what is shipped: the rounded weights, read back from the file.
    facts = {"depth": str(args.depth), "widen": str(args.widen)}
    save_file(model, args.output, facts)
    shipped = network_in(args.output).to(device)
    name = torch.cuda.get_device_name() if device.type == "cuda" else device.type
    facts |= {
        "test_accuracy": f"{accuracy_of(shipped, *test):.4f}",
        "test_accuracy_six_views": f"{accuracy_of(SixViews(shipped), *test):.4f}",
        "epochs": str(args.epochs),
        "seed": str(args.seed),
        "training_seconds": f"{seconds:.0f}",
        "device": f"{name}, {torch.get_num_threads()} threads",
        "torch": str(torch.__version__),
    }
    save_file(shipped, args.output, facts)
    print("".join(f"{name:24}{value}\n" for name, value in facts.items()), end="")
    print(f"written to {args.output}")


if __name__ == "__main__":
    main()
