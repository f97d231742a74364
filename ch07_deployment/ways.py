"""Six files for one trained network: how each is written, and how it is read.

What a way needs is imported when it is used: ONNX Runtime runs without PyTorch.
"""

import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

Run = Callable[[np.ndarray], np.ndarray]  # images (N, 3, 32, 32) -> logits (N, 10)
LARGEST = 64  # images in a batch that the exported programs take
DEPRECATED = r"`torch\.jit\.\w+` is deprecated"  # how the warnings begin


@dataclass(frozen=True)
class Way:
    """How a network is written and read, and what the reader has to have."""

    file: str
    needs: str
    write: Callable  # (model, images (N, 3, 32, 32), path) -> None
    load: Callable[[Path], Run]
    package: str = "torch"


def _of_torch(model: Callable) -> Run:
    import torch

    def run(images: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return model(torch.from_numpy(images)).numpy()

    return run


def write_eager(model, images, path: Path) -> None:
    import torch

    torch.save(model.state_dict(), path)


def load_eager(path: Path) -> Run:
    import torch

    from ch01_intro.network import SmallResNet

    model = SmallResNet()
    model.load_state_dict(torch.load(path, weights_only=True))
    return _of_torch(model.eval())


def write_script(model, images, path: Path) -> None:
    import torch

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", DEPRECATED)
        torch.jit.freeze(torch.jit.script(model)).save(str(path))


def load_script(path: Path) -> Run:
    import torch

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", DEPRECATED)
        return _of_torch(torch.jit.load(str(path)))


def exported(model, images):
    """The network as a graph (`torch.export`) for 1 to 64 images in a batch."""
    import torch

    batch = torch.export.Dim("batch", min=1, max=LARGEST)
    return torch.export.export(model, (images,), dynamic_shapes=({0: batch},))


def write_export(model, images, path: Path) -> None:
    import torch

    torch.export.save(exported(model, images), path)


def load_export(path: Path) -> Run:
    import torch

    return _of_torch(torch.export.load(path).module())


def write_aoti(model, images, path: Path) -> None:
    import torch

    program = exported(model, images)
    torch._inductor.aoti_compile_and_package(program, package_path=str(path))


def load_aoti(path: Path) -> Run:
    import torch

    return _of_torch(torch._inductor.aoti_load_package(str(path)))


def write_onnx(model, images, path: Path) -> None:
    import torch

    program = torch.onnx.export(
        model, (images,), dynamic_shapes=({0: "batch"},), dynamo=True, verbose=False
    )
    program.save(path)


def load_onnx(path: Path) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS", 0))
    session = onnxruntime.InferenceSession(path, options)
    (entry,) = session.get_inputs()
    return lambda images: session.run(None, {entry.name: images})[0]


def write_executorch(model, images, path: Path) -> None:
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import (
        XnnpackPartitioner,
    )
    from executorch.exir import to_edge_transform_and_lower

    lowered = to_edge_transform_and_lower(
        exported(model, images), partitioner=[XnnpackPartitioner()]
    )
    path.write_bytes(lowered.to_executorch().buffer)


def load_executorch(path: Path) -> Run:
    from executorch.extension.pybindings import portable_lib
    from executorch.runtime import Runtime

    if threads := int(os.environ.get("OMP_NUM_THREADS", 0)):  # it does not look there
        portable_lib._unsafe_reset_threadpool(threads)
    program = Runtime.get().load_program(path)
    method = program.load_method("forward")
    run = _of_torch(lambda images: method.execute([images])[0].clone())
    run.keep = program  # the method lives as long as its program
    return run


WAYS = {
    "eager": Way("eager.pt", "Python, PyTorch, the class", write_eager, load_eager),
    "TorchScript": Way("script.pt", "libtorch", write_script, load_script),
    "torch.export": Way("export.pt2", "Python, PyTorch", write_export, load_export),
    "AOTInductor": Way("aoti.pt2", "libtorch", write_aoti, load_aoti),
    "ONNX": Way("model.onnx", "ONNX Runtime", write_onnx, load_onnx, "onnxruntime"),
    "ExecuTorch": Way("model.pte", "its own runtime", write_executorch,
                      load_executorch, "executorch"),
}  # fmt: skip


def available(name: str) -> bool:
    """Whether the package that a way needs is installed. Raises `KeyError`."""
    return find_spec(WAYS[name].package) is not None


def write(name: str, model, images, folder: Path) -> Path:
    """Write a file that way. Raises `ImportError` where a package is missing."""
    path = folder / WAYS[name].file
    WAYS[name].write(model, images, path)
    return path
