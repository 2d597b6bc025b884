"""Points one by one: what no closed form counts."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from fusemax.analysis.counting import Points
from fusemax.bind.distinct.linear import Filter, Image, Linear, Number
from fusemax.ir.affine import Affine, Term
from fusemax.ir.checked import Constraint

Array: TypeAlias = NDArray[np.int64]
MOST_LISTED = 10**7
"""So many points are listed at most."""


class TooMany(Exception):
    """So many points that no closed form counts, and that are too many to be listed."""

    def __init__(self, points: int) -> None:
        super().__init__(f"{points:,} points")
        self.points = points


def points_in(*images: Image) -> int | None:
    """The number of shape points of images, or None if all of their numbers are plain."""
    lengths: set[int] = set()

    def seen(number: Number) -> Number:
        lengths.update(() if isinstance(number, int) else (len(number),))
        return number

    for image in images:
        image.numbers(seen)
    assert len(lengths) < 2, "arrays with one element a shape point"
    return lengths.pop() if lengths else None


def each_point(count: Callable[..., int], *images: Image) -> Number:
    """A count of images at each shape point by itself."""
    points = points_in(*images)
    if points is None:
        return count(*images)

    def at(point: int) -> Iterator[Image]:
        return (image.numbers(lambda n: n if isinstance(n, int) else int(n[point])) for image in images)

    return np.array([count(*at(point)) for point in range(points)])


def number_of_points(image: Image) -> int:
    """The points within filters at one shape point, by all variables but one. Raises `TooMany`."""
    extents = _plain(image)
    columns = math.prod(extents.values()) // max(extents.values())
    if columns > MOST_LISTED:
        raise TooMany(columns)
    names = {variable: f"v{i}" for i, variable in enumerate(extents)}

    def constraint(row: Filter) -> Constraint:
        terms = (Term(int(c), (), names[v]) for v, c in row.form.coefficients.items())
        return Constraint(Affine((*terms, Term(int(row.form.constant)))), row.relation)

    constraints = tuple(map(constraint, image.filters))
    sizes = {f"V{i}": extent for i, extent in enumerate(extents.values())}
    return Points((), tuple(names.values()), constraints).number(sizes)


@dataclass(frozen=True, slots=True)
class PointList:
    """Points one by one: the coordinates of each, by variable."""

    coordinates: Mapping[str, Array]
    number: int

    def value(self, form: Linear) -> Array:
        """The value of a form at each point."""
        value = np.full(self.number, int(form.constant))
        for variable, coefficient in form.coefficients.items():
            value += int(coefficient) * self.coordinates[variable]
        return value

    def key(self, forms: Iterable[Linear]) -> Array:
        """One number for each point, in the lexicographic order of the values of forms, and equal if these are."""
        return keys([np.zeros(self.number, np.int64), *map(self.value, forms)])


def listed_points(image: Image) -> PointList:
    """The points of an image at one shape point, in lexicographic order. Raises `TooMany`."""
    extents = _plain(image)
    number = math.prod(extents.values())
    if number > MOST_LISTED:
        raise TooMany(number)
    every = np.unravel_index(np.arange(number), tuple(extents.values())) if extents else ()
    grid = PointList({v: values.astype(np.int64) for v, values in zip(extents, every, strict=True)}, number)
    holds = np.ones(number, bool)
    for row in image.filters:
        holds &= row.holds(grid.value(row.form))
    return PointList({v: values[holds] for v, values in grid.coordinates.items()}, int(holds.sum()))


def count_listed(image: Image) -> int:
    """The number of distinct values at one shape point, point by point. Raises `TooMany`.

    >>> count_listed(Image((Linear({"p": 5, "r": 3, "s": 2}),), {"p": 3, "r": 3, "s": 2}))
    14
    """
    return len(np.unique(listed_points(image).key(image.forms)))


def keys(rows: Sequence[Array]) -> Array:
    """One number for each column of rows, in the lexicographic order of the columns, and equal if these are."""
    key, span = np.zeros_like(rows[0]), 1
    for row in rows:
        low, width = (int(row.min()), int(row.max() - row.min()) + 1) if row.size else (0, 1)
        if span * width >= 2**62:
            values, key = np.unique(key, return_inverse=True)
            span = len(values)
        key, span = key * width + (row - low), span * width
    return key


def _plain(image: Image) -> dict[str, int]:
    """The extents at one shape point as Python's integers."""
    return {variable: int(extent) for variable, extent in image.extents.items()}


@dataclass(frozen=True, slots=True)
class PairTable:
    """The distinct pairs of an iteration of loops and a word; both are numbered, 0, 1, .., iterations as time goes."""

    times: Array
    words: Array

    def pairs(self) -> int:
        """The number of pairs."""
        return len(self.times)

    def different(self) -> int:
        """The words, each once."""
        return len(np.unique(self.words))

    def largest(self) -> int:
        """The words of the largest tile."""
        return int(np.bincount(self.times).max(initial=0))

    def fresh(self) -> int:
        """The words of each tile that the one before it in time has not."""
        width = int(self.words.max(initial=0)) + 1
        key = self.times * width + self.words
        return len(key) - int(np.isin(key, key + width).sum())


def table(loops: Sequence[str], images: Sequence[Image]) -> PairTable:
    """The pairs of all places of a tensor at one shape point. Raises `TooMany`."""
    grids = [listed_points(image) for image in images]
    times = [np.concatenate([grid.coordinates[loop] for grid in grids]) for loop in loops]
    forms = zip(*(image.forms for image in images), strict=True)
    words = [np.concatenate([grid.value(f) for f, grid in zip(each, grids, strict=True)]) for each in forms]
    nothing = np.zeros(sum(grid.number for grid in grids), np.int64)
    time, word = (np.unique(keys([nothing, *rows]), return_inverse=True)[1] for rows in (times, words))
    both = np.unique(np.stack((time, word)), axis=1) if len(nothing) else np.stack((time, word))
    return PairTable(both[0], both[1])
