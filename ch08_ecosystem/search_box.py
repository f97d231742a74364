"""A search box for JupyterLab over `find`: type, press Enter, copy the lines.

from ch08_ecosystem.search_box import search_box

search_box("cosine learning rate")
"""

from html import escape

from IPython.display import HTML, clear_output, display

from ch08_ecosystem.find import Hit, finder

STYLE = (
    "<style>.hit{margin:.9em 0} .hit small{opacity:.75} .hit.hit.hit pre{margin:.3em 0;"
    "padding:.5em .8em;border-left:3px solid #0072b2;user-select:all;"
    "overflow-x:auto}</style>"
)
HINT = "Type a name (gather, nn.Conv2d) or what you want to do, then press Enter."


def answers(question: str, *, limit: int = 5, above: str = "../") -> HTML:
    """What `find` answers, with links and with lines that one click selects.

    `above` leads from the folder of the notebook that shows it to the repository's.
    """
    if not question.strip():
        return HTML(f"<p>{HINT}</p>")
    hits = finder().search(question, limit=limit)
    if not hits:
        near = ", ".join(escape(name) for name in finder().nearest(question))
        return HTML(f"<p>Nothing found. The nearest names: {near or 'none'}</p>")
    return HTML(STYLE + "\n".join(answer(hit, above) for hit in hits))


def answer(hit: Hit, above: str) -> str:
    """One answer: the name, a link to the place, the lines."""
    link = escape(f"{above}{hit.link}", quote=True)
    where = escape(f"{hit.notebook}, {hit.heading}")
    return (
        f'<div class="hit"><b>{escape(hit.name or hit.heading)}</b><br>'
        f'<small><a href="{link}">{where}</a></small>'
        f"<pre>{escape(hit.lines)}</pre></div>"
    )


def search_box(question: str = "", *, limit: int = 5):
    """A text field with the answers below it, to be the last line of a cell.

    Raises `ImportError` where ipywidgets is not installed.
    """
    try:
        import ipywidgets
    except ImportError as error:
        raise ImportError(
            "The box needs ipywidgets (`pip install ipywidgets`); "
            'without it, `answers("...")` shows the same'
        ) from error
    field = ipywidgets.Text(
        value=question,
        placeholder="cosine learning rate",
        description="Find",
        continuous_update=False,  # Enter or Tab asks
        layout=ipywidgets.Layout(width="min(100%, 40em)"),
    )
    below = ipywidgets.Output()

    def ask(_change: object = None) -> None:
        with below:
            clear_output(wait=True)
            display(answers(field.value, limit=limit))

    field.observe(ask, names="value")
    ask()
    return ipywidgets.VBox([field, below])
