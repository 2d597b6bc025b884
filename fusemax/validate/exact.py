"""Exact arithmetic of sizes: integers, fractions, or arrays with one of them for each point of a grid."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import reduce
from math import prod
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard

from fusemax.ir.affine import LARGEST

if TYPE_CHECKING:
    from numpy.typing import NDArray

Grid: TypeAlias = "NDArray[Any]"
Exact: TypeAlias = "int | Fraction | Grid"
MOST_BITS = 62
"""Beyond them arrays hold Python's integers, which do not overflow."""


def is_grid(value: object) -> TypeGuard[Grid]:
    """Whether a value is an array with one element for each point of a grid."""
    return getattr(value, "ndim", 0) > 0


def anywhere(condition: object) -> bool:
    """Whether a condition is true, or true at any point."""
    return bool(condition.any()) if is_grid(condition) else bool(condition)


def applied(operator: str, values: Sequence[Exact]) -> Exact | None:
    """The exact value of an operator; None where it has no such value, at any point.

    >>> applied("div", [6, 4]), applied("div", [6, 0])
    (Fraction(3, 2), None)
    >>> import numpy as np
    >>> applied("mul", [np.array([3, 2**40]), 2**40])
    array([3298534883328, 1208925819614629174706176], dtype=object)
    """
    match operator, _wide(operator, values):
        case "add", [a, b]:
            return a + b
        case "sub", [a, b]:
            return a - b
        case "mul", [a, b]:
            return a * b
        case "div", [a, b]:
            return quotient(a, b)
        case "neg", [a]:
            return -a
        case "max", many:
            return reduce(_larger, many)
        case "min", many:
            return -reduce(_larger, [-each for each in many])
        case "floor", [a]:
            return a // 1
        case "pow", [a, int(b)] if 0 <= b <= 64 and magnitude(a) <= LARGEST:
            return a**b
    return None


def quotient(a: Exact, b: Exact) -> Exact | None:
    """The quotient, of integers that divide an integer; None for a division by 0.

    >>> quotient(12, 4), quotient(1, 2), quotient(1, 0)
    (3, Fraction(1, 2), None)
    """
    if isinstance(a, int) and isinstance(b, int) and b:
        return Fraction(a, b) if a % b else a // b
    if anywhere(b == 0):
        return None
    if not anywhere(a % b != 0):
        return a // b
    over: Exact = _fractions(a) / _fractions(b)
    return over


def one(value: Exact) -> int | Fraction:
    """A value that is no grid."""
    assert isinstance(value, int | Fraction), "one size"
    return value


def magnitude(value: Exact) -> int | Fraction:
    """The largest absolute value."""
    if isinstance(value, int | Fraction):
        return max(value, -value)
    largest: int | Fraction = abs(value).max()
    return largest


def _fractions(value: Exact) -> Fraction | Grid:
    return Fraction(value) if isinstance(value, int | Fraction) else value.astype(object) * Fraction(1)


def _larger(a: Exact, b: Exact) -> Exact:
    if isinstance(a, int | Fraction) and isinstance(b, int | Fraction):
        return max(a, b)
    import numpy as np

    larger: Exact = np.maximum(np.asarray(a), np.asarray(b))
    return larger


def _wide(operator: str, values: Sequence[Exact]) -> list[Exact]:
    """The values, in arrays of Python's integers if a result may be large."""
    if not any(is_grid(value) for value in values if not isinstance(value, int)):
        return list(values)
    sizes = [int(magnitude(value)) + 1 for value in values]
    largest = sizes[0] ** min(sizes[-1], 64) if operator == "pow" else prod(sizes)
    return [v.astype(object) if is_grid(v) and largest >> MOST_BITS else v for v in values]
