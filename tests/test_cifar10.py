import os
import pickle

import numpy as np
import pytest

from ch01_intro.cifar10 import BATCHES, FOLDER, load_cifar10, read_batch


def batch(n: int = 4, seed: int = 0) -> dict:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (n, 3072), dtype=np.uint8)
    return {"batch_label": "x", "labels": [i % 10 for i in range(n)], "data": pixels}


def write(path, content, protocol: int = 2):
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


def test_pixels_are_planes_of_red_green_and_blue(tmp_path):
    content = batch()
    images, labels = read_batch(write(tmp_path / "b", content))
    assert images.shape == (4, 32, 32, 3) and images.dtype == np.uint8
    assert labels.tolist() == [0, 1, 2, 3]
    row = content["data"][2]
    assert images[2, 5, 7].tolist() == [row[5 * 32 + 7 + 1024 * c] for c in range(3)]


def test_all_files_are_put_in_order(tmp_path):
    folder = tmp_path / FOLDER
    folder.mkdir()
    for i, name in enumerate(BATCHES[True] + BATCHES[False]):
        write(folder / name, batch(seed=i))
    images, labels = load_cifar10(tmp_path, train=True)
    assert images.shape == (20, 3, 32, 32) and labels.shape == (20,)
    expected = batch(seed=4)["data"][0].reshape(3, 32, 32)
    np.testing.assert_array_equal(images[16].numpy(), expected)
    assert len(load_cifar10(tmp_path, train=False)[0]) == 4


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="data_batch_1"):
        load_cifar10(tmp_path, train=True)


@pytest.mark.parametrize("keep", [0, 1, 100, 5000])
def test_a_file_that_is_cut_off_is_named(tmp_path, keep):
    path = write(tmp_path / "data_batch_1", batch())
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"data_batch_1 is not a CIFAR-10 batch"):
        read_batch(path)


@pytest.mark.parametrize(
    "change",
    [
        {"labels": [0, 1, 2, 10]},
        {"labels": [0, 1]},
        {"labels": []},
        {"data": np.zeros((4, 3072), dtype=np.float32)},
        {"data": np.zeros((4, 100), dtype=np.uint8)},
    ],
)
def test_contents_that_do_not_fit_are_refused(tmp_path, change):
    path = write(tmp_path / "b", batch() | change)
    with pytest.raises(ValueError, match="not a CIFAR-10 batch"):
        read_batch(path)


class Bad:
    """A pickle that would run a command when it is read by `pickle.load`."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_code_in_a_pickle_is_not_run(tmp_path):
    trap = tmp_path / "made by the pickle"
    path = write(tmp_path / "b", batch() | {"extra": Bad(trap)})
    with pytest.raises(ValueError, match="has no place in this file"):
        read_batch(path)
    assert not trap.exists()
    pickle.loads(path.read_bytes())  # the plain unpickler does run it
    assert trap.exists()
