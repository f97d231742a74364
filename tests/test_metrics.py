"""Accuracy, the confusion matrix and the worst mistakes, against counting by hand."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from ch03_deep_learning.metrics import (
    accuracy,
    confusion_matrix,
    most_wrong,
    per_class_accuracy,
)

LOGITS = torch.tensor([[9.0, 1, 0], [5, 6, 0], [0, 1, 9], [1, 0, 4]])
LABELS = torch.tensor([0, 1, 0, 1])  # right, right, wrong, wrong


def test_accuracy_counts_the_right_ones():
    assert accuracy(LOGITS, LABELS) == 0.5
    assert accuracy(LOGITS, LOGITS.argmax(1)) == 1
    assert accuracy(LOGITS.half(), LABELS.int()) == 0.5


def test_the_best_k_include_more_and_all_of_them_everything():
    assert [accuracy(LOGITS, LABELS, k=k) for k in (1, 2, 3)] == [0.5, 0.5, 1.0]


@pytest.mark.parametrize("k", [0, 4])
def test_k_has_to_be_a_number_of_classes(k):
    with pytest.raises(ValueError, match=r"in 1\.\.3"):
        accuracy(LOGITS, LABELS, k=k)


def test_confusion_matrix_counts_pairs_rows_true():
    matrix = confusion_matrix(LOGITS.argmax(1), LABELS, 3)
    assert matrix.tolist() == [[1, 0, 1], [0, 1, 1], [0, 0, 0]]
    assert matrix.dtype == torch.int64


def test_confusion_matrix_equals_a_loop():
    generator = torch.Generator().manual_seed(0)
    predicted = torch.randint(7, (500,), generator=generator)
    labels = torch.randint(7, (500,), generator=generator)
    expected = torch.zeros(7, 7, dtype=torch.int64)
    for true, guess in zip(labels, predicted, strict=True):
        expected[true, guess] += 1
    matrix = confusion_matrix(predicted.to(torch.uint8), labels.to(torch.uint8), 7)
    assert torch.equal(matrix, expected)
    assert confusion_matrix(labels[:0], labels[:0], 7).sum() == 0


def test_confusion_matrix_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match=r"take logits.argmax\(1\)"):
        confusion_matrix(LOGITS, LABELS, 3)
    with pytest.raises(ValueError, match=r"labels holds 0 to 3, outside 0\.\.2"):
        confusion_matrix(LABELS, torch.tensor([0, 1, 2, 3]), 3)
    with pytest.raises(ValueError, match="predicted holds -1"):
        confusion_matrix(torch.tensor([-1]), torch.tensor([0]), 3)
    with pytest.raises(ValueError, match="whole-number type"):
        confusion_matrix(LABELS.float(), LABELS, 3)
    with pytest.raises(ValueError, match=r"not \(3,\) and \(4,\)"):
        confusion_matrix(LABELS[:3], LABELS, 3)


def test_per_class_accuracy_is_the_diagonal_over_the_row():
    found = per_class_accuracy(torch.tensor([[3, 1, 0], [0, 2, 0], [0, 0, 0]]))
    assert found[:2].tolist() == [0.75, 1.0]
    assert found[2].isnan()
    with pytest.raises(ValueError, match="confusion matrix"):
        per_class_accuracy(torch.zeros(2, 3))


def test_most_wrong_puts_the_worst_mistake_first():
    assert most_wrong(LOGITS, LABELS, 2).tolist() == [2, 3]
    assert most_wrong(LOGITS, LABELS, 99).tolist() == [2, 3, 1, 0]


def test_most_wrong_takes_mistakes_before_unsure_hits():
    logits = torch.tensor([[1.0, 0.9, 0.9, 0.9], [0, 2.0, -9, -9]])
    p = logits.softmax(1)
    labels = torch.tensor([0, 0])  # the first is right with less than 30 %
    assert p[0, 0] < 0.3
    assert most_wrong(logits, labels, 1).tolist() == [1]


def test_most_wrong_orders_probabilities_that_are_all_zero_in_float32():
    logits = torch.tensor([[0.0, 200.0], [0.0, 400.0], [0.0, 300.0]])
    assert most_wrong(logits, torch.zeros(3, dtype=torch.int64), 3).tolist() == [
        1,
        2,
        0,
    ]


@pytest.mark.parametrize("function", [accuracy, lambda x, y: most_wrong(x, y, 1)])
def test_shapes_that_do_not_belong_together_are_refused(function):
    with pytest.raises(ValueError, match=r"logits \(N, C\) and labels \(N,\)"):
        function(LOGITS, LABELS[:3])
    with pytest.raises(ValueError, match=r"logits \(N, C\)"):
        function(LOGITS.argmax(1), LABELS)
    with pytest.raises(ValueError, match="N is 0"):
        function(LOGITS[:0], LABELS[:0])
    with pytest.raises(ValueError, match="whole-number type"):
        function(LOGITS, LABELS.float())
    with pytest.raises(ValueError, match=r"outside 0\.\.2"):
        function(LOGITS, LABELS + 2)
    with pytest.raises(ValueError, match="at least 1"):
        most_wrong(LOGITS, LABELS, 0)


class NoFloat64(TorchDispatchMode):
    """As on Apple's GPUs."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        assert getattr(result, "dtype", None) != torch.float64, func
        return result


def test_accuracy_needs_no_float64():
    with NoFloat64():
        assert accuracy(torch.eye(3), torch.tensor([0, 1, 0])) == 2 / 3
