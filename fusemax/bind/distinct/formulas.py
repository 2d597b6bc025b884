"""Closed forms: the values of a sum of variables, and the points of two variables between two parallel lines."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fusemax.bind.distinct.linear import Number, every, least, most, size


def sums(factors: Sequence[Number], extents: Sequence[Number]) -> Number | None:
    """The number of distinct values of `a*x + b*y + ..`, 0 <= x < nx, .., or None if no closed form is known.

    The values of `b*y` have the distance b; those of `q*b*x + b*y` too if ny >= q, and are (nx - 1)*q + ny: both are
    one variable. Where a exceeds what all others together reach, each x has values of its own. Two variables are left:
    `a*x + b*y` is the same at (x, y) and (x + b', y - a'), a' = a/gcd(a, b), b' = b/gcd(a, b), so that each value has
    one point at which y < a' or x >= nx - b'. These are all points but (nx - b')*(ny - a').

    >>> sums([2, 1], [4, 3]), sums([3, 1], [4, 2]), sums([3, 2], [4, 4]), sums([256, 1, 1], [9, 256, 3])
    (9, 8, 14, 2306)
    """
    terms = [(size(a), n) for a, n in zip(factors, extents, strict=True)]
    terms = [(a, n) for a, n in terms if not (every(n == 1) or every(a == 0))]
    return _sums(terms)


def _sums(terms: list[tuple[Number, Number]]) -> Number | None:
    if len(terms) < 2:
        return terms[0][1] if terms else 1
    for i, (a, nx) in enumerate(terms):
        for j, (b, ny) in enumerate(terms):
            if i != j and every((a % b == 0) & (ny >= a // b)):
                others = [term for k, term in enumerate(terms) if k not in (i, j)]
                return _sums([*others, (b, (nx - 1) * (a // b) + ny)])
    if len(terms) == 2:
        (a, nx), (b, ny) = terms
        common = np.gcd(a, b)
        left = most(0, nx - b // common) * most(0, ny - a // common)
        total = nx * ny - left
        return int(total) if np.ndim(total) == 0 else total
    for i, (a, nx) in enumerate(terms):
        others = [term for k, term in enumerate(terms) if k != i]
        reach: Number = 0
        for b, n in others:
            reach = reach + b * (n - 1)
        if every(a > reach):
            rest = _sums(others)
            return None if rest is None else nx * rest
    return None


def between(factors: Sequence[Number], extents: Sequence[Number], low: Number, high: Number) -> Number:
    """The number of points (x, y), 0 <= x < nx, 0 <= y < ny, with low <= a*x + b*y <= high.

    It is the number up to `high` less that up to `low - 1`. A negative factor turns its variable around. Up to s, the
    quadrant x, y >= 0 has `_triangle(s)` points; those with x >= nx, or y >= ny, are a smaller triangle, shifted.

    >>> between((1, -1), (4, 4), 0, 3), between((1, -1), (4, 4), 0, 1), between((256, -1), (4096, 2**20), -255, 0)
    (10, 7, 1048576)
    """
    (a, b), (nx, ny) = factors, extents
    shift = least(0, a * (nx - 1)) + least(0, b * (ny - 1))
    a, b = size(a), size(b)
    reach = a * (nx - 1) + b * (ny - 1)

    def up_to(s: Number) -> Number:
        s = most(-1, least(s, reach))
        return (
            _triangle(a, b, s) - _triangle(a, b, s - a * nx) - _triangle(a, b, s - b * ny)
            + _triangle(a, b, s - a * nx - b * ny)
        )  # fmt: skip

    return most(0, up_to(high - shift) - up_to(low - shift - 1))


def _triangle(a: Number, b: Number, s: Number) -> Number:
    """The points x, y >= 0 with a*x + b*y <= s: the sum over x of floor((s - a*x)/b) + 1."""
    inside = most(s, 0)
    columns = inside // a + 1
    return (s >= 0) * (columns + _floor_sum(columns, b, a, inside % a))


def _floor_sum(n: Number, m: Number, a: Number, b: Number) -> Number:
    """The sum of floor((a*i + b)/m) over 0 <= i < n, by Euclid's algorithm: the points below a line are, with the axes
    exchanged, those below another of smaller slope (Graham, Knuth, Patashnik, "Concrete Mathematics", 3.5)."""
    total: Number = 0
    while True:
        total = total + n * (n - 1) // 2 * (a // m) + n * (b // m)
        a, b = a % m, b % m
        top = a * n + b
        n, b, a, m = top // m, top % m, m, most(a, 1)
        if np.all(n == 0):
            return total
