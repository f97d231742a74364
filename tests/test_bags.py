import pytest
import torch

from ch04_reference_designs.bags import BagLoader, Bags, PaddedLoader, padded

ROWS = [[5, 2], [7], [], [1, 1, 4], [3, 9]]


def test_lists_stay_as_they_are():
    bags = Bags.of(ROWS)
    assert len(bags) == 5 and [row.tolist() for row in bags] == ROWS
    assert bags.lengths.tolist() == [2, 1, 0, 3, 2]
    assert bags[3].data_ptr() == bags.flat[3:].data_ptr()  # a view
    assert repr(bags) == "Bags(5 lists, 8 indices)"
    assert len(Bags.of([])) == 0


def test_a_batch_is_flat_with_offsets():
    flat, offsets = Bags.of(ROWS).batch([3, 2, 0])
    assert flat.tolist() == [1, 1, 4, 5, 2] and offsets.tolist() == [0, 3, 3]
    with pytest.raises(ValueError, match="at least one"):
        Bags.of(ROWS).batch([])


@pytest.mark.parametrize("offsets", [[], [1, 3], [0, 2], [0, 5, 3]])
def test_offsets_that_do_not_belong(offsets):
    with pytest.raises(ValueError, match="offsets have to"):
        Bags(torch.arange(3), torch.tensor(offsets, dtype=torch.int64))


def test_padded_is_what_pytorch_pads():
    rows = [torch.tensor(row) for row in ROWS if row]
    theirs = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    assert padded(rows).equal(theirs) and padded([row for row in ROWS if row]).equal(
        theirs
    )
    assert padded([[], []]).tolist() == [
        [0],
        [0],
    ]  # one column, so that layers can work
    assert padded([[1], [2, 3]], value=9).tolist() == [[1, 9], [2, 3]]
    with pytest.raises(ValueError, match="no rows"):
        padded([])


@pytest.mark.parametrize("Loader", [BagLoader, PaddedLoader])
@pytest.mark.parametrize("shuffle", [False, True])
def test_each_list_once_with_its_label(Loader, shuffle):
    bags = Bags.of([[i + 1] * (i % 7 + 1) for i in range(50)])
    labels = [i % 2 for i in range(50)]
    loader = Loader(bags, labels, 8, shuffle=shuffle)
    loader.pool = 2
    seen = []
    for inputs, some in loader:
        rows, *offsets = inputs
        first = rows[offsets[0]] if offsets else rows[:, 0]
        assert ((first - 1) % 2).equal(some) and len(some) <= 8
        seen += first.tolist()
    assert len(list(loader)) == len(loader) == 7
    assert sorted(seen) == list(range(1, 51)) and (seen != sorted(seen)) == shuffle


def test_the_generator_gives_the_order():
    bags = Bags.of([[i] for i in range(20)])
    first, second = (
        BagLoader(bags, [0] * 20, 5, shuffle=True, generator=g)
        for g in (torch.Generator().manual_seed(3), torch.Generator().manual_seed(3))
    )
    a, b = ([x[0].tolist() for x, _ in loader] for loader in (first, second))
    assert a == b and a != [x[0].tolist() for x, _ in first]


def test_like_lengths_come_together():
    lengths = torch.randint(1, 100, (400,), generator=torch.Generator().manual_seed(0))
    bags = Bags.of([[1] * n for n in lengths.tolist()])

    def padding(shuffle):
        torch.manual_seed(0)
        batches = PaddedLoader(bags, [0] * 400, 20, shuffle=shuffle)
        return sum((rows == 0).sum().item() for (rows,), _ in batches)

    assert padding(shuffle=True) < 0.2 * padding(shuffle=False)


@pytest.mark.parametrize("Loader", [BagLoader, PaddedLoader])
def test_what_a_loader_refuses(Loader):
    bags = Bags.of([[1], [2]])
    with pytest.raises(ValueError, match=r"labels of 0 to 2, outside 0\.\.1"):
        Loader(bags, [0, 2])
    with pytest.raises(ValueError, match="labels of -1 to 1"):
        Loader(bags, [-1, 1])
    assert len(Loader(bags, [0, 2], classes=3)) == 1
    with pytest.raises(ValueError, match="2 bags and labels"):
        Loader(bags, [0])
    with pytest.raises(ValueError, match="0 bags"):
        Loader(Bags.of([]), [])
    with pytest.raises(ValueError, match="batch_size"):
        Loader(bags, [0, 1], 0)
