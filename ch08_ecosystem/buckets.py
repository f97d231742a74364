"""Batches of sequences of like length, and their padding, for a plain DataLoader.

    batches = BucketBatches([len(ids) for ids, _ in pairs], 32)
    loader = DataLoader(pairs, batch_sampler=batches, collate_fn=PadBatch(padding=0))
    rows, lengths, labels = next(iter(loader))  # (B, L), (B,), (B,)

`PaddedLoader` of `ch04_reference_designs/bags.py` does both at once for lists that lie
in one tensor. These two parts go with any data set and with worker processes. This file
can be copied alone to another project.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Sampler


class BucketBatches(Sampler[list[int]]):
    """Lists of indices, `batch_size` in each, of items of like length.

    `pool` batches at a time are drawn at random, sorted by length and cut; then all
    batches are shuffled. A pool of 1 is plain shuffling; a large one pads least, and
    shuffles least.
    """

    def __init__(
        self,
        lengths: Sequence[int],
        batch_size: int,
        *,
        pool: int = 50,
        drop_last: bool = False,
        generator: torch.Generator | None = None,
    ) -> None:
        """`lengths`: of the N items. Raises `ValueError` for sizes below 1 or no items.

        `drop_last`: leave out what does not fill a batch.
        """
        if batch_size < 1 or pool < 1 or not len(lengths):
            raise ValueError(
                f"needs items, and batch_size and pool of at least 1, not "
                f"{len(lengths)} items, {batch_size} and {pool}"
            )
        self.lengths = torch.as_tensor(lengths)  # (N,)
        self.batch_size, self.pool = batch_size, pool
        self.drop_last, self.generator = drop_last, generator

    def __len__(self) -> int:
        whole, rest = divmod(len(self.lengths), self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[list[int]]:
        order = torch.randperm(len(self.lengths), generator=self.generator)
        if self.drop_last:
            order = order[: len(self) * self.batch_size]
        batches: list[Tensor] = []
        for some in order.split(self.pool * self.batch_size):
            by_length = some[self.lengths[some].argsort(stable=True)]
            batches += by_length.split(self.batch_size) if len(some) else ()
        for place in torch.randperm(len(batches), generator=self.generator).tolist():
            yield batches[place].tolist()


def padding_share(lengths: Sequence[int], batches: Iterable[Sequence[int]]) -> float:
    """Of all cells of the padded batches, the share that is padding: 0 to 1."""
    lengths = torch.as_tensor(lengths)
    cells = real = 0
    for batch in batches:
        some = lengths[list(batch)]
        cells += len(some) * int(some.max())
        real += int(some.sum())
    return 1 - real / cells if cells else 0.0


@dataclass(frozen=True)
class PadBatch:
    """A collate function: items `(indices, label)` -> rows, lengths, labels.

    A class, because a worker that is spawned must be able to import it: no lambda.
    """

    padding: int = 0

    def __call__(
        self, items: Sequence[tuple[Sequence[int], int]]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Returns (B, L) int64, padded behind, (B,) int64, and (B,) int64."""
        rows = [torch.as_tensor(ids, dtype=torch.int64) for ids, _ in items]
        lengths = torch.tensor([len(row) for row in rows])
        labels = torch.tensor([label for _, label in items])
        padded = pad_sequence(rows, batch_first=True, padding_value=self.padding)
        return padded, lengths, labels
