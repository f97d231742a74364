"""Build the web site: the notebooks as pages, in English and with Chinese headings.

    pip install -r site/requirements.txt
    python site/build.py                  # into site/build; no network is needed
    python -m http.server -d site/build   # look at it

The pages are made from the notebooks as they are saved, nothing is run. At the end all
links inside the site are followed; with a dead one the exit status is 1.
"""

import argparse
import base64
import html
import posixpath
import re
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path[:0] = [str(HERE), str(ROOT)]  # the chapters need not be installed
from translation import HEADING, Translation, read, slug  # noqa: E402

from ch08_ecosystem import reading  # noqa: E402
from ch08_ecosystem.reading import notebook_paths  # noqa: E402

REPOSITORY = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))[
    "project"
]["urls"]["Repository"]
BADGE = re.compile(r"\[!\[Open in Colab\]\([^)]*\)\]\(([^)]*)\)")
LINK = re.compile(r"(?<!!)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
CODE = re.compile(r"(````*.*?````*|`[^`\n]+`)", re.DOTALL)
PAGES = {  # the generated ones, which are in English; their titles in Chinese
    "ch08_ecosystem/INDEX.md": "索引",
    "ch08_ecosystem/SINCE_THE_BOOK.md": "原书出版以来的变化",
}
SITE = "https://pytorch-pocket-reference.github.io/pytorch-pocket-reference/"
# Names are found in code, too: `manual_seed` in `torch.manual_seed(0)`.
SEPARATOR = r"""[\s\u200b\u3000\-、。，．？！；,:!=\[\]()"`/]+|\.(?!\d)|&[lg]t;"""
FORMULA = re.compile(r"(?s)\$\$(.+?)\$\$|(?<![\\\w$])\$([^$\n]+?)\$(?![\w$])")
TITLE = re.compile(r"(?m)^# (.+?)(?: \{#.*\})?$")
IN_HTML = re.compile(r'href="\.\./(ch0\d_\w+/\d\d_\w+)\.ipynb(#[^"]*)?"')
IMAGES = {"image/png": "png", "image/jpeg": "jpg"}
CHAPTERS = {
    "ch01_intro": ("1 Introduction", "1 入门"),
    "ch02_tensors": ("2 Tensors", "2 张量"),
    "ch03_deep_learning": ("3 Deep learning", "3 深度学习"),
    "ch04_reference_designs": ("4 Reference designs", "4 参考设计"),
    "ch05_customizing": ("5 Customizing", "5 自定义"),
    "ch06_acceleration": ("6 Acceleration", "6 加速与优化"),
    "ch07_deployment": ("7 Deployment", "7 部署"),
    "ch08_ecosystem": ("8 Ecosystem", "8 生态系统"),
}
LANGUAGES = {"en": "English", "zh": "中文"}
TO_ROOT = {"en": "../../", "zh": "../../../"}  # from a page, which is a folder
CHINESE_SCHEMES = ("深色", "浅色")  # what the switches of mkdocs.yml lead to


def name_of(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


# From a notebook to Markdown


def page(
    path: Path, site: Path, translation: Translation | None = None, root: str = "../../"
) -> str:
    """The notebook as Markdown; its pictures are written into the folder `site`.

    They lie there where the pages of both languages look for them: below `root`.
    """
    notebook = nbformat.read(path, as_version=4)
    parts = []
    for number, cell in enumerate(notebook.cells):
        source = cell.source
        if cell.cell_type == "markdown":
            if number == 0:
                source = first(source, name_of(path), translation)
            elif translation:
                source = translation.with_headings(source)
            parts.append(with_math(with_links(source, path.parent.name)))
        elif cell.cell_type == "code" and "google.colab" not in source:
            parts.append(f"````python\n{source}\n````" if source else "")
            for count, output in enumerate(cell.outputs):
                image = f"{path.parent.name}/pictures/{path.stem}-{number}-{count}"
                text = shown(output, site, image, root)
                if translation:
                    text = text.replace('alt="picture"', 'alt="图片"')
                parts.append(text)
    return "\n\n".join(part for part in parts if part) + "\n"


def first(source: str, name: str, translation: Translation | None) -> str:
    """The first cell: the badge becomes two links, the rest may be translated."""
    if translation:
        source = translation.first_cell(source)
    label = "笔记本" if translation else "Notebook"
    here = f"[{label}]({REPOSITORY}/blob/main/{name})"
    return BADGE.sub(lambda badge: f"{here} · [Colab]({badge[1]})", source)


def shown(output: nbformat.NotebookNode, site: Path, image: str, root: str) -> str:
    """One output of a cell: a picture, HTML, or text."""
    data = output.get("data", {})
    for kind, suffix in IMAGES.items():
        if kind in data:
            file = site / f"{image}.{suffix}"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(base64.b64decode(data[kind]))
            source = f"{root}{image}.{suffix}"
            return f'<div class="output">\n<img alt="picture" src="{source}">\n</div>'
    if "text/html" in data:
        body = re.sub(r"\n\s*\n", "\n", data["text/html"].strip())
        body = IN_HTML.sub(r'href="../../\1/\2"', body)  # a page is a folder
        return f'<div class="output">\n{body}\n</div>'
    if "text/markdown" in data:
        return data["text/markdown"]
    text = output.get("text") or data.get("text/plain", "")
    if not text.strip():
        return ""
    text = html.escape(text.rstrip("\n"), quote=False).replace("\n\n", "\n&#8203;\n")
    return f'<div class="output"><pre>{text}</pre></div>'


def outside_code(markdown: str, change) -> str:
    """`change` applied to what is no code."""
    parts = CODE.split(markdown)
    parts[::2] = map(change, parts[::2])
    return "".join(parts)


def with_math(markdown: str) -> str:
    """Formulas between dollars as MathML, which browsers show without a script."""
    from latex2mathml.converter import convert

    def math(found: re.Match) -> str:
        block = "block" if found[0].startswith("$$") else "inline"
        formula = convert(found[1] or found[2], display=block)
        # Markdown takes <math> at the start of a line for a block of its own
        return formula if block == "block" else f"<span>{formula}</span>"

    pattern = re.compile(
        r"\$\$(.+?)\$\$|(?<![\\\w$])\$([^$\n]+?)\$(?![\w$])", re.DOTALL
    )
    return outside_code(markdown, lambda text: pattern.sub(math, text))


def with_links(markdown: str, folder: str) -> str:
    """Links to notebooks lead to pages, links to other files to the repository."""

    def link(found: re.Match) -> str:
        return f"[{found[1]}]({target(found[2], folder)})"

    return LINK.sub(link, markdown)


def with_own_anchors(markdown: str) -> str:
    """Links within a page: GitHub's anchors are in lower case, these are not."""
    ids = {slug(m[2]).lower(): slug(m[2]) for m in HEADING.finditer(markdown)}
    return re.sub(r"\]\(#([\w-]+)\)", lambda m: f"](#{ids.get(m[1], m[1])})", markdown)


def target(address: str, folder: str) -> str:
    """Where a link of a file in `folder` ("" is the root) leads on the site."""
    parts = urlsplit(address)
    if parts.scheme or not parts.path:
        return address
    place = posixpath.normpath(posixpath.join(folder, parts.path))
    anchor = f"#{unquote(parts.fragment)}" if parts.fragment else ""
    if place in PAGES or re.fullmatch(r"ch0\d_\w+/\d\d_\w+\.ipynb", place):
        return re.sub(r"\.ipynb$", ".md", parts.path) + anchor
    kind = "tree" if (ROOT / place).is_dir() else "blob"
    return f"{REPOSITORY}/{kind}/main/{place}{anchor}"


def anchor(heading: str, _separator: str = "-") -> str:
    """The id of a heading, as Jupyter has it; for Markdown's table of contents."""
    return reading.anchor(html.unescape(heading))


# The tree of documents


def collect(docs: Path, site: Path, language: str) -> list:
    """Write a language's documents into `docs`, its pictures into `site`.

    Returns the navigation.
    """
    readme = HERE / "zh" / "README.md" if language == "zh" else ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    text = BADGE.sub(lambda badge: f"[Colab]({badge[1]})", text)
    write(docs / "index.md", with_links(text, ""))
    shutil.copy(HERE / "site.css", docs)
    navigation: list = [{"首页" if language == "zh" else "Home": "index.md"}]
    for chapter, titles in CHAPTERS.items():
        translated = read(chapter) if language == "zh" else {}
        rows = []
        for path in notebook_paths():
            if path.parent.name == chapter:
                own = translated.get(path.stem, Translation())
                own = own if language == "zh" else None
                file = f"{chapter}/{path.stem}.md"
                text = page(path, site, own, TO_ROOT[language])
                write(docs / file, text)
                title = re.search(r"(?m)^# (.+?)(?: \{#.*\})?$", text)[1].replace(
                    "`", ""
                )
                rows.append({f"{path.stem[:2]} {title}": file})
        for name, chinese in PAGES.items():
            if name.startswith(chapter):
                text = (ROOT / name).read_text(encoding="utf-8")
                text = with_own_anchors(text)
                head = "---\nsearch:\n  exclude: true\n---\n"
                write(docs / name, head + with_links(text, chapter))
                title = chinese if language == "zh" else TITLE.search(text)[1]
                rows.append({title: name})
        navigation.append({titles[language == "zh"]: rows})
    return navigation


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def build(output: Path) -> None:
    """English at the root, Chinese below zh/; a process for each of the two.

    Raises `ValueError` where `output` holds anything but a site.
    """
    ours = (output / "search" / "search_index.json").exists()
    if output.exists() and not ours and (output.is_file() or any(output.iterdir())):
        raise ValueError(f"{output} is no site: it is left as it is")
    with tempfile.TemporaryDirectory() as folder:
        folders = {language: Path(folder) / language for language in LANGUAGES}
        with ProcessPoolExecutor(len(folders)) as pool:
            list(pool.map(build_language, folders, folders.values()))
        shutil.rmtree(output, ignore_errors=True)  # only now: the new one is there
        shutil.copytree(folders["en"] / "site", output)
        shutil.copytree(folders["zh"] / "site", output / "zh")
        # the same in both: one copy is enough
        shutil.copytree(folders["en"] / "pictures", output, dirs_exist_ok=True)
    for path in output.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        path.write_text(with_twin(text, path.relative_to(output)), encoding="utf-8")


def build_language(language: str, folder: Path) -> None:
    """A language's documents, pages and pictures, each in a folder of its own."""
    from mkdocs.commands.build import build as mkdocs_build
    from mkdocs.config import load_config

    navigation = collect(folder / "docs", folder / "pictures", language)
    config = load_config(
        str(HERE / "mkdocs.yml"),
        docs_dir=str(folder / "docs"),
        site_dir=str(folder / "site"),
        nav=navigation,
        plugins=[{"search": {"lang": [language], "separator": SEPARATOR}}],
        site_url=SITE + ("zh/" if language == "zh" else ""),
    )
    config.theme["language"] = language
    if language == "zh":
        config.site_name = "《PyTorch Pocket Reference》配套代码"
        for palette, name in zip(config.theme["palette"], CHINESE_SCHEMES, strict=True):
            palette["toggle"]["name"] = name
        config.mdx_configs["toc"]["permalink_title"] = "本节链接"
    config.mdx_configs["toc"]["slugify"] = anchor
    up = {"en": ("./", "zh/"), "zh": ("../", "./")}[language]
    config.extra["alternate"] = [
        {"name": name, "link": link, "lang": code}
        for (code, name), link in zip(LANGUAGES.items(), up, strict=True)
    ]
    config.extra["social"] = [{"icon": "fontawesome/brands/github", "link": REPOSITORY}]
    config.plugins.on_startup(command="build", dirty=False)
    mkdocs_build(config)


def with_twin(text: str, path: Path) -> str:
    """A page whose switch of languages leads to the same page in the other language."""
    if path.name == "404.html":
        return text
    folder = path.parent.as_posix()
    bare = posixpath.relpath(folder, "zh") if path.parts[0] == "zh" else folder

    def link(found: re.Match) -> str:
        goal = posixpath.join("zh", bare) if found[2] == "zh" else bare
        return f'href="{posixpath.relpath(goal, folder)}/" hreflang="{found[2]}"'

    return re.sub(r'href="([^"]*)" hreflang="(\w+)"', link, text)


# Links


class Page(HTMLParser):
    """The ids and the links of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list) -> None:
        found = dict(attributes)
        self.ids |= {found[key] for key in ("id", "name") if found.get(key)}
        for key in ("href", "src"):
            if found.get(key):
                self.links.append(found[key])


def dead_links(site: Path) -> Iterator[str]:
    """The links inside `site` that lead nowhere, and files fetched from elsewhere."""
    pages = {
        path: Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")
    }
    for path, found in pages.items():
        name = path.relative_to(site)
        if name.name == "404.html":  # it is shown at every address
            continue
        for link in dict.fromkeys(found.links):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or link.startswith("//"):
                continue
            place = (
                (path.parent / unquote(parts.path)).resolve() if parts.path else path
            )
            place = place / "index.html" if place.is_dir() else place
            if not place.exists():
                yield f"{name}: {link}"
            elif parts.fragment and place in pages:
                yield from missing_id(pages[place], parts.fragment, f"{name}: {link}")


def missing_id(page: Page, fragment: str, problem: str) -> Iterator[str]:
    if unquote(fragment) not in page.ids:
        yield problem


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=HERE / "build")
    output = parser.parse_args(argv).output.resolve()
    try:
        build(output)
    except ModuleNotFoundError as error:
        print(f"{error}: pip install -r site/requirements.txt", file=sys.stderr)
        return 2
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    dead = list(dead_links(output))
    print("\n".join(dead) or f"{output}: all links lead somewhere")
    return int(bool(dead))


if __name__ == "__main__":
    raise SystemExit(main())
