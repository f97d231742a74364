"""Each rule for notebooks, tried on a notebook that breaks it and nothing else."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell, new_output

from tests import hygiene
from tests.colab_cell import colab_cell
from tests.hygiene import RULES, Rule
from tests.notebooks import BADGE, COLAB, code_cells, read
from tests.sample_notebook import NAME, code, printed, result, sample, save

HOME = "/" + "home/reader"  # in two pieces: this file is searched for such paths

Damage = Callable[[NotebookNode], object]


def changed(number: int, **changes: object) -> Damage:
    """Damage to a cell of the sample, counted from 1."""
    return lambda notebook: notebook.cells[number - 1].update(changes)


def added(source: str, *outputs: NotebookNode, tags: tuple[str, ...] = ()) -> Damage:
    """Damage by one more code cell, which becomes cell 5."""

    def damage(notebook: NotebookNode) -> None:
        notebook.update(sample(code(source, *outputs, tags=tags)))

    return damage


def noted(markdown: str) -> Damage:
    """Damage by one more Markdown cell, which becomes cell 5."""
    return lambda notebook: notebook.cells.insert(4, new_markdown_cell(markdown))


def without(line: str) -> Damage:
    """Damage to the first cell."""

    def damage(notebook: NotebookNode) -> None:
        assert line in notebook.cells[0].source
        notebook.cells[0].source = notebook.cells[0].source.replace(line, "")

    return damage


ERROR = new_output("error", ename="ValueError", evalue="no", traceback=[])
WIDGET = new_output("display_data", data={hygiene.WIDGET: {"model_id": "1"}})
IGNORED = ("nbval-ignore-output",)
GATE = "import torch\n\nif torch.cuda.is_available():\n    print(torch.ones(1).cuda())"
LEFT_OUT = '\nelse:\n    print("no CUDA device: left out")'

# What is wrong: the rule that says so, the cell that it names, and the damage.
DAMAGES: dict[str, tuple[Rule, int | None, Damage]] = {
    "never run": (hygiene.executed_in_order, 4, changed(4, execution_count=None)),
    "run twice": (hygiene.executed_in_order, 4, changed(4, execution_count=5)),
    "an error": (hygiene.no_errors, 5, added("raise ValueError('no')", ERROR)),
    "stderr": (hygiene.no_stderr, 5, added("warn()", printed("careful", "stderr"))),
    "a widget": (hygiene.no_widgets, 5, added("slider", WIDGET)),
    "state of widgets": (
        hygiene.no_widgets,
        None,
        lambda nb: nb.metadata.update(widgets={}),
    ),
    "a path in code": (hygiene.no_absolute_paths, 5, added(f"open('{HOME}/a.txt')")),
    "a path in a result": (
        hygiene.no_absolute_paths,
        5,
        added("data_home()", result(f"PosixPath('{HOME}/data')")),
    ),
    "a path in text": (hygiene.no_absolute_paths, 5, noted(f"It is in {HOME}.")),
    "a path on Windows": (
        hygiene.no_absolute_paths,
        5,
        added("data_home()", result("C:" + "\\Users\\reader\\data")),
    ),
    "a path on Windows, written as elsewhere": (
        hygiene.no_absolute_paths,
        5,
        added("data_home()", result("C:/" + "Users/reader/data")),
    ),
    "a path of installed packages": (
        hygiene.no_absolute_paths,
        5,
        added("torch.__file__", result("/" + "opt/conda/lib/site-packages/torch")),
    ),
    "an address": (
        hygiene.no_addresses,
        5,
        added("object()", result("<object object at 0x7fd41d0a4f10>")),
    ),
    "an OrderedDict": (
        hygiene.same_in_each_python,
        5,
        added("layer.state_dict()", result("OrderedDict([('bias', tensor([1.]))])")),
    ),
    "too long": (hygiene.short_cells, 5, added("\n".join(["1 + 1"] * 21))),
    "too wide": (hygiene.narrow_cells, 5, added(f"'{'wide' * 30}'")),
    "no title": (hygiene.first_cell_complete, 1, without("# Adding numbers\n\n")),
    "no badge": (hygiene.first_cell_complete, 1, without(BADGE.format(NAME))),
    "another notebook's badge": (hygiene.first_cell_complete, 1, without("99_sample")),
    "no section": (hygiene.first_cell_complete, 1, without("**Book:**")),
    "no aim": (hygiene.first_cell_complete, 1, without("**You will be able to:**")),
    "no time": (hygiene.first_cell_complete, 1, without("2 s")),
    "not for Colab": (hygiene.works_on_colab, 2, changed(2, source="import sys")),
    "for another notebook on Colab": (
        hygiene.works_on_colab,
        2,
        changed(2, source=colab_cell("ch01_intro/01_what_is_pytorch.ipynb")),
    ),
    "no last heading": (hygiene.last_cell_to_copy, 6, changed(5, source="## Summary")),
    "last cell no snippet": (hygiene.last_cell_to_copy, 6, changed(6, metadata={})),
    "last cell silent": (hygiene.last_cell_to_copy, 6, changed(6, outputs=[])),
    "a dead link": (hygiene.links_true, 5, noted("See [there](nowhere.py).")),
    "a dead link below": (hygiene.links_true, 5, noted("[there]\n\n[there]: no.py")),
    "a dead link in HTML": (hygiene.links_true, 5, noted('<a href="no.py">there</a>')),
    "a link out of the tree": (hygiene.links_true, 5, noted("[there](../../x)")),
    "a foreign badge": (
        hygiene.links_true,
        5,
        noted(f"[there]({COLAB.replace('reference', 'other')}/blob/main/x)"),
    ),
    "a second title": (hygiene.headings_nested, 5, noted("# Another title")),
    "a second title, of code": (hygiene.headings_nested, 5, noted("# `torch`")),
    "a skipped heading": (hygiene.headings_nested, 5, noted("#### Deep")),
    "an unknown tag": (hygiene.tags_known, 5, added("1", tags=("nbval-skip",))),
    "a comment to nbval": (hygiene.tags_known, 5, added("# NBVAL_IGNORE_OUTPUT\n1")),
    "another kernel": (
        hygiene.metadata_clean,
        None,
        lambda nb: nb.metadata.kernelspec.update(name="mine"),
    ),
    "a folded cell": (
        hygiene.metadata_clean,
        4,
        changed(4, metadata={"collapsed": True}),
    ),
    "no id": (hygiene.ids_present, 4, lambda nb: nb.cells[3].pop("id")),
    "an id twice": (
        hygiene.ids_present,
        4,
        lambda nb: nb.cells[3].update(id=nb.cells[2].id),
    ),
    "pip": (hygiene.no_shell, 5, added("%pip install torch")),
    "a shell": (hygiene.no_shell, 5, added("!ls")),
    "a shell's answer": (hygiene.no_shell, 5, added("files = !ls")),
    "a shell's answer by magic": (hygiene.no_shell, 5, added("files = %sx ls")),
    "a shell of Python's": (hygiene.no_shell, 5, added("os.system('ls')")),
    "tagged gpu, no question": (
        hygiene.gpu_cells_gated,
        5,
        added("print(1)", tags=("gpu",)),
    ),
    "tagged gpu, half of it outside": (
        hygiene.gpu_cells_gated,
        5,
        added(GATE + LEFT_OUT + "\nprint(1)", tags=("gpu",)),
    ),
    "tagged gpu, silent": (hygiene.gpu_cells_gated, 5, added(GATE, tags=("gpu",))),
    "a question, no tag": (hygiene.gpu_cells_gated, 5, added(GATE + LEFT_OUT)),
    "to('cuda')": (hygiene.gpu_cells_gated, 5, added("x = model.to('cuda:0')")),
    "device='cuda'": (
        hygiene.gpu_cells_gated,
        5,
        added("torch.ones(1, device='cuda')"),
    ),
    ".cuda()": (hygiene.gpu_cells_gated, 5, added("x = model.cuda()")),
    "torch.cuda": (hygiene.gpu_cells_gated, 5, added("torch.cuda.synchronize()")),
    "ignored and nothing held": (
        hygiene.ignored_cells_hold,
        5,
        added("time.time()", tags=IGNORED),
    ),
    "ignored, a picture only in a comment": (
        hygiene.ignored_cells_hold,
        5,
        added("time.time()  # not plt.show()", tags=IGNORED),
    ),
    "a later chapter": (
        hygiene.imports_one_way,
        5,
        added("from ch03_deep_learning import training"),
    ),
    "a later chapter by magic": (
        hygiene.imports_one_way,
        5,
        added("%load_ext ch02_tensors.reference"),
    ),
    "a later chapter, timed": (
        hygiene.imports_one_way,
        5,
        added("%time from ch02_tensors import reference"),
    ),
    "the tests": (hygiene.imports_one_way, 5, added("import tests.notebooks")),
}


@pytest.mark.parametrize(
    ("rule", "number", "damage"), DAMAGES.values(), ids=DAMAGES.keys()
)
def test_a_damage_is_reported_by_its_rule_alone(
    rule: Rule, number: int | None, damage: Damage
):
    notebook = sample()
    damage(notebook)
    where = NAME if number is None else f"{NAME}, cell {number}"
    reports = [(each, problem) for each in RULES for problem in each(notebook, NAME)]
    assert [each for each, _ in reports] == [rule]
    assert re.match(rf"{re.escape(where)}\b.*: .", reports[0][1])


def test_every_rule_was_tried():
    assert {rule for rule, _, _ in DAMAGES.values()} == set(RULES)


# What a strict reader of the rules could take for a problem, and is none.
ALLOWED: dict[str, Damage] = {
    "nothing special": added("1"),
    "an address on the web": added(
        "# https://example.org/home/work/tmp\n'train/tmp/x'"
    ),
    "asking about CUDA": added("torch.version.cuda, torch.cuda.is_available()"),
    "choosing a device": added("d = 'cuda' if torch.cuda.is_available() else 'cpu'"),
    "naming a device": added("torch.device('cuda'), x.device.type == 'cuda'"),
    "showing an error": added(
        "try:\n    x.cuda()\nexcept Exception as e:\n    print(e)"
    ),
    "a table that shows an error": added("%%reference\ntorch.ones(1).cuda()  # error"),
    "asking midway": added("if d == 'cuda':\n    torch.cuda.synchronize()\nprint(1)"),
    "a GPU cell": added(GATE + LEFT_OUT, printed("left out\n"), tags=("gpu",)),
    "ignored, asserts": added("assert time.time() > 0", tags=IGNORED),
    "ignored, compares": added("torch.testing.assert_close(a, b)", tags=IGNORED),
    "ignored, draws": added("plt.show()", tags=IGNORED),
    "ignored, an address": added(
        "assert x\nx", result("<x at 0x7fd41d0a>"), tags=IGNORED
    ),
    "an empty OrderedDict": added("x.state_dict()", result("OrderedDict()")),
    "a magic, an import": added("%matplotlib inline\nfrom ch01_intro import devices"),
    "no Python": added("%%html\n<b>bold</b>"),
    "links": noted(
        "### Deeper\n\n`x[0](y)`, [in](devices.py#L1), [out](https://x.org/a)"
    ),
    "a comment, no title": noted("```python\n# a comment\n```"),
}


@pytest.mark.parametrize("extra", ALLOWED.values(), ids=ALLOWED.keys())
def test_what_is_allowed_is_not_reported(extra: Damage):
    notebook = sample()
    extra(notebook)
    reports = [problem for rule in RULES for problem in rule(notebook, NAME)]
    assert reports == []


@pytest.mark.parametrize(("ignored", "compared", "reports"), [(1, 4, 0), (1, 3, 1)])
def test_too_many_ignored_outputs_are_counted(ignored, compared, reports):
    cells = [code("1", tags=IGNORED) for _ in range(ignored)]
    cells += [code("1") for _ in range(compared - 2)]  # the sample has two
    found = hygiene.too_many_ignored(list(code_cells(sample(*cells), NAME)))
    assert len(found) == reports


def test_ids_are_read_as_they_are(tmp_path: Path):
    notebook = sample()
    path = save(notebook, tmp_path / "sample.ipynb")
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(notebook.cells[1].id, notebook.cells[0].id))
    assert len(hygiene.ids_present(read(path), NAME)) == 1
