import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from ch04_reference_designs.bags import padded
from ch08_ecosystem.buckets import BucketBatches, PadBatch, padding_share

LENGTHS = st.lists(st.integers(1, 50), min_size=1, max_size=80)


@given(LENGTHS, st.integers(1, 9), st.integers(1, 5))
def test_each_item_once(lengths, size, pool):
    batches = BucketBatches(lengths, size, pool=pool)
    found = list(batches)
    assert sorted(i for batch in found for i in batch) == list(range(len(lengths)))
    assert len(found) == len(batches) and max(map(len, found)) <= size
    whole = list(BucketBatches(lengths, size, pool=pool, drop_last=True))
    assert all(len(batch) == size for batch in whole)
    assert len(whole) == len(lengths) // size


def test_less_padding_and_another_order_each_time():
    lengths = torch.randint(1, 200, (2000,), generator=torch.manual_seed(0)).tolist()
    shares = [
        padding_share(lengths, BucketBatches(lengths, 32, pool=p)) for p in (1, 10, 63)
    ]
    assert shares[0] > 0.4 > 0.1 > shares[1] > shares[2]
    batches = BucketBatches(lengths, 32, generator=torch.manual_seed(1))
    one, two = list(batches), list(batches)
    assert one != two
    assert one == list(BucketBatches(lengths, 32, generator=torch.manual_seed(1)))


def test_share_by_hand():
    assert padding_share([1, 3, 2], [[0, 1], [2]]) == pytest.approx(2 / 8)
    assert padding_share([], []) == 0


@pytest.mark.parametrize("workers", [0, 2])
def test_in_a_loader(workers):
    pairs = [([i + 1] * (i % 5 + 1), i % 2) for i in range(23)]
    batches = BucketBatches([len(ids) for ids, _ in pairs], 4)
    loader = DataLoader(
        pairs, batch_sampler=batches, collate_fn=PadBatch(), num_workers=workers
    )
    seen = []
    for rows, lengths, labels in loader:
        assert rows.shape == (len(labels), lengths.max())
        for row, length, label in zip(rows, lengths, labels, strict=True):
            ids, expected = pairs[int(row[0]) - 1]
            assert row.tolist() == ids + [0] * (len(row) - len(ids))
            assert (length, label) == (len(ids), expected)
            seen.append(int(row[0]))
    assert sorted(seen) == list(range(1, 24))


def test_like_chapter_4():
    rows = [[5, 2], [7], [1, 1, 4]]
    items = [(row, 0) for row in rows]
    assert torch.equal(PadBatch()(items)[0], padded(rows))
    assert PadBatch(padding=9)([([], 0), ([1], 1)])[0].tolist() == [[9], [1]]


@pytest.mark.parametrize(
    ("lengths", "size", "pool"), [([], 1, 1), ([1], 0, 1), ([1], 1, 0)]
)
def test_bad_input(lengths, size, pool):
    with pytest.raises(ValueError, match="at least 1"):
        BucketBatches(lengths, size, pool=pool)
