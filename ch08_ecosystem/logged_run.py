"""A training run of seconds that writes everything which TensorBoard can show.

    python -m ch08_ecosystem.logged_run runs    # three runs
    tensorboard --logdir runs

The data are scikit-learn's handwritten digits. With `everything=False` a run writes
what it costs nothing to write always: curves, histograms and hyperparameters.
"""

import argparse
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.tensorboard import SummaryWriter

from ch03_deep_learning.charts import draw_confusion_matrix
from ch03_deep_learning.digits import CLASSES, digits
from ch03_deep_learning.metrics import confusion_matrix, per_class_accuracy
from ch03_deep_learning.training import fit
from ch08_ecosystem.log_media import add_gif, film, loss_surface, tone

LAYOUT = {
    "digits": {
        "loss": ["Multiline", ["loss/training", "loss/validation"]],
        "accuracy": ["Margin", ["accuracy/mean", "accuracy/worst", "accuracy/best"]],
    }
}


class DigitNet(nn.Module):
    """(N, 1, 8, 8) images -> (N, 10) logits, over `features` (N, 32)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, kernel_size=3, padding=1)
        self.conv2 = nn.Conv2d(8, 16, kernel_size=3, padding=1)
        self.fc1 = nn.Linear(64, 32)
        self.fc2 = nn.Linear(32, 10)

    def features(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(torch.relu(self.conv1(x)), 2)  # (N, 8, 4, 4)
        x = F.max_pool2d(torch.relu(self.conv2(x)), 2)  # (N, 16, 2, 2)
        return torch.relu(self.fc1(x.flatten(1)))  # (N, 32)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.features(x))


def digit_sets() -> tuple[TensorDataset, TensorDataset]:
    """1,437 digits to train on and 360 others: (1, 8, 8) in [0, 1], label 0..9."""
    both = []
    for train in (True, False):
        images, labels = digits(8, train=train)
        x = torch.from_numpy(images)[:, None] / 255  # (N, 1, 8, 8)
        both.append(TensorDataset(x, torch.from_numpy(labels)))
    return both[0], both[1]


def log_run(
    folder: Path | str,
    *,
    lr: float = 0.01,
    epochs: int = 6,
    seed: int = 0,
    everything: bool = True,
) -> list[dict[str, float]]:
    """Train a `DigitNet`, write its run into `folder`; return the rows of `fit`."""
    train_set, held_out = digit_sets()
    x, y = held_out.tensors
    torch.manual_seed(seed)
    model, matrices = DigitNet(), []

    def log_epoch(row: dict[str, float]) -> None:
        step = row["epoch"]
        with torch.inference_mode():
            found = confusion_matrix(model.eval()(x).argmax(1), y, len(CLASSES))
        matrices.append(found)
        shares = per_class_accuracy(found)
        writer.add_scalar("loss/training", row["loss"], step)
        writer.add_scalar("loss/validation", row["val_loss"], step)
        writer.add_scalar("accuracy/mean", row["val_accuracy"], step)
        writer.add_scalar("accuracy/worst", shares.min(), step)
        writer.add_scalar("accuracy/best", shares.max(), step)
        for name, parameter in model.named_parameters():
            writer.add_histogram(name.replace(".", "/"), parameter, step)

    with SummaryWriter(folder) as writer:
        history = fit(
            model,
            DataLoader(train_set, batch_size=32, shuffle=True),
            optimizer=torch.optim.AdamW(model.parameters(), lr=lr),
            epochs=epochs,
            validation=DataLoader(held_out, batch_size=360),
            after_epoch=log_epoch,
            device="cpu",
            progress=False,
        )
        last = history[-1]
        writer.add_hparams(
            {"lr": lr, "epochs": epochs, "seed": seed},
            {f"final/{name}": last[name] for name in ("val_loss", "val_accuracy")},
            run_name="hparams",
        )
        if everything:
            _add_the_rest(writer, model.eval(), x, y, history, matrices)
    return history


@torch.no_grad()
def _add_the_rest(writer, model, x, y, history, matrices) -> None:
    step = history[-1]["epoch"]
    probabilities = model(x).softmax(1)  # (360, 10)
    wrong = probabilities.argmax(1) != y
    writer.add_custom_scalars(LAYOUT)
    for row in history:
        both = {"training": row["loss"], "validation": row["val_loss"]}
        writer.add_scalars("loss together", both, row["epoch"])
    writer.add_image("first digit", x[0], step)
    if wrong.any():
        writer.add_images("mistakes", x[wrong][:16], step)
    draw_confusion_matrix(matrices[-1], CLASSES)
    writer.add_figure("confusion matrix", plt.gcf(), step)
    add_gif(writer, "confusion, epoch by epoch", film(matrices), step)
    losses = [row["loss"] for row in history]
    writer.add_audio("the loss, to be heard", tone(losses), step, sample_rate=8000)
    writer.add_text("about", "**DigitNet** on 1,437 handwritten digits", step)
    with warnings.catch_warnings():  # add_graph calls torch.jit.trace, which warns
        warnings.filterwarnings("ignore", r"`torch\.jit")
        writer.add_graph(model, x[:1])
    names = [CLASSES[label] for label in y.tolist()]
    writer.add_embedding(model.features(x), names, 1 - x, step, "features")
    for digit in (1, 8):
        writer.add_pr_curve(
            f"is it a {digit}", y == digit, probabilities[:, digit], step
        )
    vertices, colours, faces = loss_surface(model, x, y)
    writer.add_mesh("loss around the weights", vertices, colours, faces)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=Path("runs"))
    args = parser.parse_args(argv)
    for lr in (0.001, 0.01, 0.1):
        row = log_run(args.folder / f"lr {lr}", lr=lr)[-1]
        print(f"lr {lr}: validation accuracy {row['val_accuracy']:.1%}")
    print(f"now: tensorboard --logdir {args.folder}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
