"""What counts as the source of a fact in this chapter's data files."""

from collections.abc import Collection


def is_source(source: str, named: Collection[str]) -> bool:
    """One of those that the file names at its top, or an address."""
    return source in named or source.startswith("https://")
