"""Tables of the other sizes of an accelerator: CSV -> `Scale`, a row each."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from pathlib import Path

from fusemax.errors import FusemaxError, listed
from fusemax.ir.arch import Scale
from fusemax.syntax.source import read_text

SCALE_COLUMNS = ("dims", "buffer_bytes", "buffer_um2")
"""Columns that there must be. Those in capitals are ranks whose sizes must match; `UNIT_entries` and `UNIT_um2` are the
registers of each element of a unit."""
UM2 = 1e-12


def read_scales(path: Path) -> tuple[Scale, ...]:
    """Read a table. Raises `FusemaxError` if it is missing, lacks a column or a cell, or holds no numbers.

    >>> from fusemax import resources
    >>> [scale.size_bytes for scale in read_scales(resources.directory("arch") / "fusemax-scaling.csv")][:2]
    [16384, 32768]
    """
    table = csv.DictReader(read_text(path).splitlines())
    missing = [column for column in SCALE_COLUMNS if column not in (table.fieldnames or ())]
    if missing:
        raise FusemaxError(
            f"'{path.name}' has no column {listed(missing)}", f"its columns are {listed(SCALE_COLUMNS)}, and registers"
        )
    found = []
    for row in table:
        line = table.line_num
        if None in row or None in row.values():
            raise FusemaxError(
                f"line {line} of '{path.name}' has more or fewer cells than the first", "write one for each column"
            )
        try:
            found.append(_scale(row))
        except (ValueError, KeyError):
            raise FusemaxError(
                f"line {line} of '{path.name}' does not hold positive numbers", "write numbers there"
            ) from None
    if not found:
        raise FusemaxError(f"'{path.name}' has no rows", "give it one for each size")
    return tuple(found)


def _scale(row: Mapping[str, str]) -> Scale:
    """One row. Raises `ValueError` for cells that are no positive numbers."""
    ranks = tuple((name, _positive(cell)) for name, cell in row.items() if name and name.isupper())
    units = [name.removesuffix("_entries") for name in row if name.endswith("_entries")]
    registers = tuple((unit, _positive(row[f"{unit}_entries"]), _area(row[f"{unit}_um2"])) for unit in units)
    return Scale(_positive(row["dims"]), ranks, _positive(row["buffer_bytes"]), _area(row["buffer_um2"]), registers)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def _area(text: str) -> float:
    number = float(text)
    if not 0 < number < math.inf:
        raise ValueError(text)
    return number * UM2
