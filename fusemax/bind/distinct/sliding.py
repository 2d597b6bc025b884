"""The words that a tile shares with the one before it in time, and the largest tile: products over groups of variables.

See the package's docstring for the sum over loops and groups.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fusemax.bind.distinct.image import distinct, merged, with_filters
from fusemax.bind.distinct.linear import (
    Filter,
    Image,
    Linear,
    Mixed,
    Number,
    always,
    every,
    exists,
    groups_of,
    identity,
    least,
    product,
)
from fusemax.bind.distinct.listing import Array, TooMany, points_in
from fusemax.ir.checked import Relation

MOST_ITERATIONS = 2**22
"""So many iterations of loops are listed at most, and at once."""


def shared(image: Image, loops: Sequence[str]) -> Number:
    """The words that the tiles of consecutive iterations have in common, over the run."""
    groups = groups_of(image)
    result: Number = 0
    for number, loop in enumerate(loops):
        if always(image.extents[loop] == 1):
            continue
        words: Number = 1
        for group in sorted(groups, key=lambda group: loop not in group.extents):  # its own first: it may share nothing
            mine = tuple(other for other in loops if other in group.extents)
            around = sum(other in loops[:number] for other in mine)
            words = words * _shared(group, mine, around, loop in group.extents)
            if always(words == 0):
                break
        result = result + words
    return exists(image) * result


def _shared(group: Image, loops: tuple[str, ...], around: int, steps: bool) -> Number:
    """What a group shares at the steps of a loop j: `around` is the number of its loops around j, and `steps` says
    whether j itself, then `loops[around]`, is one of its loops."""
    if not group.forms and not group.filters and steps:
        return group.extents[loops[around]] - 1
    if not steps and around == len(loops):
        return distinct(replace(group, forms=identity(loops) + group.forms))
    if steps and _is_of_one(group, loops[:around], loops[around]):
        return 0
    if not group.filters or ((around == 0 or steps) and _is_prefix(group, loops[around:] if steps else ())):
        return _regular(group, loops, around, steps)
    return _by_iterations(group, loops, around, steps)


def _is_of_one(group: Image, around: tuple[str, ...], loop: str) -> bool:
    """Whether a word belongs to one iteration of a loop at most, wherever the loops around it are."""
    if not any(loop in form.coefficients for form in group.forms):
        return False
    box = Image(identity(around) + group.forms, group.extents)
    return every(distinct(box) == distinct(replace(box, forms=identity((loop,)) + box.forms)))


def _is_prefix(group: Image, loops: tuple[str, ...]) -> bool:
    """Whether existing iterations are those before some last one, as with `m1*M0 + m0 < M`: each filter only asks that
    a sum is not too large, and one step of the first loop is worth at least all steps of those inside of it."""
    for row in group.filters:
        factors = row.form.coefficients
        if row.relation is not Relation.NOT_NEGATIVE or any(every(factor > 0) for factor in factors.values()):
            return False
        inner: Number = 0
        for loop in loops[1:]:
            inner = inner - factors.get(loop, 0) * (group.extents[loop] - 1)
        if loops and not every(inner <= -factors.get(loops[0], 0)):
            return False
    return True


def _regular(group: Image, loops: tuple[str, ...], around: int, steps: bool) -> Number:
    """Tiles whose distance is the same at all steps: the loop goes one on, those inside from the last to the first."""
    inner = loops[around + steps :]
    last: dict[str, Number] = {}
    for loop in inner:
        last[loop] = group.extents[loop] - 1
        for row in () if steps else group.filters:
            rest = row.form.put({other: Linear({}, value) for other, value in last.items() if other != loop})
            if loop in rest.coefficients:
                last[loop] = least(last[loop], rest.constant // -rest.coefficients[loop])
    now, then = group.fixed(dict.fromkeys(inner, 0)), group.fixed(last)
    for loop in loops[around : around + steps]:
        shorter = {loop: group.extents[loop] - 1}
        now = now.put({loop: Linear({loop: 1}, 1)}, shorter)
        then = replace(then, extents={**then.extents, **shorter})
    return _common(now, then, loops[: around + steps])


def _common(now: Image, then: Image, times: tuple[str, ...] = ()) -> Number:
    """The words of two tiles in common, added up over the coordinates of `times`.

    Without filters one tile is the other, moved: with a variable z of extent 2 that moves it, `f + z*distance` has the
    words of either, and |A & B| = |A| + |B| - |A | B|. Within filters they are the words of pairs of points, one in each
    tile, that have the same word.
    """
    here = replace(now, forms=identity(times) + now.forms)
    if not now.filters:
        away = [other.plus(form, -1).constant for form, other in zip(now.forms, then.forms, strict=True)]
        either = (form.plus(Linear({"either": 1}), distance) for form, distance in zip(now.forms, away, strict=True))
        union = replace(here, forms=identity(times) + tuple(either), extents={**now.extents, "either": 2})
        return 2 * distinct(here) - distinct(union)
    names = {v: Linear({f"{v} before": 1}) for v in then.extents if v not in times}
    before = then.put(names, {f"{v} before": then.extents[v] for v in names})
    pairs = zip(now.forms, before.forms, strict=True)
    same = tuple(Filter(form.plus(other, -1), Relation.ZERO) for form, other in pairs)
    return distinct(Image(here.forms, {**now.extents, **before.extents}, now.filters + before.filters + same))


def capacity_of(image: Image, loops: Sequence[str]) -> Number:
    """The words of the largest tile, which is the largest of each group.

    Where all filters that have a loop become wider as it goes up, or all as it goes down, its last or its first
    iteration has all the points of the others, moved. The iterations of the other loops are listed, of two that all filters
    have in the same sum as those of one.
    """
    each = (_largest(group, [loop for loop in loops if loop in group.extents]) for group in groups_of(image))
    return exists(image) * product(each)


def _largest(group: Image, loops: Sequence[str]) -> Number:
    corner: dict[str, Number] = {}
    for loop in loops:
        rows = [row for row in group.filters if loop in row.form.coefficients]
        wider = [every(row.form.coefficients[loop] > 0) for row in rows]
        if all(row.relation is Relation.NOT_NEGATIVE for row in rows) and (all(wider) or not any(wider)):
            corner[loop] = group.extents[loop] - 1 if any(wider) else 0
    still = dict.fromkeys(loops, Linear({}))  # a tile has as many words wherever it lies
    tile = with_filters(replace(group, forms=tuple(form.put(still) for form in group.forms)).fixed(corner))
    left = [loop for loop in loops if loop not in corner]
    while (fewer := merged(tile, left)) is not None:
        tile, left = fewer, [loop for loop in left if loop in fewer.extents]
    if not left:
        return distinct(tile)
    each = _iterations(tile, left)
    return each.gathered(np.maximum, distinct(each.of(tile)))


# ---------------------------------------------------------------------------------------------------------- iterations


@dataclass(frozen=True, slots=True)
class _Iterations:
    """Iterations of loops in the order of time, at one shape point after the other; `points` is None for one point."""

    points: int | None
    point: Array
    coordinates: Mapping[str, Array]

    def of(self, image: Image) -> Image:
        """An image at each of the iterations."""
        return image.numbers(lambda number: number if isinstance(number, int) else number[self.point]).fixed(
            self.coordinates
        )

    def take(self, which: Array) -> _Iterations:
        """Some of them."""
        return _Iterations(self.points, self.point[which], {v: values[which] for v, values in self.coordinates.items()})

    def gathered(self, operation: np.ufunc, numbers: Number) -> Number:
        """The sum, or the largest, of numbers of the iterations at each shape point."""
        values = np.broadcast_to(np.asarray(numbers), self.point.shape)
        result = np.zeros(self.points or 1, values.dtype)
        operation.at(result, self.point, values)
        return result if self.points else int(result[0])


def _iterations(image: Image, loops: Sequence[str]) -> _Iterations:
    """All iterations of loops. Raises `TooMany`, and `Mixed` to count fewer points at once."""
    points = points_in(image)
    extents = {loop: np.broadcast_to(np.asarray(image.extents[loop]), points or 1) for loop in loops}
    numbers = np.broadcast_to(np.asarray(product(extents.values())), points or 1)
    total = sum(numbers.tolist())
    if total > MOST_ITERATIONS:
        if (points or 1) == 1:
            raise TooMany(total)
        raise Mixed(np.arange(len(numbers)) < len(numbers) // 2)
    numbers = numbers.astype(np.int64)
    point = np.repeat(np.arange(len(numbers)), numbers)
    rest = np.arange(total) - np.repeat(np.cumsum(numbers) - numbers, numbers)
    coordinates = dict[str, Array]()
    for loop in reversed(loops):
        extent = extents[loop][point].astype(np.int64)
        coordinates[loop], rest = rest % extent, rest // extent
    return _Iterations(points, point, coordinates)


def _by_iterations(group: Image, loops: tuple[str, ...], around: int, steps: bool) -> Number:
    """Tiles beside those before them, those in which some point exists, for each iteration of the loops around j and j.

    Of the loops inside, the first iteration is beside the last.
    """
    known, inner = loops[: around + steps], loops[around + steps :]
    each = _iterations(group, known)
    some = np.broadcast_to(distinct(replace(each.of(group), forms=())) > 0, each.point.shape)
    now = then = each.take(np.flatnonzero(some))
    if steps:
        equal = [values[1:] == values[:-1] for values in (now.point, *(now.coordinates[loop] for loop in known[:-1]))]
        at = np.flatnonzero(np.logical_and.reduce(equal)) + 1
        now, then = now.take(at), now.take(at - 1)
    if not len(now.point):
        return now.gathered(np.add, 0)
    return now.gathered(np.add, _common(_end(now.of(group), inner, 1), _end(then.of(group), inner, -1)))


def _end(tile: Image, loops: Sequence[str], sign: int) -> Image:
    """A tile at the first iteration of loops in which some point exists; with `sign` -1, at the last.

    After the first there are as many as values `end` of the loop of which some existing iteration is at most `end`.
    """
    for loop in loops:
        reached = Filter(Linear({"end": sign, loop: -sign}), Relation.NOT_NEGATIVE)
        extents = {**tile.extents, "end": tile.extents[loop]}
        number = distinct(Image(identity(("end",)), extents, (*tile.filters, reached)))
        tile = tile.fixed({loop: tile.extents[loop] - number if sign > 0 else number - 1})
    return tile
