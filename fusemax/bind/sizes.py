"""The sizes of a cascade's ranks, one by one or over a grid of points, and the lengths that a mapping writes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from fusemax.bind.extents import Amount, Grid
from fusemax.errors import FusemaxError, Problem, Span, did_you_mean, listed
from fusemax.ir.arch import Arch
from fusemax.ir.checked import Checked
from fusemax.ir.expr import Access, Apply, Expr, Name, Number, names, rank_of
from fusemax.ir.mapping import Length, Part
from fusemax.ir.mapping import Mapping as MappingFile
from fusemax.validate import solve_shapes
from fusemax.validate.shapes import bad_size, shape_names, solve_grid

if TYPE_CHECKING:
    from fusemax.bind.parameters import ParameterValue

Sizes = dict[str, Amount]
LARGEST_SIZE = 2.0**58
"""Points of an iteration space; a count of several of them at once adds up at most 32."""


def sizes_of(
    checked: Checked,
    arch: Arch,
    mapping: MappingFile,
    shapes: Mapping[str, Amount],
    parameters: Mapping[str, ParameterValue],
) -> Sizes:
    """The sizes of all ranks: given ones, those that the mapping gives to the cascade's own splits, and those that follow."""
    given = dict(shapes)
    known = {**_known_first(mapping, shapes, parameters), **axes_of(arch)}
    variables = cascade_variables(checked)
    for split in mapping.splits:
        for part in split.parts if split.variable not in variables else ():
            if isinstance(part.extent, Length) and rank_of(part.variable) in checked.ranks:
                given[rank_of(part.variable)] = extent_of(part, part.extent, {**given, **known})
    if all(np.ndim(size) == 0 for size in given.values()):
        return dict(solve_shapes(checked, {rank: np.asarray(size).item() for rank, size in given.items()}))
    return _exact(checked, _solved(checked, given))


def _known_first(mapping: MappingFile, shapes: Mapping[str, Amount], parameters: Mapping[str, ParameterValue]) -> Sizes:
    """The parameters that are numbers before all sizes are known: given ones, and defaults over given sizes."""
    found: Sizes = {}
    for parameter in mapping.parameters:
        value = parameters.get(parameter.name, parameter.default)
        if isinstance(value, Number | Name | Apply):
            if all(name.name in {**shapes, **found} for name in names(value)):
                found[parameter.name] = value_of(value, {**shapes, **found}, parameter.span)
        elif not isinstance(value, str | tuple | list):
            found[parameter.name] = parameter_number(mapping, parameter.name, value)
    return found


def parameter_number(mapping: MappingFile, name: str, value: object) -> Amount:
    """A number, or the numbers of a grid, given for a parameter."""
    array = np.asarray(value)
    if array.dtype.kind in "iuf" or (array.dtype.kind == "O" and all(isinstance(x, int) for x in array.ravel())):
        number: Amount = array if array.ndim else array.item()
        return number
    raise FusemaxError(f"parameter '{name}' of '{mapping.name}': {value!r:.60} is not a number", "give a number")


def _exact(checked: Checked, sizes: Sizes) -> Sizes:
    """Sizes for which counts may leave 64 bits as Python's own integers, exact and slower."""
    spaces = ([np.asarray(sizes[rank_of(v)], np.float64) for v in einsum.variables] for einsum in checked.einsums)
    if max(float(np.max(np.prod(np.broadcast_arrays(*space, 1.0), axis=0))) for space in spaces) < LARGEST_SIZE:
        return sizes
    return {rank: np.asarray(size).astype(object) if np.ndim(size) else size for rank, size in sizes.items()}


def _solved(checked: Checked, given: Sizes) -> Sizes:
    """The sizes of all ranks at all points of a grid."""
    _check_grid(checked, given)
    points = max(np.size(size) for size in given.values())
    return dict(solve_grid(checked, {rank: _wide(size) for rank, size in given.items()}, points))


def _check_grid(checked: Checked, given: Sizes) -> None:
    """A grid has positive integers for ranks that there are, at as many points for each."""
    known = shape_names(checked)
    extremes = [(rank, np.ravel(size).item(at)) for rank, size in given.items() for at in _extremes(size)]
    problems = dict.fromkeys(p for rank, size in extremes if (p := bad_size(rank, size, known)))
    if problems:
        raise FusemaxError(problems)
    lengths = {rank: np.size(size) for rank, size in given.items() if np.ndim(size)}
    if len(set(lengths.values())) > 1 or any(np.ndim(size) > 1 for size in given.values()):
        shown = ", ".join(f"{rank} {np.shape(given[rank])}" for rank in lengths)
        raise FusemaxError(
            f"sizes that are no one list of points: {shown}", "give arrays of one dimension and one length"
        )


def _extremes(size: Amount) -> set[int]:
    """Where the smallest and the largest size of a grid are."""
    values = np.asarray(size)
    if values.size == 0:
        raise FusemaxError("a grid without a point", "give at least one size")
    return {int(np.argmin(values)), int(np.argmax(values))}


def _wide(size: Amount) -> int | Grid:
    """A grid's sizes in 64 bits, whatever they came in; a number is Python's own."""
    array = np.asarray(size)
    return array.item() if array.ndim == 0 else array if array.dtype == object else array.astype(np.int64)


def cascade_variables(checked: Checked) -> set[str]:
    return {variable for einsum in checked.einsums for variable in einsum.variables}


def axes_of(arch: Arch) -> dict[str, int]:
    return {f"{unit.name}.{axis}": length for unit in arch.units for axis, length in unit.axes}


def value_of(expr: Expr, known: Mapping[str, Amount], span: Span | None) -> Amount:
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


def extent_of(part: Part, length: Length, known: Mapping[str, Amount]) -> Amount:
    """The extent of a part, a positive integer at every point."""
    extent = integers(value_of(length.expr, known, part.span), part.span)
    if np.any(np.asarray(extent) < 1):
        raise FusemaxError([Problem(f"'{part.variable}' is not positive", part.span, "give a positive extent")])
    return extent


def integers(value: Amount, span: Span | None) -> Amount:
    """Lengths as integers, also if they are written as 2.0."""
    numbers = np.asarray(value)
    if numbers.dtype.kind in "iuO":
        return value
    wrong = np.atleast_1d(~((np.abs(numbers) < 2.0**62) & (numbers == np.floor(numbers))))
    if wrong.any():
        first = np.atleast_1d(numbers)[wrong][0]
        raise FusemaxError([Problem(f"a length of {first:g}, which is no integer", span, "give integers")])
    return numbers.astype(np.int64) if numbers.ndim else int(numbers)


def exactly(a: Amount, b: Amount, span: Span | None) -> Amount:
    """The quotient of integers that divide."""
    a, b = integers(a, span), integers(b, span)
    zero = np.asarray(b) == 0
    wrong = np.atleast_1d(zero | (np.asarray(a) % np.where(zero, 1, np.asarray(b)) != 0))
    if wrong.any():
        first = int(np.argmax(wrong))
        left, right = (int(np.broadcast_to(np.asarray(x), wrong.shape)[first]) for x in (a, b))
        raise FusemaxError([Problem(f"{left} does not divide by {right}", span, "give sizes that divide")])
    return a // b
