"""A mapping bound to sizes: parameters chosen, every loop's extent known, and all that must hold checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isqrt
from typing import Any

import numpy as np

from fusemax.errors import FusemaxError, Problem, Span, did_you_mean, listed
from fusemax.ir.arch import Arch
from fusemax.ir.checked import Checked, Equation
from fusemax.ir.expr import Access, Apply, Expr, Name, Number, names, rank_of
from fusemax.ir.mapping import Fit, Length, Part, Split
from fusemax.ir.mapping import Mapping as MappingFile
from fusemax.model.accesses import Mover
from fusemax.model.legal import problems_of
from fusemax.model.plan import Choice, Plan, Planner
from fusemax.model.room import held_together, tiles, used_bytes
from fusemax.units import readable_bytes
from fusemax.validate import solve_shapes

Sizes = dict[str, Any]
LARGEST = 2.0**58
"""Points of an iteration space; a count of several of them at once adds up at most 32."""


@dataclass(frozen=True, slots=True)
class Bound:
    """A plan with numbers: sizes of ranks, extents of loops, and the counter of movement over them."""

    checked: Checked
    arch: Arch
    mapping: MappingFile
    plan: Plan
    sizes: Mapping[str, Any]
    mover: Mover


def bind(
    checked: Checked, arch: Arch, mapping: MappingFile, shapes: Mapping[str, Any], parameters: Mapping[str, Any]
) -> Bound:
    """Bind a mapping. Raises `FusemaxError` with all that is wrong in its tree, or with what does not fit or divide."""
    sizes = _sizes(checked, arch, mapping, shapes)
    choice = _choice(mapping, sizes, parameters)
    plan = Planner(checked, arch, mapping, choice).plan()
    splits = _splits(checked, mapping)
    _check_legal(checked, arch, mapping, plan, splits, choice)
    extents = _extents(checked, arch, mapping, sizes, choice)
    mover = Mover(checked, plan, extents, splits, arch.outermost.name)
    for split in mapping.splits:
        for part in split.parts:
            if isinstance(part.extent, Fit):
                _fit(arch, split, part, part.extent, mover)
    _check_room(arch, mover)
    _check_axes(arch, mover)
    return Bound(checked, arch, mapping, plan, sizes, mover)


_LEGAL: dict[Any, Any] = {}
"""Plans that were found legal, by the objects from which they were made, which are kept so that no others get their
addresses; no number changes whether a plan is legal."""
MOST_LEGAL = 256


def _check_legal(
    checked: Checked, arch: Arch, mapping: MappingFile, plan: Plan, splits: dict[str, tuple[str, ...]], choice: Choice
) -> None:
    """Refuse what no size can mend; searches ask many times for the same plan."""
    key = (id(checked), id(arch), id(mapping), tuple(choice.words.items()))
    if key in _LEGAL:
        return
    problems = problems_of(checked, arch, mapping, plan, splits)
    if problems:
        raise FusemaxError(problems)
    if len(_LEGAL) >= MOST_LEGAL:
        _LEGAL.clear()
    _LEGAL[key] = (checked, arch, mapping)


# --------------------------------------------------------------------------------------------------------------- sizes


def _sizes(checked: Checked, arch: Arch, mapping: MappingFile, shapes: Mapping[str, Any]) -> Sizes:
    """The sizes of all ranks: what is given, what the mapping sets of the cascade's own splits, what follows."""
    given = dict(shapes)
    variables = _variables(checked)
    for split in mapping.splits:
        for part in split.parts if split.variable not in variables else ():
            if isinstance(part.extent, Length) and rank_of(part.variable) in checked.ranks:
                given[rank_of(part.variable)] = value_of(part.extent.expr, {**given, **_axes(arch)}, part.span)
    if all(np.ndim(size) == 0 for size in given.values()):
        return dict(solve_shapes(checked, {rank: int(size) for rank, size in given.items()}))
    return _exact(checked, _solve_arrays(checked, given))


def _exact(checked: Checked, sizes: Sizes) -> Sizes:
    """Sizes for which counts may leave 64 bits as Python's own integers, exact and slower."""
    spaces = ([np.asarray(sizes[rank_of(v)], np.float64) for v in einsum.variables] for einsum in checked.einsums)
    if max(float(np.max(np.prod(np.broadcast_arrays(*space, 1.0), axis=0))) for space in spaces) < LARGEST:
        return sizes
    return {rank: np.asarray(size).astype(object) if np.ndim(size) else size for rank, size in sizes.items()}


def _solve_arrays(checked: Checked, given: Sizes) -> Sizes:
    """The equations between sizes for all points of a grid at once; as `solve_shapes` does it for one point."""
    sizes = dict(given)
    waiting = [e for e in checked.equations if not (e.default and e.left in sizes)]
    for _ in range(len(waiting) + 1):
        for equation in waiting:
            _solve_one(equation, sizes)
    missing = [rank for rank in checked.ranks if rank not in sizes]
    if missing:
        raise FusemaxError(f"no size for {listed(missing, 20)}", "give one for each rank")
    return sizes


def _solve_one(equation: Equation, sizes: Sizes) -> None:
    """Solve for the left side, or for the one unknown factor on the right."""
    unknown = [n.name for n in names(equation.right) if n.name not in sizes]
    if not unknown and equation.left not in sizes:
        sizes[equation.left] = value_of(equation.right, sizes, equation.span)
    if not unknown:
        if np.any(sizes[equation.left] != value_of(equation.right, sizes, equation.span)):
            raise FusemaxError([Problem("sizes that contradict each other", equation.span, "give sizes that agree")])
    elif len(unknown) == 1 and equation.left in sizes:
        match equation.right:
            case Name(name):
                sizes[name] = sizes[equation.left]
            case Apply("mul", (Name(a), Name(b))):
                other = b if unknown[0] == a else a
                sizes[unknown[0]] = exactly(sizes[equation.left], sizes[other], equation.span)
            case Apply("div", (Name(a), Name(b))) if unknown[0] == a:
                sizes[a] = sizes[equation.left] * sizes[b]
            case Apply("div", (Name(a), Name(b))):
                sizes[b] = exactly(sizes[a], sizes[equation.left], equation.span)


def _variables(checked: Checked) -> set[str]:
    return {variable for einsum in checked.einsums for variable in einsum.variables}


def _axes(arch: Arch) -> dict[str, int]:
    return {f"{unit.name}.{axis}": length for unit in arch.units for axis, length in unit.axes}


def value_of(expr: Expr, known: Mapping[str, Any], span: Span | None) -> Any:
    """The value of a length: numbers, sizes, parameters and axes with + - * and an exact /."""
    match expr:
        case Number(value):
            return value
        case Name(name):
            if name not in known:
                hint = did_you_mean(name, known) or f"known here are {listed(known, 30)}"
                raise FusemaxError([Problem(f"unknown length '{name}'", expr.span or span, hint)])
            return known[name]
        case Apply("add" | "sub" | "mul" | "div" as operator, (left, right)):
            a, b = value_of(left, known, span), value_of(right, known, span)
            match operator:
                case "add":
                    return a + b
                case "sub":
                    return a - b
                case "mul":
                    return a * b
                case _:
                    return exactly(a, b, span)
        case Access() | Apply():
            raise FusemaxError(
                [Problem("a length that is not made of + - * /", expr.span or span, "write `rows / 256`")]
            )


def exactly(a: Any, b: Any, span: Span | None) -> Any:
    """The quotient of integers that divide."""
    wrong = np.atleast_1d(np.asarray(a) % np.asarray(b) != 0)
    if wrong.any():
        first = int(np.argmax(wrong))
        left, right = (int(np.broadcast_to(np.asarray(x), wrong.shape)[first]) for x in (a, b))
        raise FusemaxError([Problem(f"{left} does not divide by {right}", span, "give sizes that divide")])
    return a // b


# ---------------------------------------------------------------------------------------------------------- parameters


def _choice(mapping: MappingFile, sizes: Mapping[str, Any], given: Mapping[str, Any]) -> Choice:
    """One value for every parameter: as given, else its default."""
    known = [parameter.name for parameter in mapping.parameters]
    for name in given:
        if name not in known:
            hint = did_you_mean(name, known) or (f"its parameters are {listed(known)}" if known else "it has none")
            raise FusemaxError(f"mapping '{mapping.name}' has no parameter '{name}'", hint)
    numbers: dict[str, Any] = {}
    words: dict[str, tuple[str, ...]] = {}
    for parameter in mapping.parameters:
        value = given.get(parameter.name, parameter.default)
        match value:
            case tuple():
                words[parameter.name] = value
            case str():
                words[parameter.name] = tuple(value.split())
            case Name(name) if name not in sizes and name not in numbers:
                words[parameter.name] = (name,)
            case Number() | Name() | Apply():
                numbers[parameter.name] = value_of(value, {**sizes, **numbers}, parameter.span)
            case _:
                numbers[parameter.name] = value
    return Choice(numbers, words)


# ------------------------------------------------------------------------------------------------------------- extents


def _splits(checked: Checked, mapping: MappingFile) -> dict[str, tuple[str, ...]]:
    """The variables that the mapping splits; splits that the cascade makes itself only get their sizes from it."""
    variables = _variables(checked)
    return {s.variable: tuple(part.variable for part in s.parts) for s in mapping.splits if s.variable in variables}


def _extents(
    checked: Checked, arch: Arch, mapping: MappingFile, sizes: Mapping[str, Any], choice: Choice
) -> dict[str, Any]:
    """The extent of every variable and part; a part that is fitted later is 1, and its outer part has all the rest."""
    known = {**sizes, **choice.numbers, **_axes(arch)}
    variables = _variables(checked)
    extents = {v: sizes[rank_of(v)] for v in variables}
    for split in mapping.splits:
        rank = rank_of(split.variable)
        if rank not in sizes:
            hint = did_you_mean(rank, sizes) or f"its ranks are {listed(sizes, 20)}"
            raise FusemaxError([Problem(f"a split of '{split.variable}', which the cascade has not", split.span, hint)])
        if split.variable in variables:
            extents.update(_parts(split, sizes[rank], known))
    return extents


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
            extents[part.variable] = value_of(part.extent.expr, known, part.span)
            if np.any(np.asarray(extents[part.variable]) < 1):
                raise FusemaxError([Problem(f"'{part.variable}' is not positive", part.span, "give a positive extent")])
            rest = exactly(rest, extents[part.variable], part.span)
        elif isinstance(part.extent, Fit):
            extents[part.variable] = 1
    if open_parts:
        extents[open_parts[0].variable] = rest
    elif np.any(rest != 1):
        message = f"the parts of '{split.variable}' do not multiply to it: a factor {np.max(rest)} is left"
        raise FusemaxError([Problem(message, split.span, "leave one part without an extent")])
    return extents


def _fit(arch: Arch, split: Split, part: Part, fit: Fit, mover: Mover) -> None:
    """Give a part the largest divisor of what is left for which all that is held at once fits; one copy each."""
    level, capacity = _room(arch, fit, part)
    outer = next((p.variable for p in split.parts if p.extent is None), None)
    if outer is None:
        raise FusemaxError([Problem("`fit` without a part that takes the rest", split.span, "add one, such as `p2`")])
    remaining = mover.extents[outer]
    at, divisor = _divisors_of(np.atleast_1d(np.asarray(remaining)))
    extents = {variable: _taken(extent, at) for variable, extent in mover.extents.items()}
    extents.update({part.variable: divisor, outer: extents[outer] // divisor})
    used = used_bytes(mover.checked, _plan_at(mover.plan, at), mover.with_extents(extents), level, arch.word_bits)
    fits = np.broadcast_to(used <= capacity, divisor.shape)
    best = np.zeros_like(np.atleast_1d(np.asarray(remaining)))
    np.maximum.at(best, at[fits], divisor[fits])
    if (best == 0).any():
        point = {**mover.extents, part.variable: 1}
        raise FusemaxError([_too_much(arch, mover.with_extents(point), level, capacity, part.span)])
    chosen = best if np.ndim(remaining) else int(best[0])
    mover.extents.update({part.variable: chosen, outer: remaining // chosen})


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
    if not isinstance(fit.room, str):
        return arch.memories[-1].name, fit.room.size_bytes
    for memory in arch.memories:
        if memory.name == fit.room:
            return memory.name, float("inf") if memory.size_bytes is None else memory.size_bytes
    names_ = [memory.name for memory in arch.memories]
    hint = did_you_mean(fit.room, names_) or f"its memories are {listed(names_)}"
    raise FusemaxError([Problem(f"'{arch.name}' has no memory '{fit.room}'", part.span, hint)])


# -------------------------------------------------------------------------------------------------------------- checks


def _check_room(arch: Arch, mover: Mover) -> None:
    """Everything that is held at once fits its memory."""
    problems = []
    for memory in arch.memories:
        if memory.size_bytes is not None:
            used = used_bytes(mover.checked, mover.plan, mover, memory.name, arch.word_bits)
            if np.any(np.asarray(used) > memory.size_bytes):
                problems.append(_too_much(arch, mover, memory.name, memory.size_bytes, None))
    if problems:
        raise FusemaxError(problems)


def _too_much(arch: Arch, mover: Mover, level: str, capacity: float, span: Span | None) -> Problem:
    """By how much a memory overflows, and which tensors fill it."""
    word = arch.word_bits / 8

    def total(holds: Any) -> float:
        return sum(float(np.max(elements)) * word for _, elements in tiles(mover.checked, mover, holds))

    fullest = max(held_together(mover.plan, level), key=total)
    each = sorted(((float(np.max(e)) * word, h) for h, e in tiles(mover.checked, mover, fullest)), key=lambda x: -x[0])
    filling = ", ".join(f"{hold.tensor} {readable_bytes(size)}" for size, hold in each)
    message = f"'{level}' has {readable_bytes(capacity)}, {readable_bytes(total(fullest) - capacity)} less than is held at once: {filling}"
    return Problem(message, span or each[0][1].span, "use smaller tiles, or hold less")


def _check_axes(arch: Arch, mover: Mover) -> None:
    """What is spread over an axis is not longer than it; it may be shorter."""
    units = {unit.name: dict(unit.axes) for unit in arch.units}
    problems = []
    for placement in mover.plan.placements:
        for axis, variable in placement.axes:
            length, extent = units[placement.unit][axis], mover.extents[variable]
            if np.any(np.asarray(extent) > length):
                message = f"'{variable}' has {np.max(extent)} points, but '{placement.unit}' only {length} {axis}"
                problems.append(Problem(message, placement.span, f"split '{variable}': `= {placement.unit}.{axis}`"))
    if problems:
        raise FusemaxError(problems)
