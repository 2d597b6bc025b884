"""The extents of loops: even parts that divide, uneven parts with a shorter last tile, and parts that `fit` a memory.

A part that takes `n` tiles of `length`, the last of them short, has the mean length as its extent: products of extents
along a rank are then totals, and exact. Capacity is measured by the longest tile (docs/model.md, rule 7).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from math import isqrt
from typing import cast

import numpy as np
from numpy.typing import NDArray

from fusemax.bind.capacity import overflow, used_bytes
from fusemax.bind.extents import Amount, Extent, Grid
from fusemax.bind.loop_nest import LoopNest
from fusemax.bind.parameters import Choice
from fusemax.bind.plan import Plan
from fusemax.bind.sizes import axes_of, cascade_variables, exactly, extent_of
from fusemax.bind.tensors import Splits
from fusemax.errors import FusemaxError, Problem, did_you_mean, listed
from fusemax.ir.arch import Arch
from fusemax.ir.checked import Checked
from fusemax.ir.expr import rank_of
from fusemax.ir.mapping import Fit, Length, Open, Part, Split
from fusemax.ir.mapping import Mapping as MappingFile


@dataclass(frozen=True, slots=True)
class Extents:
    """The extent of every variable and part, means in uneven splits, and the longest extents of uneven parts."""

    mean: Mapping[str, Extent]
    longest: Mapping[str, Extent]


def splits_of(checked: Checked, mapping: MappingFile) -> Splits:
    """The variables that the mapping splits; splits that the cascade makes itself only get their sizes from it."""
    variables = cascade_variables(checked)
    return {s.variable: tuple(part.variable for part in s.parts) for s in mapping.splits if s.variable in variables}


def extents_of(
    checked: Checked, arch: Arch, mapping: MappingFile, sizes: Mapping[str, Amount], choice: Choice
) -> Extents:
    """The extents by the splits alone: a part that is fitted later is 1, and its outer part has all the rest.

    Raises `FusemaxError` where they do not divide.
    """
    known = {**sizes, **choice.numbers, **axes_of(arch)}
    variables = cascade_variables(checked)
    extents = {v: sizes[rank_of(v)] for v in variables}
    longest: dict[str, Extent] = {}
    for split in mapping.splits:
        rank = rank_of(split.variable)
        if rank not in sizes:
            hint = did_you_mean(rank, sizes) or f"its ranks are {listed(sizes, 20)}"
            raise FusemaxError(
                [Problem(f"a split of '{split.variable}', which the cascade does not have", split.span, hint)]
            )
        if split.variable in variables and split.uneven:
            mean, long = uneven_parts(checked, split, sizes[rank], known)
            extents.update(mean)
            longest.update(long)
        elif split.variable in variables:
            extents.update(_even_parts(split, sizes[rank], known))
    return Extents(extents, longest)


def _even_parts(split: Split, whole: Amount, known: Mapping[str, Amount]) -> dict[str, Amount]:
    """The extents of the parts of one split; they multiply to the whole."""
    extents: dict[str, Amount] = {}
    open_parts = [part for part in split.parts if part.extent is None]
    if len(open_parts) > 1:
        raise FusemaxError(
            [Problem("two parts without an extent", open_parts[1].span, "leave one, which takes the rest")]
        )
    rest = whole
    for part in split.parts:
        if isinstance(part.extent, Length):
            extents[part.variable] = extent_of(part, part.extent, known)
            rest = exactly(rest, extents[part.variable], part.span)
        elif isinstance(part.extent, Open):
            message = f"the length of '{part.variable}' is open"
            raise FusemaxError(
                [Problem(message, part.span, "give it one, or let the mapper find it: `fusemax map --template FILE`")]
            )
        elif isinstance(part.extent, Fit):
            extents[part.variable] = 1
    if open_parts:
        extents[open_parts[0].variable] = rest
    elif np.any(rest != 1):
        message = f"the parts of '{split.variable}' do not multiply to it: a factor {np.max(rest)} is left"
        raise FusemaxError([Problem(message, split.span, "leave one part without an extent")])
    return extents


# ----------------------------------------------------------------------------------------------------------------- fit


def fitted(nest: LoopNest, splits: tuple[Split, ...]) -> LoopNest:
    """The nest with every `fit` part as long as its memory allows, one split after the other."""
    for split in splits:
        for part in split.parts:
            if isinstance(part.extent, Fit):
                nest = _fitted(nest, split, part, part.extent)
    return nest


def _fitted(nest: LoopNest, split: Split, part: Part, fit: Fit) -> LoopNest:
    """Give a part the largest divisor of the rest for which the tiles held at once fit, one copy each (docs/model.md, rule 7)."""
    level, capacity = _capacity(nest.arch, fit, part)
    outer = next((p.variable for p in split.parts if p.extent is None), None)
    if outer is None:
        raise FusemaxError([Problem("`fit` without a part that takes the rest", split.span, "add one, such as `p2`")])
    remaining = nest.extents[outer]
    at, divisor = _divisors_of(np.atleast_1d(np.asarray(remaining)))
    extents = {variable: _taken(extent, at) for variable, extent in nest.extents.items()}
    extents.update({part.variable: divisor, outer: extents[outer] // divisor})
    used = used_bytes(replace(nest, plan=_plan_at(nest.plan, at), extents=extents), level)
    fits = np.broadcast_to(used <= capacity, divisor.shape)
    best = np.zeros_like(np.atleast_1d(np.asarray(remaining)))
    np.maximum.at(best, at[fits], divisor[fits])
    if (best == 0).any():
        least = nest.with_extents({**nest.extents, part.variable: 1})
        raise FusemaxError([overflow(least, level, capacity, part.span)])
    chosen = best if np.ndim(remaining) else int(best[0])
    return nest.with_extents({**nest.extents, part.variable: chosen, outer: remaining // chosen})


def _divisors_of(grid: Grid) -> tuple[NDArray[np.intp], Grid]:
    """The divisors of every number of a grid, each with the position of its number."""
    each = {number: divisors(number) for number in set(grid.tolist())}
    at = np.repeat(np.arange(len(grid)), [len(each[number]) for number in grid.tolist()])
    return at, np.array([divisor for number in grid.tolist() for divisor in each[number]], dtype=grid.dtype)


def divisors(number: int) -> list[int]:
    """All divisors, the smallest first.

    >>> divisors(12)
    [1, 2, 3, 4, 6, 12]
    """
    candidates = np.arange(1, isqrt(number) + 1)
    small = [int(d) for d in candidates[number % candidates == 0]]
    return sorted({*small, *(number // d for d in small)})


def _taken(value: Amount, at: NDArray[np.intp]) -> Amount:
    """The values of an array at some points; a number is the same at all of them."""
    return value[at] if isinstance(value, np.ndarray) and value.ndim else value


def _plan_at(plan: Plan, at: NDArray[np.intp]) -> Plan:
    """A plan at some of its points: only the shares of its holds may differ from point to point."""
    if not any(np.ndim(hold.spill) for hold in plan.holds):
        return plan
    holds = {hold.order: replace(hold, spill=_taken(hold.spill, at)) for hold in plan.holds}
    placements = (replace(p, holds=tuple(holds[hold.order] for hold in p.holds)) for p in plan.placements)
    return replace(plan, placements=tuple(placements), holds=tuple(holds.values()))


def _capacity(arch: Arch, fit: Fit, part: Part) -> tuple[str, float]:
    """The memory that is fitted, and the bytes to fit: a size stands for the innermost memory."""
    if not isinstance(fit.capacity, str):
        return arch.innermost().name, fit.capacity.size_bytes
    for memory in arch.memories:
        if memory.name == fit.capacity:
            return memory.name, float("inf") if memory.size_bytes is None else memory.size_bytes
    names_ = [memory.name for memory in arch.memories]
    hint = did_you_mean(fit.capacity, names_) or f"its memories are {listed(names_)}"
    raise FusemaxError([Problem(f"'{arch.name}' has no memory '{fit.capacity}'", part.span, hint)])


# -------------------------------------------------------------------------------------------------------------- uneven


def uneven_parts(
    checked: Checked, split: Split, whole: Amount, known: Mapping[str, Amount]
) -> tuple[dict[str, Amount], dict[str, Amount]]:
    """The mean and the longest extents of the parts of an uneven split, innermost parts first.

    Raises `FusemaxError` if a part other than the outermost has no length, if a filter names the variable, and if a last
    tile has a single iteration, in which an array would reuse other operands than in all other tiles.
    """
    first, *inner = split.parts
    if first.extent is not None or any(not isinstance(part.extent, Length) for part in inner):
        message = "an uneven split has a length for every part but the first"
        raise FusemaxError([Problem(message, split.span, "write it like `split p uneven: p2, p1 = 3, p0 = 256`")])
    if any(split.variable in c.form.variables for einsum in checked.einsums for c in einsum.constraints):
        message = f"filters name '{split.variable}', so that its tiles must be even"
        raise FusemaxError([Problem(message, split.span, "leave `uneven` out, and give sizes that divide")])
    mean: dict[str, Amount] = {}
    longest: dict[str, Amount] = {}
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


def _others(total: Amount, length: Amount) -> str:
    """The hint with the nearest lengths that are allowed."""
    if np.ndim(total) or np.ndim(length):
        return "give it another length"
    near = sorted(balanced(int(total)), key=lambda other: abs(other - int(length)))[:2]
    return f"take {' or '.join(map(str, sorted(near)))}"


def balanced(number: int) -> list[int]:
    """The shortest length for each number of tiles, without those that leave a last tile of one iteration.

    >>> balanced(7), balanced(6)
    ([1, 4, 7], [1, 2, 3, 6])
    """
    found = {-(-number // tiles) for tiles in range(1, number + 1)} if number <= MOST_COUNTED else _few(number)
    return sorted(length for length in found if length == 1 or number % length != 1)


MOST_COUNTED = 1 << 16
"""Longer ranks have lengths for fewer numbers of tiles: those below this one, and powers of two."""


def _few(number: int) -> set[int]:
    tiles = {1 << i for i in range(number.bit_length())} | set(range(1, MOST_COUNTED))
    return {-(-number // n) for n in tiles}


def _smaller(length: Amount, left: Amount) -> Amount:
    return np.minimum(length, left) if np.ndim(length) or np.ndim(left) else min(length, left)


def _mean(total: Amount, tiles: Amount) -> Amount:
    """The mean as an exact number, or, in a grid, as close as floating point comes."""
    if np.ndim(total) or np.ndim(tiles):
        return np.asarray(total, np.float64) / np.asarray(tiles, np.float64)
    mean = Fraction(int(total), int(tiles))
    return mean.numerator if mean.denominator == 1 else cast(float, mean)
