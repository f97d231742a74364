import os
import random

import numpy as np
import pytest
import torch

from ch01_intro.devices import fast_dtype, pick_device, seed_everything


def draw() -> tuple[float, float, float]:
    return random.random(), np.random.rand(), torch.rand(()).item()  # noqa: NPY002


@pytest.fixture(autouse=True)
def restore_determinism():
    yield
    torch.use_deterministic_algorithms(False)


def pretend(monkeypatch, device: str | None, count: int = 1) -> None:
    """Let torch.accelerator report a device that this machine need not have."""
    found = torch.device(device) if device else None
    monkeypatch.setattr(
        torch.accelerator, "current_accelerator", lambda check_available=False: found
    )
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: count)


def test_without_an_accelerator_it_is_the_cpu(monkeypatch):
    pretend(monkeypatch, None, 0)
    monkeypatch.delenv("PYTORCH_BOOK_DEVICE", raising=False)
    assert pick_device() == torch.device("cpu")


@pytest.mark.parametrize("kind", ["cuda", "mps", "xpu"])
def test_an_accelerator_is_taken_and_the_cpu_can_still_be_asked_for(monkeypatch, kind):
    monkeypatch.delenv("PYTORCH_BOOK_DEVICE", raising=False)
    pretend(monkeypatch, kind)
    assert pick_device().type == kind
    assert pick_device("cpu").type == "cpu"
    assert pick_device(f"{kind}:0") == torch.device(kind, 0)


def test_the_variable_stands_in_for_the_argument(monkeypatch):
    pretend(monkeypatch, "cuda", 2)
    monkeypatch.setenv("PYTORCH_BOOK_DEVICE", "cuda:1")
    assert pick_device() == torch.device("cuda:1")
    assert pick_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize(
    ("there", "wanted", "message"),
    [
        (None, "cuda", r"No cuda on this machine; it has: cpu"),
        ("cuda", "mps", r"No mps on this machine; it has: 1 x cuda, cpu"),
        ("cuda", "cuda:1", r"No cuda:1"),
        (None, "gpu", r"'gpu' is not the name of a device"),
    ],
)
def test_a_device_that_is_not_there_is_refused(monkeypatch, there, wanted, message):
    pretend(monkeypatch, there)
    with pytest.raises(ValueError, match=message):
        pick_device(wanted)


def test_one_seed_for_python_numpy_and_torch():
    seed_everything(7)
    first = draw()
    seed_everything(7)
    assert draw() == first
    seed_everything(8)
    assert all(a != b for a, b in zip(draw(), first, strict=True))


def test_it_returns_the_generator_that_it_seeded():
    assert seed_everything(3).initial_seed() == 3


def test_deterministic_is_also_said_to_cublas_and_cudnn(monkeypatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")  # so that it is restored
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    seed_everything(0, deterministic=False)
    assert torch.backends.cudnn.benchmark
    assert "CUBLAS_WORKSPACE_CONFIG" not in os.environ
    seed_everything(0, deterministic=True)
    assert not torch.backends.cudnn.benchmark
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"


@pytest.mark.parametrize("native", [True, False])
def test_the_fast_dtype_of_an_accelerator(monkeypatch, native):
    monkeypatch.setattr(
        torch.cuda,
        "is_bf16_supported",
        lambda including_emulation=True: native or including_emulation,
    )
    assert fast_dtype("cuda:0") is (torch.bfloat16 if native else torch.float16)
    assert fast_dtype("mps") is fast_dtype("xpu") is torch.float16
    assert fast_dtype("meta") is None


def test_deterministic_algorithms_are_switched_on_and_off_again():
    seed_everything(0, deterministic=True)
    assert torch.are_deterministic_algorithms_enabled()
    seed_everything(0)
    assert torch.are_deterministic_algorithms_enabled()  # only seeded
    seed_everything(0, deterministic=False)
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_out_of_range_is_refused(seed):
    with pytest.raises(ValueError, match="seed has to be in"):
        seed_everything(seed)
