"""The table of parameters beside a mapping file: CSV text -> rows of columns and words."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from fusemax.errors import FusemaxError, Problem, Source, Span, did_you_mean, in_order, listed
from fusemax.ir.mapping import Mapping
from fusemax.syntax.source import read_text

TableRow = tuple[tuple[str, str], ...]
"""The columns of a row and their cells."""


def table_of(mapping: Mapping, folder: Path) -> tuple[TableRow, ...]:
    """The table that a mapping chooses its parameters from; `folder` is where the mapping file is.

    Raises `FusemaxError` if there is no such table, or with all mistakes of its columns and rows.
    """
    choose = mapping.choose
    if choose is None:
        return ()
    path = folder / choose.file
    if not path.is_file():
        raise FusemaxError([Problem(f"no table '{choose.file}' beside the mapping", choose.span, "check the name")])
    return parse_table(read_text(path), choose.file, mapping)


def parse_table(text: str, name: str, mapping: Mapping) -> tuple[TableRow, ...]:
    """Parse the text of a mapping's table: a line of column names, then a line for each choice.

    >>> from fusemax.syntax.mapping.parser import parse_mapping
    >>> text = "mapping m(rows = P)\\ncascade c\\narch a\\nchoose from t.csv by model\\nfor b: on u: Z"
    >>> parse_table("model,rows\\nbert,256\\n", "t.csv", parse_mapping(text))
    ((('model', 'bert'), ('rows', '256')),)
    """
    source = Source(name, text)
    try:
        lines = [(number, cells) for number, cells in _lines(text) if any(cells)]
    except csv.Error as error:
        raise FusemaxError(f"'{name}' is not a table: {error}", "separate columns with ','") from None
    if not lines:
        raise FusemaxError(f"the table '{name}' is empty", "its first line names the columns")
    (head, columns), *rows = lines
    problems = [*_wrong_columns(columns, _place(source, head), mapping)]
    problems += _ragged(rows, columns, source)
    if not problems:
        problems += _repeated(rows, columns, source, mapping)
    if problems:
        raise FusemaxError(in_order(problems))
    return tuple(tuple(zip(columns, cells, strict=True)) for _, cells in rows)


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    """Number and cells of each line."""
    reader = csv.reader(text.splitlines(), strict=True)
    for cells in reader:
        yield reader.line_num, [cell.strip() for cell in cells]


def _place(source: Source, line: int) -> Span:
    """A whole line, from 1."""
    start = sum(len(before) for before in source.text.splitlines(keepends=True)[: line - 1])
    return Span(source, start, start + len(source.line(line)))


def _wrong_columns(columns: list[str], place: Span, mapping: Mapping) -> Iterator[Problem]:
    """Columns that are missing, there twice, or not for this mapping."""
    keys = mapping.choose.by if mapping.choose else ()
    parameters = [parameter.name for parameter in mapping.parameters]
    for column in keys:
        if column not in columns:
            yield Problem(f"no column '{column}' in the table", place, f"the mapping chooses by {listed(keys)}")
    for i, column in enumerate(columns):
        if column in columns[:i]:
            yield Problem(f"a second column '{column}'", place, "keep one")
        elif column not in (*keys, *parameters):
            hint = (
                did_you_mean(column, parameters) or "columns are parameters of the mapping, and the names behind `by`"
            )
            yield Problem(f"column '{column}' is no parameter of '{mapping.name}'", place, hint)


def _ragged(rows: list[tuple[int, list[str]]], columns: list[str], source: Source) -> Iterator[Problem]:
    """Rows with more or fewer cells than there are columns."""
    for line, cells in rows:
        if len(cells) != len(columns):
            hint = f"the table has the columns {listed(columns)}"
            yield Problem(f"a row with {len(cells)} cells for {len(columns)} columns", _place(source, line), hint)


def _repeated(
    rows: list[tuple[int, list[str]]], columns: list[str], source: Source, mapping: Mapping
) -> Iterator[Problem]:
    """Rows of one key."""
    keys = [columns.index(key) for key in (mapping.choose.by if mapping.choose else ())]
    seen: set[tuple[str, ...]] = set()
    for line, cells in rows:
        key = tuple(cells[i] for i in keys)
        if key in seen:
            yield Problem(f"a second row for {', '.join(key)}", _place(source, line), "keep one")
        seen.add(key)
