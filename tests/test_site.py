"""The web site: what becomes of a notebook, of its links, of a translation."""

import base64
import importlib.util
import re
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_markdown_cell, new_output

from tests.notebooks import ROOT, notebook_paths
from tests.sample_notebook import NAME, code, printed, sample

SITE = ROOT / "site"


def module(name: str):
    """A module of the folder, which is no package: `site` is one of Python's own."""
    spec = importlib.util.spec_from_file_location(name, SITE / f"{name}.py")
    found = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


translation = module("translation")
build = module("build")
Translation = translation.Translation


@pytest.fixture
def page(tmp_path, monkeypatch):
    """Makes a page of the sample with more cells, and with a translation."""
    monkeypatch.setattr(build, "with_math", lambda text: text)  # another package

    def make(*extra, translated=None):
        path = tmp_path / NAME
        path.parent.mkdir(exist_ok=True)
        nbformat.write(sample(*extra), path)
        root = build.TO_ROOT["zh" if translated else "en"]
        return build.page(path, tmp_path / "site", translated, root)

    return make


def test_a_page_has_the_cells_without_the_one_for_colab(page):
    text = page(code("print('<b>')", printed("<b>\n\nx\n")))
    assert text.startswith("# Adding numbers")
    assert "````python\nfirst = 1" in text and "google.colab" not in text
    assert "colab-badge.svg" not in text and "[Colab](https://colab." in text
    assert "<pre>&lt;b&gt;" in text


def test_a_picture_becomes_a_file(page, tmp_path):
    data = {"image/png": base64.b64encode(b"png").decode(), "text/plain": "<Figure>"}
    cell = code("plt.show()", new_output("display_data", data=data))
    text = page(cell)
    (file,) = (tmp_path / "site").rglob("*.png")
    place = file.relative_to(tmp_path / "site").as_posix()
    assert place == f"{Path(NAME).parent}/pictures/{file.name}"
    assert file.read_bytes() == b"png"
    assert f'src="../../{place}"' in text and "Figure" not in text
    assert f'src="../../../{place}"' in page(cell, translated=Translation())
    assert [file] == list((tmp_path / "site").rglob("*.png"))  # one for both languages


@pytest.mark.parametrize(
    ("address", "leads"),
    [
        (
            "../ch01_intro/01_x.ipynb",
            "../ch01_intro/01_x.md",
        ),
        ("02_x.ipynb#A-heading", "02_x.md#A-heading"),
        ("02_x.ipynb#one%27s-own", "02_x.md#one's-own"),
        ("../ch08_ecosystem/INDEX.md", "../ch08_ecosystem/INDEX.md"),
        ("lenet.py", f"{build.REPOSITORY}/blob/main/ch03_deep_learning/lenet.py"),
        ("../tests", f"{build.REPOSITORY}/tree/main/tests"),
        ("https://example.org/a.ipynb", "https://example.org/a.ipynb"),
        ("#here", "#here"),
    ],
)
def test_where_a_link_leads(address, leads):
    assert build.target(address, "ch03_deep_learning") == leads
    assert build.with_links(f"see [it]({address}).", "ch03_deep_learning") == (
        f"see [it]({leads})."
    )


def test_anchors_are_jupyters():
    assert build.anchor("What a *sum* does") == "What-a-*sum*-does"
    assert translation.slug("`x[0]` & [a link](y.md)") == "x[0]-&-a-link"
    text = "[a](#by-name)\n\n## By name\n"
    assert "(#By-name)" in build.with_own_anchors(text)


def test_dollars_in_code_are_no_formula(monkeypatch):
    pytest.importorskip("latex2mathml")
    assert build.with_math("`$x$` and $y$").startswith("`$x$` and <math")
    assert build.with_math("5 $ or 6 $ each") == "5 $ or 6 $ each"


def test_the_switch_of_languages_keeps_the_page():
    both = '<a href="./" hreflang="en"></a><a href="zh/" hreflang="zh"></a>'
    english = build.with_twin(both, Path("ch01_intro/01_x/index.html"))
    assert 'href="../../zh/ch01_intro/01_x/" hreflang="zh"' in english
    chinese = build.with_twin(both, Path("zh/ch01_intro/01_x/index.html"))
    assert 'href="../../../ch01_intro/01_x/" hreflang="en"' in chinese
    assert 'href="zh/" hreflang="zh"' in build.with_twin(both, Path("index.html"))


def test_dead_links_are_found(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/index.html").write_text('<h1 id="b">B</h1><a href="#c">c</a>')
    there = '<a href="a/#b">1</a><a href="a/">2</a><a href="https://x.org">3</a>'
    dead = '<a href="a/#no">4</a><img src="no.png">'
    (tmp_path / "index.html").write_text(there + dead)
    assert set(build.dead_links(tmp_path)) == {
        "index.html: a/#no",
        "index.html: no.png",
        "a/index.html: #c",
    }


INTRODUCTION = "**对应原书**：第 1 章"


def translated(**changes) -> Translation:
    (english,) = [sample().cells[0].source]
    of = translation.fingerprint(translation.introduction(english))
    names = {"Adding numbers": "加法", "Two numbers": "两个数", "In one cell": "合"}
    return Translation(
        **({"introduction": INTRODUCTION, "of": of, "headings": names} | changes)
    )


def test_a_translated_page(page):
    text = page(new_markdown_cell("```\n# Two numbers\n```"), translated=translated())
    assert text.startswith("# 加法 {#Adding-numbers}")
    assert INTRODUCTION in text and "You will be able" not in text
    assert "**用时**：约 2 秒（2 个 CPU 核心）" in text
    assert "## 两个数 {#Two-numbers}" in text
    assert "```\n# Two numbers\n```" in text  # a comment in code
    assert "尚未翻译" not in text
    assert "尚未翻译" in page(translated=Translation())


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({}, None),
        ({"introduction": ""}, "no introduction"),
        ({"of": "0"}, "the English introduction changed"),
        ({"headings": {"Adding numbers": "加法"}}, "no heading for 'Two numbers'"),
        ({"introduction": "张量, `f(x)`"}, "punctuation of half width, '量,'"),
    ],
)
def test_what_is_missing_in_a_translation(tmp_path, changes, problem):
    path = tmp_path / NAME
    path.parent.mkdir()
    nbformat.write(sample(), path)
    wanted = translation.english(path.parent.name, tmp_path)
    found = list(translation.problems(wanted, {path.stem: translated(**changes)}))
    assert (problem in found[0]) if problem else found == []
    gone = {path.stem: translated(), "98_gone": translated()}
    assert list(translation.problems(wanted, gone)) == [
        "98_gone: there is no such notebook"
    ]
    assert list(translation.problems(wanted, {})) == [f"{path.stem}: is not translated"]


def test_a_skeleton_can_be_filled_in(tmp_path):
    path = tmp_path / NAME
    path.parent.mkdir()
    nbformat.write(sample(), path)
    text = translation.skeleton(path.parent.name, tmp_path)
    file = tmp_path / "zh" / f"{path.parent.name}.toml"
    file.parent.mkdir()
    filled = re.sub(r'(?m) = ""$', ' = "好"', text)
    file.write_text(filled, encoding="utf-8")
    own = translation.read(path.parent.name, file.parent)
    wanted = translation.english(path.parent.name, tmp_path)
    assert list(translation.problems(wanted, own)) == []
    file.write_text("[x", encoding="utf-8")
    with pytest.raises(ValueError, match="is damaged"):
        translation.read(path.parent.name, file.parent)


CHAPTERS = sorted(path.stem for path in (SITE / "zh").glob("*.toml"))


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_the_translation_is_complete(chapter):
    wanted = translation.english(chapter)
    assert list(translation.problems(wanted, translation.read(chapter))) == []


@pytest.mark.parametrize("path", notebook_paths(), ids=lambda path: path.stem)
def test_the_line_of_the_time_is_translated_too(path):
    chapter, first = path.parent.name, nbformat.read(path, as_version=4).cells[0]
    chinese = translation.read(chapter).get(path.stem)
    assert chinese, "not translated: python site/translation.py"
    (line,) = re.findall(r"\*\*用时\*\*：.*", chinese.first_cell(first.source))
    assert not re.search(r"[a-z,]", line), line


def test_a_folder_that_is_no_site_is_left_as_it_is(tmp_path, capsys):
    (tmp_path / "letters.txt").write_text("mine")
    assert build.main(["--output", str(tmp_path)]) == 2
    assert "is no site" in capsys.readouterr().err
    assert (tmp_path / "letters.txt").read_text() == "mine"


def test_without_mkdocs_it_says_what_to_install(monkeypatch, capsys, tmp_path):
    def lacking(_: Path):
        raise ModuleNotFoundError("No module named 'mkdocs'")

    monkeypatch.setattr(build, "build", lacking)
    assert build.main(["--output", str(tmp_path)]) == 2
    assert "pip install -r site/requirements.txt" in capsys.readouterr().err
