"""The cases that torchtext's documentation gave, and more."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ch04_reference_designs.invented_reviews import invent_reviews
from ch04_reference_designs.vocabulary import ngrams
from ch08_ecosystem.tokens import (
    KINDS,
    basic_english,
    custom_replace,
    generate_sp_model,
    get_tokenizer,
    load_sp_model,
    numericalize_tokens_from_iterator,
    sentencepiece_numericalizer,
    sentencepiece_tokenizer,
    simple_space_split,
    train_sp_model,
)


def one_rule_after_the_other(text):
    """The rules in the order in which the documentation lists them."""
    rules = {"'": " ' ", '"': "", ".": " . ", "<br />": " ", ",": " , ", "(": " ( "}
    rules |= {")": " ) ", "!": " ! ", "?": " ? ", ";": " ", ":": " "}
    text = text.lower()
    for old, new in rules.items():
        text = text.replace(old, new)
    return re.sub(r"\s+", " ", text).split()


PIECES = ["a", "B", "é", "<br />", "<BR />", "'", '"', *".,()!?;: \t\n-&/<>", "br"]


@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join) | st.text())
def test_one_expression_does_what_all_rules_do(text):
    assert basic_english(text) == one_rule_after_the_other(text)


def test_get_tokenizer():
    documented = "You can now install TorchText using pip!"
    expected = ["you", "can", "now", "install", "torchtext", "using", "pip", "!"]
    assert get_tokenizer("basic_english")(documented) == expected
    assert get_tokenizer(None)(documented) == documented.split()
    assert get_tokenizer(list) is list
    with pytest.raises(ValueError, match="hand over a function"):
        get_tokenizer("spacy")


def test_documented_cases():
    tokens = ["here", "we", "are"]
    assert sorted(ngrams(tokens, 2)) == sorted(
        ["here", "here we", "we", "we are", "are"]
    )
    assert ngrams(tokens, 2) == ["here", "we", "are", "here we", "we are"]
    lines = ["Sentencepiece encode  aS  pieces", "exampleS to   try!"]
    replaced = custom_replace([(r"S", "s"), (r"\s+", " ")])(lines)
    assert list(replaced) == ["sentencepiece encode as pieces", "examples to try!"]
    lines = ["Sentencepiece encode as pieces", "example to try!"]
    assert list(simple_space_split(lines)) == [
        ["Sentencepiece", "encode", "as", "pieces"],
        ["example", "to", "try!"],
    ]


def test_numbers():
    vocab = {"Sentencepiece": 0, "encode": 1, "as": 2, "pieces": 3}
    tokens = list(simple_space_split(["Sentencepiece as pieces", "as pieces"]))
    found = numericalize_tokens_from_iterator(vocab, tokens)
    assert [list(ids) for ids in found] == [[0, 2, 3], [2, 3]]
    found = numericalize_tokens_from_iterator(vocab, tokens, removed_tokens=["as"])
    assert [list(ids) for ids in found] == [[0, 3], [3]]
    late = next(numericalize_tokens_from_iterator(vocab, [["as", "new"]]))
    assert next(late) == 2
    with pytest.raises(KeyError):
        next(late)


@pytest.fixture(scope="module")
def texts():
    return invent_reviews(200, seed=0)[0]


@pytest.mark.parametrize("kind", KINDS)
def test_sentencepiece_there_and_back(kind, texts, tmp_path, capfd):
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(texts), encoding="utf-8")
    prefix = tmp_path / "model"
    size = 80 if kind == "char" else 150
    generate_sp_model(path, size, kind, prefix, hard_vocab_limit=False)
    assert capfd.readouterr() == ("", "")
    sp = load_sp_model(f"{prefix}.model")
    with Path(f"{prefix}.model").open("rb") as file:
        again = load_sp_model(file)
    pieces = list(sentencepiece_tokenizer(sp)(texts[:5]))
    ids = list(sentencepiece_numericalizer(again)(texts[:5]))
    assert [sp.piece_to_id(p) for p in pieces[0]] == ids[0] or kind == "word"
    if kind != "word":
        assert [sp.decode(p) for p in pieces] == [
            " ".join(t.split()) for t in texts[:5]
        ]
    lines = (tmp_path / "model.vocab").read_text("utf-8").splitlines()
    assert len(lines) == len(sp) and lines[0].split("\t")[0] == "<unk>"


def test_the_same_text_gives_the_same_model(texts):
    assert train_sp_model(texts, 120) == train_sp_model(texts, 120)


def test_what_cannot_be(texts, tmp_path):
    with pytest.raises(ValueError, match="model_type"):
        train_sp_model(texts, 100, "sentence")
    with pytest.raises(RuntimeError):
        train_sp_model(texts, 100_000)
    (tmp_path / "m.model").write_bytes(train_sp_model(texts, 120))
    with (
        pytest.raises(TypeError, match="rb"),
        (tmp_path / "m.model").open(encoding="latin-1") as file,
    ):
        load_sp_model(file)
    with pytest.raises(FileNotFoundError):
        load_sp_model(tmp_path / "none.model")
