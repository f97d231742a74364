"""The Chinese headings and introductions, and what is missing among them.

    python site/translation.py                        # what is missing or out of date
    python site/translation.py --skeleton ch01_intro  # a file to be filled in

One file a chapter, site/zh/CHAPTER.toml, with a table for each notebook: `introduction`
is what stands below the badge of the first cell, without the line of the time; `of` is
the beginning of the SHA-256 of the English text, so that a change of it shows; in
`headings` each English heading has its Chinese one.
"""

import argparse
import hashlib
import json
import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path.insert(0, str(ROOT))  # the chapters need not be installed
from ch08_ecosystem.reading import anchor, plain, read_notebook  # noqa: E402

ZH = HERE / "zh"
HEADING = re.compile(r"(?m)^(#{1,4}) +(.+)$")
FENCE = re.compile(r"(```.*?```)", re.DOTALL)
HALF_WIDTH = re.compile(r"[\u4e00-\u9fff] ?[,:;?!(]|[,:;?!)] ?[\u4e00-\u9fff]")
TIME = {  # what the line of the time says
    "**Time:** about ": "**用时**：约 ",
    " s on 2 CPU cores": " 秒（2 个 CPU 核心）",
    ", most of it for two C++ compilations": "，其中大部分用于两次 C++ 编译",
    ", most of it for two servers to start": "，其中大部分用于启动两个服务器",
    ", most of it for two compilers": "，其中大部分用于两个编译器的编译",
}
INTRODUCTION = re.compile(r"\.ipynb\)\n+(.*?)\n+\*\*Time:\*\* ", re.DOTALL)


@dataclass(frozen=True)
class Translation:
    """What is translated of one notebook; by default nothing."""

    introduction: str = ""
    of: str = ""
    headings: dict[str, str] = field(default_factory=dict)

    def with_headings(self, source: str) -> str:
        """A cell with Chinese headings where there are such; their ids stay."""

        def heading(found: re.Match) -> str:
            chinese = self.headings.get(found[2])
            if not chinese:
                return found[0]
            own = slug(found[2])
            own = f'id="{own}"' if "=" in own else f"#{own}"
            return f"{found[1]} {chinese} {{{own}}}"

        parts = FENCE.split(source)
        parts[::2] = [HEADING.sub(heading, part) for part in parts[::2]]
        return "".join(parts)

    def first_cell(self, source: str) -> str:
        """Title and introduction in Chinese, what is not translated in English."""
        if self.introduction:
            source = source.replace(introduction(source), self.introduction.strip())
            for english, chinese in TIME.items():
                source = source.replace(english, chinese)
        else:
            source += "\n\n*本页尚未翻译。*"
        return self.with_headings(source)


def slug(heading: str) -> str:
    """The id of a heading of the notebooks, whose Markdown this is."""
    return anchor(plain(heading))


def introduction(source: str) -> str:
    """The text of a first cell between badge and time; "" where there is none."""
    found = INTRODUCTION.search(source)
    return found[1].strip() if found else ""


def fingerprint(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def headings_of(cells: list[dict]) -> list[str]:
    """The headings of a notebook in their order, each once."""
    sources = ["".join(c["source"]) for c in cells if c["cell_type"] == "markdown"]
    found = [m[2] for s in sources for m in HEADING.finditer(FENCE.sub("", s))]
    return list(dict.fromkeys(found))


def read(chapter: str, folder: Path = ZH) -> dict[str, Translation]:
    """A chapter's translations by notebook; none where there is no file.

    Raises `ValueError`, naming the file, where it is damaged.
    """
    path = folder / f"{chapter}.toml"
    if not path.exists():
        return {}
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
        return {stem: Translation(**table) for stem, table in tables.items()}
    except (tomllib.TOMLDecodeError, TypeError) as error:
        raise ValueError(f"{path.name} is damaged: {error}") from error


def english(chapter: str, root: Path = ROOT) -> dict[str, Translation]:
    """What there is to be translated, in the same form."""
    found = {}
    for path in sorted((root / chapter).glob("[0-9][0-9]_*.ipynb")):
        cells = read_notebook(path)
        text = introduction("".join(cells[0]["source"]))
        names = {heading: "" for heading in headings_of(cells)}
        found[path.stem] = Translation(text, fingerprint(text), names)
    return found


def problems(
    wanted: dict[str, Translation], there: dict[str, Translation]
) -> Iterator[str]:
    """What is missing, out of date, left over or ill set in a chapter's translation."""
    for stem in there.keys() - wanted.keys():
        yield f"{stem}: there is no such notebook"
    for stem, text in wanted.items():
        own = there.get(stem)
        if own is None:
            yield f"{stem}: is not translated"
            continue
        if not own.introduction.strip():
            yield f"{stem}: no introduction"
        elif own.of != text.of:
            yield f"{stem}: the English introduction changed; then of = {text.of!r}"
        for heading in text.headings:
            if not own.headings.get(heading, "").strip():
                yield f"{stem}: no heading for {heading!r}"
        for heading in own.headings.keys() - text.headings.keys():
            yield f"{stem}: there is no heading {heading!r}"
        for chinese in (own.introduction, *own.headings.values()):
            if found := HALF_WIDTH.search(re.sub("`[^`]*`", "`", chinese)):
                yield f"{stem}: punctuation of half width, {found[0]!r}"


def skeleton(chapter: str, root: Path = ROOT) -> str:
    """A file of the chapter with the English introductions, to be filled in."""
    lines = []
    for stem, text in english(chapter, root).items():
        lines += [f"[{stem}]", 'introduction = """', text.introduction, '"""']
        lines += [f'of = "{text.of}"', "", f"[{stem}.headings]"]
        lines += [f'{json.dumps(h, ensure_ascii=False)} = ""' for h in text.headings]
        lines.append("")
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--skeleton", metavar="CHAPTER")
    args = parser.parse_args(argv)
    if args.skeleton:
        print(skeleton(args.skeleton))
        return 0
    chapters = sorted(path.name for path in ROOT.glob("ch0*_*") if path.is_dir())
    found = [
        f"{chapter}/{problem}"
        for chapter in chapters
        for problem in problems(english(chapter), read(chapter))
    ]
    print("\n".join(found) or "all chapters are translated")
    return int(bool(found))


if __name__ == "__main__":
    raise SystemExit(main())
