"""The data sets: the disk, a download from this machine, the stand-in."""

import gzip
import hashlib
import io
import pickle
import tarfile

import numpy as np
import pytest
import torch
from torch.utils.data import Subset, TensorDataset
from torchvision import datasets as torchvision_datasets

from ch01_intro.assets import AssetUnavailable, DamagedFile, Source
from ch03_deep_learning.datasets import (
    CIFAR10,
    CIFAR10_CLASSES,
    FashionMNIST,
    as_tensors,
)
from tests.loopback import routes, sends, serving
from tests.test_cifar10 import batch, write

BOTH = pytest.mark.parametrize("Data", [CIFAR10, FashionMNIST])
pytestmark = pytest.mark.usefixtures("home")


def cifar10(home):
    """Files of 4 images each, as on disk."""
    folder = home / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    for i, name in enumerate(CIFAR10.names):
        write(folder / name, batch(seed=i))
    return folder


def idx(array: np.ndarray) -> bytes:
    sizes = b"".join(n.to_bytes(4, "big") for n in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.astype(np.uint8).tobytes()


def fashion_files() -> dict[str, bytes]:
    """Five images to train and three to test, no two alike."""
    images = np.arange(8 * 784).reshape(8, 28, 28) % 251
    labels = np.arange(8)
    return {
        "train-images-idx3-ubyte": idx(images[:5]),
        "train-labels-idx1-ubyte": idx(labels[:5]),
        "t10k-images-idx3-ubyte": idx(images[5:]),
        "t10k-labels-idx1-ubyte": idx(labels[5:]),
    }


def fashion(home, *, packed=False):
    folder = home / "FashionMNIST" / "raw"
    folder.mkdir(parents=True)
    for name, content in fashion_files().items():
        if packed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (folder / name).write_bytes(content)
    return folder


def put_on_disk(Data, home):
    return {CIFAR10: cifar10, FashionMNIST: fashion}[Data](home)


# step 1: the disk


def test_cifar10_from_disk(home, capsys):
    cifar10(home)
    data = CIFAR10()
    assert capsys.readouterr().out == (
        "CIFAR-10, training set: found on disk, 20 images, not the original files\n"
    )
    assert len(data) == 20 and data.source.source is Source.DISK
    assert data.data.shape == (20, 32, 32, 3) and data.data.dtype == np.uint8
    assert type(data.targets) is list and type(data.targets[0]) is int
    assert data.classes == list(CIFAR10_CLASSES) and data.class_to_idx["frog"] == 6
    image, label = data[5]
    assert (image.mode, image.size, label) == ("RGB", (32, 32), 1)
    planes = batch(seed=1)["data"][1].reshape(3, 32, 32)
    np.testing.assert_array_equal(np.asarray(image), planes.transpose(1, 2, 0))
    assert len(CIFAR10(train=False)) == 4


def test_the_original_files_are_recognised(home, monkeypatch):
    folder = cifar10(home)
    path = folder / "test_batch"
    digits = hashlib.md5(path.read_bytes()).hexdigest()
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", digits]])
    assert CIFAR10(train=False).source.note == "4 images"
    assert CIFAR10(train=True).source.note == "20 images, not the original files"


@pytest.mark.parametrize("packed", [False, True])
def test_fashion_mnist_from_disk(home, capsys, packed):
    fashion(home, packed=packed)
    data = FashionMNIST(train=False)
    assert capsys.readouterr().out == (
        "Fashion-MNIST, test set: found on disk, 3 images, not the original files\n"
    )
    assert data.data.shape == (3, 28, 28) and data.data.dtype == torch.uint8
    assert data.targets.tolist() == [5, 6, 7] and data.targets.dtype == torch.int64
    assert data.classes[9] == "Ankle boot" and data.class_to_idx["Bag"] == 8
    image, label = data[1]
    assert (image.mode, image.size, label) == ("L", (28, 28), 6)
    assert np.asarray(image)[0, 0] == 6 * 784 % 251
    assert len(FashionMNIST()) == 5


def test_fashion_mnist_is_read_as_torchvision_reads_it(home):
    fashion(home)
    ours, theirs = FashionMNIST(home), torchvision_datasets.FashionMNIST(home)
    assert torch.equal(ours.data, theirs.data)
    assert torch.equal(ours.targets, theirs.targets)
    assert ours.targets.dtype == theirs.targets.dtype
    assert ours[2][0].tobytes() == theirs[2][0].tobytes()
    assert type(ours[2][1]) is type(theirs[2][1]) is int
    assert set(vars(theirs)) <= set(vars(ours))
    expected = [line for line in repr(theirs).splitlines()]
    assert [
        line for line in repr(ours).splitlines() if "Source" not in line
    ] == expected


@BOTH
def test_a_drop_in_with_transforms(Data, home):
    put_on_disk(Data, home)
    data = Data(
        str(home), True, np.asarray, lambda label: label + 100, False, verbose=False
    )
    assert isinstance(data, getattr(torchvision_datasets, Data.__name__))
    image, label = data[1]
    assert isinstance(image, np.ndarray) and label == 101
    assert "StandardTransform" in repr(data) and "found on disk" in repr(data)
    again = pickle.loads(pickle.dumps(Data(home, verbose=False)))
    assert again[3][1] == 3 and again.source.source is Source.DISK


@BOTH
@pytest.mark.parametrize("keep", [0, 3, 17, 500])
def test_a_file_that_is_cut_off_is_named(Data, home, keep):
    folder = put_on_disk(Data, home)
    path = folder / Data.names[0]
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DamagedFile, match=r"(?s)Delete it") as caught:
        Data(download=True)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("keep", [0, 9, 60])
def test_a_packed_file_that_is_cut_off_is_named(home, keep):
    path = fashion(home, packed=True) / "train-labels-idx1-ubyte.gz"
    path.write_bytes(path.read_bytes()[:keep] if keep < 60 else b"\x1f\x8b" * 30)
    with pytest.raises(DamagedFile, match=r"train-labels-idx1-ubyte\.gz"):
        FashionMNIST()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (idx(np.zeros(4)), r"\(5, 28, 28\) and \(4,\)"),
        (idx(np.full(5, 10)), "out of the range"),
        (idx(np.zeros(5)) + b"x", "5 bytes of data promised, 6 found"),
        (idx(np.zeros((5, 1))), r"\(5, 1\)"),
        (b"<html>", "begin"),
    ],
)
def test_labels_that_do_not_fit_are_refused(home, content, words):
    (fashion(home) / "train-labels-idx1-ubyte").write_bytes(content)
    with pytest.raises(DamagedFile, match=words):
        FashionMNIST()
    assert len(FashionMNIST(train=False)) == 3


@BOTH
@pytest.mark.parametrize("train", [True, False])
def test_a_part_of_the_files_is_an_error(Data, home, train):
    folder = put_on_disk(Data, home)
    (folder / Data.names[1]).unlink()
    with pytest.raises(AssetUnavailable, match=f"lacks {Data.names[1]}") as caught:
        Data(train=train)
    assert str(folder) in str(caught.value) and "download=True" in str(caught.value)


# step 2: a download


def archive(home) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        tar.add(cifar10(home / "source"), "cifar-10-batches-py")
    return packed.getvalue()


def test_cifar10_downloaded_then_on_disk(home, tmp_path, monkeypatch):
    content = archive(tmp_path)
    monkeypatch.setattr(CIFAR10, "sha256", hashlib.sha256(content).hexdigest())
    with serving(routes({"/c.tar.gz": sends(content)})) as url:
        monkeypatch.setattr(CIFAR10, "url", f"{url}/c.tar.gz")
        assert CIFAR10().source.source is Source.STAND_IN  # not asked for
        assert not home.exists()
        assert CIFAR10(download=True).source.source is Source.DOWNLOAD
    data = CIFAR10(download=True)
    assert (len(data), data.source.source) == (20, Source.DISK)
    names = {"cifar-10-batches-py", "cifar-10-python.tar.gz"}
    assert {path.name for path in home.iterdir()} == names

    (home / "cifar-10-batches-py" / "data_batch_3").unlink()
    assert len(CIFAR10()) == 20  # from the archive
    (home / "cifar-10-batches-py" / "data_batch_3").unlink()
    (home / "cifar-10-python.tar.gz").write_bytes(content[:-1])
    with pytest.raises(DamagedFile, match="cifar-10-python"):
        CIFAR10()


def test_fashion_mnist_downloaded_goes_on_where_it_stopped(home, monkeypatch):
    packed = {
        f"/{name}.gz": gzip.compress(content)
        for name, content in fashion_files().items()
    }
    sums = [hashlib.sha256(content).hexdigest() for content in packed.values()]
    monkeypatch.setattr(FashionMNIST, "sha256", sums)
    answers = {name: sends(content) for name, content in packed.items()}
    last = answers.pop("/t10k-labels-idx1-ubyte.gz")
    with serving(routes(answers)) as url:
        monkeypatch.setattr(FashionMNIST, "mirrors", [f"{url}/"])
        with pytest.raises(AssetUnavailable, match=r"lacks t10k-labels"):
            FashionMNIST(download=True)
        answers["/t10k-labels-idx1-ubyte.gz"] = last
        data = FashionMNIST(download=True)
    assert (len(data), data.source.source) == (5, Source.DOWNLOAD)
    assert FashionMNIST().source.source is Source.DISK
    assert len(torchvision_datasets.FashionMNIST(home, train=False)) == 3


@BOTH
def test_what_is_downloaded_from_is_published(Data):
    sums = [Data.sha256] if Data is CIFAR10 else Data.sha256
    assert len(sums) == len({*sums}) and {len(digits) for digits in sums} == {64}
    if Data is FashionMNIST:
        assert Data.names[0] == "train-images-idx3-ubyte" and len(Data.names) == 4


# step 3: the stand-in


@BOTH
def test_the_stand_in(Data, capsys, monkeypatch):
    monkeypatch.setenv("PYTORCH_BOOK_OFFLINE", "1")
    train, test = Data(download=True), Data(train=False, verbose=False)
    said = capsys.readouterr().out
    assert said.endswith(
        "training set: stand-in, 1,437 handwritten digits "
        "(PYTORCH_BOOK_OFFLINE is set)\n"
    )
    assert said.strip() in repr(train) and train.source.path is None
    assert (len(train), len(test)) == (1437, 360)
    assert train.classes == [*"0123456789"] and train.class_to_idx["3"] == 3
    side = 32 if Data is CIFAR10 else 28
    assert train[0][0].size == (side, side)
    assert train[0][0].mode == ("RGB" if Data is CIFAR10 else "L")
    (images, labels), (others, _) = as_tensors(train), as_tensors(test)
    assert images.max() == 255 and images.min() == 0
    assert torch.bincount(labels).min() > 130  # all ten
    both = torch.cat([images, others]).flatten(1)
    assert len(both.unique(dim=0)) == 1797  # none is in both


def test_the_stand_in_can_be_learned():
    (images, labels), (others, truth) = (
        as_tensors(FashionMNIST(train=part, verbose=False)) for part in (True, False)
    )
    images, others = images.flatten(1) / 255, others.flatten(1) / 255
    nearest = torch.cdist(others, images).argmin(1)
    assert (labels[nearest] == truth).float().mean() > 0.97


def test_as_tensors(home):
    cifar10(home)
    data = CIFAR10(verbose=False)
    images, labels = as_tensors(data)
    assert images.shape == (20, 3, 32, 32) and images.dtype == torch.uint8
    assert images.is_contiguous() and labels.dtype == torch.int64
    np.testing.assert_array_equal(images[7].permute(1, 2, 0), data[7][0])
    part = Subset(Subset(data, [0, 7, 9]), [2, 1])
    some, their_labels = as_tensors(part)
    assert torch.equal(some, images[[9, 7]]) and their_labels.tolist() == [1, 3]
    with pytest.raises(TypeError, match="TensorDataset has no data"):
        as_tensors(TensorDataset(images))
