"""The reference interpreter: a cascade run literally on NumPy arrays in float64. It is the oracle of everything else.

Iterations go step by step, everything else is vectorized. It knows nothing of passes, machines or mappings.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fusemax.errors import FusemaxError, Problem, did_you_mean, listed
from fusemax.ir.affine import Affine
from fusemax.ir.cascade import Cascade
from fusemax.ir.checked import Checked, CheckedEinsum, Constraint, Loop, Relation, Tensor, Use
from fusemax.ir.expr import Access, Apply, Expr, Name, Number, rank_of
from fusemax.ir.operators import REDUCERS
from fusemax.validate import check, solve_shapes

Array = NDArray[np.float64]
Ranges = Mapping[str, tuple[int, int]]

MOST_BYTES = 8 * 2**30
CHUNK = 2**23
_erf = np.frompyfunc(math.erf, 1, 1)


def _sigmoid(x: Array) -> Any:
    return 1 / (1 + np.exp(-x))


def _gelu(x: Array) -> Any:
    return 0.5 * x * (1 + np.asarray(_erf(np.asarray(x) / math.sqrt(2)), dtype=np.float64))


def _chosen(a: Array, b: Array, which: Array) -> Any:
    return np.where((a != 0) & (b != 0), np.where(which == 0, a, b), 0.0)  # TeAAL's take: an intersection


def _fold(function: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    def folded(first: Any, *rest: Any) -> Any:
        for other in rest:
            first = function(first, other)
        return first

    return folded


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "neg": np.negative, "pow": np.power,
    "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal, "eq": np.equal, "ne": np.not_equal,
    "exp": np.exp, "log": np.log, "sqrt": np.sqrt, "rsqrt": lambda x: 1 / np.sqrt(x), "abs": np.abs,
    "tanh": np.tanh, "sigmoid": _sigmoid, "relu": lambda x: np.maximum(x, 0), "silu": lambda x: x * _sigmoid(x),
    "gelu": _gelu, "floor": np.floor, "max": _fold(np.maximum), "min": _fold(np.minimum),
    "where": lambda c, a, b: np.where(c != 0, a, b), "take": _chosen,
}  # fmt: skip
UFUNCS: dict[str, np.ufunc] = {
    "add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum,
    "and": np.logical_and, "or": np.logical_or,
}  # fmt: skip


def execute(
    cascade: Cascade | Checked,
    inputs: Mapping[str, ArrayLike],
    shapes: Mapping[str, int] | None = None,
    *,
    intermediates: bool = False,
) -> dict[str, Array]:
    """Run a cascade on arrays and return its outputs, in float64, by name.

    The axes of an input follow its declared ranks. `shapes` gives sizes that the arrays do not tell (a split's, a
    window's); an iterative output is its whole history, N + 1 long. With `intermediates`, every tensor is returned.
    Raises `FusemaxError` for cascades that `check` refuses, missing or unknown inputs, shapes that contradict each
    other, arrays that are not real numbers or hold NaN, and accesses that leave a rank.

    >>> from fusemax import parse
    >>> execute(parse("Z[m] = A[k, m] * B[k]"), {"A": [[1, 2], [3, 4]], "B": [10, 100]})
    {'Z': array([310., 420.])}
    """
    checked = check(cascade) if isinstance(cascade, Cascade) else cascade
    if checked.incomplete:
        raise FusemaxError(checked.incomplete)
    arrays = _arrays(checked, inputs)
    sizes = solve_shapes(checked, {**_sizes_of(checked, arrays, shapes or {})})
    _check_memory(checked, sizes)
    run = _Run(checked, sizes, arrays)
    with np.errstate(all="ignore"):
        run.run(checked.schedule, {})
    wanted = checked.tensors.values() if intermediates else checked.outputs
    return {tensor.name: run.arrays[tensor.name] for tensor in wanted}


# -------------------------------------------------------------------------------------------------------------- inputs


def _arrays(checked: Checked, inputs: Mapping[str, ArrayLike]) -> dict[str, Array]:
    """The inputs as float64 arrays of the declared number of axes."""
    known = [tensor.name for tensor in checked.inputs]
    problems = [
        Problem(
            f"this cascade has no input '{name}'",
            None,
            did_you_mean(name, known) or f"its inputs are {listed(known)}" if known else "it has none",
        )
        for name in inputs
        if name not in known
    ]
    arrays: dict[str, Array] = {}
    for tensor in checked.inputs:
        if tensor.name not in inputs:
            problems.append(Problem(f"no array for input {_signature(tensor)}", tensor.span, "pass it in `inputs`"))
            continue
        try:
            arrays[tensor.name] = _array(tensor, inputs[tensor.name])
        except FusemaxError as error:
            problems.extend(error.problems)
    if problems:
        raise FusemaxError(problems)
    return arrays


def _signature(tensor: Tensor) -> str:
    return f"'{tensor.name}[{', '.join(tensor.ranks)}]'"


def _array(tensor: Tensor, value: ArrayLike) -> Array:
    try:
        array = np.asarray(value)
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
    """The sizes that the arrays tell, together with those that are given."""
    sizes = dict(given)
    told = {rank: "the given shapes" for rank in given}
    problems: list[Problem] = []
    for name, array in arrays.items():
        for axis, (rank, length) in enumerate(zip(checked.tensors[name].ranks, array.shape, strict=True)):
            here = f"axis {axis} of '{name}'"
            if length == 0:
                problems.append(Problem(f"{here} (rank '{rank}') is empty", None, "pass at least one element"))
            elif sizes.setdefault(rank, length) != length:
                message = f"two sizes for rank '{rank}': {sizes[rank]} from {told[rank]}, {length} from {here}"
                problems.append(Problem(message, None, "pass arrays that agree"))
            told.setdefault(rank, here)
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


def _extents(tensor: Tensor, sizes: Mapping[str, int]) -> tuple[int, ...]:
    """An iterative tensor has one coordinate more than its rank."""
    return tuple(sizes[rank] + (i == tensor.iterative) for i, rank in enumerate(tensor.ranks))


# ----------------------------------------------------------------------------------------------------------------- run


class _Run:
    """One execution: the sizes, the constants, and the arrays so far."""

    def __init__(self, checked: Checked, sizes: Mapping[str, int], arrays: dict[str, Array]) -> None:
        self.checked, self.sizes, self.arrays = checked, sizes, arrays
        self.ops = {op.name: op for op in checked.cascade.ops}
        self.constants: dict[str, Any] = {name: float(size) for name, size in sizes.items()}
        with np.errstate(all="ignore"):
            for param in checked.cascade.params:
                self.constants[param.name] = self.value(param.value, self.constants, None)
            for tensor in checked.tensors.values():
                if tensor.name not in arrays:
                    empty = 0.0 if tensor.empty is None else self.value(tensor.empty, self.constants, None)
                    arrays[tensor.name] = np.full(_extents(tensor, sizes), empty, dtype=np.float64)

    def run(self, schedule: tuple[Loop | CheckedEinsum, ...], fixed: Ranges) -> None:
        """Compute Einsums in order, loops step by step."""
        for node in schedule:
            if isinstance(node, Loop):
                for step in range(self.sizes[rank_of(node.variable)]):
                    self.run(node.body, {**fixed, node.variable: (step, step + 1)})
            else:
                self.compute(node, fixed)

    def compute(self, einsum: CheckedEinsum, fixed: Ranges) -> None:
        """Compute one Einsum over its iteration space, where `fixed` narrows some variables, and store it."""
        ranges = {v: fixed.get(v, (0, self.sizes[rank_of(v)])) for v in einsum.variables}
        for part in _chunks(einsum, ranges):
            space = _Space(einsum, part, self.sizes)
            values, written = self.reduced(einsum, space)
            self.store(einsum, space, values, written)

    def reduced(self, einsum: CheckedEinsum, space: _Space) -> tuple[Any, Any]:
        """The values over the kept variables, and where there are any (True: everywhere)."""
        mask = space.mask(einsum.constraints)
        limits_kept = mask is not None and all(
            mask.shape[len(einsum.kept) :][i] == 1 for i in range(len(einsum.reduced))
        )
        if mask is None or limits_kept:
            contracted = self.contracted(einsum, space, mask)
            if contracted is not None:
                return contracted, True if mask is None else mask.reshape(mask.shape[: len(einsum.kept)])
        return self.mapped_and_reduced(einsum, space, mask)

    def contracted(self, einsum: CheckedEinsum, space: _Space, mask: Any) -> Any:
        """A sum of products by `np.einsum`, or None if it is something else."""
        if not einsum.reductions or any(reduction.reducer != "add" for reduction in einsum.reductions):
            return None
        operands: list[Any] = []
        scale: Any = 1.0
        covered: set[int] = set()
        for factor in _factors(einsum.expr):
            match factor:
                case Access():
                    use = einsum.uses[factor]
                    labels = sorted(space.axis[v] for v in use.variables)
                    array = self.gathered(use, einsum, space, mask)
                    operands += [array.reshape([space.shape[axis] for axis in labels]), labels]
                    covered |= set(labels)
                case Number(value):
                    scale = scale * value
                case Name(name) if name in self.constants and name not in space.axis:
                    scale = scale * self.constants[name]
                case _:
                    return None
        if len(covered) < len(space.order):
            return None
        return scale * np.einsum(*operands, list(range(len(einsum.kept))), optimize=True)

    def mapped_and_reduced(self, einsum: CheckedEinsum, space: _Space, mask: Any) -> tuple[Any, Any]:
        """Map over the whole iteration space, then reduce."""
        values = np.asarray(
            self.value(einsum.expr, {**self.constants, **space.coordinates}, (einsum, space, mask)), np.float64
        )
        values = np.broadcast_to(values, space.shape)
        written: Any = True if mask is None else np.broadcast_to(mask, space.shape)
        for reduction in einsum.reductions:
            axes = tuple(space.axis[v] for v in reduction.variables)
            if mask is not None:
                values = np.where(written, values, REDUCERS[reduction.reducer].identity)
                written = np.any(written, axis=axes, keepdims=True)
            values = np.asarray(UFUNCS[reduction.reducer].reduce(values, axis=axes, keepdims=True), np.float64)
        kept = len(einsum.kept)
        return values.reshape(values.shape[:kept]), written if mask is None else written.reshape(written.shape[:kept])

    def value(self, expr: Expr, names: Mapping[str, Any], where: tuple[CheckedEinsum, _Space, Any] | None) -> Any:
        """The value of an expression; `where` says which Einsum's iteration space its accesses range over."""
        match expr:
            case Number(value):
                return np.float64(value)
            case Name(name):
                return names[name]
            case Access():
                assert where is not None, "a constant reads a tensor"
                return self.gathered(where[0].uses[expr], *where)
            case Apply(operator, args):
                values = [self.value(arg, names, where) for arg in args]
                if operator in self.ops:
                    op = self.ops[operator]
                    return self.value(op.body, {**self.constants, **dict(zip(op.args, values, strict=True))}, None)
                return FUNCTIONS[operator](*(np.asarray(v, np.float64) for v in values))

    def gathered(self, use: Use, einsum: CheckedEinsum, space: _Space, mask: Any) -> Any:
        """The elements that an access reads, over the iteration space."""
        array = self.arrays[use.tensor]
        variables = [index.variable for index in use.indices]
        if None not in variables and len(set(variables)) == len(variables):
            return space.aligned(array[tuple(space.slice(v or "") for v in variables)], [v or "" for v in variables])
        places = [np.asarray(index.evaluate(self.sizes, space.integers)) for index in use.indices]
        inside = [self.inside(use, i, place, array.shape[i], einsum, mask) for i, place in enumerate(places)]
        return array[tuple(inside)] if inside else array

    def inside(self, use: Use, axis: int, place: Any, length: int, einsum: CheckedEinsum, mask: Any) -> Any:
        """The coordinates at one place; one that no filter excludes must lie in its rank."""
        outside = (place < 0) | (place >= length)
        if not outside.any():
            return place
        wrong = outside if mask is None else outside & mask
        if wrong.any():
            worst = int(np.broadcast_to(place, wrong.shape)[wrong].flat[0])
            message = f"'{use.tensor}' is read at coordinate {worst} of rank '{use.ranks[axis]}', which has {length}"
            raise FusemaxError([Problem(message, use.span, "filter the subscript, or give other sizes")])
        return np.clip(place, 0, length - 1)

    def store(self, einsum: CheckedEinsum, space: _Space, values: Any, written: Any) -> None:
        """Write values at the points that have any; a step keeps the old value elsewhere."""
        array = self.arrays[einsum.name]
        at = self.coordinates(einsum.target.indices, einsum, space)
        values = np.broadcast_to(values, space.shape[: len(einsum.kept)])
        if written is not True:
            before = array[at]
            if einsum.step:
                place = self.checked.tensors[einsum.name].iterative
                assert place is not None
                old = list(at)
                old[place] = old[place] - 1
                before = array[tuple(old)]
            values = np.where(np.broadcast_to(written, values.shape), values, before)
        array[at] = values

    def coordinates(self, indices: tuple[Affine, ...], einsum: CheckedEinsum, space: _Space) -> tuple[Any, ...]:
        """The coordinates of the target's places over the kept variables."""
        kept = len(einsum.kept)
        integers = {v: c.reshape(c.shape[:kept]) for v, c in space.integers.items() if v in einsum.kept}
        return tuple(np.asarray(index.evaluate(self.sizes, integers)) for index in indices)


class _Space:
    """A part of an Einsum's iteration space: one axis a variable, kept ones first."""

    def __init__(self, einsum: CheckedEinsum, ranges: Ranges, sizes: Mapping[str, int]) -> None:
        self.order, self.ranges, self.sizes = einsum.variables, ranges, sizes
        self.axis = {v: i for i, v in enumerate(self.order)}
        self.shape = tuple(ranges[v][1] - ranges[v][0] for v in self.order)
        self.integers = {
            v: np.arange(*ranges[v]).reshape([-1 if u == v else 1 for u in self.order]) for v in self.order
        }

    @property
    def coordinates(self) -> dict[str, Array]:
        """Each variable as a value."""
        return {v: c.astype(np.float64) for v, c in self.integers.items()}

    def slice(self, variable: str) -> slice:
        """The range of a variable."""
        return slice(*self.ranges[variable])

    def aligned(self, array: Array, variables: list[str]) -> Array:
        """The array with its axes where the variables have theirs."""
        order = sorted(range(len(variables)), key=lambda i: self.axis[variables[i]])
        present = set(variables)
        shape = [n if v in present else 1 for v, n in zip(self.order, self.shape, strict=True)]
        return array.transpose(order).reshape(shape)

    def mask(self, constraints: tuple[Constraint, ...]) -> Any:
        """Where all filters hold, or None without filters."""
        mask: Any = None
        for constraint in constraints:
            form = np.asarray(constraint.form.evaluate(self.sizes, self.integers))
            match constraint.relation:
                case Relation.NOT_NEGATIVE:
                    holds = form >= 0
                case Relation.ZERO:
                    holds = form == 0
                case Relation.NOT_ZERO:
                    holds = form != 0
            holds = holds.reshape([1] * (len(self.order) - holds.ndim) + list(holds.shape))
            mask = holds if mask is None else mask & holds
        return mask


def _factors(expr: Expr) -> Iterator[Expr]:
    if isinstance(expr, Apply) and expr.operator == "mul":
        for arg in expr.args:
            yield from _factors(arg)
    else:
        yield expr


def _chunks(einsum: CheckedEinsum, ranges: Ranges) -> Iterator[Ranges]:
    """The iteration space in parts of bounded size, cut along its largest kept variables."""
    size = math.prod(high - low for low, high in ranges.values())
    widest = max(einsum.kept, key=lambda v: ranges[v][1] - ranges[v][0], default=None)
    if widest is None or size <= CHUNK or ranges[widest][1] - ranges[widest][0] == 1:
        yield ranges
        return
    low, high = ranges[widest]
    middle = (low + high) // 2
    yield from _chunks(einsum, {**ranges, widest: (low, middle)})
    yield from _chunks(einsum, {**ranges, widest: (middle, high)})
