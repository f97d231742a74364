import pytest
from sklearn.feature_extraction.text import CountVectorizer

from ch04_reference_designs.vocabulary import (
    Vocabulary,
    clean,
    grams_of,
    ngrams,
    tokenise,
)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Don't go!<br /><br/>It’s BAD?", ["don't", "go", "!", "it's", "bad", "?"]),
        ("a café in Köln: 7/10", ["a", "café", "in", "köln", "7", "10"]),
        ("rock &amp; roll_over", ["rock", "roll", "over"]),
        ("'quoted' -- yes...", ["quoted", "yes"]),
        ("", []),
        (" .,; ", []),
    ],
)
def test_tokens(text, tokens):
    assert tokenise(text) == tokens


def test_words_do_not_grow_together_over_a_line_break():
    assert clean("one<BR>two &lt;3") == "one two <3"


@pytest.mark.parametrize("wrong", [None, b"bytes", ["a", "list"]])
def test_what_is_no_text(wrong):
    with pytest.raises(TypeError, match="has to be a string"):
        tokenise(wrong)


def test_ngrams():
    tokens = ["a", "b", "c"]
    assert ngrams(tokens, 1) == tokens and ngrams([]) == []
    assert ngrams(tokens) == ["a", "b", "c", "a b", "b c"]
    assert ngrams(tokens, 3)[-1] == "a b c" and ngrams(["a"], 3) == ["a"]
    with pytest.raises(ValueError, match="at least 1"):
        ngrams(tokens, 0)


def test_the_same_n_grams_as_scikit_learn():
    texts = ["Not good, but never boring!", "So good. So, so good", "boring"]
    theirs = CountVectorizer(ngram_range=(1, 2), token_pattern=r"[^\W_]+|[!?]")
    theirs.fit(texts)
    ours = Vocabulary.build(map(grams_of, texts))
    assert set(ours.tokens[1:]) == set(theirs.vocabulary_)


def test_each_n_gram_once_in_order():
    assert grams_of("Bad, bad film") == ["bad", "film", "bad bad", "bad film"]


def test_a_vocabulary_counts():
    lists = [["b", "a"], ["a", "c"], ["a", "b"]]
    vocabulary = Vocabulary.build(lists, min_count=2)
    assert vocabulary.tokens == ["", "a", "b"] and len(vocabulary) == 3
    assert (vocabulary["b"], vocabulary["c"]) == (2, 0)
    assert "a" in vocabulary and "c" not in vocabulary
    assert vocabulary.encode(["c", "b", "a"]) == [2, 1]
    assert vocabulary.encode(["c", "b"], unknown=True) == [0, 2]
    assert vocabulary.encode([]) == []
    assert Vocabulary.build(lists, max_size=1).tokens == ["", "a"]
    again = Vocabulary(vocabulary.tokens)
    assert [again[token] for token in "abc"] == [1, 2, 0]


def test_vocabularies_that_are_refused():
    with pytest.raises(ValueError, match="none of 1 tokens occurs 5 times"):
        Vocabulary.build([["a"]], min_count=5)
    with pytest.raises(ValueError, match="none of 0"):
        Vocabulary.build([])
    with pytest.raises(ValueError, match="stands for unknown"):
        Vocabulary(["a"])
    with pytest.raises(ValueError, match="'a' is there more than once"):
        Vocabulary(["", "a", "a"])
