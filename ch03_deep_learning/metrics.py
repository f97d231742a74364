"""How good a classifier is, from its logits and the true labels.

N images, C classes. Logits are (N, C) of any floating type, before softmax; labels and
predictions are (N,) whole numbers in 0..C-1. Collect them over all batches, then call.
"""

import torch
from torch import Tensor


def accuracy(logits: Tensor, labels: Tensor, *, k: int = 1) -> float:
    """The share, in [0, 1], of images whose true class is among the `k` best.

    Raises `ValueError` for no images, for shapes that do not belong together, and for
    a `k` outside 1..C.
    """
    _check(logits, labels)
    if not 1 <= k <= logits.shape[1]:
        raise ValueError(f"k has to be in 1..{logits.shape[1]}, not {k}")
    best = logits.topk(k, dim=1).indices  # (N, k)
    right = (best == labels[:, None]).any(1)  # (N,)
    return right.sum().item() / len(right)  # a mean in float64 is more than MPS can do


def confusion_matrix(predicted: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """Counts (C, C) int64: row i, column j is how many of class i were called j.

    Raises `ValueError` where lengths differ or a class is outside 0..num_classes-1.
    """
    if predicted.ndim != 1 or predicted.shape != labels.shape:
        raise ValueError(
            f"needs predicted (N,) and labels (N,), not {tuple(predicted.shape)} and "
            f"{tuple(labels.shape)}; of logits (N, C) take logits.argmax(1)"
        )
    for name, values in (("predicted", predicted), ("labels", labels)):
        _check_whole(name, values)
        if values.numel() and not 0 <= values.min() <= values.max() < num_classes:
            raise ValueError(
                f"{name} holds {values.min()} to {values.max()}, "
                f"outside 0..{num_classes - 1}"
            )
    cells = labels.long() * num_classes + predicted.long()  # each pair is one number
    counts = torch.bincount(cells, minlength=num_classes**2)
    return counts.view(num_classes, num_classes)


def per_class_accuracy(matrix: Tensor) -> Tensor:
    """Of each class the share that was found (its recall): (C, C) -> (C,) float64.

    A class of which there were no images gives nan.
    """
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"needs a confusion matrix (C, C), not {tuple(matrix.shape)}")
    return matrix.diag().cpu().double() / matrix.sum(1).cpu()


def most_wrong(logits: Tensor, labels: Tensor, k: int) -> Tensor:
    """Indices (k,) of the images whose true class has the least probability.

    The worst comes first, and mistakes come before what is right. Where N < `k` there
    are N indices.
    """
    _check(logits, labels)
    if k < 1:
        raise ValueError(f"k has to be at least 1, not {k}")
    true = labels[:, None].long()  # (N, 1)
    score = logits.double().log_softmax(1).gather(1, true).squeeze(1)  # (N,)
    wrong = logits.argmax(1) != labels
    return (score - 1e9 * wrong).argsort(stable=True)[:k]


def _check(logits: Tensor, labels: Tensor) -> None:
    if logits.ndim != 2 or labels.shape != logits.shape[:1]:
        raise ValueError(
            f"needs logits (N, C) and labels (N,), not {tuple(logits.shape)} and "
            f"{tuple(labels.shape)}"
        )
    if not len(labels):
        raise ValueError("there are no images to judge: N is 0")
    _check_whole("labels", labels)
    if not 0 <= labels.min() <= labels.max() < logits.shape[1]:
        raise ValueError(
            f"labels holds {labels.min()} to {labels.max()}, "
            f"outside 0..{logits.shape[1] - 1}"
        )


def _check_whole(name: str, values: Tensor) -> None:
    if values.is_floating_point() or values.is_complex() or values.dtype == torch.bool:
        raise ValueError(f"{name} has to be of a whole-number type, not {values.dtype}")
