"""Train the network of this chapter on CIFAR-10 and write its weights.

    python -m ch01_intro.train_network --widen 3 --epochs 60 --batch-size 512 \
        --lr 0.5 --fast --output teacher.pt
    python -m ch01_intro.train_network --epochs 200 --batch-size 512 \
        --lr 0.5 --fast --teacher teacher.pt

made the weights that the repository carries: first a network with three times the
channels, 91.5 % right after 90 s on an H200; then the small one, which learns from what
the large one answers: not only that a picture shows a cat, but how much of a dog it
sees in it (Hinton et al., "Distilling the knowledge in a neural network",
arXiv:1503.02531). It got 90.8 % of the test images right, and 92.0 % where it looked at
each in six views (`SixViews`), after 236 s, on images that had been through JPEG
compression once, which costs some points. CIFAR-10 has to be on disk.

SGD with a one-cycle schedule, label smoothing, flips, shifts and cutout, bfloat16
arithmetic where the device has it. Chapter 3 takes this loop apart; here it stands
in one piece.
"""

import argparse
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ch01_intro.assets import data_home
from ch01_intro.cifar10 import load_cifar10
from ch01_intro.devices import fast_dtype, pick_device, seed_everything
from ch01_intro.network import (
    WEIGHTS,
    SixViews,
    SmallResNet,
    load_file,
    normalize,
    save_file,
)


def augment(images: Tensor, *, shift: int = 4, hole: int = 8) -> Tensor:
    """Mirror, shift and blank out a square, another for each image of the batch.

    (N, C, H, W) float -> the same shape, in channels-last order.
    """
    n, _, height, width = images.shape
    device = images.device
    flip = torch.rand(n, device=device) < 0.5
    images = torch.where(flip.view(-1, 1, 1, 1), images.flip(-1), images)

    padded = F.pad(images, (shift,) * 4, mode="reflect").permute(0, 2, 3, 1)
    dy, dx = torch.randint(0, 2 * shift + 1, (2, n, 1, 1), device=device)
    rows = torch.arange(height, device=device).view(1, -1, 1)
    columns = torch.arange(width, device=device).view(1, 1, -1)
    batch = torch.arange(n, device=device).view(-1, 1, 1)
    images = padded[batch, rows + dy, columns + dx]  # (N, H, W, C)

    top = torch.randint(-hole // 2, height - hole // 2, (n, 1, 1), device=device)
    left = torch.randint(-hole // 2, width - hole // 2, (n, 1, 1), device=device)
    blank = (rows >= top) & (rows < top + hole)
    blank = blank & (columns >= left) & (columns < left + hole)  # (N, H, W)
    return images.masked_fill(blank.unsqueeze(-1), 0.0).permute(0, 3, 1, 2)


@torch.inference_mode()
def accuracy(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """The share of images (N, 3, H, W) uint8 whose class is right, in [0, 1]."""
    model.eval()
    device = next(model.parameters()).device
    correct = 0
    batches = zip(images.split(1000), labels.split(1000), strict=True)
    for batch, target in batches:
        batch = normalize(batch.to(device).float() / 255)
        correct += (model(batch).argmax(1).cpu() == target.cpu()).sum().item()
    return correct / len(labels)


def distillation(logits: Tensor, taught: Tensor, *, temperature: float = 4) -> Tensor:
    """How far the student's answers (N, C) are from the teacher's, both softened.

    The divergence of Kullback and Leibler, a mean over the images; the square of the
    temperature keeps the gradients as large as those of a cross-entropy.
    """
    student = F.log_softmax(logits / temperature, dim=1)
    teacher = F.log_softmax(taught / temperature, dim=1)
    far = F.kl_div(student, teacher, reduction="batchmean", log_target=True)
    return far * temperature**2


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
    after_epoch=lambda epoch, loss: None,
) -> nn.Module:
    """Train in place on images (N, 3, 32, 32) uint8 and labels (N,) int64.

    With a teacher, nine tenths of the loss are `distillation` from its logits, and one
    tenth is what the labels say. `fast` compiles both networks.
    """
    device = next(model.parameters()).device
    images, labels = images.to(device), labels.to(device)
    model = model.to(memory_format=torch.channels_last)
    decayed = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]  # biases and batch norm
    optimizer = torch.optim.SGD(
        [{"params": decayed, "weight_decay": weight_decay}, {"params": others}],
        lr=peak_lr,
        momentum=0.9,
        nesterov=True,
    )
    amp = fast_dtype(device)
    steps = max(1, len(images) // batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, peak_lr, total_steps=epochs * steps + 1, pct_start=0.2
    )
    answer = torch.compile(model) if fast else model
    if teacher is not None:
        teacher = teacher.to(device, memory_format=torch.channels_last).eval()
        teach = torch.compile(teacher) if fast else teacher
    for epoch in range(1, epochs + 1):
        model.train()
        total = torch.zeros((), device=device)
        order = torch.randperm(len(images), device=device)[: steps * batch_size]
        for chosen in order.chunk(steps):
            batch = augment(normalize(images[chosen].float() / 255), hole=hole)
            with torch.autocast(device.type, dtype=amp, enabled=amp is not None):
                logits = answer(batch)
                if teacher is not None:
                    with torch.no_grad():
                        taught = teach(batch)
            loss = F.cross_entropy(logits.float(), labels[chosen], label_smoothing=0.1)
            if teacher is not None:
                far = distillation(logits.float(), taught.float())
                loss = 0.9 * far + 0.1 * loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
            total += loss.detach()
        after_epoch(epoch, total.item() / steps)
    return model


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
    parser.add_argument("--output", type=Path, default=WEIGHTS)
    args = parser.parse_args(argv)

    try:
        images, labels = load_cifar10(data_home(), train=True)
        test_images, test_labels = load_cifar10(data_home(), train=False)
    except FileNotFoundError as error:
        raise SystemExit(
            f"{error.filename} is missing. Put CIFAR-10 there, or point "
            f"PYTORCH_BOOK_DATA at the folder that has it; "
            f"torchvision.datasets.CIFAR10(ROOT, download=True) fetches it."
        ) from error
    images, labels = images[: args.limit], labels[: args.limit]

    seed_everything(args.seed)
    device = pick_device()
    model = SmallResNet(depth=args.depth, widen=args.widen).to(device)
    start = time.perf_counter()

    def report(epoch: int, loss: float) -> None:
        seconds = time.perf_counter() - start
        reached = accuracy(model, test_images[:2000], test_labels[:2000])
        print(f"epoch {epoch:3d}  loss {loss:.3f}  2000 test images {reached:.1%}  "
              f"{seconds:.0f} s", flush=True)  # fmt: skip

    train(
        model,
        images,
        labels,
        epochs=args.epochs,
        batch_size=args.batch_size,
        peak_lr=args.lr,
        hole=args.hole,
        teacher=network_in(args.teacher) if args.teacher else None,
        fast=args.fast,
        after_epoch=report,
    )
    seconds = time.perf_counter() - start
    # What is measured is what is shipped: the rounded weights, read back from the file.
    facts = {"depth": str(args.depth), "widen": str(args.widen)}
    save_file(model, args.output, facts)
    shipped = network_in(args.output).to(device)
    test = (test_images, test_labels)
    name = torch.cuda.get_device_name() if device.type == "cuda" else device.type
    facts |= {
        "test_accuracy": f"{accuracy(shipped, *test):.4f}",
        "test_accuracy_six_views": f"{accuracy(SixViews(shipped), *test):.4f}",
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
