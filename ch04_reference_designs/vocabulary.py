"""From text to numbers: tokens, n-grams, and a vocabulary that gives each an index.

    grams_of("Not good!")  # ["not", "good", "!", "not good", "good !"]
    vocabulary = Vocabulary.build(map(grams_of, training_texts), min_count=3)
    indices = vocabulary.encode(grams_of("Not good!"))

Index 0 belongs to no token: it stands for unknown ones, and fills up rows that are
padded (`bags.py`). This file can be copied alone to another project.
"""

import html
import re
from collections import Counter
from collections.abc import Iterable, Sequence

NOTHING = 0  # the index of padding and of what is unknown
BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
TOKEN = re.compile(r"[^\W_]+(?:['’][^\W_]+)?|[!?]")  # don't, 10, café, !


def clean(text: str) -> str:
    """Without line breaks in HTML, and with `&amp;` and the like as characters."""
    return html.unescape(BREAK.sub(" ", text))


def tokenise(text: str) -> list[str]:
    """Words and numbers in lower case, and the marks ! and ?; `[]` for an empty text.

    Raises `TypeError` for what is no text.
    """
    if not isinstance(text, str):
        raise TypeError(f"a text has to be a string, not {type(text).__name__}")
    return TOKEN.findall(clean(text).lower().replace("’", "'"))


def ngrams(tokens: Sequence[str], n: int = 2) -> list[str]:
    """The tokens, then all pairs of neighbours joined by a blank, up to `n` together.

    Raises `ValueError` where `n` is below 1.
    """
    if n < 1:
        raise ValueError(f"n has to be at least 1, not {n}")
    grams = list(tokens)
    for size in range(2, n + 1):
        parts = (tokens[start:] for start in range(size))
        grams += map(" ".join, zip(*parts, strict=False))  # the shortest ends it
    return grams


def grams_of(text: str, n: int = 2) -> list[str]:
    """The different n-grams of a text, each once, in the order of their first place.

    Whether a word is there says more about a text than how often.
    """
    return list(dict.fromkeys(ngrams(tokenise(text), n)))


class Vocabulary:
    """Tokens and their indices, from 1 up; 0 stands for all others.

    `tokens[i]` is the token of index i. To save it, save that list.
    """

    def __init__(self, tokens: Sequence[str]) -> None:
        """`tokens`: those of a vocabulary, "" at the front, none twice.

        Raises `ValueError` otherwise.
        """
        self.tokens = list(tokens)
        self._index = {token: i for i, token in enumerate(self.tokens)}
        if self.tokens[:1] != [""]:
            raise ValueError('the first token has to be "", which stands for unknown')
        if len(self._index) < len(self.tokens):
            twice = Counter(self.tokens).most_common(1)[0][0]
            raise ValueError(f"{twice!r} is there more than once")

    @classmethod
    def build(
        cls,
        token_lists: Iterable[Iterable[str]],
        *,
        min_count: int = 1,
        max_size: int | None = None,
    ) -> "Vocabulary":
        """The tokens that occur `min_count` times or more, the most frequent first.

        Count training texts only. `max_size`: keep so many at most. Raises `ValueError`
        where nothing is left.
        """
        counts: Counter[str] = Counter()
        for tokens in token_lists:
            counts.update(tokens)
        kept = [token for token, n in counts.most_common(max_size) if n >= min_count]
        if not kept:
            raise ValueError(f"none of {len(counts)} tokens occurs {min_count} times")
        return cls(["", *kept])

    def __len__(self) -> int:
        return len(self.tokens)

    def __contains__(self, token: str) -> bool:
        return self[token] != NOTHING

    def __getitem__(self, token: str) -> int:
        """The index of the token, 0 for an unknown one."""
        return self._index.get(token, NOTHING)

    def encode(self, tokens: Iterable[str], *, unknown: bool = False) -> list[int]:
        """The indices of the tokens; those of unknown ones only if asked for."""
        found = [self._index.get(token, NOTHING) for token in tokens]
        return found if unknown else list(filter(None, found))
