"""Splits whose last tiles are shorter than the others: nothing has to divide.

A part that takes `n` tiles of `length`, the last of them short, has the mean length as its extent: products of extents
along a rank are then totals, and exact. What must fit somewhere is measured by the longest tile.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np

from fusemax.bind.sizes import extent_of
from fusemax.errors import FusemaxError, Problem
from fusemax.ir.checked import Checked
from fusemax.ir.mapping import Length, Split


def uneven_parts(
    checked: Checked, split: Split, whole: Any, known: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The mean and the longest extents of the parts of an uneven split, innermost parts first.

    Raises `FusemaxError` if a part other than the outermost has no length, if a filter asks for the variable, and if a
    last tile has a single iteration, for then what stays in an array there differs from what stays in all others.
    """
    first, *inner = split.parts
    if first.extent is not None or any(not isinstance(part.extent, Length) for part in inner):
        message = "an uneven split has a length for every part but the first"
        raise FusemaxError([Problem(message, split.span, "write it like `split p uneven: p2, p1 = 3, p0 = 256`")])
    if any(split.variable in c.form.variables for einsum in checked.einsums for c in einsum.constraints):
        message = f"filters ask for '{split.variable}', so that its tiles must be even"
        raise FusemaxError([Problem(message, split.span, "leave `uneven` out, and give sizes that divide")])
    mean: dict[str, Any] = {}
    longest: dict[str, Any] = {}
    left = whole
    for part in reversed(inner):
        assert isinstance(part.extent, Length), "seen above"
        length = _smaller(extent_of(part, part.extent, known), left)
        tiles = -(-left // length)
        alone = (left - (tiles - 1) * length == 1) & (length > 1) & (tiles > 1)
        if np.any(alone):
            message = f"the last tile of '{part.variable}' has a single iteration"
            raise FusemaxError([Problem(message, part.span, _others(left, length))])
        mean[part.variable], longest[part.variable] = _mean(left, tiles), length
        left = tiles
    mean[first.variable] = longest[first.variable] = left
    return mean, longest


def _others(total: Any, length: Any) -> str:
    """The nearest lengths that do."""
    if np.ndim(total) or np.ndim(length):
        return "give it another length"
    near = sorted(balanced(int(total)), key=lambda other: abs(other - int(length)))[:2]
    return f"take {' or '.join(map(str, sorted(near)))}"


def balanced(number: int) -> list[int]:
    """The lengths of tiles of which none can be shorter for as many tiles, without a last tile of one iteration.

    >>> balanced(7), balanced(6)
    ([1, 4, 7], [1, 2, 3, 6])
    """
    found = {-(-number // tiles) for tiles in range(1, number + 1)} if number <= MOST_COUNTED else _few(number)
    return sorted(length for length in found if length == 1 or number % length != 1)


MOST_COUNTED = 1 << 16
"""Longer ranks have lengths of powers of two too, and not for every number of tiles."""


def _few(number: int) -> set[int]:
    tiles = {1 << i for i in range(number.bit_length())} | set(range(1, MOST_COUNTED))
    return {-(-number // n) for n in tiles}


def _smaller(length: Any, left: Any) -> Any:
    return np.minimum(length, left) if np.ndim(length) or np.ndim(left) else min(length, left)


def _mean(total: Any, tiles: Any) -> Any:
    """The mean as an exact number, or, in a grid, as close as floating point comes."""
    if np.ndim(total) or np.ndim(tiles):
        return np.asarray(total, np.float64) / np.asarray(tiles, np.float64)
    mean = Fraction(int(total), int(tiles))
    return mean.numerator if mean.denominator == 1 else mean
