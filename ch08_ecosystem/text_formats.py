"""Readers of the file formats behind torchtext's data sets, and what follows them.

    rows = read_labelled_csv("ag_news_csv/train.csv")     # (label, text), labels from 0
    words, tags, chunks = next(read_columns("conll2000/train.txt"))
    streams = batchify(indices, 20)                       # (T, 20) for `windows`

All are generators: nothing is read before it is asked for, and `Shared` makes a data
set of one that several workers read together. This file can be copied alone.
"""

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeVar

from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

T = TypeVar("T")


def read_labelled_csv(path: Path | str) -> Iterator[tuple[int, str]]:
    """AG_NEWS, DBpedia, Yelp, Amazon, Yahoo, Sogou: `"3","title","text"` in each row.

    Yields `(label, text)`: the label counted from 0 (the files, and torchtext, count
    from 1), the other columns joined by a blank. Raises `ValueError` that names the
    line where the first column is no whole number above 0, or nothing follows.
    """
    csv.field_size_limit(2**31 - 1)  # the default ends at 131,072 characters
    with Path(path).open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file)
        for row in rows:
            if not row:
                continue
            if len(row) < 2 or not row[0].isdecimal() or int(row[0]) < 1:
                raise ValueError(
                    f"{path}, line {rows.line_num}: needs a label from 1 up and a "
                    f"text, not {row[:2]}"
                )
            yield int(row[0]) - 1, " ".join(row[1:])


def read_columns(
    path: Path | str, separator: str | None = None
) -> Iterator[list[list[str]]]:
    """CoNLL 2000 and UDPOS: a word with its tags in each line, a blank one between.

    Yields a sentence as its columns: `[words, tags]`, `[words, tags, chunks]`.
    `separator`: blanks by default, "\\t" for UDPOS. Raises `ValueError` that names the
    line that has more or fewer columns than the one before.
    """
    rows: list[list[str]] = []
    with Path(path).open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            line = line.strip()
            if line:
                rows.append(line.split(separator))
                if len(rows[-1]) != len(rows[0]):
                    raise ValueError(
                        f"{path}, line {number}: {len(rows[-1])} columns, "
                        f"{len(rows[0])} before"
                    )
            elif rows:
                yield [list(column) for column in zip(*rows, strict=True)]
                rows = []
    if rows:
        yield [list(column) for column in zip(*rows, strict=True)]


class Question(NamedTuple):
    """One item of SQuAD; no answer in SQuAD 2: `answers == [""]`, `starts == [-1]`."""

    context: str
    question: str
    answers: list[str]
    starts: list[int]  # places in `context`, in characters


def read_squad(path: Path | str) -> Iterator[Question]:
    """SQuAD 1 and 2. Raises `ValueError` for another content or a wrong place."""
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))["data"]
        paragraphs = [p for article in data for p in article["paragraphs"]]
        asked = [(p["context"], qa) for p in paragraphs for qa in p["qas"]]
        for context, qa in asked:
            answers = [one["text"] for one in qa["answers"]]
            starts = [one["answer_start"] for one in qa["answers"]]
            for text, start in zip(answers, starts, strict=True):
                if start < 0 or not context.startswith(text, start):
                    raise ValueError(f"{path}: {text!r} does not stand at {start}")
            yield Question(context, qa["question"], answers or [""], starts or [-1])
    except (AttributeError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is not in SQuAD's format: {error!r}") from error


def read_parallel(source: Path | str, target: Path | str) -> Iterator[tuple[str, str]]:
    """Two files, line k of one the translation of line k of the other (IWSLT, WMT).

    Raises `ValueError` that names the line where one file ends before the other.
    """
    with (
        Path(source).open(encoding="utf-8") as ours,
        Path(target).open(encoding="utf-8") as theirs,
    ):
        number = 0
        for number, line in enumerate(ours, start=1):
            other = theirs.readline()
            if not other:
                raise ValueError(f"{target} ends before line {number} of {source}")
            yield line.rstrip("\n"), other.rstrip("\n")
        if theirs.readline():
            raise ValueError(f"{source} ends after line {number}, {target} does not")


class Shared(IterableDataset[T]):
    """The items of a reader, dealt out like cards among the workers of a DataLoader.

    `Shared(partial(read_columns, path))`: a function, so that each worker opens the
    file itself; one that can be pickled, so no lambda.
    """

    def __init__(self, reader: Callable[[], Iterable[T]]) -> None:
        self.reader = reader

    def __iter__(self) -> Iterator[T]:
        worker = get_worker_info()  # None outside of a worker
        first, step = (worker.id, worker.num_workers) if worker else (0, 1)
        return islice(self.reader(), first, None, step)


def batchify(indices: Tensor, batch_size: int) -> Tensor:
    """(N,) -> (T, B): B parts of the text side by side, one in each column.

    What is left at the end is dropped. Raises `ValueError` where less than two rows
    would be there, one to read and one to predict.
    """
    steps = len(indices) // batch_size if batch_size > 0 else 0
    if steps < 2:
        raise ValueError(f"{len(indices)} indices are too few for {batch_size} columns")
    return indices[: steps * batch_size].view(batch_size, steps).t().contiguous()


def windows(columns: Tensor, length: int) -> Iterator[tuple[Tensor, Tensor]]:
    """(T, B) -> inputs and targets, (L, B) each, the targets one step further on.

    L is `length`, and less in the last one. A column goes on in the next window: carry
    the hidden state over, detached.
    """
    for start in range(0, len(columns) - 1, length):
        stop = min(start + length, len(columns) - 1)
        yield columns[start:stop], columns[start + 1 : stop + 1]
