"""Extents and amounts: a number, or an array with one element a shape point, so that a grid of points is costed at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusemax.validate.exact import is_grid

Grid = NDArray[Any]
"""One element a shape point: integers of 64 bits, Python's own where counts may leave these, or floats."""
Amount = int | float | Grid
"""Words, cycles, joules: at one shape point or at each of a grid."""
Extent = Amount
"""Iterations of a loop: integers; means of uneven tiles are fractions, which calculate like integers, or floats in a grid."""
Condition = bool | NDArray[np.bool_]
"""A truth value, at one shape point or at each of a grid."""


def largest(values: Iterable[Amount]) -> Amount:
    """The largest at each point; numbers stay Python's own, which do not overflow.

    >>> largest([2**70, 3]) == 2**70
    True
    """
    found: Any = 0
    for value in values:
        found = np.maximum(found, value) if np.ndim(found) or is_grid(value) else max(found, value)
    return found  # type: ignore[no-any-return]


def where(condition: Condition, yes: Amount, no: Amount) -> Amount:
    """One of two amounts, at each point; for one point, the amount itself."""
    if np.ndim(condition) == 0:
        return yes if condition else no
    return np.where(condition, np.asarray(yes), np.asarray(no))


def single(amount: Amount) -> int | float:
    """The amount at the only shape point there is."""
    assert not isinstance(amount, np.ndarray), "a grid of shape points"
    return amount
