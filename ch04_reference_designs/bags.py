"""Lists of indices of many lengths, flat with offsets or padded, and their batches.

    bags = Bags.of([[5, 2], [7], [1, 1, 4]])
    flat, offsets = bags.batch([2, 0])    # [1, 1, 4, 5, 2], [0, 3]: for nn.EmbeddingBag
    rows = padded([bags[2], bags[0]])     # [[1, 1, 4], [5, 2, 0]]: for the others

All lists of a data set lie in one tensor, once; a batch joins some views of it, which
takes a fraction of the time that collating items one by one does. This file can be
copied alone to another project.
"""

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

NOTHING = 0  # the index that fills up a row; it belongs to no token
Batch = tuple[tuple[Tensor, ...], Tensor]  # the inputs of the model, and the labels


class Bags(Sequence[Tensor]):
    """N lists of indices: one flat tensor, and N + 1 offsets.

    `bags[i]` is a view of list i; `bags.batch(chosen)` puts some into one.
    """

    def __init__(self, flat: Tensor, offsets: Tensor) -> None:
        """`flat`: (T,) int64; `offsets`: (N + 1,) int64, rising from 0 to T.

        Raises `ValueError` where the two do not belong together.
        """
        lengths = offsets.diff()
        if not len(offsets) or offsets[0] != 0 or offsets[-1] != len(flat):
            raise ValueError(f"offsets have to begin with 0 and end with {len(flat)}")
        if len(lengths) and lengths.min() < 0:
            raise ValueError("offsets have to rise")
        self.flat, self.offsets, self.lengths = flat, offsets, lengths
        self._rows = flat.split(lengths.tolist())

    @classmethod
    def of(cls, rows: Iterable[Sequence[int]]) -> "Bags":
        """From lists of whole numbers; an empty one is allowed."""
        flat: list[int] = []
        offsets = [0]
        for row in rows:
            flat.extend(row)
            offsets.append(len(flat))
        return cls(torch.tensor(flat, dtype=torch.int64), torch.tensor(offsets))

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, index: int) -> Tensor:
        return self._rows[index]

    def __repr__(self) -> str:
        return f"Bags({len(self):,} lists, {len(self.flat):,} indices)"

    def batch(self, chosen: Iterable[int]) -> tuple[Tensor, Tensor]:
        """Those of `chosen`, B of them, as `nn.EmbeddingBag` takes them.

        Returns their indices (T',) and the places where each begins (B,). Raises
        `ValueError` for none.
        """
        rows = [self._rows[i] for i in chosen]
        if not rows:
            raise ValueError("a batch needs at least one list")
        lengths = torch.tensor([len(row) for row in rows])  # (B,)
        return torch.cat(rows), lengths.cumsum(0) - lengths


def padded(rows: Sequence[Tensor | Sequence[int]], value: int = NOTHING) -> Tensor:
    """(N, L) int64, L that of the longest row, at least 1; `value` behind the others.

    Raises `ValueError` for no rows.
    """
    if not len(rows):
        raise ValueError("there is nothing to pad: no rows")
    result = torch.full((len(rows), max(1, *map(len, rows))), value)
    for i, row in enumerate(rows):
        result[i, : len(row)] = torch.as_tensor(row, dtype=torch.int64)
    return result


class BagLoader:
    """Batches `((flat, offsets), labels)` for `fit` and `evaluate`.

    The inputs become the arguments of the model. `shuffle`: another order each time,
    drawn from `generator` or from PyTorch's global one.
    """

    def __init__(
        self,
        bags: Bags,
        labels: Sequence[int] | Tensor,
        batch_size: int = 64,
        *,
        shuffle: bool = False,
        generator: torch.Generator | None = None,
        classes: int = 2,
    ) -> None:
        """`labels`: (N,), one of 0..classes-1 each; raises `ValueError` for others."""
        self.bags, self.labels = bags, torch.as_tensor(labels)
        self.batch_size, self.shuffle, self.generator = batch_size, shuffle, generator
        if self.labels.shape != (len(bags),) or not len(bags):
            raise ValueError(
                f"needs as many labels as bags and at least one, not {len(bags)} bags "
                f"and labels {tuple(self.labels.shape)}"
            )
        if batch_size < 1:
            raise ValueError(f"batch_size has to be at least 1, not {batch_size}")
        low, high = self.labels.min().item(), self.labels.max().item()
        if not 0 <= low <= high < classes:
            raise ValueError(f"labels of {low} to {high}, outside 0..{classes - 1}")

    def __len__(self) -> int:
        return -(-len(self.bags) // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        for chosen in self._batches():
            yield self._inputs(chosen.tolist()), self.labels[chosen]

    def _batches(self) -> Sequence[Tensor]:
        return self._order().split(self.batch_size)

    def _order(self) -> Tensor:
        if self.shuffle:
            return torch.randperm(len(self.bags), generator=self.generator)
        return torch.arange(len(self.bags))

    def _inputs(self, chosen: list[int]) -> tuple[Tensor, ...]:
        return self.bags.batch(chosen)


class PaddedLoader(BagLoader):
    """Batches `((rows,), labels)`: rows (B, L), padded to the longest of the batch.

    Where it shuffles, lists of like length come together, so that there is little to
    pad: of every `pool` batches in random order the lists are sorted by length and cut
    into batches, and these are shuffled again.
    """

    pool = 20

    def _batches(self) -> Sequence[Tensor]:
        if not self.shuffle:
            return super()._batches()
        batches: list[Tensor] = []
        for some in self._order().split(self.pool * self.batch_size):
            by_length = some[self.bags.lengths[some].argsort(stable=True)]
            batches += by_length.split(self.batch_size)
        mixed = torch.randperm(len(batches), generator=self.generator)
        return [batches[i] for i in mixed.tolist()]

    def _inputs(self, chosen: list[int]) -> tuple[Tensor, ...]:
        return (padded([self.bags[i] for i in chosen]),)
