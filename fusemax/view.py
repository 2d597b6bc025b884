"""Tables as people read them, in a terminal and in a notebook: the same rows for both."""

from __future__ import annotations

import csv
import io
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import zip_longest
from typing import Any

FOLD = "  "
"""Before the further lines of what is too long for one."""
NO_BREAK = "\N{NO-BREAK SPACE}"


@dataclass(frozen=True, slots=True)
class Table:
    """A title, headers and rows of text; `below` are remarks under the table, `right` numbers of right-aligned columns.

    >>> print(Table("sizes", ("rank", "size"), (("M", "64"), ("P", "1")), right=(1,)).text())
    sizes
      rank  size
      ----  ----
      M       64
      P        1
    """

    title: str
    headers: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    below: tuple[str, ...] = ()
    right: tuple[int, ...] = ()

    def text(self, width: int | None = None) -> str:
        """The table in plain text, indented below its title; in at most `width` columns, if that is possible."""
        lines = [*self._grid(width), *(line for remark in self.below for line in _wrapped(remark, width))]
        return "\n".join([*_wrapped(self.title, width, indent=0), *lines])

    def _grid(self, width: int | None) -> Iterator[str]:
        if not self.rows:
            return
        widths = _narrowed(list(zip(self.headers, *self.rows, strict=True)), width)
        rules = tuple("-" * columns for columns in widths)
        for row in (self.headers, rules, *self.rows):
            cells = [_folded(cell, columns) for cell, columns in zip(row, widths, strict=True)]
            for parts in zip_longest(*cells, fillvalue=""):
                padded = (
                    f"{part:>{w}}" if i in self.right else f"{part:<{w}}"
                    for i, (part, w) in enumerate(zip(parts, widths, strict=True))
                )
                yield ("  " + "  ".join(padded)).rstrip()

    def html(self) -> str:
        """The table in HTML."""
        align = ["right" if i in self.right else "left" for i in range(len(self.headers))]
        head = "".join(map(_cell, ["th"] * len(align), self.headers, align))
        body = "".join(f"<tr>{''.join(map(_cell, ['td'] * len(align), row, align))}</tr>" for row in self.rows)
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>" if self.rows else ""
        below = "".join(f"<div>{escape(line)}</div>" for line in self.below)
        return f"<div><b>{escape(self.title)}</b></div>{table}{below}"


def _cell(tag: str, text: str, align: str) -> str:
    return f"<{tag} style='text-align:{align}'>{escape(text)}</{tag}>"


def _narrowed(columns: Sequence[Sequence[str]], most: int | None) -> list[int]:
    """The widths of columns: the widest give way until all fit, two blanks before each, but words stay whole."""
    widths = [max(map(len, column)) for column in columns]
    if most is None or sum(widths) + 2 * len(widths) <= most:
        return widths
    words = [[word for cell in column for word in f"{_glued(cell)} ".split(" ")] for column in columns]
    least = [max(map(len, column)) + len(FOLD) for column in words]
    while sum(widths) + 2 * len(widths) > most:
        spare = [width - lowest for width, lowest in zip(widths, least, strict=True)]
        if max(spare) <= 0:
            break
        widths[max(range(len(widths)), key=lambda i: (spare[i] > 0, widths[i]))] -= 1
    return widths


def _folded(cell: str, width: int) -> list[str]:
    return folded(cell, width, FOLD) if len(cell) > width else [cell]


def folded(text: str, width: int, indent: str = "") -> list[str]:
    """A text in lines of at most `width` characters; what is in square brackets stays together.

    >>> folded("Z[m, n] = A[k, m] * B[k, n]", 12)
    ['Z[m, n] =', 'A[k, m] *', 'B[k, n]']
    """
    lines = textwrap.wrap(_glued(text), width, subsequent_indent=indent, break_on_hyphens=False)
    return [line.replace(NO_BREAK, " ") for line in lines]


def _glued(text: str) -> str:
    return re.sub(r"\[[^\]]*\]", lambda access: access[0].replace(" ", NO_BREAK), text)


def _wrapped(line: str, width: int | None, indent: int = 2) -> list[str]:
    """A line of text, its further lines indented more than the first."""
    first = " " * (indent + len(line) - len(line.lstrip(" ")))
    if width is None or len(line) + indent <= width:
        return [(" " * indent + line).rstrip()]
    return textwrap.wrap(
        line.lstrip(" "), max(width, 40), initial_indent=first, subsequent_indent=first + FOLD, break_on_hyphens=False
    )


def joined(names: Sequence[str], otherwise: str = "") -> str:
    """Names with commas between."""
    return ", ".join(names) or otherwise


def csv_text(records: Sequence[Mapping[str, Any]], otherwise: str) -> str:
    """Records as CSV text, with the columns that any of them has; without records a header of one column.

    >>> csv_text([{"a": 1}, {"b": 2}], "a")
    'a,b\\n1,\\n,2\\n'
    """
    text = io.StringIO()
    columns = dict.fromkeys(column for record in records for column in record) or {otherwise: None}
    writer = csv.DictWriter(text, list(columns), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()
