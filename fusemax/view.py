"""Results in every form: tables once, then text, HTML, CSV, JSON, data frames and pictures of all of them."""

from __future__ import annotations

import csv
import io
import re
import textwrap
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib import import_module
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from fusemax.errors import FusemaxError
from fusemax.units import readable_length

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Json: TypeAlias = dict[str, Any]
"""JSON data, as the module `json` has it."""
Record: TypeAlias = Mapping[str, object]
"""A row for programs: plain values by column."""
FOLD = "  "
"""Before the further lines of a folded text."""
NO_BREAK = "\N{NO-BREAK SPACE}"
PICTURES = "fusemax.report.pictures"
"""The module that draws results. It comes later in the order of imports, and is loaded when a picture is asked for."""


class Result(ABC):
    """A result in every form: a subclass gives tables, records and JSON data, and `fusemax.report.pictures` its picture.

    >>> class Sum(Result):
    ...     def tables(self):
    ...         yield Table("sum", below=("3",))
    ...     def records(self):
    ...         return [{"sum": 3}]
    ...     def to_json(self):
    ...         return {"sum": 3}
    >>> print(Sum(), Sum().to_csv(), sep="\\n")
    sum
      3
    sum
    3
    <BLANKLINE>
    """

    __slots__ = ()
    first_column: ClassVar[str] = "name"
    """The header of the CSV if there are no records."""

    @abstractmethod
    def tables(self) -> Iterator[Table]:
        """The result as tables."""

    @abstractmethod
    def records(self) -> Sequence[Record]:
        """The rows of its CSV and of its data frame."""

    @abstractmethod
    def to_json(self) -> Json:
        """The result as JSON data, documented in docs/json.md."""

    def annex(self, width: int | None) -> Iterator[str]:
        """Texts behind the tables."""
        yield from ()

    def text(self, width: int | None = None) -> str:
        """Plain text, in at most `width` columns, if that is possible."""
        return "\n\n".join([*(table.text(width) for table in self.tables()), *self.annex(width)])

    def __str__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        annex = (f"<pre>{escape(text)}</pre>" for text in self.annex(None))
        return "".join([*(table.html() for table in self.tables()), *annex])

    def to_csv(self) -> str:
        """The records as CSV text, with the columns of `to_pandas`."""
        return csv_text(self.records(), self.first_column)

    def to_pandas(self) -> pandas.DataFrame:
        """The records as a data frame. Raises `FusemaxError` without pandas."""
        try:
            import pandas
        except ImportError:
            message = "data frames need pandas, which is not installed"
            raise FusemaxError(message, "pip install 'fusemax[pandas]'") from None
        return pandas.DataFrame(self.records())

    def plot(self, path: str | Path | None = None, ax: Axes | None = None) -> Figure:
        """The result as a figure of matplotlib, written to `path` (.png, .svg or .pdf) if one is given.

        With `ax` the picture is drawn on these axes; of several panels, the first. Raises `FusemaxError` without
        matplotlib, for a result without a picture, and for a file that cannot be written.
        """
        figure: Figure = import_module(PICTURES).plot(self, None if path is None else Path(path), ax)
        return figure


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
        below = "".join(f"<div>{escape(_indented(line))}</div>" for line in self.below)
        return f"<div><b>{escape(self.title)}</b></div>{table}{below}"


def _indented(line: str) -> str:
    """A line whose leading blanks a browser keeps."""
    text = line.lstrip(" ")
    return NO_BREAK * (len(line) - len(text)) + text


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
    """A text in lines of at most `width` characters; text in square brackets stays together.

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


def model_line(model: str | None, seq: int | None) -> tuple[str, ...]:
    """The model and the length of a result, if it has any.

    >>> model_line("bert", 65536), model_line(None, None)
    (('model bert at 64K',), ())
    """
    return (f"model {model}{'' if seq is None else f' at {readable_length(seq)}'}",) if model else ()


def csv_text(records: Sequence[Record], otherwise: str) -> str:
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
