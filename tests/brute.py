"""A second interpreter of cascades, the oracle of the first: pure Python, one element at a time, only for tiny shapes.

It is written from the language reference, works on the parsed text alone, and shares no rule with the checker or the
interpreter. Nested loops over each Einsum's iteration space find which points of which tensor have a value, and the
value of an element is computed when it is asked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from itertools import product

import numpy as np
from numpy.typing import NDArray

from fusemax.ir.cascade import Cascade, Einsum
from fusemax.ir.expr import Access, Apply, Expr, Name, Number, Place

Array = NDArray[np.float64]
Point = dict[str, int]
Element = tuple[str, tuple[int, ...]]


def brute_force(cascade: Cascade, inputs: Mapping[str, Array], sizes: Mapping[str, int]) -> dict[str, Array]:
    """All tensors that a cascade writes, given its inputs and the size of every rank and shape."""
    return _Brute(cascade, inputs, sizes).tensors()


class _Brute:
    def __init__(self, cascade: Cascade, inputs: Mapping[str, Array], sizes: Mapping[str, int]) -> None:
        self.cascade, self.inputs, self.sizes = cascade, inputs, sizes
        self.ops = {op.name: op for op in cascade.ops}
        self.empty = {tensor.name: tensor.empty or Number(0) for _, tensor in cascade.declarations}
        self.constants = {name: float(size) for name, size in sizes.items()}
        for param in cascade.params:
            self.constants[param.name] = self.evaluate(param.value, self.constants)
        self.step_axis = {e.name: axis for e in cascade.einsums if (axis := _step_axis(e)) is not None}
        self.writers: dict[Element, tuple[Einsum, list[Point]]] = {}
        for einsum in cascade.einsums:
            for point in self.space(einsum):
                if all(self.holds(f, point) for place in _places(einsum) for f in place.filters):
                    self.writers.setdefault(self.element(einsum.target, point), (einsum, []))[1].append(point)
        self.known: dict[Element, float] = {}

    def space(self, einsum: Einsum) -> Iterator[Point]:
        """All points of an iteration space, filters aside."""
        variables = list(dict.fromkeys(name for place in _places(einsum) for name in _variables(place.index)))
        for values in product(*(range(self.sizes[v.upper()]) for v in variables)):
            yield dict(zip(variables, values, strict=True))

    def index(self, expr: Expr, point: Mapping[str, float]) -> int:
        """An affine form's value."""
        value = self.evaluate(expr, {**self.sizes, **point})
        assert value == int(value)
        return int(value)

    def holds(self, condition: Apply, point: Point) -> bool:
        return self.evaluate(condition, {**self.sizes, **point}) != 0

    def element(self, access: Access, point: Mapping[str, float]) -> Element:
        return access.tensor, tuple(self.index(place.index, point) for place in access.places)

    def tensors(self) -> dict[str, Array]:
        """Every written tensor as an array, as long as its subscripts reach."""
        extents: dict[str, tuple[int, ...]] = {}
        for einsum in self.cascade.einsums:
            if einsum.name not in self.step_axis or _step_axis(einsum) is not None:
                reached = [self.element(einsum.target, point)[1] for point in self.space(einsum)]
                extents[einsum.name] = tuple(max(axis) + 1 for axis in zip(*reached, strict=True))
        return {name: self.array(name, extent) for name, extent in extents.items()}

    def array(self, name: str, extent: tuple[int, ...]) -> Array:
        values = [self.value((name, at)) for at in product(*map(range, extent))]
        return np.array(values, dtype=np.float64).reshape(extent)

    def value(self, element: Element) -> float:
        """The value of an element: an input's, a written one, what the step before had, or the tensor's `empty`."""
        name, at = element
        if name in self.inputs:
            assert all(0 <= i < length for i, length in zip(at, self.inputs[name].shape, strict=True)), element
            return float(self.inputs[name][at])
        if element not in self.known:
            axis = self.step_axis.get(name)
            if element in self.writers:
                self.known[element] = self.reduced(*self.writers[element])
            elif axis is not None and at[axis] > 0:
                self.known[element] = self.value((name, (*at[:axis], at[axis] - 1, *at[axis + 1 :])))
            else:
                self.known[element] = self.evaluate(self.empty.get(name, Number(0)), self.constants)
        return self.known[element]

    def reduced(self, einsum: Einsum, points: list[Point]) -> float:
        """Map, then reduce: the actions in order, and what they leave by sums."""
        table = {tuple(p.items()): self.evaluate(einsum.expr, {**self.constants, **p}) for p in points}
        written = {name for place in einsum.target.places for name in _variables(place.index)}
        named = {v for reduction in einsum.reductions for v in reduction.variables}
        rest = [v for v in points[0] if v not in written | named]
        for variables, reducer in [*((r.variables, r.reducer) for r in einsum.reductions), (rest, "add")]:
            folded: dict[tuple[tuple[str, int], ...], float] = {}
            for point, value in table.items():
                left = tuple((v, i) for v, i in point if v not in variables)
                start, combine = REDUCERS[reducer]
                folded[left] = combine(folded.get(left, start), value)
            table = folded if variables else table
        (total,) = table.values()
        return total

    def evaluate(self, expr: Expr, names: Mapping[str, float]) -> float:
        match expr:
            case Number(value):
                return value
            case Name(name):
                return names[name] if name in names else self.value((name, ()))
            case Access():
                return self.value(self.element(expr, names))
            case Apply("where", (condition, then, otherwise)):
                return self.evaluate(then if self.evaluate(condition, names) != 0 else otherwise, names)
            case Apply(operator, args):
                values = [self.evaluate(arg, names) for arg in args]
                if operator in self.ops:
                    bound = dict(zip(self.ops[operator].args, values, strict=True))
                    return self.evaluate(self.ops[operator].body, {**self.constants, **bound})
                return float(FUNCTIONS[operator](*values))


def _places(einsum: Einsum) -> list[Place]:
    return [place for access in (einsum.target, *_accesses(einsum.expr)) for place in access.places]


def _accesses(expr: Expr) -> Iterator[Access]:
    if isinstance(expr, Access):
        yield expr
    elif isinstance(expr, Apply):
        for arg in expr.args:
            yield from _accesses(arg)


def _variables(expr: Expr) -> list[str]:
    match expr:
        case Name(name):
            return [name] if name.islower() else []
        case Apply(_, args):
            return [name for arg in args for name in _variables(arg)]
    return []


def _step_axis(einsum: Einsum) -> int | None:
    for axis, place in enumerate(einsum.target.places):
        if isinstance(place.index, Apply) and Number(1) in place.index.args:
            return axis
    return None


def _ieee(operator: Callable[[np.float64, np.float64], np.float64]) -> Callable[[float, float], float]:
    """An operator with the infinities and NaN of IEEE 754, where Python raises."""

    def operated(a: float, b: float) -> float:
        with np.errstate(all="ignore"):
            return float(operator(np.float64(a), np.float64(b)))

    return operated


def _exp(x: float) -> float:
    return math.exp(x) if x < 709 else math.inf


def _log(x: float) -> float:
    return math.log(x) if x > 0 else -math.inf if x == 0 else math.nan


def _sqrt(x: float) -> float:
    return math.sqrt(x) if x >= 0 else math.nan


def _max(*values: float) -> float:
    return math.nan if any(math.isnan(v) for v in values) else max(values)


def _min(*values: float) -> float:
    return math.nan if any(math.isnan(v) for v in values) else min(values)


_divide = _ieee(lambda a, b: a / b)
_multiply = _ieee(lambda a, b: a * b)

FUNCTIONS: dict[str, Callable[..., float]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": _multiply,
    "div": _divide,
    "neg": lambda a: -a,
    "pow": _ieee(lambda a, b: a**b),
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
    "exp": _exp,
    "log": _log,
    "sqrt": _sqrt,
    "rsqrt": lambda x: _divide(1, _sqrt(x)),
    "abs": abs,
    "max": _max,
    "min": _min,
    "tanh": math.tanh,
    "sigmoid": lambda x: 1 / (1 + _exp(-x)),
    "relu": lambda x: _max(x, 0),
    "silu": lambda x: _multiply(x, 1 / (1 + _exp(-x))),
    "gelu": lambda x: _multiply(x, (1 + math.erf(x / math.sqrt(2))) / 2),
    "floor": lambda x: math.floor(x) if math.isfinite(x) else x,
    "take": lambda a, b, i: (a if i == 0 else b) if a != 0 and b != 0 else 0,
}
REDUCERS: dict[str, tuple[float, Callable[[float, float], float]]] = {
    "add": (0, lambda a, b: a + b),
    "mul": (1, _multiply),
    "max": (-math.inf, _max),
    "min": (math.inf, _min),
    "and": (1, lambda a, b: float(a != 0 and b != 0)),
    "or": (0, lambda a, b: float(a != 0 or b != 0)),
}
