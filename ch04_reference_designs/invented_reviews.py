"""Film reviews that a small generator makes up: a stand-in for real ones.

    texts, labels = invent_reviews(2000, seed=0)

A review holds a few opinions and some sentences that say nothing. Two opinions of five
use the opposite word with a negation ("never dull", "not good"), and one of five or so
is of the other kind than the review as a whole. So single words are a weak hint, pairs
of words a good one, and nothing is certain.
"""

import random

ASPECTS = (
    "acting", "plot", "script", "music", "ending", "opening", "cast", "dialogue",
    "camera work", "pacing", "humour", "villain", "hero", "story", "editing",
)  # fmt: skip
GOOD = (
    "good", "great", "funny", "clever", "moving", "gripping", "original", "charming",
    "convincing", "brilliant", "lively", "memorable",
)  # fmt: skip
BAD = (
    "bad", "awful", "dull", "boring", "weak", "clumsy", "predictable", "silly",
    "tedious", "lifeless", "forced", "confusing",
)  # fmt: skip
STRONGER = ("", "", "", "really ", "very ", "so ", "surprisingly ", "truly ")
NEGATIONS = ("not", "never", "hardly", "isn't", "not")
FILLERS = (
    "I saw it on a {day} with my {who}.",
    "It runs for {minutes} minutes.",
    "My {who} had told me about it.",
    "The {aspect} was much talked about that year.",
    "We watched it at home on a rainy {day}.",
    "The director has made {few} films before.",
    "It was shot in {place}, as far as I know.",
)
ENDINGS = {1: ("See it!", "I would watch it again.", "Time well spent."),
           0: ("Skip it.", "I wanted my money back.", "Time wasted.")}  # fmt: skip
WORDS = {
    "day": ("Monday", "Friday", "Saturday", "Sunday", "holiday"),
    "who": ("brother", "sister", "father", "mother", "friends", "neighbour"),
    "minutes": ("85", "92", "100", "118", "140"),
    "few": ("two", "three", "four", "many"),
    "place": ("Italy", "Canada", "a studio", "the desert", "Ireland"),
    "aspect": ASPECTS,
}


def invent_reviews(count: int, seed: int = 0) -> tuple[list[str], list[int]]:
    """`count` texts and their labels, 0 against the film and 1 for it, as many of each.

    The same count and seed give the same reviews everywhere. Raises `ValueError` where
    `count` is below 2, so that one label would be missing.
    """
    if count < 2:
        raise ValueError(f"count has to be at least 2, one of each label, not {count}")
    rng = random.Random(seed)
    labels = [int(i >= count // 2) for i in range(count)]
    return [_review(rng, label) for label in labels], labels


def _review(rng: random.Random, label: int) -> str:
    for_it = rng.choice((3, 4, 4, 5))  # opinions that agree with the label
    opinions = [label] * for_it + [1 - label] * rng.choice((0, 0, 1, 1, 2))
    aspects = rng.sample(ASPECTS, len(opinions))
    sentences = [_opinion(rng, a, o) for a, o in zip(aspects, opinions, strict=True)]
    for _ in range(rng.choice((1, 2, 3))):
        filler = rng.choice(FILLERS)
        sentences.append(filler.format(**{k: rng.choice(v) for k, v in WORDS.items()}))
    rng.shuffle(sentences)
    if rng.random() < 0.15:
        sentences.append(rng.choice(ENDINGS[label]))
    middle = len(sentences) // 2
    paragraphs = sentences[:middle], sentences[middle:]
    return "<br /><br />".join(" ".join(part) for part in paragraphs)


def _opinion(rng: random.Random, aspect: str, good: int) -> str:
    """One sentence on one aspect; two of five times by way of a negation."""
    negated = rng.random() < 0.4
    words = GOOD if good != negated else BAD
    if negated:
        verb = rng.choice(NEGATIONS)
        verb = verb if verb == "isn't" else f"is {verb}"
        degree = rng.choice(("", "", "", "", "very "))
    else:
        verb, degree = "is", rng.choice(STRONGER)
    end = rng.choice((".", ".", ".", "!", ", I think.", " all the way through."))
    return f"The {aspect} {verb} {degree}{rng.choice(words)}{end}"
