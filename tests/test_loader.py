"""Whole batches of images from memory: `ch03_deep_learning.loader`."""

from types import SimpleNamespace

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset
from torchvision.transforms import v2

from ch03_deep_learning.augmentation import crop_and_flip, reflect
from ch03_deep_learning.loader import BatchLoader

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)
ELSEWHERE = SimpleNamespace(device=torch.device("cuda"))  # a generator's


def a_set(n=10, channels=3, height=6, width=8):
    generator = torch.Generator().manual_seed(1)
    size = n, channels, height, width
    images = torch.randint(0, 256, size, dtype=torch.uint8, generator=generator)
    return images, torch.arange(n)


def numbered(b, height=6, width=8, channels=2):
    """Each pixel holds its place: channel 0 the row, channel 1 the column."""
    rows = torch.arange(height).view(1, -1, 1).expand(b, height, width)
    columns = torch.arange(width).view(1, 1, -1).expand(b, height, width)
    return torch.stack([rows, columns], 1)


def epoch(loader):
    images, labels = zip(*loader, strict=True)
    return torch.cat(images), torch.cat(labels)


# --- BatchLoader


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("batch_size", [1, 3, 5, 10, 11])
def test_the_batches_are_those_of_a_data_loader(batch_size, drop_last):
    images, labels = a_set()
    if drop_last and batch_size > 10:
        pytest.skip("an error, tested below")
    ours = BatchLoader(images, labels, batch_size=batch_size, drop_last=drop_last)
    theirs = DataLoader(
        TensorDataset(images, labels), batch_size=batch_size, drop_last=drop_last
    )
    assert len(ours) == len(theirs) == len(list(ours))
    assert len(ours.dataset) == len(theirs.dataset)
    assert ours.batch_size == theirs.batch_size
    for (x, y), (expected, target) in zip(ours, theirs, strict=True):
        torch.testing.assert_close(x, expected.float() / 255)
        assert x.dtype == torch.float32 and torch.equal(y, target)
        assert x.is_contiguous(memory_format=torch.channels_last)


def test_normalisation_is_that_of_torchvision():
    images, labels = a_set()
    x, _ = next(iter(BatchLoader(images, labels, batch_size=10, mean=MEAN, std=STD)))
    expected = v2.functional.normalize(images.float() / 255, MEAN, STD)
    torch.testing.assert_close(x, expected)
    tensors = dict(mean=torch.tensor(MEAN), std=torch.tensor(STD))
    again, _ = next(iter(BatchLoader(images, labels, batch_size=10, **tensors)))
    torch.testing.assert_close(again, x)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_any_number_of_channels(channels):
    images, labels = a_set(channels=channels)
    loader = BatchLoader(images, labels, batch_size=4, mean=[0.5], std=[0.5])
    x, _ = epoch(loader)
    torch.testing.assert_close(x, images / 127.5 - 1)


def test_an_item_of_the_dataset_is_the_image_itself():
    images, labels = a_set()
    image, label = BatchLoader(images, labels, batch_size=4).dataset[7]
    assert torch.equal(image, images[7]) and label == 7


def test_shuffled_each_image_comes_once_with_its_label_in_another_order_each_time():
    images, labels = a_set(100)
    torch.manual_seed(0)
    loader = BatchLoader(images, labels, batch_size=32, shuffle=True)
    (x, first), (_, second) = epoch(loader), epoch(loader)
    assert sorted(first.tolist()) == list(range(100))
    assert not torch.equal(first, second)
    torch.testing.assert_close(x, images[first].float() / 255)


def test_one_seed_one_sequence_and_the_global_generator_stays_out_of_it():
    images, labels = a_set(50)

    def batches(seed):
        generator = torch.Generator().manual_seed(seed)
        options = dict(shuffle=True, augment=crop_and_flip(2, cutout=3))
        loader = BatchLoader(
            images, labels, batch_size=16, generator=generator, **options
        )
        return torch.cat([epoch(loader)[0], epoch(loader)[0]])

    before = torch.get_rng_state()
    assert torch.equal(batches(3), batches(3))
    assert not torch.equal(batches(3), batches(4))
    assert torch.equal(torch.get_rng_state(), before)


def test_without_a_generator_the_global_seed_decides():
    images, labels = a_set(50)
    loader = BatchLoader(
        images, labels, batch_size=16, shuffle=True, augment=crop_and_flip(2)
    )
    torch.manual_seed(5)
    first = epoch(loader)
    torch.manual_seed(5)
    assert torch.equal(epoch(loader)[0], first[0])


def test_in_order_and_without_augmentation_nothing_is_drawn():
    images, labels = a_set()
    before = torch.get_rng_state()
    list(BatchLoader(images, labels, batch_size=4))
    assert torch.equal(torch.get_rng_state(), before)


def test_two_passes_at_once_do_not_disturb_each_other():
    images, labels = a_set()
    loader = BatchLoader(images, labels, batch_size=5)
    pairs = [(a, b) for (_, a) in loader for (_, b) in loader]
    assert len(pairs) == 4
    assert torch.equal(pairs[1][1], torch.arange(5, 10))


def test_what_is_done_to_a_batch_does_not_touch_the_set():
    images, labels = a_set()
    kept = images.clone()
    for memory in (torch.contiguous_format, torch.channels_last):
        loader = BatchLoader(images.to(memory_format=memory), labels, batch_size=10)
        for x, y in loader:
            x.zero_()
            y.zero_()
        assert torch.equal(loader.dataset.tensors[0], kept)
        assert torch.equal(labels, torch.arange(10))


def test_an_augmentation_of_ones_own_may_change_the_size():
    images, labels = a_set()
    centre = BatchLoader(
        images, labels, batch_size=4, augment=lambda batch, generator: batch[..., 2:6]
    )
    x, _ = epoch(centre)
    torch.testing.assert_close(x, images[..., 2:6].float() / 255)


def test_the_device_is_where_the_batches_are_made():
    images, labels = a_set()
    loader = BatchLoader(images, labels, batch_size=4, device="meta")
    assert {tensor.device.type for tensor in loader.dataset.tensors} == {"meta"}
    if torch.accelerator.is_available():
        there = torch.accelerator.current_accelerator()
        options = dict(batch_size=4, shuffle=True, augment=crop_and_flip(2, cutout=2))
        torch.manual_seed(0)
        here = epoch(BatchLoader(images, labels, **options))
        torch.manual_seed(0)
        x, y = epoch(BatchLoader(images, labels, device=there, **options))
        assert x.device.type == y.device.type == there.type
        torch.testing.assert_close(x.cpu(), here[0])


def test_the_representation_says_what_it_is():
    text = repr(BatchLoader(*a_set(), batch_size=4, shuffle=True))
    assert text == "BatchLoader(10 images (3, 6, 8) on cpu, 3 batches of 4, shuffled)"


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (dict(images=[1, 2]), TypeError, "images is a list: make a tensor"),
        (dict(images=torch.zeros(10, 3, 6, 8)), TypeError, "torch.uint8, not"),
        (dict(labels=torch.zeros(10)), TypeError, "torch.int64, not torch.float32"),
        (dict(images=a_set()[0][0]), ValueError, r"\(N, C, H, W\), not \(3, 6, 8\)"),
        (dict(labels=torch.arange(9)), ValueError, "10 images need labels"),
        (dict(labels=torch.zeros(10, 1).long()), ValueError, "10 images need labels"),
        (dict(images=a_set(0)[0], labels=torch.arange(0)), ValueError, "empty"),
        (dict(batch_size=0), ValueError, "batch_size=0"),
        (dict(batch_size=2.5), ValueError, "batch_size=2.5"),
        (dict(batch_size=11, drop_last=True), ValueError, "leaves no batch of 11"),
        (dict(generator=ELSEWHERE), ValueError, "generator is on cuda: give one on"),
        (dict(mean=MEAN), ValueError, "go together"),
        (dict(mean=MEAN, std=(1, 1)), ValueError, "std has 2 numbers"),
        (dict(mean=MEAN, std=(1, 0, 1)), ValueError, "above 0"),
    ],
)
def test_a_set_that_can_not_be_right_is_an_error(change, error, message):
    images, labels = a_set()
    options = dict(images=images, labels=labels, batch_size=4) | change
    with pytest.raises(error, match=message):
        BatchLoader(**options)


# --- crop_and_flip


def test_reflection_is_that_of_padding():
    line = torch.arange(5.0)
    padded = torch.nn.functional.pad(line[None], (4, 4), mode="reflect")[0]
    assert torch.equal(reflect(torch.arange(-4, 9), 5).float(), padded)


@pytest.mark.parametrize("size", [(1, 6, 8), (3, 8, 6), (3, 5, 5)])
@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_each_image_is_one_of_the_possible_crops(size, memory):
    torch.manual_seed(0)
    _, height, width = size
    images = torch.rand(600, *size).to(memory_format=memory)
    kept = images.clone()
    out = crop_and_flip(padding=2)(images)
    assert out.shape == images.shape and torch.equal(images, kept)
    assert out.is_contiguous(memory_format=torch.channels_last)
    padded = torch.nn.functional.pad(images, (2,) * 4, mode="reflect")
    crops = padded.unfold(2, height, 1).unfold(3, width, 1)  # (N, C, 5, 5, H, W)
    crops = torch.stack(
        [crops, padded.flip(-1).unfold(2, height, 1).unfold(3, width, 1)]
    )
    same = (crops == out[None, :, :, None, None]).all(dim=(2, 5, 6))  # (2, N, 5, 5)
    assert same.any(dim=(0, 2, 3)).all()  # each image is one of its own 50
    assert same.any(dim=1).all()  # each of the 50 comes up among 600


def test_each_image_has_its_own_draw():
    torch.manual_seed(0)
    out = crop_and_flip(padding=2)(numbered(64))
    assert len({tuple(image.flatten().tolist()) for image in out}) > 20


@pytest.mark.parametrize(("flip", "share"), [(0.0, 0), (1.0, 1), (0.5, 0.5)])
def test_flip_is_the_share_of_mirrored_images(flip, share):
    torch.manual_seed(0)
    images = numbered(1000)
    out = crop_and_flip(padding=0, flip=flip)(images)
    mirrored = (out == images.flip(-1)).flatten(1).all(1)
    plain = (out == images).flatten(1).all(1)
    assert (mirrored | plain).all()
    assert mirrored.float().mean() == pytest.approx(share, abs=0.05)


@pytest.mark.parametrize("side", [1, 2, 3, 20])
def test_cutout_blanks_a_square_with_its_centre_in_the_image(side):
    torch.manual_seed(0)
    images = torch.ones(2000, 3, 6, 8)
    out = crop_and_flip(padding=0, flip=0.0, cutout=side)(images)
    blank = out == 0
    assert torch.equal(blank.all(1), blank.any(1))  # the same in all channels
    blank = blank[:, 0]
    tall, wide = blank.any(2).sum(1), blank.any(1).sum(1)  # (N,)
    assert torch.equal(blank.flatten(1).sum(1), tall * wide)  # a rectangle
    assert tall.min() >= 1 and wide.min() >= 1 and max(tall.max(), wide.max()) <= side
    assert blank.any(0).all()  # everywhere


@pytest.mark.parametrize(
    ("dtype", "fill", "value"),
    [(torch.uint8, None, 128), (torch.float32, None, 0), (torch.uint8, 7, 7)],
)
def test_the_fill_goes_with_the_dtype(dtype, fill, value):
    images = torch.ones(5, 3, 6, 8).to(dtype)
    out = crop_and_flip(padding=0, cutout=3, fill=fill)(images)
    assert out.dtype == dtype and set(out.unique().tolist()) == {1, value}


def test_the_draws_come_from_the_generator():
    images = numbered(32)
    augment = crop_and_flip(2, cutout=2)
    before = torch.get_rng_state()
    first = augment(images, torch.Generator().manual_seed(0))
    assert torch.equal(augment(images, torch.Generator().manual_seed(0)), first)
    assert not torch.equal(augment(images, torch.Generator().manual_seed(1)), first)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("padding", [0, 2])
def test_with_a_size_each_image_is_a_square_from_anywhere_within_it(padding):
    torch.manual_seed(0)
    images = torch.rand(800, 3, 6, 8)
    out = crop_and_flip(padding, size=4, flip=0.0)(images)
    assert out.shape == (800, 3, 4, 4)
    padded = images
    if padding:
        padded = torch.nn.functional.pad(images, (padding,) * 4, mode="reflect")
    crops = padded.unfold(2, 4, 1).unfold(3, 4, 1)  # (N, 3, y, x, 4, 4)
    same = (crops == out[:, :, None, None]).all(dim=(1, 4, 5))  # (N, y, x)
    assert same.any(dim=(1, 2)).all() and same.any(dim=0).all()


def test_a_square_larger_than_the_image_is_an_error():
    with pytest.raises(ValueError, match="size=7 is more than the 6 x 8"):
        crop_and_flip(padding=1, size=7)(numbered(3))


@pytest.mark.parametrize(
    "options", [dict(padding=-1), dict(cutout=-1), dict(flip=2), dict(size=0)]
)
def test_settings_out_of_range_are_errors(options):
    with pytest.raises(ValueError, match=r"pixel|share"):
        crop_and_flip(**options)


def test_images_too_small_or_no_batch_are_errors():
    with pytest.raises(ValueError, match="reflects more than 6 x 8"):
        crop_and_flip(padding=6)(numbered(3))
    with pytest.raises(ValueError, match="needs a batch"):
        crop_and_flip()(torch.zeros(3, 32, 32))


def test_a_smaller_size_cuts_a_square_from_anywhere():
    torch.manual_seed(0)
    images = torch.arange(64).view(1, 1, 8, 8).expand(500, 3, 8, 8).to(torch.uint8)
    out = crop_and_flip(1, size=4, flip=0.0)(images)
    assert out.shape == (500, 3, 4, 4)
    corners = out[:, 0, 0, 0].unique()
    wide = torch.nn.functional.pad(images[:1].float(), (1, 1, 1, 1), mode="reflect")
    possible = wide[0, 0, :7, :7].unique()  # the corners of 4 x 4 in 10 x 10
    assert corners.float().equal(possible)


@pytest.mark.parametrize("size", [0, 9])
def test_a_size_that_can_not_be_cut(size):
    with pytest.raises(ValueError, match=f"size={size}"):
        crop_and_flip(1, size=size)(torch.zeros(2, 3, 8, 8, dtype=torch.uint8))
