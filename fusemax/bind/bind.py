"""A mapping bound to sizes: parameters chosen, every loop's extent known, and all that must hold checked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import isqrt
from pathlib import Path
from typing import Any

import numpy as np

from fusemax.bind.capacity import held_together, tiles, used_bytes
from fusemax.bind.instantiate import instantiate
from fusemax.bind.legal.fusion import problems_of, shares_of
from fusemax.bind.loop_nest import LoopNest
from fusemax.bind.parameters import Choice, choice_of
from fusemax.bind.plan import Plan, Planner, with_places
from fusemax.bind.sizes import axes_of, exactly, extent_of, sizes_of, variables_of
from fusemax.bind.splits import uneven_parts
from fusemax.errors import FusemaxError, Problem, Span, did_you_mean, listed
from fusemax.ir.arch import Arch
from fusemax.ir.checked import Checked
from fusemax.ir.expr import rank_of
from fusemax.ir.mapping import Fit, Length, Open, Part, Split
from fusemax.ir.mapping import Mapping as MappingFile
from fusemax.units import readable_bytes


@dataclass(frozen=True, slots=True)
class BoundMapping:
    """A plan with numbers: sizes of ranks, extents of loops, and the counter of movement over them.

    `mapping` is the instance that was planned: without cases and lists of tensors.
    """

    checked: Checked
    arch: Arch
    mapping: MappingFile
    plan: Plan
    sizes: Mapping[str, Any]
    nest: LoopNest


def bind(
    checked: Checked, arch: Arch, mapping: MappingFile, shapes: Mapping[str, Any], parameters: Mapping[str, Any]
) -> BoundMapping:
    """Bind a mapping. Raises `FusemaxError` with all that is wrong in its tree, or with what does not fit or divide."""
    bound = bind_unchecked(checked, arch, mapping, shapes, parameters)
    _check_room(arch, bound.nest)
    return bound


def bind_unchecked(
    checked: Checked, arch: Arch, mapping: MappingFile, shapes: Mapping[str, Any], parameters: Mapping[str, Any]
) -> BoundMapping:
    """Bind a mapping as if its memories had room for all that it holds; `fits` tells where they have."""
    sizes = sizes_of(checked, arch, mapping, shapes, parameters)
    choice = choice_of(mapping, sizes, parameters)
    with for_its_cascade(checked, mapping):
        chosen = instantiate(mapping, choice)
        plan = Planner(checked, arch, chosen, choice.numbers).plan()
    splits = _splits(checked, mapping)
    _check_legal(checked, arch, mapping, plan, splits, choice)
    extents, longest = _extents(checked, arch, mapping, sizes, choice)
    nest = LoopNest(checked, plan, extents, with_places(checked, splits), arch.outermost.name, longest)
    for split in mapping.splits:
        for part in split.parts:
            if isinstance(part.extent, Fit):
                _fit(arch, split, part, part.extent, nest)
    _check_axes(arch, nest)
    return BoundMapping(checked, arch, chosen, plan, sizes, nest)


def lengths(
    checked: Checked, arch: Arch, mapping: MappingFile, shapes: Mapping[str, Any], parameters: Mapping[str, Any]
) -> dict[str, Any]:
    """The longest extents of all variables and parts, by the splits alone. Raises `FusemaxError` where they do not divide."""
    sizes = sizes_of(checked, arch, mapping, shapes, parameters)
    extents, longest = _extents(checked, arch, mapping, sizes, choice_of(mapping, sizes, parameters))
    return {**extents, **longest}


def fits(bound: BoundMapping) -> Any:
    """Whether all that is held at once fits its memory: a truth value, or one for each point of a grid."""
    found: Any = True
    for memory in bound.arch.memories:
        if memory.size_bytes is not None:
            used = used_bytes(bound.checked, bound.plan, bound.nest, memory.name, bound.arch.word_bits)
            found = found & (np.asarray(used) <= memory.size_bytes)
    return found


@contextmanager
def for_its_cascade(checked: Checked, mapping: MappingFile) -> Iterator[None]:
    """Errors inside begin with that the cascade is another than the mapping's, if it is."""
    try:
        yield
    except FusemaxError as error:
        own = Path(mapping.cascade).stem
        if own == checked.cascade.name:
            raise
        first = Problem(f"mapping '{mapping.name}' is for '{own}', not for '{checked.cascade.name}'", None,
                        "give it the cascade that it names, or write a mapping of this one")  # fmt: skip
        raise FusemaxError([first, *error.problems]) from None


_LEGAL: dict[Any, Any] = {}
"""Plans that were found legal, by the objects from which they were made, which are kept so that no others get their
addresses; of the numbers only shares change whether a plan is legal."""
MOST_LEGAL = 256


def _check_legal(
    checked: Checked, arch: Arch, mapping: MappingFile, plan: Plan, splits: dict[str, tuple[str, ...]], choice: Choice
) -> None:
    """Refuse what no size can mend; searches ask many times for the same plan."""
    key = (id(checked), id(arch), id(mapping), tuple(choice.words.items()))
    if key in _LEGAL and not any(shares_of(plan)):  # shares may be numbers of parameters
        return
    problems = problems_of(checked, arch, mapping, plan, splits)
    if problems:
        raise FusemaxError(problems)
    if len(_LEGAL) >= MOST_LEGAL:
        _LEGAL.clear()
    _LEGAL[key] = (checked, arch, mapping)


# ------------------------------------------------------------------------------------------------------------- extents


def _splits(checked: Checked, mapping: MappingFile) -> dict[str, tuple[str, ...]]:
    """The variables that the mapping splits; splits that the cascade makes itself only get their sizes from it."""
    variables = variables_of(checked)
    return {s.variable: tuple(part.variable for part in s.parts) for s in mapping.splits if s.variable in variables}


def _extents(
    checked: Checked, arch: Arch, mapping: MappingFile, sizes: Mapping[str, Any], choice: Choice
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The extent of every variable and part, and the longest extents of uneven parts; a part that is fitted later is 1,
    and its outer part has all the rest."""
    known = {**sizes, **choice.numbers, **axes_of(arch)}
    variables = variables_of(checked)
    extents = {v: sizes[rank_of(v)] for v in variables}
    longest: dict[str, Any] = {}
    for split in mapping.splits:
        rank = rank_of(split.variable)
        if rank not in sizes:
            hint = did_you_mean(rank, sizes) or f"its ranks are {listed(sizes, 20)}"
            raise FusemaxError([Problem(f"a split of '{split.variable}', which the cascade has not", split.span, hint)])
        if split.variable in variables and split.uneven:
            mean, long = uneven_parts(checked, split, sizes[rank], known)
            extents.update(mean)
            longest.update(long)
        elif split.variable in variables:
            extents.update(_parts(split, sizes[rank], known))
    return extents, longest


def _parts(split: Split, whole: Any, known: Mapping[str, Any]) -> dict[str, Any]:
    """The extents of the parts of one split; they multiply to the whole."""
    extents: dict[str, Any] = {}
    open_parts = [part for part in split.parts if part.extent is None]
    if len(open_parts) > 1:
        raise FusemaxError(
            [Problem("two parts without an extent", open_parts[1].span, "leave one to take what is left")]
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


def _fit(arch: Arch, split: Split, part: Part, fit: Fit, nest: LoopNest) -> None:
    """Give a part the largest divisor of what is left for which all that is held at once fits; one copy each."""
    level, capacity = _room(arch, fit, part)
    outer = next((p.variable for p in split.parts if p.extent is None), None)
    if outer is None:
        raise FusemaxError([Problem("`fit` without a part that takes the rest", split.span, "add one, such as `p2`")])
    remaining = nest.extents[outer]
    at, divisor = _divisors_of(np.atleast_1d(np.asarray(remaining)))
    extents = {variable: _taken(extent, at) for variable, extent in nest.extents.items()}
    extents.update({part.variable: divisor, outer: extents[outer] // divisor})
    used = used_bytes(nest.checked, _plan_at(nest.plan, at), nest.with_extents(extents), level, arch.word_bits)
    fits = np.broadcast_to(used <= capacity, divisor.shape)
    best = np.zeros_like(np.atleast_1d(np.asarray(remaining)))
    np.maximum.at(best, at[fits], divisor[fits])
    if (best == 0).any():
        point = {**nest.extents, part.variable: 1}
        raise FusemaxError([_too_much(arch, nest.with_extents(point), level, capacity, part.span)])
    chosen = best if np.ndim(remaining) else int(best[0])
    nest.extents.update({part.variable: chosen, outer: remaining // chosen})


def _divisors_of(grid: Any) -> tuple[Any, Any]:
    """Every divisor of every number of a grid, and of which it is one."""
    each = {number: _divisors(number) for number in set(grid.tolist())}
    at = np.repeat(np.arange(len(grid)), [len(each[number]) for number in grid.tolist()])
    return at, np.array([divisor for number in grid.tolist() for divisor in each[number]], dtype=grid.dtype)


def _divisors(number: int) -> list[int]:
    candidates = np.arange(1, isqrt(number) + 1)
    small = [int(d) for d in candidates[number % candidates == 0]]
    return sorted({*small, *(number // d for d in small)})


def _taken(value: Any, at: Any) -> Any:
    """The values of an array at some points; a number is the same at all of them."""
    return value[at] if np.ndim(value) else value


def _plan_at(plan: Plan, at: Any) -> Plan:
    """A plan at some of its points: only the shares of its holds may differ from point to point."""
    if not any(np.ndim(hold.spill) for hold in plan.holds):
        return plan
    holds = {hold.order: replace(hold, spill=_taken(hold.spill, at)) for hold in plan.holds}
    placements = (replace(p, holds=tuple(holds[hold.order] for hold in p.holds)) for p in plan.placements)
    return replace(plan, placements=tuple(placements), holds=tuple(holds.values()))


def _room(arch: Arch, fit: Fit, part: Part) -> tuple[str, float]:
    """The memory that is fitted, and the bytes to fit: a size stands for the innermost memory."""
    if not isinstance(fit.capacity, str):
        return arch.memories[-1].name, fit.capacity.size_bytes
    for memory in arch.memories:
        if memory.name == fit.capacity:
            return memory.name, float("inf") if memory.size_bytes is None else memory.size_bytes
    names_ = [memory.name for memory in arch.memories]
    hint = did_you_mean(fit.capacity, names_) or f"its memories are {listed(names_)}"
    raise FusemaxError([Problem(f"'{arch.name}' has no memory '{fit.capacity}'", part.span, hint)])


# -------------------------------------------------------------------------------------------------------------- checks


def _check_room(arch: Arch, nest: LoopNest) -> None:
    """Everything that is held at once fits its memory."""
    problems = []
    for memory in arch.memories:
        if memory.size_bytes is not None:
            used = used_bytes(nest.checked, nest.plan, nest, memory.name, arch.word_bits)
            if np.any(np.asarray(used) > memory.size_bytes):
                problems.append(_too_much(arch, nest, memory.name, memory.size_bytes, None))
    if problems:
        raise FusemaxError(problems)


def _too_much(arch: Arch, nest: LoopNest, level: str, capacity: float, span: Span | None) -> Problem:
    """By how much a memory overflows, and which tensors fill it."""
    word = arch.word_bits / 8

    def total(holds: Any) -> float:
        return sum(float(np.max(elements)) * word for _, elements in tiles(nest.checked, nest, holds))

    fullest = max(held_together(nest.plan, level), key=total)
    each = sorted(((float(np.max(e)) * word, h) for h, e in tiles(nest.checked, nest, fullest)), key=lambda x: -x[0])
    filling = ", ".join(f"{hold.tensor} {readable_bytes(size)}" for size, hold in each)
    message = f"'{level}' has {readable_bytes(capacity)}, {readable_bytes(total(fullest) - capacity)} less than is held at once: {filling}"
    return Problem(message, span or each[0][1].span, "use smaller tiles, or hold less")


def _check_axes(arch: Arch, nest: LoopNest) -> None:
    """What is spread over an axis is not longer than it; it may be shorter."""
    units = {unit.name: dict(unit.axes) for unit in arch.units}
    problems: dict[str, Problem] = {}
    for placement in nest.plan.placements:
        for axis, variable in placement.axes:
            length, extent = units[placement.unit][axis], nest.longest.get(variable, nest.extents[variable])
            if np.any(np.asarray(extent) > length):
                message = f"'{variable}' has {np.max(extent)} points, but '{placement.unit}' only {length} {axis}"
                hint = f"split '{variable}': `= {placement.unit}.{axis}`"
                problems.setdefault(message, Problem(message, placement.span, hint))
    if problems:
        raise FusemaxError(problems.values())
