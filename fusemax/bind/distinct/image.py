"""How many distinct values affine forms take over the integer points of a box within filters, in closed form.

    distinct(image) = |{(form_1(x), .., form_k(x)) : 0 <= x < extents, x within the filters}|

1. A form in one variable determines it, and a variable that is determined can be taken out of all other forms: the
   values of `(p, a*p + r)` are as many as those of `(p, r)`. Variables of extent 1 are constants. `m1*M0 + m0`, where
   M0 is the extent of m0, is one variable if no form and no filter has its parts otherwise; a filter on one variable
   shortens its extent, so that `m1*M0 + m0 < M` leaves one variable of extent M.
2. Forms and filters that share no variable are independent: their numbers multiply.
3. Without a filter, the values of one form in several variables, a halo, are counted by `formulas.sums`.
4. Within filters, the values `w` of a form become a variable, determined and equal to the form, and each variable that
   is not determined is eliminated: by an equation that has it with the factor 1, or, from a lower bound
   `a*x + L >= 0` and an upper one `U - b*x >= 0`, by `b*L + a*U >= 0`. This is exact over the integers if a or b is 1,
   and if `b*L + a*U >= (a - 1)*(b - 1)` always holds (Pugh, "The Omega Test", CACM 1992). The points of the variables
   that are left are counted by `formulas.between` if they are two between parallel lines.
5. All else is listed point by point: see `listing`.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from itertools import permutations

import numpy as np

from fusemax.bind.distinct.formulas import between, sums
from fusemax.bind.distinct.linear import (
    Filter,
    Image,
    Linear,
    Number,
    always,
    apart,
    every,
    exists,
    groups_of,
    identity,
    least,
    most,
    product,
    size,
)
from fusemax.bind.distinct.listing import count_listed, each_point, number_of_points
from fusemax.ir.checked import Relation


class _Inexact(Exception):
    """A variable that cannot be eliminated exactly."""


def distinct(image: Image) -> Number:
    """The number of distinct values at each shape point. Raises `TooMany`.

    >>> distinct(Image((Linear({"p": 2, "r": 1}),), {"p": np.array([4, 5]), "r": 3}))
    array([ 9, 11])
    >>> causal = Filter(Linear({"p": 1, "m": -1}), Relation.NOT_NEGATIVE)
    >>> distinct(Image((Linear({"m": 1}),), {"m": 2**20, "p": 5}, (causal,)))
    5
    """
    return apart(lambda image: exists(image) * product(map(_group, groups_of(image))), image)


def _group(image: Image) -> Number:
    """The values of forms that hang together, by filters or by variables in common."""
    if not image.filters and all(len(form.coefficients) == 1 for form in image.forms):
        return product(image.extents[variable] for variable in determined_by(image))
    image = simplified(image)
    return exists(image) * product(map(_simple, groups_of(image)))


def _simple(image: Image) -> Number:
    """The values of a group that cannot be simplified."""
    if not image.filters and len(determined_by(image)) == len(image.extents):
        return product(image.extents.values())
    if not image.filters and len(image.forms) == 1:
        total = sums([image.forms[0].coefficients[v] for v in image.extents], list(image.extents.values()))
        return each_point(count_listed, image) if total is None else total
    if not image.filters:
        return each_point(count_listed, image)
    try:
        left = _projected(image)
    except _Inexact:
        return each_point(count_listed, image)
    return exists(left) * product(map(_points, groups_of(left)))


def determined_by(image: Image) -> frozenset[str]:
    """The variables that stand alone in a form."""
    return frozenset(next(iter(form.coefficients)) for form in image.forms if len(form.coefficients) == 1)


# ------------------------------------------------------------------------------------------------------ simplification


def simplified(image: Image) -> Image:
    """An image with as many values and fewer variables."""
    while True:
        image = with_filters(_with_forms(image))
        fewer = _bounded(image) or _unasked(image) or merged(image, image.extents)
        if fewer is None:
            return image
        image = fewer


def _with_forms(image: Image) -> Image:
    """Forms without what other forms determine, each once; constants change no number of values."""
    forms = [Linear(form.coefficients) for form in image.forms]
    alone: dict[str, None] = {}
    while fresh := {next(iter(form.coefficients)): None for form in forms if len(form.coefficients) == 1}:
        alone.update(fresh)
        forms = [form.put(dict.fromkeys(fresh, Linear({}))) for form in forms]
    different: list[Linear] = []
    for form in forms:
        if form.coefficients and not any(map(form.same, different)):
            different.append(form)
    return replace(image, forms=identity(alone) + tuple(different))


def with_filters(image: Image) -> Image:
    """Filters divided by what their coefficients have in common, without those that hold at all points of the box."""
    rows = map(_divided, image.filters)
    return replace(image, filters=tuple(row for row in rows if not _always_holds(row, image.extents)))


def _always_holds(row: Filter, extents: Mapping[str, Number]) -> bool:
    """Whether a bound, or a filter without variables, holds at all points of the box."""
    known = row.relation is Relation.NOT_NEGATIVE or not row.form.coefficients
    return known and always(row.holds(low(row.form, extents)))


def _divided(row: Filter) -> Filter:
    """A filter divided by what its coefficients have in common; where that does not divide an equation, its rest."""
    common = _common(row.form.coefficients.values())
    if common is None or always(common == 1):
        return row
    rest = row.form.constant % common
    if row.relation is not Relation.NOT_NEGATIVE and not every(rest == 0):
        return Filter(Linear({}, rest), row.relation)
    form = Linear({v: c // common for v, c in row.form.coefficients.items()}, row.form.constant // common)
    return Filter(form, row.relation)


def _common(numbers: Iterable[Number]) -> Number | None:
    """The greatest common divisor, or None of nothing."""
    result: Number | None = None
    for number in numbers:
        if result is None:
            result = size(number)
        else:
            both = isinstance(result, int) and isinstance(number, int)
            result = math.gcd(result, number) if both else np.gcd(result, number)
    return result


def _bounded(image: Image) -> Image | None:
    """The image with a filter on one variable as the bounds of that, or None if it has no such filter.

    That bounds leave something is then a filter without variables.
    """
    for variable, extent in image.extents.items():
        if not always(extent > 0):
            nonempty = Filter(Linear({}, extent - 1), Relation.NOT_NEGATIVE)
            one = Image(image.forms, image.extents, (*image.filters, nonempty))
            return one.put({variable: Linear({variable: 1})}, {variable: most(extent, 1)})
    for row in image.filters:
        if len(row.form.coefficients) == 1 and row.relation is not Relation.NOT_ZERO:
            ((variable, factor),) = row.form.coefficients.items()  # 1 or -1, as filters are divided by it
            positive = every(factor > 0)
            lowest: Number = 0
            highest = image.extents[variable] - 1
            value = -row.form.constant if positive else row.form.constant
            if row.relation is Relation.ZERO or positive:
                lowest = most(lowest, value)
            if row.relation is Relation.ZERO or not positive:
                highest = least(highest, value)
            rest = replace(image, filters=tuple(other for other in image.filters if other is not row))
            return rest.put({variable: Linear({variable: 1}, lowest)}, {variable: highest - lowest + 1})
    return None


def _unasked(image: Image) -> Image | None:
    """The image without a variable that has one value, or that no form has and that meets all filters with some value;
    None if it has no such variable."""
    determined = determined_by(image)
    for variable, extent in image.extents.items():
        if always(extent == 1):
            return image.fixed({variable: 0})
        if variable not in determined and not any(variable in form.coefficients for form in image.forms):
            rows = [row for row in image.filters if variable in row.form.coefficients]
            if all(row.relation is Relation.NOT_ZERO for row in rows) and always(extent > len(rows)):
                rest = tuple(row for row in image.filters if variable not in row.form.coefficients)
                return replace(image, filters=rest).fixed({variable: 0})
    return None


def merged(image: Image, variables: Collection[str]) -> Image | None:
    """The image with two of some variables as one, `q*x + y`, or with y turned around for that; None if no two are one."""
    determined = determined_by(image)
    several = [form for form in image.forms if len(form.coefficients) > 1]
    rows = [row.coefficients for row in (*several, *(row.form for row in image.filters))]
    seen = {variable: [i for i, row in enumerate(rows) if variable in row] for variable in image.extents}
    for x, y in permutations(variables, 2):
        if not seen[x] or seen[x] != seen[y] or (x in determined) != (y in determined):
            continue
        mine = [rows[i] for i in seen[x]]
        q, extent = size(mine[0][x]) // size(mine[0][y]), image.extents[y]
        if not always(q == extent if x in determined else (q > 0) & (q <= extent)):
            continue
        if all(always(row[x] == q * row[y]) for row in mine):
            return image.put({x: Linear({})}, {y: (image.extents[x] - 1) * q + extent})
        if all(always(row[x] == -q * row[y]) for row in mine):
            return image.put({y: Linear({y: -1}, extent - 1)}, {y: extent})
    return None


# ---------------------------------------------------------------------------------------------------------- projection


def _projected(image: Image) -> Image:
    """The points of the determined variables alone. Raises `_Inexact`."""
    forms, extents, filters = list(image.forms), dict(image.extents), list(image.filters)
    for i, form in enumerate(image.forms):
        if len(form.coefficients) > 1:
            common = _common(form.coefficients.values())
            assert common is not None, "several coefficients"
            word, form = f"word {i}", Linear({v: c // common for v, c in form.coefficients.items()})
            lowest = low(form, image.extents)
            extents[word] = high(form, image.extents) - lowest + 1
            filters.append(Filter(form.plus(Linear({word: 1}, lowest), -1), Relation.ZERO))
            forms[i] = Linear({word: 1})
    image = Image(tuple(forms), extents, tuple(filters))
    while True:
        image = simplified(image)
        fewer = _solved(image) or _eliminated(image)
        if fewer is None:
            return image
        image = fewer


def _solved(image: Image) -> Image | None:
    """The image with an equation solved for one of its variables, or None. A variable whose value others determine is
    determined, too."""
    determined = determined_by(image)
    for row in (row for row in image.filters if row.relation is Relation.ZERO):
        factors = row.form.coefficients
        free = [variable for variable in factors if variable not in determined]
        unit = next((variable for variable in free or factors if always(size(factors[variable]) == 1)), None)
        if unit is not None:
            value = Linear({}).plus(row.form.put({unit: Linear({})}), -factors[unit])
            rest = tuple(other for other in (*image.filters, *_box(image, unit)) if other is not row)
            forms = tuple(form for form in image.forms if unit not in form.coefficients)
            return replace(image, forms=forms, filters=rest).put({unit: value})
        if len(free) == 1:
            return replace(image, forms=image.forms + identity(free))
    return None


def _eliminated(image: Image) -> Image | None:
    """The image without one of the variables that no form needs, or None if it has no such variable.

    Raises `_Inexact` if none of them can be eliminated.
    """
    free = [variable for variable in image.extents if variable not in determined_by(image)]
    for variable in free:
        mine = [row for row in image.filters if variable in row.form.coefficients]
        if all(row.relation is Relation.NOT_NEGATIVE for row in mine):
            both = _combined([row.form for row in (*mine, *_box(image, variable))], variable, image)
            if both is not None:
                rest = tuple(row for row in image.filters if variable not in row.form.coefficients)
                return replace(image, filters=rest + both).fixed({variable: 0})
    if free:
        raise _Inexact
    return None


def _combined(rows: list[Linear], variable: str, image: Image) -> tuple[Filter, ...] | None:
    """What the bounds of a variable ask of all others together, or None where it is not known exactly."""
    lower = [row for row in rows if every(row.coefficients[variable] > 0)]
    upper = [row for row in rows if every(row.coefficients[variable] < 0)]
    found = []
    for below, above in ((below, above) for below in lower for above in upper):
        a, b = below.coefficients[variable], -above.coefficients[variable]
        both = Linear({}).plus(below, b).plus(above, a)
        if always((a == 1) | (b == 1)):
            found.append(Filter(both, Relation.NOT_NEGATIVE))
        elif not always(low(both, image.extents) >= (a - 1) * (b - 1)):
            return None
    return tuple(found)


def _box(image: Image, variable: str) -> tuple[Filter, Filter]:
    """The bounds of the box for one variable, as filters."""
    bounds = Linear({variable: 1}), Linear({variable: -1}, image.extents[variable] - 1)
    return Filter(bounds[0], Relation.NOT_NEGATIVE), Filter(bounds[1], Relation.NOT_NEGATIVE)


def low(form: Linear, extents: Mapping[str, Number]) -> Number:
    """The smallest value of a form over the box."""
    result = form.constant
    for variable, coefficient in form.coefficients.items():
        result = result + least(0, coefficient * (extents[variable] - 1))
    return result


def high(form: Linear, extents: Mapping[str, Number]) -> Number:
    """The largest value of a form over the box."""
    return -low(Linear({}).plus(form, -1), extents)


def _points(image: Image) -> Number:
    """The points of a group of variables, all of them determined."""
    rows = [row.form for row in image.filters]
    if not rows:
        return product(image.extents.values())
    if len(image.extents) > 2 or any(row.relation is not Relation.NOT_NEGATIVE for row in image.filters):
        return each_point(number_of_points, image)
    first = Linear(rows[0].coefficients)
    turned = Linear({}).plus(first, -1)
    lowest, highest = low(first, image.extents), high(first, image.extents)
    for row in rows:
        if Linear(row.coefficients).same(first):
            lowest = most(lowest, -row.constant)
        elif Linear(row.coefficients).same(turned):
            highest = least(highest, row.constant)
        else:
            return each_point(number_of_points, image)
    factors = [first.coefficients[variable] for variable in image.extents]
    return between(factors, list(image.extents.values()), lowest, highest)
