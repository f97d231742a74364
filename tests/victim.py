"""A training run that expects to be killed: `python -m tests.victim CHECKPOINT`.

It prints "ready", a line for each batch that it is given, and last a digest of its
weights. Augmentation, dropout and the order of the batches all draw numbers.
"""

import hashlib
import sys
from pathlib import Path

import torch
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR

from ch01_intro.devices import seed_everything
from ch03_deep_learning.augmentation import crop_and_flip
from ch03_deep_learning.loader import BatchLoader
from ch03_deep_learning.training import fit

EPOCHS, BATCHES = 4, 12


class Telling(BatchLoader):
    """A loader that says so when it gives a batch."""

    def __iter__(self):
        for batch in super().__iter__():
            print("batch", flush=True)
            yield batch


def main(checkpoint: Path) -> None:
    torch.set_num_threads(1)
    seed_everything(int(checkpoint.exists()))  # other weights then: the file's count
    generator = torch.Generator().manual_seed(1)
    size = (8 * BATCHES, 3, 16, 16)
    images = torch.randint(0, 256, size, dtype=torch.uint8, generator=generator)
    labels = torch.randint(0, 10, (8 * BATCHES,), generator=generator)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(8 * 14 * 14, 10),
    )
    optimizer = torch.optim.AdamW(model.parameters())
    loader = Telling(
        images,
        labels,
        batch_size=8,
        shuffle=True,
        augment=crop_and_flip(2, cutout=4),
        generator=generator,
    )
    print("ready", flush=True)
    rows = fit(
        model,
        loader,
        optimizer=optimizer,
        scheduler=OneCycleLR(optimizer, 0.01, total_steps=EPOCHS * BATCHES + 1),
        epochs=EPOCHS,
        validation=BatchLoader(images, labels, batch_size=32),
        device="cpu",
        checkpoint=checkpoint,
        checkpoint_every=1,
        progress=False,
    )
    digest = hashlib.sha256()
    for tensor in model.state_dict().values():
        digest.update(tensor.numpy().tobytes())
    losses = [(row["loss"], row["val_loss"]) for row in rows]
    print("weights", digest.hexdigest(), losses, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
