"""Tables as people read them, in a terminal and in a notebook: the same rows for both."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import zip_longest

NARROWEST = 12
"""Columns are not made narrower than this, however narrow the terminal is."""


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
        widths = _narrowed([max(map(len, column)) for column in zip(self.headers, *self.rows, strict=True)], width)
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


def _narrowed(widths: list[int], most: int | None) -> list[int]:
    """The widths of columns, of which the widest give way until all fit, with two blanks before each."""
    widths = list(widths)
    while most is not None and sum(widths) + 2 * len(widths) > most and max(widths) > NARROWEST:
        widths[widths.index(max(widths))] -= 1
    return widths


def _folded(cell: str, width: int) -> list[str]:
    return [cell] if len(cell) <= width else textwrap.wrap(cell, width, break_on_hyphens=False)


def _wrapped(line: str, width: int | None, indent: int = 2) -> list[str]:
    """A line of text, its further lines indented more than the first."""
    first = " " * (indent + len(line) - len(line.lstrip(" ")))
    if width is None or len(line) + indent <= width:
        return [(" " * indent + line).rstrip()]
    return textwrap.wrap(line.lstrip(" "), max(width, 2 * NARROWEST), initial_indent=first, subsequent_indent=f"{first}  ",
                         break_on_hyphens=False)  # fmt: skip


def joined(names: Sequence[str], otherwise: str = "") -> str:
    """Names with commas between."""
    return ", ".join(names) or otherwise
