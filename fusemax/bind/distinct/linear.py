"""Linear forms over integer variables, and the image that forms have over the points of a box within filters.

Coefficients, constants and extents are integers, or integer arrays with one element a shape point. Code that decides
by such a number asks `every`: where the points differ, `apart` counts them separately, so that all of the code reads
as if there were one point.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from fusemax.bind.extents import Condition, Grid
from fusemax.ir.checked import Relation

Number: TypeAlias = int | Grid
"""An integer, or an array of them, one a shape point."""


class Mixed(Exception):
    """A decision that differs from point to point; `where` is the condition at each."""

    def __init__(self, where: NDArray[np.bool_]) -> None:
        super().__init__("points that must be counted apart")
        self.where = where


def always(condition: Condition) -> bool:
    """Whether a condition holds at all points."""
    return condition if isinstance(condition, bool) else bool(np.all(condition))


def every(condition: Condition) -> bool:
    """Whether a condition holds, which must be the same at all points. Raises `Mixed` otherwise."""
    if isinstance(condition, bool):
        return condition
    if np.all(condition) or not np.any(condition):
        return bool(np.any(condition))
    raise Mixed(np.asarray(condition, bool))


def least(a: Number, b: Number) -> Number:
    """The smaller number at each point."""
    return min(a, b) if isinstance(a, int) and isinstance(b, int) else np.minimum(a, b)


def most(a: Number, b: Number) -> Number:
    """The larger number at each point."""
    return max(a, b) if isinstance(a, int) and isinstance(b, int) else np.maximum(a, b)


def size(a: Number) -> Number:
    """The number without its sign at each point."""
    return abs(a) if isinstance(a, int) else np.abs(a)


def product(numbers: Iterable[Number]) -> Number:
    """The product at each point; 1 of nothing."""
    result: Number = 1
    for number in numbers:
        result = result * number
    return result


@dataclass(frozen=True, slots=True)
class Linear:
    """`constant` + the sum of coefficient * variable; coefficients are 0 at no point.

    >>> Linear({"p": 2, "r": 1}, -1).put({"p": Linear({"q": 3}, 1)})
    Linear(coefficients={'r': 1, 'q': 6}, constant=1)
    """

    coefficients: Mapping[str, Number]
    constant: Number = 0

    def plus(self, other: Linear, times: Number = 1) -> Linear:
        """The sum with another form, that one times a number; what cancels disappears."""
        sums = dict(self.coefficients)
        for variable, coefficient in other.coefficients.items():
            sums[variable] = sums.get(variable, 0) + coefficient * times
        kept = {variable: c for variable, c in sums.items() if not every(c == 0)}
        return Linear(kept, self.constant + other.constant * times)

    def put(self, values: Mapping[str, Linear]) -> Linear:
        """The form with some of its variables replaced by forms."""
        if values.keys().isdisjoint(self.coefficients):
            return self
        result = Linear({v: c for v, c in self.coefficients.items() if v not in values}, self.constant)
        for variable, coefficient in self.coefficients.items():
            if variable in values:
                result = result.plus(values[variable], coefficient)
        return result

    def same(self, other: Linear) -> bool:
        """Whether two forms are equal at all points."""
        mine, others = self.coefficients, other.coefficients
        equal = mine.keys() == others.keys() and all(always(mine[v] == others[v]) for v in mine)
        return equal and always(self.constant == other.constant)

    def numbers(self, change: Callable[[Number], Number]) -> Linear:
        """The form with every number changed."""
        return Linear({v: change(c) for v, c in self.coefficients.items()}, change(self.constant))


@dataclass(frozen=True, slots=True)
class Filter:
    """The points at which a form has a relation to zero."""

    form: Linear
    relation: Relation

    def holds(self, value: Number) -> Condition:
        """Whether a value of the form has the relation."""
        match self.relation:
            case Relation.NOT_NEGATIVE:
                return value >= 0
            case Relation.ZERO:
                return value == 0
            case Relation.NOT_ZERO:
                return value != 0


@dataclass(frozen=True, slots=True)
class Image:
    """The values that `forms` take over the points of a box, 0 <= v < extents[v], within filters."""

    forms: tuple[Linear, ...]
    extents: Mapping[str, Number]
    filters: tuple[Filter, ...] = ()

    @property
    def rows(self) -> list[Linear]:
        """The forms, and those of the filters."""
        return [*self.forms, *(row.form for row in self.filters)]

    def each(self, change: Callable[[Linear], Linear]) -> Image:
        """The image with every form changed."""
        filters = tuple(Filter(change(row.form), row.relation) for row in self.filters)
        return Image(tuple(map(change, self.forms)), self.extents, filters)

    def numbers(self, change: Callable[[Number], Number]) -> Image:
        """The image with every number changed."""
        extents = {variable: change(extent) for variable, extent in self.extents.items()}
        return replace(self.each(lambda form: form.numbers(change)), extents=extents)

    def put(self, values: Mapping[str, Linear], extents: Mapping[str, Number] | None = None) -> Image:
        """The image with variables replaced by forms, whose new variables, if any, have the extents given."""
        kept = {variable: extent for variable, extent in self.extents.items() if variable not in values}
        return replace(self.each(lambda form: form.put(values)), extents={**kept, **(extents or {})})

    def fixed(self, coordinates: Mapping[str, Number]) -> Image:
        """The image at given coordinates of some variables."""
        return self.put({variable: Linear({}, value) for variable, value in coordinates.items()})

    def at(self, where: NDArray[np.bool_]) -> Image:
        """The image at some of the shape points."""
        return self.numbers(lambda number: number if isinstance(number, int) else number[where])

    def same(self, other: Image) -> bool:
        """Whether two images are equal at all points."""
        return (
            Linear(self.extents).same(Linear(other.extents))
            and len(self.forms) == len(other.forms)
            and [row.relation for row in self.filters] == [row.relation for row in other.filters]
            and all(map(Linear.same, self.rows, other.rows))
        )


def apart(count: Callable[[Image], Number], image: Image) -> Number:
    """Count an image at all shape points at once, or, where a decision differs, at those that agree on it.

    >>> apart(lambda image: 1 if every(image.extents["m"] > 2) else 0, Image((), {"m": np.array([1, 5, 3])}))
    array([0, 1, 1])
    """
    try:
        return count(image)
    except Mixed as mixed:
        yes, no = mixed.where, ~mixed.where
        found = apart(count, image.at(yes)), apart(count, image.at(no))
        kinds = (np.asarray(number).dtype for number in found)
        result = np.empty(len(yes), object if any(kind.kind == "O" for kind in kinds) else np.int64)
        result[yes], result[no] = found
        return result


def identity(variables: Iterable[str]) -> tuple[Linear, ...]:
    """The variables themselves as forms."""
    return tuple(Linear({variable: 1}) for variable in variables)


def groups_of(image: Image) -> list[Image]:
    """The parts of an image that have no variable in common: its points, and its values, are a product over them.

    Filters without a variable are in no part; see `exists`.

    >>> image = Image((Linear({"p": 1, "r": 1}), Linear({"q": 2})), dict.fromkeys("pqr", 3))
    >>> [[*group.extents] for group in groups_of(image)]
    [['q'], ['p', 'r']]
    """
    groups = [{variable} for variable in image.extents]
    for row in image.rows:
        together = [group for group in groups if not group.isdisjoint(row.coefficients)]
        if len(together) > 1:
            groups = [group for group in groups if group not in together] + [set().union(*together)]
    return [
        Image(
            tuple(form for form in image.forms if not group.isdisjoint(form.coefficients)),
            {variable: extent for variable, extent in image.extents.items() if variable in group},
            tuple(row for row in image.filters if not group.isdisjoint(row.form.coefficients)),
        )
        for group in groups
    ]


def exists(image: Image) -> Number:
    """0 where a filter without variables does not hold, else 1."""
    found: Number = 1
    for row in image.filters:
        if not row.form.coefficients:
            found = found * row.holds(row.form.constant)
    return found
