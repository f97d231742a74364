"""The links in a piece of Markdown, and whether they lead to files that are here."""

import re
from pathlib import Path
from urllib.parse import unquote

from tests.notebooks import COLAB, REPOSITORY, ROOT

LINK = re.compile(
    r"\]\(\s*<?([^)\s>]+)[^)]*\)"  # [x](here), [x]: here, href="here"
    r"|^\[[^\]\n]+\]:\s*<?([^\s>]+)|\b(?:href|src)=[\"']([^\"']+)",
    re.MULTILINE,
)
CODE = re.compile(r"```.*?```|~~~.*?~~~|`[^`\n]+`", re.DOTALL)


def links(markdown: str) -> list[str]:
    """Where links and pictures of all three kinds lead, code left out."""
    return ["".join(found) for found in LINK.findall(CODE.sub("", markdown))]


def broken_links(markdown: str, folder: Path) -> list[str]:
    """The links to files of this repository, relative or in full, that lead nowhere."""
    return [link for link in links(markdown) if not _leads_somewhere(link, folder)]


def _leads_somewhere(link: str, folder: Path) -> bool:
    for address in (COLAB, REPOSITORY):
        if found := re.match(rf"{re.escape(address)}/(?:blob|tree)/main/(.*)", link):
            link, folder = found[1], ROOT
    if re.match(r"https://colab\.research\.google\.com/github/", link):
        return False  # the badge of another repository
    if re.match(r"[a-z]+:|#", link):  # elsewhere, or on the same page
        return True
    file = (folder / unquote(link.split("#")[0])).resolve()
    return file.is_relative_to(ROOT) and file.exists()
