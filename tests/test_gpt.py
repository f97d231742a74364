"""The model, its cache, sampling and files: `ch04_reference_designs.gpt`."""

import pytest
import torch
import torch.nn.functional as F

from ch04_reference_designs.characters import Characters
from ch04_reference_designs.gpt import (
    GPT,
    Config,
    choose,
    generate,
    load,
    main,
    rotate,
    save,
    turns,
)

SMALL = Config(vocabulary=11, context=8, size=16, heads=2, layers=2)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return GPT(SMALL).eval()


def codes(rows, length):
    generator = torch.Generator().manual_seed(1)
    return torch.randint(11, (rows, length), generator=generator)


def test_a_later_token_changes_no_earlier_logit(model):
    x = codes(3, 8)
    for at in range(1, 8):
        changed = x.clone()
        changed[:, at:] = (changed[:, at:] + 1) % 11
        before, after = model(x), model(changed)
        torch.testing.assert_close(before[:, :at], after[:, :at])
        assert (before[:, at:] - after[:, at:]).abs().amax() > 1e-3


def test_attention_is_that_of_a_mask_by_hand(model):
    attention, x = model.blocks[0].attention, torch.randn(2, 5, 16)
    turn = turns(5, 8)
    q, k, v = attention.qkv(x).unflatten(-1, (3, 2, 8)).permute(2, 0, 3, 1, 4)
    scores = rotate(q, turn) @ rotate(k, turn).mT / 8**0.5
    later = torch.ones(5, 5, dtype=torch.bool).triu(1)
    y = scores.masked_fill(later, -torch.inf).softmax(-1) @ v
    expected = attention.out(y.transpose(1, 2).flatten(2))
    torch.testing.assert_close(attention(x, turn)[0], expected)


def test_rotation_keeps_lengths_and_knows_distances_only():
    q, k, turn = torch.randn(2, 4, 8), torch.randn(2, 4, 8), turns(40, 8)
    torch.testing.assert_close(rotate(q, turn[:, :4]).norm(dim=-1), q.norm(dim=-1))
    near, far = (
        rotate(q, part) @ rotate(k, part).mT for part in (turn[:, :4], turn[:, 30:34])
    )
    torch.testing.assert_close(near, far, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("pieces", [[8], [1] * 8, [3, 5], [1, 4, 1, 2], [2, 3]])
def test_cached_equals_uncached(model, rows, pieces):
    x, past, parts = codes(rows, sum(pieces)), None, []
    for part in x.split(pieces, dim=1):
        logits, past = model.step(part, past)
        parts.append(logits)
    torch.testing.assert_close(torch.cat(parts, 1), model(x))
    assert past[1][0].shape == (rows, 2, sum(pieces), 8)


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("length", [1, 5, 8, 12])
def test_the_same_text_past_the_end_of_the_context(model, rows, length):
    def text(cache):
        draw = torch.Generator().manual_seed(2)
        return generate(model, codes(rows, length), 30, generator=draw, cache=cache)

    assert torch.equal(text(True), text(False))
    assert text(True).shape == (rows, length + 30)
    assert torch.equal(text(True)[:, :length], codes(rows, length))


def test_greedy_top_1_and_the_mode(model):
    model.train()
    greedy = generate(model, codes(2, 3), 9, temperature=0)
    assert torch.equal(greedy, generate(model, codes(2, 3), 9, top_k=1))
    assert model.training
    counts = choose(torch.tensor([[0.0, 1, 2, 3]]).repeat(500, 1), 1.0, 2).unique()
    assert counts.tolist() == [2, 3]


def test_gradients_reach_each_parameter_and_one_batch_is_learned(model):
    x, optimizer = codes(4, 8), torch.optim.AdamW(model.parameters(), 0.01)
    for step in range(150):
        loss = F.cross_entropy(model(x[:, :-1]).flatten(0, 1), x[:, 1:].flatten())
        if step == 0:
            assert loss.item() == pytest.approx(2.4, abs=0.2)  # log 11
        optimizer.zero_grad()
        loss.backward()
        assert all(p.grad.abs().sum() > 0 for p in model.parameters())
        optimizer.step()
    assert loss < 0.5  # the first tokens of two rows may be alike


def test_a_saved_model_gives_the_same(model, tmp_path, capsys):
    characters = Characters("abcdefghijk")
    save(model, characters, tmp_path / "new")
    fresh, known = load(tmp_path / "new")
    assert known.characters == characters.characters and fresh.config == SMALL
    torch.testing.assert_close(fresh(codes(2, 8)), model(codes(2, 8)), rtol=0, atol=0)
    for _ in range(2):
        main([str(tmp_path / "new"), "abc", "--count", "12"])
    one, other = capsys.readouterr().out.split()
    assert one == other and one.startswith("abc") and len(one) == 15


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (codes(1, 9), "9 tokens do not fit into a context of 8"),
        (codes(1, 0), "L > 0"),
        (codes(1, 3)[0], "needs tokens"),
        (torch.tensor([[11]]), r"0\.\.10"),
        (torch.tensor([[-1]]), r"0\.\.10"),
    ],
)
def test_bad_input(model, x, words):
    with pytest.raises(ValueError, match=words):
        model(x)


def test_bad_settings(model):
    with pytest.raises(ValueError, match="L > 0"):
        generate(model.train(), codes(1, 0), 3)
    assert model.training
    model.eval()
    for wrong in (dict(temperature=-1), dict(top_k=0)):
        with pytest.raises(ValueError, match="temperature has to be"):
            generate(model, codes(1, 2), 3, **wrong)
    with pytest.raises(ValueError, match="multiple of 2"):
        Config(vocabulary=3, size=10, heads=4)
    _, past = model.step(codes(1, 8))
    with pytest.raises(ValueError, match="9 tokens"):
        model.step(codes(1, 1), past)
