"""Tables as people read them, in a terminal and in a notebook: the same rows for both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape


@dataclass(frozen=True, slots=True)
class Table:
    """A title, headers and rows of text; `below` is a remark under the table.

    >>> print(Table("sizes", ("rank", "size"), (("M", "4"),)).text())
    sizes
      rank    size
      ------  ------
      M       4
    """

    title: str
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    below: tuple[str, ...] = ()

    def text(self) -> str:
        """The table in plain text, indented below its title."""
        from tabulate import tabulate

        plain = tabulate(self.rows, self.headers, tablefmt="simple", disable_numparse=True) if self.rows else ""
        lines = [f"  {line}".rstrip() for line in (*plain.splitlines(), *self.below)]
        return "\n".join([self.title, *lines])

    def html(self) -> str:
        """The table in HTML."""
        head = "".join(f"<th style='text-align:left'>{escape(header)}</th>" for header in self.headers)
        body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in self.rows)
        below = "".join(f"<div>{escape(line)}</div>" for line in self.below)
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>" if self.rows else ""
        return f"<div><b>{escape(self.title)}</b></div>{table}{below}"


def _cell(text: str) -> str:
    return f"<td style='text-align:left'>{escape(text)}</td>"


def joined(names: Sequence[str], otherwise: str = "") -> str:
    """Names with commas between."""
    return ", ".join(names) or otherwise
