"""Evaluation: a mean over examples, and a model that can be trained after it."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.rnn import pack_sequence
from torch.utils.data import DataLoader, TensorDataset

from ch03_deep_learning.evaluation import evaluate, forward

GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(90, 2, generator=GENERATOR)
Y = torch.randint(3, (90,), generator=GENERATOR)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3))


@pytest.mark.parametrize("amp", [None, torch.bfloat16])
def test_the_model_computes_in_the_dtype_of_amp(amp):
    seen, model = set(), network()
    model[0].register_forward_hook(lambda module, args, output: seen.add(output.dtype))
    evaluate(model, [(X, Y)], device="cpu", amp=amp)
    assert seen == {amp or torch.float32}


def test_evaluation_is_over_examples_and_leaves_the_mode():
    model = network()
    logits = model.eval()(X)
    expected = {
        "loss": F.cross_entropy(logits, Y).item(),
        "accuracy": (logits.argmax(1) == Y).float().mean().item(),
    }
    for training, size in ((True, 90), (False, 40)):  # 40 + 40 + 10
        model.train(training)
        found = evaluate(model, DataLoader(TensorDataset(X, Y), size), device="cpu")
        assert found == pytest.approx(expected, abs=1e-6)
        assert model.training is training


class Moved(nn.Linear):
    """Its weights get a new storage when it is moved, as on the way to a GPU."""

    def to(self, *args, **kwargs):
        return super().double()


def test_a_model_that_evaluation_moved_can_still_be_trained():
    model = Moved(2, 3)
    evaluate(model, [(X.double(), Y)], device="cpu")
    F.cross_entropy(model(X.double()), Y).backward()
    assert model.weight.grad is not None


def test_sums_are_kept_in_float32():
    def small(model: nn.Module, batch: torch.Tensor) -> torch.Tensor:
        return torch.tensor(0.236, dtype=torch.bfloat16)

    found = evaluate(network(), [None] * 1000, batch_loss=small, device="cpu")
    assert found == {"loss": pytest.approx(0.236, abs=1e-3)}


@pytest.mark.parametrize(
    ("targets", "loss"),
    [
        (torch.zeros(90, 3), F.mse_loss),  # regression
        (F.one_hot(Y).float(), F.cross_entropy),  # shares of classes
    ],
)
def test_without_numbers_of_classes_there_is_no_accuracy(targets, loss):
    found = evaluate(network(), [(X, targets)], loss=loss, device="cpu")
    assert set(found) == {"loss"}


def test_packed_sequences_are_one_input():
    packed = pack_sequence([torch.ones(3, 2), torch.ones(1, 2)])
    outputs = torch.zeros(2, 3)
    value, found = forward(
        lambda inputs: outputs if inputs is packed else None,
        (packed, torch.tensor([0, 1])),
        F.cross_entropy,
        None,
    )
    assert found is outputs and value.item() == pytest.approx(1.0986, abs=1e-4)


def test_nothing_to_evaluate():
    with pytest.raises(ValueError, match="no batch"):
        evaluate(network(), [], device="cpu")
