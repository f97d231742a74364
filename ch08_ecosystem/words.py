"""A person's words and a programmer's names, brought to the same form.

`CosineAnnealingLR`, "cosine annealing" and "cosine learning rate" share words here, and
a picture is a photo is an image. Imports the standard library only.
"""

import re
import tomllib
from functools import cache
from pathlib import Path

SYNONYMS = Path(__file__).with_name("synonyms.toml")


@cache
def synonyms() -> dict[str, dict[str, str]]:
    """`same`: a word -> words that mean it; `tasks`: names -> what readers say.

    Raises `ValueError`, naming the file, where it is damaged.
    """
    try:
        return tomllib.loads(SYNONYMS.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{SYNONYMS} is damaged: {error}") from error


@cache
def ignored() -> frozenset[str]:
    """Words that say nothing about what is looked for."""
    return frozenset(synonyms()["ignored"].split())


@cache
def same() -> dict[str, list[str]]:
    """A word -> the words to write instead: `lr` -> `["learning", "rate"]`."""
    return {
        word: write.split()
        for write, for_ in synonyms()["same"].items()
        for word in for_.split()
    }


def tasks() -> dict[str, str]:
    """A function's full name, or "notebook#heading" -> what readers say for it."""
    said: dict[str, str] = {}
    for key, phrases in synonyms()["tasks"].items():
        for target in [key] if "#" in key else key.split():
            said[target] = f"{said.get(target, '')} {phrases}".strip()
    return said


def split_name(name: str) -> list[str]:
    """`CosineAnnealingLR` -> cosineannealinglr, cosine, annealing, lr."""
    parts = re.findall(
        r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name.replace("ReLU", "Relu")
    )
    whole = re.sub(r"_", "", name).lower()
    lowered = [part.lower() for part in parts]
    return list(dict.fromkeys([whole, *(p for p in lowered if len(p) > 1)]))


def words(text: str) -> list[str]:
    """The words that count, in lower case, names split, synonyms replaced."""
    found: list[str] = []
    for token in re.findall(r"[^\W_]\w*", text.replace("'", " ")):
        for word in split_name(token):
            singular = re.sub(r"(?<=[a-z]{3})(?<!s)s$", "", word)
            if word in ignored():
                continue
            found += same().get(word) or same().get(singular) or [word]
    return found
