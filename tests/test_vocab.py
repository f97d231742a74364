import random
from collections import Counter, OrderedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ch08_ecosystem.vocab import Vocab, build_vocab_from_iterator, vocab

WORDS = st.lists(st.lists(st.sampled_from(["a", "b", "c", "d", "e", "f", "<unk>"])))


def test_documented_cases():
    counts = Counter(["a", "a", "b", "b", "b"])
    by_count = sorted(counts.items(), key=lambda pair: pair[1], reverse=True)
    one = vocab(OrderedDict(by_count))
    assert one["a"] == 1
    with pytest.raises(KeyError, match="set_default_index"):
        one["out of vocab"]
    tokens = ["e", "d", "c", "b", "a"]
    two = vocab(OrderedDict((t, 1) for t in tokens), specials=["<unk>"])
    two.set_default_index(-1)
    assert two["<unk>"] == 0 and two["out of vocab"] == -1
    two.set_default_index(two["<unk>"])
    assert two["out of vocab"] is two["<unk>"]
    assert two.get_itos() == ["<unk>", *tokens] and "new" not in two


def test_order_is_by_frequency_then_alphabet():
    found = build_vocab_from_iterator([["b", "c", "a"], ["c"]], specials=["<unk>"])
    assert found.get_itos() == ["<unk>", "c", "a", "b"]
    last = build_vocab_from_iterator([["b", "a"]], specials=["x"], special_first=False)
    assert last.get_itos() == ["a", "b", "x"]
    rare = build_vocab_from_iterator([["b", "c", "a"], ["c"]], min_freq=2)
    assert rare.get_itos() == ["c"]
    lists = [["b", "c", "a", "<unk>"], ["c", "<unk>"], ["c", "a"]]
    few = build_vocab_from_iterator(lists, specials=["<unk>"], max_tokens=3)
    assert few.get_itos() == ["<unk>", "c", "a"]


@given(WORDS, st.integers(2, 9), st.integers(1, 3))
def test_any_texts(lists, max_tokens, min_freq):
    options = {"min_freq": min_freq, "specials": ["<unk>"], "max_tokens": max_tokens}
    found = build_vocab_from_iterator(lists, **options)
    assert found.get_itos()[0] == "<unk>" and len(found) <= max_tokens
    assert found.get_itos().count("<unk>") == 1
    random.shuffle(lists)
    assert build_vocab_from_iterator(lists, **options).get_itos() == found.get_itos()
    assert found.lookup_tokens(found(found.get_itos())) == found.get_itos()


def test_tokens_can_be_added():
    found = Vocab(["a", "c"])
    found.insert_token("b", 1)
    found.append_token("d")
    assert found.get_stoi() == {"a": 0, "b": 1, "c": 2, "d": 3}
    for token, index in (("a", 0), ("e", 5), ("e", -1)):
        with pytest.raises(ValueError, match="is there, or"):
            found.insert_token(token, index)
        assert found.get_itos() == ["a", "b", "c", "d"]


def test_saved_and_loaded(tmp_path):
    found = build_vocab_from_iterator([["é", "b"]], specials=["<unk>"])
    found.set_default_index(0)
    found.save(tmp_path / "vocab.json")
    again = Vocab.load(tmp_path / "vocab.json")
    assert again(["b", "é", "new"]) == found(["b", "é", "new"])


@pytest.mark.parametrize(
    "content",
    [
        '{"words": []}',
        "[1, 2]",
        '{"tokens": "abc", "default_index": null}',
        '{"tokens": [1, 2], "default_index": null}',
        '{"tokens": ["a"], "default_index": "x"}',
        '{"tokens": ["a", "a"], "default_index": null}',
        '{"tokens": ["a"',
    ],
)
def test_another_file_is_no_vocabulary(tmp_path, content):
    (tmp_path / "vocab.json").write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match="no vocabulary"):
        Vocab.load(tmp_path / "vocab.json")


def test_bad_input():
    with pytest.raises(ValueError, match="more than once"):
        Vocab(["a", "a"])
    with pytest.raises(ValueError, match="no room"):
        build_vocab_from_iterator([["a"]], specials=["x"], max_tokens=1)
    with pytest.raises(IndexError, match="outside"):
        Vocab(["a"]).lookup_token(-1)
    assert Vocab(["a"]).get_default_index() is None
