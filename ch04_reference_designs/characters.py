"""A text that every Python carries, as numbers: one for each character.

    text = language_reference()
    characters = Characters.of(text)
    training, held_out = split(characters.encode(text))
    loader = Windows(training, length=64, batch_size=32, batches=40)

The text is Python's language reference, which `help("for")` shows. It differs a little
between versions of Python. This file can be copied alone to another project.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor


def language_reference() -> str:
    """The topics of `help()`, in alphabetical order, no paragraph twice.

    Many topics contain others word for word. A paragraph that came back in the part
    that is held out would not be new. Raises `ModuleNotFoundError` where this Python
    was packed without the text.
    """
    try:
        from pydoc_data.topics import topics
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "this Python was packed without pydoc_data, the text of help(). Read any "
            'text of your own, Path("book.txt").read_text(encoding="utf-8"), or use a '
            "Python from python.org, conda or uv",
            name=error.name,
        ) from error
    whole = "\n\n".join(topics[name] for name in sorted(topics))
    return "\n\n".join(dict.fromkeys(whole.split("\n\n")))


class Characters:
    """The characters of a text and their numbers, from 0 up, in Unicode's order."""

    def __init__(self, characters: str) -> None:
        """`characters`: each once. Raises `ValueError` otherwise, or for none."""
        if not characters or len(set(characters)) < len(characters):
            raise ValueError("characters need at least one, and none of them twice")
        self.characters = characters
        self._code = {character: i for i, character in enumerate(characters)}

    @classmethod
    def of(cls, text: str) -> "Characters":
        """Those that occur in `text`."""
        return cls("".join(sorted(set(text))))

    def __len__(self) -> int:
        return len(self.characters)

    def encode(self, text: str) -> Tensor:
        """Text of L characters -> (L,) int64.

        Raises `ValueError` that names the first character that is not known.
        """
        try:
            return torch.tensor([self._code[c] for c in text], dtype=torch.int64)
        except KeyError as error:
            unknown = error.args[0]
            raise ValueError(
                f"the character {unknown!r} at position {text.index(unknown)} is none "
                f"of the {len(self)} known ones: leave it out, or train with a text "
                "that has it"
            ) from None

    def decode(self, codes: Tensor) -> str:
        """(L,) whole numbers -> text. Raises `ValueError` for one out of range."""
        numbers = codes.tolist()
        if any(not 0 <= i < len(self) for i in numbers):
            raise ValueError(f"codes have to be in 0..{len(self) - 1}")
        return "".join(self.characters[i] for i in numbers)


def split(codes: Tensor, share: float = 0.1) -> tuple[Tensor, Tensor]:
    """(T,) -> the first part for training, and the last `share` of it, held out.

    Raises `ValueError` where one of the two would be empty.
    """
    cut = len(codes) - round(len(codes) * share)
    if not 0 < cut < len(codes):
        raise ValueError(f"a share of {share} of {len(codes)} leaves a part empty")
    return codes[:cut], codes[cut:]


class Windows:
    """Batches of random windows: inputs (B, L), and targets (B, L), one further on."""

    def __init__(
        self,
        codes: Tensor,
        *,
        length: int,
        batch_size: int,
        batches: int,
        generator: torch.Generator | None = None,
    ) -> None:
        """`batches`: how many one pass gives. Raises `ValueError` for a short text."""
        _check_length(codes, length)
        self.codes, self.length, self.batch_size = codes, length, batch_size
        self.batches, self.generator = batches, generator

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        last = len(self.codes) - self.length
        for _ in range(self.batches):
            starts = torch.randint(last, (self.batch_size, 1), generator=self.generator)
            rows = self.codes[starts + torch.arange(self.length + 1)]  # (B, L + 1)
            yield rows[:, :-1], rows[:, 1:]


def consecutive(codes: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """All windows one after the other: inputs and targets, (N, L) each.

    What is left at the end, less than one window, is dropped. Raises `ValueError` for
    a text without a whole one.
    """
    _check_length(codes, length)
    rows = codes.unfold(0, length + 1, length)  # (N, L + 1)
    return rows[:, :-1], rows[:, 1:]


def counted_bits(training: Tensor, held_out: Tensor, size: int) -> dict[str, float]:
    """Bits for each character of `held_out` by three models without a network.

    All characters alike; each by how often it occurs; each by how often it follows the
    one before. Counted in `training`, and one more for each, so that none is 0.
    """
    once = torch.bincount(training, minlength=size) + 1.0  # (V,)
    pairs = torch.ones(size, size)
    ones = torch.ones(len(training) - 1)
    pairs.index_put_((training[:-1], training[1:]), ones, accumulate=True)
    single = (once / once.sum())[held_out]
    follows = (pairs / pairs.sum(1, keepdim=True))[held_out[:-1], held_out[1:]]
    return {
        "all alike": math.log2(size),
        "how often": -single.log2().mean().item(),
        "how often after the one before": -follows.log2().mean().item(),
    }


def _check_length(codes: Tensor, length: int) -> None:
    if length < 1 or len(codes) <= length:
        raise ValueError(
            f"windows of {length} need more than {length} characters (and at least 1), "
            f"not {len(codes)}"
        )
