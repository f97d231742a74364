"""Word vectors in the text format of GloVe and fastText: read, ask, write.

    glove = WordVectors.read("glove.6B.100d.txt", only=vocabulary)
    glove.nearest("king", k=5)
    embedding = nn.Embedding.from_pretrained(glove.table(tokens), freeze=False)

A line holds a word and its numbers, a blank between. This file can be copied alone.
"""

import gzip
import math
import re
import zlib
from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import normalize

NUMBER = re.compile(rb"[-+]?\d*\.?\d+(?:[eE][-+]?\d+)?")
Filler = Callable[[Tensor], Tensor]  # gets an empty vector, fills and returns it


class WordVectors:
    """N words and their vectors: `tokens`, `vectors` (N, D) float32, `dim`, `[word]`.

    `filler` makes the vector of a word that is not there; zeros by default.
    """

    def __init__(
        self, tokens: Sequence[str], vectors: Tensor, filler: Filler = Tensor.zero_
    ) -> None:
        """Of a word that is there twice, the first counts.

        Raises `ValueError` where tokens and vectors are not as many.
        """
        if vectors.ndim != 2 or len(tokens) != len(vectors):
            raise ValueError(f"{len(tokens)} tokens, vectors {tuple(vectors.shape)}")
        self.tokens, self.vectors, self.filler = list(tokens), vectors.float(), filler
        self._index: dict[str, int] = {}
        for place, token in enumerate(self.tokens):
            self._index.setdefault(token, place)
        self._directions: Tensor | None = None

    @classmethod
    def read(
        cls,
        path: Path | str,
        *,
        only: Collection[str] | None = None,
        limit: int | None = None,
        filler: Filler = Tensor.zero_,
    ) -> "WordVectors":
        """From a text file, packed as `.gz` or not; a first line "count dim" is known.

        `only`: keep these words, which saves memory and most of the time. `limit`: read
        so many at most; files have frequent words first. Raises `ValueError` that names
        the line or the archive which is damaged, `FileNotFoundError`.
        """
        path = Path(path)
        only = None if only is None else frozenset(only)
        tokens, numbers, dim = [], array("f"), 0
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            for number, raw in enumerate(_lines(file, path), start=1):
                fields = raw.rstrip(b" \r\n").split(b" ")
                if number == 1 and len(fields) == 2 and all(map(bytes.isdigit, fields)):
                    dim = int(fields[1])  # the header of fastText and word2vec
                    continue
                if fields == [b""]:
                    continue  # an empty line, as at the end
                if limit is not None and len(tokens) >= limit:
                    break
                dim = dim or len(fields) - 1
                try:
                    token = _word(fields, dim)
                    if only is None or token in only:
                        numbers.extend(_numbers(fields[-dim:]))
                        tokens.append(token)
                except ValueError as error:
                    raise ValueError(f"{path}, line {number}: {error}") from error
        if not tokens:
            raise ValueError(f"{path} holds none of the words asked for")
        found = torch.frombuffer(numbers, dtype=torch.float32).view(-1, dim).clone()
        return cls(tokens, found, filler)

    def write(self, path: Path | str, *, header: bool = False) -> None:
        """In the same format; `header`: with fastText's first line."""
        with Path(path).open("w", encoding="utf-8", newline="\n") as file:
            if header:
                print(len(self), self.dim, file=file)
            for token, vector in zip(self.tokens, self.vectors.tolist(), strict=True):
                print(token, *(f"{x:.6g}" for x in vector), file=file)

    @property
    def dim(self) -> int:
        return self.vectors.shape[1]

    def __len__(self) -> int:
        return len(self.tokens)

    def __contains__(self, token: str) -> bool:
        return token in self._index

    def __getitem__(self, token: str) -> Tensor:
        """(D,); of an unknown word, what `filler` makes."""
        place = self._index.get(token)
        if place is None:
            return self.filler(torch.empty(self.dim))
        return self.vectors[place]

    def get_vecs_by_tokens(
        self, tokens: str | Sequence[str], lower_case_backup: bool = False
    ) -> Tensor:
        """(D,) of one word, (N, D) of N; torchtext's name for it.

        `lower_case_backup`: ask again in lower case for what is not there.
        """
        if isinstance(tokens, str):
            return self.get_vecs_by_tokens([tokens], lower_case_backup)[0]
        asked = [
            token.lower() if lower_case_backup and token not in self else token
            for token in tokens
        ]
        return torch.stack([self[token] for token in asked])

    def table(self, tokens: Iterable[str]) -> Tensor:
        """(V, D), row i for token i: for `nn.Embedding.from_pretrained`."""
        return self.get_vecs_by_tokens(list(tokens))

    def nearest(
        self, what: str | Tensor, k: int = 5, without: Collection[str] = ()
    ) -> list[tuple[str, float]]:
        """The k words of most alike direction, and the cosine with each.

        `what`: a word, which is left out itself, or a vector (D,). Raises `KeyError`
        for an unknown word.
        """
        if isinstance(what, str):
            what, without = self._known(what), {*without, what}
        if self._directions is None:
            self._directions = normalize(self.vectors, dim=1)
        cosines = self._directions @ normalize(what, dim=0)  # (N,)
        best = cosines.topk(min(len(self), k + len(without))).indices.tolist()
        found = [(self.tokens[i], round(cosines[i].item(), 4)) for i in best]
        return [pair for pair in found if pair[0] not in without][:k]

    def analogy(self, a: str, b: str, c: str, k: int = 1) -> list[tuple[str, float]]:
        """a is to b as c is to ...: the nearest to b - a + c, without these three.

        All three are brought to length 1 first. Raises `KeyError` for unknown words.
        """
        one, two, three = (normalize(self._known(word), dim=0) for word in (a, b, c))
        return self.nearest(two - one + three, k, without=(a, b, c))

    def _known(self, word: str) -> Tensor:
        if word not in self:
            raise KeyError(f"{word!r} is none of the {len(self):,} words")
        return self[word]


class CharacterNGrams(WordVectors):
    """Vectors of character n-grams, as `CharNGram` had them; a word is their mean.

    The tokens are "2gram-ab", "3gram-abc", "4gram-abcd"; `#BEGIN#` and `#END#` are
    characters too. A word without a known n-gram gets what `filler` makes.
    """

    def __getitem__(self, token: str) -> Tensor:
        """(D,); torchtext returned (1, D)."""
        known = [self._index[g] for g in character_ngrams(token) if g in self._index]
        if not known:
            return self.filler(torch.empty(self.dim))
        return self.vectors[known].mean(dim=0)


def character_ngrams(word: str, sizes: Iterable[int] = (2, 3, 4)) -> list[str]:
    """`ab` -> 2gram-#BEGIN#a, 2gram-ab, 2gram-b#END#, 3gram-#BEGIN#ab, ..."""
    signs = ["#BEGIN#", *word, "#END#"]
    return [
        f"{n}gram-{''.join(signs[start : start + n])}"
        for n in sizes
        for start in range(len(signs) - n + 1)
    ]


def _lines(file: Iterable[bytes], path: Path) -> Iterator[bytes]:
    try:
        yield from file
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path} is damaged: {error}") from error


def _word(fields: Sequence[bytes], dim: int) -> str:
    if dim < 1 or len(fields) <= dim:
        raise ValueError(f"{len(fields)} fields, not a word and {max(dim, 1)} numbers")
    token = b" ".join(fields[:-dim]).decode("utf-8")  # some of GloVe's hold blanks
    if len(fields) > dim + 1 and NUMBER.fullmatch(fields[-dim - 1]):
        raise ValueError(f"{len(fields) - 1} numbers, {dim} before")
    return token


def _numbers(fields: Iterable[bytes]) -> list[float]:
    found = [float(field) for field in fields]
    if not all(map(math.isfinite, found)):
        raise ValueError("a number that is infinite or none")
    return found
