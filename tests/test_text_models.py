import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ch03_deep_learning.checkpoints import load_checkpoint, save_checkpoint
from ch03_deep_learning.training import evaluate, fit
from ch04_reference_designs.bags import BagLoader, Bags, PaddedLoader, padded
from ch04_reference_designs.text_models import (
    AveragedEmbedding,
    TransformerClassifier,
    mean_of_real,
)

ROWS = [[5, 8, 13], [3, 1, 4, 1, 5, 9], [2], [7, 7]]
LABELS = [0, 1, 1, 0]


def averaged():
    torch.manual_seed(0)
    return AveragedEmbedding(20, size=8)


def transformer(**changes):
    torch.manual_seed(0)
    sizes = {"size": 16, "heads": 2, "layers": 2, "dropout": 0.0} | changes
    return TransformerClassifier(20, 10, **sizes)


BOTH = pytest.mark.parametrize(
    ("build", "Loader"), [(averaged, BagLoader), (transformer, PaddedLoader)]
)


def batch(Loader):
    return next(iter(Loader(Bags.of(ROWS), LABELS)))


@BOTH
def test_gradients_reach_every_parameter(build, Loader):
    model = build()
    inputs, labels = batch(Loader)
    F.cross_entropy(model(*inputs), labels).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


@BOTH
def test_one_batch_is_learned_by_heart(build, Loader):
    model, loader = build(), Loader(Bags.of(ROWS), LABELS)
    adam = torch.optim.AdamW(model.parameters(), lr=0.02)
    fit(model, loader, optimizer=adam, epochs=60, device="cpu")
    found = evaluate(model, loader, device="cpu")
    assert found["accuracy"] == 1 and found["loss"] < 0.1


@BOTH
def test_loaded_it_gives_the_same_answers(build, Loader, tmp_path):
    model = build().eval()
    path = save_checkpoint({"weights": model.state_dict()}, tmp_path / "model.pt")
    torch.manual_seed(7)
    fresh = type(model)(20, 8) if build is averaged else transformer()
    for parameter in fresh.parameters():
        nn.init.ones_(parameter)
    fresh.load_state_dict(load_checkpoint(path)["weights"])
    inputs, _ = batch(Loader)
    assert fresh.eval()(*inputs).equal(model(*inputs))


# the average


def test_the_average_by_hand():
    model = averaged().eval()
    (flat, offsets), _ = batch(BagLoader)
    table = model.embedding.weight
    means = torch.stack([table[row].mean(0) for row in ROWS])
    torch.testing.assert_close(model(flat, offsets), model.linear(means))


def test_each_gram_has_one_weight():
    model = averaged().eval()
    inputs, _ = batch(BagLoader)
    logits = model(*inputs)
    bias = model.linear.bias[1] - model.linear.bias[0]
    by_weight = [model.weights()[row].mean() + bias for row in ROWS]
    torch.testing.assert_close(logits[:, 1] - logits[:, 0], torch.stack(by_weight))
    with pytest.raises(ValueError, match="two classes"):
        AveragedEmbedding(20, classes=3).weights()


def test_an_empty_text_gets_the_bias():
    model = averaged().eval()
    empty = model(*Bags.of([[], [5]]).batch([0, 1]))[0]
    torch.testing.assert_close(empty, model.linear.bias)
    rows = transformer().eval()(padded([[], [5, 6]]))
    torch.testing.assert_close(rows[0], transformer().linear.bias)
    assert rows.isfinite().all()


def test_padded_indices_are_refused_by_the_average():
    with pytest.raises(ValueError, match=r"not \(4, 6\)"):
        averaged()(padded(ROWS), torch.arange(4))


# the transformer


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("grad", [True, False])
def test_padding_does_not_leak(mode, grad):
    model = getattr(transformer(), mode)()  # without dropout both are the same
    with torch.set_grad_enabled(grad):
        together = model(padded(ROWS))
        for row, logits in zip(ROWS, together, strict=True):
            torch.testing.assert_close(model(torch.tensor([row]))[0], logits)
            more = torch.tensor([row + (10 - len(row)) * [0]])
            torch.testing.assert_close(model(more)[0], logits)


def test_no_gradient_reaches_the_padding():
    model = transformer()
    model(padded(ROWS)).sum().backward()
    assert model.token.weight.grad[0].abs().sum() == 0
    longest = max(map(len, ROWS))
    assert model.place.grad[longest:].abs().sum() == 0
    assert model.place.grad[longest - 1].abs().sum() > 0


def test_order_matters():
    model = transformer().eval()
    one, other = model(torch.tensor([[1, 2, 3]])), model(torch.tensor([[3, 2, 1]]))
    assert not one.allclose(other, atol=1e-4)
    nn.init.zeros_(model.place)
    one, other = model(torch.tensor([[1, 2, 3]])), model(torch.tensor([[3, 2, 1]]))
    torch.testing.assert_close(one, other)


def test_layers_begin_differently():
    first, second = transformer().encoder.layers
    assert not first.linear1.weight.equal(second.linear1.weight)
    assert not first.self_attn.in_proj_weight.equal(second.self_attn.in_proj_weight)


@pytest.mark.parametrize("layer", [0, 1])
def test_attention_is_that_of_the_model(layer):
    model = transformer().train()
    row = torch.tensor([5, 8, 13, 0, 0])
    weights = model.attention(row, layer)
    assert weights.shape == (2, 5, 5) and model.training
    assert (weights[..., 3:] == 0).all()
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 5))
    with pytest.raises(ValueError, match="a token among them"):
        model.attention(torch.zeros(3, dtype=torch.int64))
    seen = {}
    block = model.encoder.layers[layer]
    block.norm1.register_forward_hook(lambda *io: seen.update(x=io[2]))
    block.self_attn.register_forward_hook(lambda *io: seen.update(y=io[2][0]))
    model(row[None])
    project = block.self_attn
    _, _, wv = project.in_proj_weight.chunk(3)
    _, _, bv = project.in_proj_bias.chunk(3)
    value = F.linear(seen["x"], wv, bv)  # (1, L, E)
    value = value.unflatten(-1, (2, 8)).transpose(1, 2)[0]  # (heads, L, E / heads)
    mixed = (weights @ value).transpose(0, 1).flatten(1)  # (L, E)
    torch.testing.assert_close(project.out_proj(mixed)[:3], seen["y"][0, :3])


def test_texts_that_are_too_long_are_refused():
    with pytest.raises(ValueError, match="L at most 10, not \\(1, 11\\)"):
        transformer()(torch.ones(1, 11, dtype=torch.int64))
    with pytest.raises(ValueError, match="L at most 10"):
        transformer()(torch.ones(3, dtype=torch.int64))


def test_the_mean_over_real_tokens():
    x = torch.randn(3, 4, 2)
    x[0, 2:] = torch.nan  # what stands at padding is rubbish
    real = torch.tensor([[True, True, False, False], 4 * [True], 4 * [False]])
    means = torch.stack([x[0, :2].mean(0), x[1].mean(0), torch.zeros(2)])
    torch.testing.assert_close(mean_of_real(x, real), means)
