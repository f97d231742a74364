"""The real CIFAR-10, for benchmarks and for the training of weights."""

from torch import Tensor

from ch01_intro.assets import data_home
from ch01_intro.cifar10 import load_cifar10

Data = tuple[Tensor, Tensor]  # images (N, 3, 32, 32) uint8, labels (N,) int64


def real_data(what: str, limit: int | None = None) -> tuple[Data, Data]:
    """The first `limit` images to learn from, and all test images.

    Ends the program with what to do where they are not on disk; `what` needs them.
    """
    try:
        data, test = (load_cifar10(data_home(), train=train) for train in (True, False))
    except FileNotFoundError as error:
        raise SystemExit(
            f"{error.filename} is missing: the {what} needs the real CIFAR-10. "
            "Point PYTORCH_BOOK_DATA at the folder that has it."
        ) from error
    return (data[0][:limit], data[1][:limit]), test
