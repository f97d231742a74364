"""A vocabulary as torchtext.vocab had it: special tokens, a default index, one order.

    vocab = build_vocab_from_iterator(token_lists, 2, specials=["<pad>", "<unk>"])
    vocab.set_default_index(vocab["<unk>"])
    vocab(["a", "good", "film"])

The `Vocabulary` of `ch04_reference_designs/vocabulary.py` is the smaller brother: one
index for padding and for what is unknown, and no order among tokens of one frequency.
Here padding and unknown are two, and equal counts stand in the order of the alphabet,
so that the indices do not depend on the order of the texts. This file can be copied
alone to another project.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path


class Vocab:
    """N tokens and their indices 0..N-1; `vocab[token]`, `vocab(tokens)`, `len(vocab)`.

    An unknown token gives the default index where one is set; otherwise it raises
    `KeyError` (torchtext: `RuntimeError`).
    """

    def __init__(self, tokens: Sequence[str], default_index: int | None = None) -> None:
        """`tokens[i]` gets index i. Raises `ValueError` for one that is there twice."""
        self._tokens = list(tokens)
        self._default = default_index
        self._number()

    def _number(self) -> None:
        self._index = {token: i for i, token in enumerate(self._tokens)}
        if len(self._index) < len(self._tokens):
            twice = Counter(self._tokens).most_common(1)[0][0]
            raise ValueError(f"the token {twice!r} is there more than once")

    def __len__(self) -> int:
        return len(self._tokens)

    def __contains__(self, token: str) -> bool:
        """Whether it has an index of its own, whatever the default."""
        return token in self._index

    def __getitem__(self, token: str) -> int:
        found = self._index.get(token, self._default)
        if found is None:
            raise KeyError(
                f"{token!r} is not in the vocabulary. Build it with "
                'specials=["<unk>"] and call set_default_index(vocab["<unk>"])'
            )
        return found

    def __call__(self, tokens: Iterable[str]) -> list[int]:
        return [self[token] for token in tokens]

    lookup_indices = __call__

    def lookup_token(self, index: int) -> str:
        """The token of an index. Raises `IndexError` outside of 0..N-1."""
        if not 0 <= index < len(self):
            raise IndexError(f"index {index} is outside of 0..{len(self) - 1}")
        return self._tokens[index]

    def lookup_tokens(self, indices: Iterable[int]) -> list[str]:
        return [self.lookup_token(index) for index in indices]

    def set_default_index(self, index: int | None) -> None:
        """What unknown tokens get from now on; `None`: they are an error."""
        self._default = index

    def get_default_index(self) -> int | None:
        return self._default

    def insert_token(self, token: str, index: int) -> None:
        """Give `token` this index; those from there on move up by one.

        Raises `ValueError` where it is there already or the index is above N.
        """
        if token in self or not 0 <= index <= len(self):
            raise ValueError(f"{token!r} is there, or {index} not in 0..{len(self)}")
        self._tokens.insert(index, token)
        self._number()

    def append_token(self, token: str) -> None:
        self.insert_token(token, len(self))

    def get_itos(self) -> list[str]:
        """Index to string: all tokens, in order."""
        return list(self._tokens)

    def get_stoi(self) -> dict[str, int]:
        """String to index."""
        return dict(self._index)

    def save(self, path: Path | str) -> None:
        """As JSON, which any language reads and which runs no code when loaded."""
        content = {"tokens": self._tokens, "default_index": self._default}
        text = json.dumps(content, ensure_ascii=False, indent=0)
        Path(path).write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, path: Path | str) -> "Vocab":
        """Raises `ValueError` for a file that `save` did not write."""
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
            tokens, default = content["tokens"], content["default_index"]
            if not (isinstance(tokens, list) and all(type(t) is str for t in tokens)):
                raise TypeError("tokens is no list of strings")
            if not (default is None or type(default) is int):
                raise TypeError("default_index is no whole number")
            return cls(tokens, default)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path} is no vocabulary: {error}") from error


def vocab(
    counts: Mapping[str, int],
    min_freq: int = 1,
    specials: Sequence[str] = (),
    special_first: bool = True,
) -> Vocab:
    """The tokens of `counts` in *its* order, without those below `min_freq`.

    `specials` come first, or last, and once, however often they occur.
    """
    kept = [t for t, n in counts.items() if n >= min_freq and t not in specials]
    return Vocab([*specials, *kept] if special_first else [*kept, *specials])


def build_vocab_from_iterator(
    token_lists: Iterable[Iterable[str]],
    min_freq: int = 1,
    specials: Sequence[str] = (),
    special_first: bool = True,
    max_tokens: int | None = None,
) -> Vocab:
    """Count, then order by frequency, then by the alphabet.

    `max_tokens`: keep the most frequent so that there are no more, specials included.
    Raises `ValueError` where the specials alone would fill it.
    """
    counts: Counter[str] = Counter()
    for tokens in token_lists:
        counts.update(tokens)
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    if max_tokens is not None:
        if len(specials) >= max_tokens:
            raise ValueError(f"max_tokens={max_tokens} has no room beside the specials")
        ordered = [pair for pair in ordered if pair[0] not in specials]
        ordered = ordered[: max_tokens - len(specials)]
    return vocab(dict(ordered), min_freq, specials, special_first)
