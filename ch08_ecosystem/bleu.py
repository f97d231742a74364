"""BLEU: how many n-grams of a translation stand in a reference as well.

    bleu_score([["a", "good", "film"]], [[["a", "good", "film"], ["a", "fine", "one"]]])

After Papineni et al., "BLEU: a method for automatic evaluation of machine translation"
(2002); arguments and results as torchtext.data.bleu_score had them. This file can be
copied alone to another project.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import reduce
from operator import or_


def ngram_counts(tokens: Sequence[str], max_n: int) -> Counter[tuple[str, ...]]:
    """How often each n-gram occurs, for n from 1 to `max_n`."""
    return Counter(
        tuple(tokens[start : start + n])
        for n in range(1, max_n + 1)
        for start in range(len(tokens) - n + 1)
    )


def bleu_score(
    candidate_corpus: Iterable[Sequence[str]],
    references_corpus: Iterable[Sequence[Sequence[str]]],
    max_n: int = 4,
    weights: Sequence[float] | None = None,
) -> float:
    """BLEU of a whole corpus, from 0 to 1; N candidates, and for each its references.

    `weights`: one for each n from 1 to `max_n`, 1 / `max_n` each by default. Raises
    `ValueError` where the numbers do not fit, or a candidate has no reference. It is
    0 where not one n-gram of some length is found: score a corpus, not a sentence.
    """
    weights = [1 / max_n] * max_n if weights is None else list(weights)
    if len(weights) != max_n:
        raise ValueError(f"max_n={max_n} needs {max_n} weights, not {len(weights)}")
    candidates, references = list(candidate_corpus), list(references_corpus)
    if len(candidates) != len(references):
        raise ValueError(f"{len(candidates)} candidates, {len(references)} references")
    if not all(references):
        raise ValueError("each candidate needs at least one reference")
    found, total = [0] * max_n, [0] * max_n
    ours = theirs = 0  # tokens
    for candidate, several in zip(candidates, references, strict=True):
        ours += len(candidate)
        theirs += min(
            map(len, several), key=lambda length: abs(length - len(candidate))
        )
        allowed = reduce(or_, (ngram_counts(one, max_n) for one in several))  # largest
        for gram, count in ngram_counts(candidate, max_n).items():
            total[len(gram) - 1] += count
            found[len(gram) - 1] += min(count, allowed[gram])
    if min(found) == 0:
        return 0.0
    parts = zip(weights, found, total, strict=True)
    precision = math.exp(sum(w * math.log(f / t) for w, f, t in parts))
    return precision * math.exp(min(0.0, 1 - theirs / ours))  # too short costs
