"""The text functions of torchtext.data under their old names, a few lines each.

    tokenise = get_tokenizer("basic_english")
    tokenise("You can now install it!")  # ["you", "can", "now", "install", "it", "!"]

Written from what torchtext 0.18 documented. `ngrams_iterator` is missing: it is
`ngrams` of `ch04_reference_designs/vocabulary.py`. This file can be copied alone.
"""

import io
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import sentencepiece

Tokeniser = Callable[[str], list[str]]
Steps = Callable[[Iterable[str]], Iterator]
BASIC = re.compile(r"[.,()!?']|[^\s.,()!?';:]+")  # a mark alone, or a run of others
KINDS = ("unigram", "bpe", "char", "word")


def basic_english(text: str) -> list[str]:
    """Lower case; the marks . , ( ) ! ? ' alone; without `<br />`, ; : and "."""
    return BASIC.findall(text.lower().replace('"', "").replace("<br />", " "))


def get_tokenizer(tokenizer: str | Tokeniser | None = None) -> Tokeniser:
    """`None`: split at blanks; "basic_english"; a function is returned as it is.

    Raises `ValueError` for the names of other libraries: hand over their function.
    """
    if tokenizer is None:
        return str.split
    if tokenizer == "basic_english":
        return basic_english
    if callable(tokenizer):
        return tokenizer
    raise ValueError(
        f"{tokenizer!r} is no tokenizer here. Choose None or 'basic_english', or hand "
        "over a function, as in get_tokenizer(sacremoses.MosesTokenizer().tokenize)"
    )


def custom_replace(patterns: Iterable[tuple[str, str]]) -> Steps:
    """A function of lines: each `(pattern, replacement)`, in this order, on each."""
    compiled = [(re.compile(pattern), new) for pattern, new in patterns]

    def replaced(lines: Iterable[str]) -> Iterator[str]:
        for line in lines:
            for pattern, new in compiled:
                line = pattern.sub(new, line)
            yield line

    return replaced


def simple_space_split(lines: Iterable[str]) -> Iterator[list[str]]:
    """Each line as the list of what stands between its blanks."""
    return map(str.split, lines)


def numericalize_tokens_from_iterator(
    vocab: Mapping[str, int],
    token_lists: Iterable[Iterable[str]],
    removed_tokens: Collection[str] = (),
) -> Iterator[Iterator[int]]:
    """For each list an iterator over its indices, without those of `removed_tokens`.

    A token that `vocab` does not know raises what `vocab[token]` raises, and only when
    the iterator comes to it.
    """
    for tokens in token_lists:
        yield (vocab[token] for token in tokens if token not in (removed_tokens or ()))


def train_sp_model(
    lines: Iterable[str],
    vocab_size: int,
    model_type: str = "unigram",
    **options: object,
) -> bytes:
    """Train sentencepiece without a word on the screen or a file; returns the model.

    `options` go to `sentencepiece.SentencePieceTrainer.train`. Raises `ValueError` for
    another kind than `KINDS`, `RuntimeError` where so many pieces cannot be made.
    """
    if model_type not in KINDS:
        raise ValueError(f"model_type is one of {KINDS}, not {model_type!r}")
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=model,
        vocab_size=vocab_size,
        model_type=model_type,
        **{"minloglevel": 2, "num_threads": 1, **options},
    )
    return model.getvalue()


def generate_sp_model(
    filename: Path | str,
    vocab_size: int = 20_000,
    model_type: str = "unigram",
    model_prefix: Path | str = "m_user",
    **options: object,
) -> None:
    """Train on the lines of a UTF-8 file; write `model_prefix` + ".model" and ".vocab".

    ".vocab" has a piece and its score in each line. Raises as `train_sp_model` does.
    """
    with Path(filename).open(encoding="utf-8") as lines:
        model = train_sp_model(lines, vocab_size, model_type, **options)
    Path(f"{model_prefix}.model").write_bytes(model)
    sp = sentencepiece.SentencePieceProcessor(model_proto=model)
    pieces = (f"{sp.id_to_piece(i)}\t{sp.get_score(i):g}\n" for i in range(len(sp)))
    Path(f"{model_prefix}.vocab").write_text("".join(pieces), encoding="utf-8")


def load_sp_model(spm: Path | str | BinaryIO) -> sentencepiece.SentencePieceProcessor:
    """From the path of a ".model" file, or from a file opened with "rb".

    Raises `FileNotFoundError`, and `TypeError` for a file opened as text.
    """
    model = Path(spm).read_bytes() if isinstance(spm, Path | str) else spm.read()
    if not isinstance(model, bytes):
        raise TypeError('open the model with "rb": its content is no text')
    return sentencepiece.SentencePieceProcessor(model_proto=model)


def sentencepiece_numericalizer(sp: sentencepiece.SentencePieceProcessor) -> Steps:
    """A function of lines that yields the list of indices of each."""
    return lambda lines: (sp.encode(line, out_type=int) for line in lines)


def sentencepiece_tokenizer(sp: sentencepiece.SentencePieceProcessor) -> Steps:
    """A function of lines that yields the list of pieces of each."""
    return lambda lines: (sp.encode(line, out_type=str) for line in lines)
