"""Files of the deployed network: the same answers back, and what a process measures.

AOTInductor and ExecuTorch, which take long, are written and compared in the notebooks.
"""

import warnings

import numpy as np
import pytest
import torch

from ch07_deployment import footprint, ways
from ch07_deployment.example import example_model, real_images
from ch07_deployment.footprint import measure, measured_apart
from ch07_deployment.ways import WAYS, available, exported, write

QUICK = ("eager", "TorchScript", "torch.export", "ONNX")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The quick files, and the images and logits that `measure` compares with."""
    path = tmp_path_factory.mktemp("ways")
    model, images = example_model(), real_images(32)
    np.save(path / "images.npy", images.numpy())
    with torch.inference_mode():
        np.save(path / "logits.npy", model(images).numpy())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporters' own
        for name in QUICK:
            assert write(name, model, images, path).is_file()
    return path


@pytest.mark.parametrize("name", QUICK)
def test_the_same_answers_for_any_number_of_images(folder, name):
    run = WAYS[name].load(folder / WAYS[name].file)
    for n in (1, 3, 32):
        images = real_images(n)
        with torch.inference_mode():
            expected = example_model()(images)
        torch.testing.assert_close(
            torch.from_numpy(run(images.numpy())), expected, atol=1e-4, rtol=1e-4
        )


def test_what_is_measured(folder):
    found = measure("eager", folder, rounds=2)
    assert found.way == "eager" and found.difference == 0
    assert 3 < found.megabytes < 4  # 810,178 numbers of 4 bytes
    assert 0 < found.one_ms < found.batch_ms and found.memory_mb > 50


def test_a_process_of_its_own_imports_only_what_it_needs(folder):
    """Without PyTorch it is a fraction of the memory, on any machine."""
    eager, onnx = (measured_apart(name, folder) for name in ("eager", "ONNX"))
    assert onnx.difference < 1e-4
    assert onnx.memory_mb < 0.7 * eager.memory_mb


def test_a_way_that_answers_something_else_is_seen(folder, tmp_path):
    for name in ("images.npy", "logits.npy"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    write("eager", type(example_model())(), real_images(1), tmp_path)  # untrained
    assert measure("eager", tmp_path, rounds=1).difference > 0.1


def test_a_process_that_fails_says_why(tmp_path):
    with pytest.raises(RuntimeError, match=r"(?s)measure ONNX failed:.*images\.npy"):
        measured_apart("ONNX", tmp_path)


def test_a_damaged_file_is_an_error(folder, tmp_path):
    for name in ("ONNX", "torch.export"):
        cut = tmp_path / WAYS[name].file
        cut.write_bytes((folder / WAYS[name].file).read_bytes()[:1000])
        with pytest.raises(Exception, match=r".+"):
            WAYS[name].load(cut)


def test_too_many_images_are_refused():
    program = exported(example_model(), real_images(2)).module()
    with pytest.raises(AssertionError, match="64"):
        program(torch.zeros(ways.LARGEST + 1, 3, 32, 32))


def test_executorch_takes_the_threads_of_the_others(folder, monkeypatch):
    portable_lib = pytest.importorskip("executorch.extension.pybindings.portable_lib")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    with pytest.raises((OSError, RuntimeError, ValueError)):
        WAYS["ExecuTorch"].load(folder / "no.pte")  # the threads come first
    assert portable_lib._threadpool_get_thread_count() == 1


def test_a_package_that_is_not_there(monkeypatch):
    assert available("eager")
    monkeypatch.setattr(ways, "find_spec", lambda _: None)
    assert not available("ONNX")
    with pytest.raises(KeyError):
        available("pigeon")


def test_the_command(folder, capsys):
    footprint.main("measure", "eager", str(folder))
    assert '"way": "eager"' in capsys.readouterr().out
