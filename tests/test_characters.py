"""The text and its characters: `ch04_reference_designs.characters`."""

import math
import sys

import pytest
import torch

from ch04_reference_designs.characters import (
    Characters,
    Windows,
    consecutive,
    counted_bits,
    language_reference,
    split,
)


def test_the_text_repeats_no_paragraph():
    text = language_reference()
    paragraphs = text.split("\n\n")
    assert len(text) > 300_000 and len(paragraphs) == len(set(paragraphs))
    assert "for_stmt" in text and text == language_reference()


def test_a_python_without_the_text(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    with pytest.raises(ModuleNotFoundError, match="read_text"):
        language_reference()


def test_there_and_back():
    characters = Characters.of("hello ö\n")
    assert (len(characters), characters.characters) == (7, "\n ehloö")
    assert characters.decode(characters.encode("hö\n")) == "hö\n"
    assert characters.encode("").dtype == torch.int64


def test_bad_input_of_characters():
    characters = Characters.of("abc")
    with pytest.raises(ValueError, match="'λ' at position 1"):
        characters.encode("aλb")
    with pytest.raises(ValueError, match=r"0\.\.2"):
        characters.decode(torch.tensor([3]))
    for wrong in ("", "aba"):
        with pytest.raises(ValueError, match="twice"):
            Characters(wrong)


def test_split_by_position():
    first, last = split(torch.arange(10), 0.2)
    assert first.tolist() == [*range(8)] and last.tolist() == [8, 9]
    with pytest.raises(ValueError, match="empty"):
        split(torch.arange(3), 0.1)


def test_windows():
    def batches():
        generator = torch.Generator().manual_seed(0)
        return list(
            Windows(
                torch.arange(9),
                length=4,
                batch_size=200,
                batches=3,
                generator=generator,
            )
        )

    (inputs, targets), *others = batches()
    assert inputs.shape == targets.shape == (200, 4) and len(others) == 2
    assert torch.equal(targets, inputs + 1)
    assert {*inputs[:, 0].tolist()} == {*range(5)}  # the last window, too
    assert torch.equal(batches()[0][0], inputs)
    with pytest.raises(ValueError, match="more than 9 characters"):
        Windows(torch.arange(9), length=9, batch_size=1, batches=1)


def test_consecutive_windows_cover_the_text_once():
    inputs, targets = consecutive(torch.arange(11), 3)
    assert inputs.flatten().tolist() == [*range(9)]
    assert torch.equal(targets, inputs + 1)
    with pytest.raises(ValueError, match="windows of 11"):
        consecutive(torch.arange(11), 11)


def test_counted_bits_by_hand():
    training, held_out = torch.tensor([0, 1, 0, 1, 0]), torch.tensor([0, 1])
    bits = list(counted_bits(training, held_out, 2).values())
    once = -(math.log2(4 / 7) + math.log2(3 / 7)) / 2
    assert bits == pytest.approx([1, once, -math.log2(3 / 4)], abs=1e-5)
