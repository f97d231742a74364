import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ch08_ecosystem.bleu import bleu_score, ngram_counts

SENTENCE = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=9)
PAIRS = st.lists(
    st.tuples(SENTENCE, st.lists(SENTENCE, min_size=1, max_size=3)), min_size=1
)


def test_documented_case():
    candidates = [["My", "full", "pytorch", "test"], ["Another", "Sentence"]]
    references = [[candidates[0], ["Completely", "Different"]], [["No", "Match"]]]
    assert bleu_score(candidates, references) == pytest.approx(0.8408964276313782)


def test_counts():
    assert ngram_counts(["me", "me", "you"], 2) == {
        ("me",): 2, ("you",): 1, ("me", "me"): 1, ("me", "you"): 1
    }  # fmt: skip


@pytest.fixture(scope="module")
def theirs():
    from torchmetrics.text import BLEUScore  # here: it takes seconds, in each worker

    return BLEUScore


@given(pairs=PAIRS, max_n=st.integers(1, 4))
def test_like_torchmetrics(theirs, pairs, max_n):
    candidates = [candidate for candidate, _ in pairs]
    references = [several for _, several in pairs]
    for candidate, several in pairs:  # of two as near, theirs is chosen otherwise
        gaps = sorted({abs(len(one) - len(candidate)) for one in several})
        assume(sum(abs(len(o) - len(candidate)) == gaps[0] for o in several) == 1)
    expected = theirs(n_gram=max_n)(
        [" ".join(c) for c in candidates],
        [[" ".join(r) for r in s] for s in references],
    )
    assert bleu_score(candidates, references, max_n) == pytest.approx(
        expected.item(), abs=1e-5
    )


@given(PAIRS)
def test_between_0_and_1(pairs):
    candidates = [candidate for candidate, _ in pairs]
    assert 0 <= bleu_score(candidates, [several for _, several in pairs]) <= 1
    assert bleu_score(candidates, [[c] for c in candidates], 1) == pytest.approx(1)


def test_weights_and_bad_input():
    one = [["a", "b"]], [[["a", "c"]]]
    assert bleu_score(*one, max_n=1) == pytest.approx(0.5)
    assert bleu_score(*one, 2, weights=[1, 0]) == 0  # no pair is right
    assert bleu_score([["a"]], [[["a", "b"]]], 1) == pytest.approx(0.36787944)  # 1/e
    assert bleu_score([], []) == 0
    with pytest.raises(ValueError, match="weights"):
        bleu_score(*one, max_n=2, weights=[1])
    with pytest.raises(ValueError, match="1 candidates, 0 references"):
        bleu_score([["a"]], [])
    with pytest.raises(ValueError, match="at least one"):
        bleu_score([["a"]], [[]])
