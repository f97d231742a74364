"""A table of rows: HTML in a notebook, aligned text in a terminal.

    PlainTable(("name", "size"), [("a", 1), ("b", 2)])

Imports only the standard library: it can be copied alone.
"""

import html
from collections.abc import Iterable


class PlainTable:
    """Rows of a table; `None` becomes an empty cell, anything else its `str`.

    Raises `ValueError` for a row that has not one value for each column.
    """

    def __init__(
        self, columns: Iterable[str], rows: Iterable[Iterable[object]]
    ) -> None:
        self.columns = list(columns)
        self.rows = [["" if c is None else str(c) for c in row] for row in rows]
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"{len(self.columns)} columns, but the row is {row}")

    def __repr__(self) -> str:
        lines = [self.columns, *self.rows]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        text = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in lines]
        return "\n".join([text[0], "-" * len(text[0]), *text[1:]])

    def _repr_html_(self) -> str:
        left = 'style="text-align:left;vertical-align:top"'
        lines = [
            "<tr>"
            + "".join(f"<{kind} {left}>{html.escape(c)}</{kind}>" for c in row)
            + "</tr>"
            for kind, row in [("th", self.columns), *(("td", r) for r in self.rows)]
        ]
        head, *body = lines
        body = "\n".join(body)
        return f"<table><thead>{head}</thead><tbody>\n{body}\n</tbody></table>"
