"""The reference interpreter: a cascade run literally on NumPy arrays in float64. It is the oracle of everything else.

Iterations go step by step, everything else is vectorized. It does not use passes, machines or mappings.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, reduce
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fusemax.errors import FusemaxError, Problem, did_you_mean, listed
from fusemax.ir.affine import Affine
from fusemax.ir.cascade import Cascade
from fusemax.ir.checked import Checked, CheckedEinsum, Loop, Relation, Tensor, Use
from fusemax.ir.expr import Access, Apply, Expr, Name, Number, rank_of
from fusemax.ir.operators import REDUCERS
from fusemax.validate import checked_of, solve_shapes

Array = NDArray[np.float64]
Value = Array | np.float64  # of an expression: an array with all axes of a space, or one number
Names = Mapping[str, Value | NDArray[np.int64]]
Written = NDArray[np.bool_] | bool  # the points that have a value, over the kept variables; True for all
Ranges = Mapping[str, tuple[int, int]]

MOST_BYTES = 8 * 2**30
MOST_AXES = 32  # of an array, in NumPy before 2.0
MOST_POINTS = 2**23  # of an iteration space, at a time


def _sigmoid(x: Value) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)), np.float64)


def _gelu(x: Value) -> Value:
    return 0.5 * x * (1 + np.asarray(np.frompyfunc(math.erf, 1, 1)(x / math.sqrt(2)), dtype=np.float64))


def _take(a: Value, b: Value, which: Value) -> Array:
    return np.where((a != 0) & (b != 0), np.where(which == 0, a, b), 0.0)  # TeAAL's take: an intersection


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "neg": np.negative, "pow": np.power,
    "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal, "eq": np.equal, "ne": np.not_equal,
    "exp": np.exp, "log": np.log, "sqrt": np.sqrt, "rsqrt": lambda x: 1 / np.sqrt(x), "abs": np.abs,
    "tanh": np.tanh, "sigmoid": _sigmoid, "relu": lambda x: np.maximum(x, 0), "silu": lambda x: x * _sigmoid(x),
    "gelu": _gelu, "floor": np.floor, "where": lambda c, a, b: np.where(c != 0, a, b), "take": _take,
    "max": lambda *x: reduce(np.maximum, x), "min": lambda *x: reduce(np.minimum, x),
}  # fmt: skip
UFUNCS: dict[str, np.ufunc] = {
    "add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum,
    "and": np.logical_and, "or": np.logical_or,
}  # fmt: skip
RELATIONS: dict[Relation, np.ufunc] = {
    Relation.NOT_NEGATIVE: np.greater_equal, Relation.ZERO: np.equal, Relation.NOT_ZERO: np.not_equal,
}  # fmt: skip


def execute(
    cascade: str | Cascade | Checked,
    inputs: Mapping[str, ArrayLike],
    shapes: Mapping[str, int] | None = None,
    *,
    intermediates: bool = False,
) -> dict[str, Array]:
    """Run a cascade, given as data or by name, on arrays and return its outputs, in float64, by name.

    The axes of an input follow its declared ranks. `shapes` gives sizes that the arrays do not tell (a split's, a
    window's); an iterative output is its whole history, N + 1 long. With `intermediates`, every tensor is returned.
    Raises `FusemaxError` for cascades that `check` refuses, missing or unknown inputs, shapes that contradict each
    other, arrays that are not real numbers or hold NaN, and accesses that leave a rank.

    >>> from fusemax import parse
    >>> execute(parse("Z[m] = A[k, m] * B[k]"), {"A": [[1, 2], [3, 4]], "B": [10, 100]})
    {'Z': array([310., 420.])}
    """
    checked = checked_of(cascade)
    if checked.incomplete:
        raise FusemaxError(checked.incomplete)
    with np.errstate(all="ignore"):
        arrays = arrays_of(checked, inputs)
        sizes = solve_shapes(checked, _sizes_of(checked, arrays, shapes or {}))
        _check_memory(checked, sizes)
        run = Run(checked, sizes, arrays)
        run.run(checked.schedule, {})
    wanted = checked.tensors.values() if intermediates else checked.outputs
    return {tensor.name: run.arrays[tensor.name] for tensor in wanted}


def random_inputs(checked: Checked, sizes: Mapping[str, int], seed: int = 0) -> dict[str, Array]:
    """Standard normal inputs of the given sizes, the same for the same seed.

    >>> from fusemax import check, parse
    >>> random_inputs(check(parse("Z = A[k]")), {"K": 2})["A"].shape
    (2,)
    """
    _check_memory(checked, sizes)
    generator = np.random.default_rng(seed)
    return {tensor.name: generator.standard_normal(_extents(tensor, sizes)) for tensor in checked.inputs}


def arrays_of(checked: Checked, inputs: Mapping[str, ArrayLike]) -> dict[str, Array]:
    """The inputs as float64 arrays of the declared number of axes, each a copy."""
    known = [tensor.name for tensor in checked.inputs]
    has = f"its inputs are {listed(known)}" if known else "it has no inputs"
    problems: list[Problem] = []
    for name in inputs:
        if name not in known:
            near = did_you_mean(str(name), known) or has
            problems.append(Problem(f"this cascade has no input '{name}'", None, near))
    arrays: dict[str, Array] = {}
    for tensor in checked.inputs:
        try:
            arrays[tensor.name] = _array(tensor, inputs)
        except FusemaxError as error:
            problems.extend(error.problems)
    if problems:
        raise FusemaxError(problems)
    return arrays


def _signature(tensor: Tensor) -> str:
    return f"'{tensor.name}[{', '.join(tensor.ranks)}]'"


def _array(tensor: Tensor, inputs: Mapping[str, ArrayLike]) -> Array:
    if tensor.name not in inputs:
        raise FusemaxError([Problem(f"no array for input {_signature(tensor)}", tensor.span, "pass it in `inputs`")])
    try:
        array = np.asarray(inputs[tensor.name])
    except ValueError:
        raise FusemaxError(f"input {_signature(tensor)} is ragged", "pass an array, or lists of equal length") from None
    if array.dtype.kind not in "biuf":
        hint = "pass real numbers; a complex array as its real and imaginary part"
        raise FusemaxError(f"input {_signature(tensor)} has dtype {array.dtype}", hint)
    if array.ndim != len(tensor.ranks):
        axes = "1 axis" if array.ndim == 1 else f"{array.ndim} axes"
        hint = f"its axes are {', '.join(tensor.ranks) or 'none'}"
        raise FusemaxError(f"input {_signature(tensor)} got an array with {axes}, shape {array.shape}", hint)
    result = array.astype(np.float64)
    if np.isnan(result).any():
        place = ", ".join(str(i) for i in np.argwhere(np.isnan(result))[0])
        raise FusemaxError(f"input {_signature(tensor)} holds NaN, first at [{place}]", "replace it before running")
    return result


def _sizes_of(checked: Checked, arrays: Mapping[str, Array], given: Mapping[str, int]) -> dict[str, int]:
    """The sizes of the arrays, together with those that are given, which are not checked yet."""
    sizes = dict(given)
    told = {rank: "the given shapes" for rank in given}
    problems: list[Problem] = []
    for name, array in arrays.items():
        for axis, (rank, length) in enumerate(zip(checked.tensors[name].ranks, array.shape, strict=True)):
            here = f"axis {axis} of '{name}'"
            if length == 0:
                problems.append(Problem(f"{here} (rank '{rank}') is empty", None, "pass at least one element"))
                continue
            size, source = sizes.setdefault(rank, length), told.setdefault(rank, here)
            if size != length and hasattr(size, "__index__"):
                message = f"two sizes for rank '{rank}': {size} from {source}, {length} from {here}"
                problems.append(Problem(message, None, "pass arrays that agree"))
    if problems:
        raise FusemaxError(problems)
    return sizes


def _check_memory(checked: Checked, sizes: Mapping[str, int]) -> None:
    needed = {t.name: 8 * math.prod(_extents(t, sizes)) for t in checked.tensors.values()}
    total = sum(needed.values())
    if total > MOST_BYTES:
        name = max(needed, key=lambda n: needed[n])
        message = f"these shapes need {total / 2**30:.4g} GiB, most of it for {_signature(checked.tensors[name])}"
        raise FusemaxError(message, f"the interpreter stops at {MOST_BYTES // 2**30} GiB: give smaller shapes")
    for einsum in checked.einsums:
        if len(einsum.variables) > MOST_AXES:
            message = f"'{einsum.name}' ranges over {len(einsum.variables)} rank variables"
            raise FusemaxError([Problem(message, einsum.target.span, f"the interpreter takes at most {MOST_AXES}")])


def _extents(tensor: Tensor, sizes: Mapping[str, int]) -> tuple[int, ...]:
    """An iterative tensor has one coordinate more than its rank."""
    return tuple(sizes[rank] + (axis == tensor.iterative) for axis, rank in enumerate(tensor.ranks))


class Space:
    """A box of an Einsum's iteration space: one axis for each variable, kept variables first."""

    def __init__(self, einsum: CheckedEinsum, ranges: Ranges, sizes: Mapping[str, int]) -> None:
        self.einsum, self.ranges, self.sizes = einsum, ranges, sizes
        self.shape = tuple(ranges[v][1] - ranges[v][0] for v in einsum.variables)
        self.axis = {v: axis for axis, v in enumerate(einsum.variables)}
        self.at = {
            v: np.arange(*ranges[v]).reshape([-1 if axis == other else 1 for other in self.axis.values()])
            for v, axis in self.axis.items()
        }

    @cached_property
    def mask(self) -> NDArray[np.bool_] | None:
        """Where the filters hold, with all axes; None without filters."""
        holds = [RELATIONS[c.relation](self.coordinates(c.form), 0) for c in self.einsum.constraints]
        return reduce(np.logical_and, holds) if holds else None

    def coordinates(self, form: Affine) -> NDArray[np.int64]:
        """The values of an affine form, with all axes."""
        values = np.asarray(form.evaluate(self.sizes, self.at), np.int64)
        return values.reshape(values.shape or [1] * len(self.shape))

    def gathered(self, use: Use, array: Array) -> Array:
        """The elements of an array that an access reads, with all axes."""
        box = self.box(use, array.shape)
        if box is None:
            return array[self.places(use, array.shape, "read")]
        part = array[tuple(box.values())].transpose(np.argsort([self.axis[v] for v in box]))
        return part.reshape([length if v in box else 1 for v, length in zip(self.axis, self.shape, strict=True)])

    def box(self, use: Use, extents: tuple[int, ...]) -> dict[str, slice] | None:
        """The box of the array that an access names, by variable; None unless its subscripts are distinct `v` or `v+1`."""
        box: dict[str, slice] = {}
        for index, extent in zip(use.indices, extents, strict=True):
            variable, step = index.variable or index.step, int(index.variable is None)
            if variable is None or variable in box or self.ranges[variable][1] + step > extent:
                return None
            box[variable] = slice(self.ranges[variable][0] + step, self.ranges[variable][1] + step)
        return box

    def places(self, use: Use, extents: tuple[int, ...], done: str) -> tuple[NDArray[np.int64], ...]:
        """The coordinates of an access at each of its places; those that no filter excludes lie in the ranks."""
        places = [self.coordinates(index) for index in use.indices]
        for axis, length in enumerate(extents):
            outside = (places[axis] < 0) | (places[axis] >= length)
            wrong = outside if self.mask is None else outside & self.mask
            if wrong.any():
                first = np.broadcast_to(places[axis], wrong.shape)[wrong][0]
                message = f"'{use.tensor}' is {done} at coordinate {first} of rank '{use.ranks[axis]}'"
                hint = "filter the subscript, or give other sizes"
                raise FusemaxError([Problem(f"{message}, which has {length}", use.span, hint)])
            if outside.any():
                places[axis] = np.clip(places[axis], 0, length - 1)
        return tuple(places)

    def written_places(self, extents: tuple[int, ...]) -> tuple[slice | NDArray[np.int64], ...]:
        """The part of its array that the target names, over the kept variables."""
        box = self.box(self.einsum.target, extents)
        if box is not None:
            return tuple(box.values())
        return tuple(map(self.without_reduced, self.places(self.einsum.target, extents, "written")))

    def written(self) -> Written:
        """The points over the kept variables at which some point of the reduction passes the filters."""
        reduced = tuple(range(len(self.einsum.kept), len(self.shape)))
        return True if self.mask is None else np.any(self.mask, axis=reduced)

    def without_reduced(self, array: NDArray[Any]) -> NDArray[Any]:
        """An array that is 1 long along the reduced variables, without these axes."""
        return array.reshape(array.shape[: len(self.einsum.kept)])

    def halves(self, variables: Sequence[str]) -> tuple[Space, ...]:
        """The box cut along the longest of some variables; empty if it is small enough, or of one point along them."""
        longest = max(variables, key=lambda v: self.shape[self.axis[v]], default=None)
        if longest is None or self.shape[self.axis[longest]] == 1 or math.prod(self.shape) <= MOST_POINTS:
            return ()
        low, high = self.ranges[longest]
        cuts = ((low, (low + high) // 2), ((low + high) // 2, high))
        return tuple(Space(self.einsum, {**self.ranges, longest: cut}, self.sizes) for cut in cuts)


class Run:
    """One execution: the sizes, the constants, and the arrays so far."""

    def __init__(self, checked: Checked, sizes: Mapping[str, int], arrays: dict[str, Array]) -> None:
        self.checked, self.sizes, self.arrays = checked, sizes, arrays
        self.ops = {op.name: op for op in checked.cascade.ops}
        self.constants: dict[str, Value] = {name: np.float64(size) for name, size in sizes.items()}
        for param in checked.cascade.params:
            self.constants[param.name] = self.value(param.value, self.constants)
        for tensor in checked.tensors.values():
            if tensor.name not in arrays:
                empty = self.value(tensor.empty or Number(0), self.constants)
                arrays[tensor.name] = np.full(_extents(tensor, sizes), empty, dtype=np.float64)

    def run(self, schedule: tuple[Loop | CheckedEinsum, ...], fixed: Ranges) -> None:
        """Compute Einsums in order, loops step by step; `fixed` has the present step of each enclosing loop."""
        for node in schedule:
            match node:
                case Loop(variable, body):
                    for step in range(self.sizes[rank_of(variable)]):
                        self.run(body, {**fixed, variable: (step, step + 1)})
                case CheckedEinsum() if (along := keeps_old(node)) and along not in fixed:
                    self.run((Loop(along, (node,)),), fixed)
                case CheckedEinsum():
                    ranges = {v: fixed.get(v, (0, self.sizes[rank_of(v)])) for v in node.variables}
                    space = Space(node, ranges, self.sizes)
                    if keeps_old(node):
                        self.keep_old(space)
                    self.compute(space)

    def keep_old(self, space: Space) -> None:
        """Begin a step that leaves points out with the values of the step before."""
        tensor = self.checked.tensors[space.einsum.name]
        array = self.arrays[tensor.name]
        new = [
            np.unique(space.coordinates(index)) if index.variables else np.arange(length)
            for index, length in zip(space.einsum.target.indices, array.shape, strict=True)
        ]
        old = [places - (axis == tensor.iterative) for axis, places in enumerate(new)]
        array[np.ix_(*new)] = array[np.ix_(*old)]

    def compute(self, space: Space) -> None:
        """Compute an Einsum over a box, and write the values of the points that have one."""
        halves = space.halves(space.einsum.kept)
        for half in halves:
            self.compute(half)
        if not halves:
            array = self.arrays[space.einsum.name]
            values, written = self.reduced(space)
            at = space.written_places(array.shape)
            array[at] = values if written is True else np.where(written, values, array[at])

    def reduced(self, space: Space) -> tuple[Array, Written]:
        """The values over the kept variables, and the points that have one."""
        for last in space.einsum.reductions[-1:]:
            parts = [self.reduced(half) for half in space.halves(last.variables)]
            if parts:
                each, written = zip(*parts, strict=True)
                return UFUNCS[last.reducer](*each).astype(np.float64), np.logical_or(*written)
        values = self.contracted(space)
        return self.mapped_and_reduced(space) if values is None else (values, space.written())

    def contracted(self, space: Space) -> Array | None:
        """A sum of products by `np.einsum`; None for other expressions, and if it is not finite (for a mask, 0 * inf is 0)."""
        factors = tuple(_factors(space.einsum.expr))
        if len(factors) == 1 or {reduction.reducer for reduction in space.einsum.reductions} != {"add"}:
            return None
        operands = [self.value(factor, self.names(space), space) for factor in factors]
        if space.mask is not None:
            operands.append(space.mask.astype(np.float64))
        terms: list[Any] = []
        for operand in operands:
            terms += [np.squeeze(operand), [axis for axis, length in enumerate(operand.shape) if length > 1]]
        ranging = {axis for axes in terms[1::2] for axis in axes}
        kept, long = len(space.einsum.kept), {axis for axis, length in enumerate(space.shape) if length > 1}
        if any(axis >= kept for axis in long - ranging):
            return None
        result = np.einsum(*terms, sorted(axis for axis in ranging if axis < kept), optimize=True)
        shape = [length if axis in ranging else 1 for axis, length in enumerate(space.shape[:kept])]
        return result.reshape(shape) if np.isfinite(result).all() else None

    def mapped_and_reduced(self, space: Space) -> tuple[Array, Written]:
        """Map over the whole box, then reduce."""
        values = np.broadcast_to(self.value(space.einsum.expr, self.names(space), space), space.shape)
        written = np.broadcast_to(True if space.mask is None else space.mask, space.shape)
        for reduction in space.einsum.reductions:
            axes = tuple(space.axis[v] for v in reduction.variables)
            if space.mask is not None:
                values = np.where(written, values, REDUCERS[reduction.reducer].identity)
                written = np.any(written, axis=axes, keepdims=True)
            values = UFUNCS[reduction.reducer].reduce(values, axis=axes, keepdims=True).astype(np.float64)
        return space.without_reduced(values), space.written()

    def names(self, space: Space) -> Names:
        """The values of bare names in an Einsum: rank variables, parameters and shapes."""
        return {**self.constants, **space.at}

    def value(self, expr: Expr, names: Names, space: Space | None = None) -> Value:
        """The value of an expression, with all axes of the space where it reads a tensor or a rank variable."""
        match expr:
            case Number(value):
                return np.float64(value)
            case Name(name):
                return np.asarray(names[name], np.float64)
            case Access(tensor):
                assert space is not None, "a constant reads a tensor"
                return space.gathered(space.einsum.uses[expr], self.arrays[tensor])
            case Apply(operator, args):
                values = [self.value(arg, names, space) for arg in args]
                if operator in self.ops:
                    op = self.ops[operator]
                    return self.value(op.body, {**self.constants, **dict(zip(op.args, values, strict=True))})
                return np.asarray(FUNCTIONS[operator](*values), np.float64)


def keeps_old(einsum: CheckedEinsum) -> str | None:
    """The variable of an iteration whose steps leave points out, which keep the value of the step before."""
    indices = einsum.target.indices
    distinct = sum(len(index.variables) for index in indices) == len(einsum.kept)
    whole = not einsum.constraints and distinct and all(index.variables for index in indices)
    return None if whole else next((index.step for index in indices if index.step), None)


def _factors(expr: Expr) -> Iterator[Expr]:
    if isinstance(expr, Apply) and expr.operator == "mul":
        for arg in expr.args:
            yield from _factors(arg)
    else:
        yield expr
