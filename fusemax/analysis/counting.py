"""The number of points of an iteration space: an integer with sizes, a SymPy expression without."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, assert_never

from fusemax.errors import FusemaxError, listed
from fusemax.ir.affine import Affine
from fusemax.ir.checked import Constraint, Rank, Relation
from fusemax.ir.expr import rank_of

if TYPE_CHECKING:
    import numpy as np
    import sympy
    from numpy.typing import NDArray

    Values = NDArray[np.int64]

MOST_GRID_POINTS = 2**28
"""Filters are counted point by point over all their variables but one; more points are refused."""
CHUNK = 2**20
"""Points that are counted at once."""


@dataclass(frozen=True, slots=True)
class Points:
    """The points of the ranks that no filter names, times those of the variables between which filters hold."""

    ranks: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    constraints: tuple[Constraint, ...] = ()

    def number(self, sizes: Mapping[str, int]) -> int:
        """The number of points for given sizes. Raises `FusemaxError` if filters leave too many to count.

        >>> Points(("M", "P")).number({"M": 3, "P": 5})
        15
        """
        free = math.prod(sizes[rank] for rank in self.ranks)
        if not self.constraints:
            return free
        return free * _filtered_number(
            self.filtered, tuple((rank, sizes[rank]) for rank in sorted(self.filtered.sizes))
        )

    def symbolic(self) -> sympy.Expr:
        """The number of points in the rank shapes.

        >>> Points(("M", "P")).symbolic()
        M*P
        """
        return self.times(_filtered_symbolic(self.filtered))

    def times(self, filtered: sympy.Expr) -> sympy.Expr:
        """The points of the ranks that no filter names, times an expression for the others."""
        import sympy

        return sympy.Mul(*map(symbol, self.ranks), filtered)

    @property
    def filtered(self) -> Points:
        """The part of the space between whose variables filters hold; `ONCE` without filters."""
        return replace(self, ranks=())

    @property
    def sizes(self) -> set[str]:
        """The names of the sizes on which the number depends."""
        shapes = {shape for constraint in self.constraints for shape in constraint.form.shapes}
        return {*self.ranks, *map(rank_of, self.variables), *shapes}


ONCE = Points()


@cache
def symbol(name: str) -> sympy.Symbol:
    """The SymPy symbol of a rank's shape: a positive integer."""
    import sympy

    return sympy.Symbol(name, integer=True, positive=True)


def missing_sizes(purpose: str, ranks: Iterable[str]) -> FusemaxError:
    """The error of a number for which these ranks need a size."""
    missing = sorted(ranks)
    example = " ".join(f"{rank}=64" for rank in missing)
    return FusemaxError(
        f"{purpose} needs a size for {listed(missing, 20)}", f"give it, for instance `--shape {example}`"
    )


def points(variables: Sequence[str], constraints: Sequence[Constraint], ranks: Mapping[str, Rank]) -> Points:
    """The points of a space of variables; all parts of a split together count as the joined rank."""
    within = tuple(c for c in constraints if set(c.form.variables) <= set(variables))
    filtered = tuple(sorted(v for v in variables if any(v in c.form.variables for c in within)))
    free = [rank_of(v) for v in variables if v not in filtered]
    for rank in ranks.values():
        for split in rank.splits:
            if set(split) <= set(free):
                free = [r for r in free if r not in split] + [rank.name]
    return Points(tuple(sorted(free)), filtered, within)


def _components(points: Points) -> Iterator[Points]:
    """The filters in groups that have no variable in common, each group with its variables."""
    left = list(points.constraints)
    while left:
        variables, mine = set(left[0].form.variables), [left.pop(0)]
        while linked := [c for c in left if not variables.isdisjoint(c.form.variables)]:
            mine += linked
            left = [c for c in left if c not in linked]
            variables.update(v for c in linked for v in c.form.variables)
        yield Points((), tuple(sorted(variables)), tuple(mine))


# --------------------------------------------------------------------------------------------------------- with numbers


@cache
def _filtered_number(points: Points, known: tuple[tuple[str, int], ...]) -> int:
    sizes = dict(known)
    return math.prod(_component_number(component, sizes) for component in _components(points))


def _component_number(points: Points, sizes: Mapping[str, int]) -> int:
    """Count by solving for the widest variable, for all values of the others at once."""
    import numpy as np

    if not points.variables:
        return int(all(_holds(c.relation, c.form.evaluate(sizes, {})) for c in points.constraints))
    widest = max(points.variables, key=lambda v: sizes[rank_of(v)])
    others = [v for v in points.variables if v != widest]
    shape = [sizes[rank_of(v)] for v in others]
    _refuse_huge(points, sizes, math.prod(shape))
    extent, total = math.prod(shape), 0
    for start in range(0, extent, CHUNK):
        flat = np.arange(start, min(start + CHUNK, extent))
        grid = dict(zip(others, np.unravel_index(flat, shape) if shape else (), strict=True))
        total += int(_count_one(points.constraints, widest, sizes, grid, len(flat)).sum())
    return total


def _refuse_huge(points: Points, sizes: Mapping[str, int], extent: int) -> None:
    """Refuse counts that would take minutes, or leave the range of 64-bit integers."""
    largest = {v: sizes[rank_of(v)] for v in points.variables}
    forms = (
        replace(c.form, terms=tuple(replace(t, factor=abs(t.factor)) for t in c.form.terms)) for c in points.constraints
    )
    values = [form.evaluate(sizes, largest) for form in forms]
    if extent > MOST_GRID_POINTS or max(*values, max(largest.values()) * min(extent, CHUNK)) >= 2**62:
        space = " x ".join(f"{rank_of(v)}={sizes[rank_of(v)]}" for v in points.variables)
        raise FusemaxError(f"a filter over {space} is too large to count", "give smaller shapes")


def _count_one(
    constraints: Sequence[Constraint], variable: str, sizes: Mapping[str, int], grid: Mapping[str, Values], length: int
) -> Values:
    """For each point of the grid, the number of values of one variable that meet all constraints."""
    import numpy as np

    lower, upper = np.zeros(length, np.int64), np.full(length, sizes[rank_of(variable)] - 1, np.int64)
    holds = np.ones(length, bool)
    excluded: list[Values] = []
    for constraint in constraints:
        factor, rest = _solved(constraint.form, variable, sizes, grid)
        match constraint.relation:
            case relation if factor == 0:
                holds = holds & _holds(relation, rest)
            case Relation.NOT_NEGATIVE if factor > 0:
                lower = np.maximum(lower, -(rest // factor))
            case Relation.NOT_NEGATIVE:
                upper = np.minimum(upper, rest // -factor)
            case Relation.ZERO:
                holds = holds & (rest % factor == 0)
                lower, upper = np.maximum(lower, -rest // factor), np.minimum(upper, -rest // factor)
            case Relation.NOT_ZERO:
                excluded.append(np.where(rest % factor == 0, -rest // factor, -1))
    count = np.where(holds, np.maximum(upper - lower + 1, 0), 0)
    if excluded:
        values = np.sort(np.array(np.broadcast_arrays(*excluded, count)[:-1]), axis=0)
        fresh = np.ones(values.shape, bool)
        fresh[1:] = values[1:] != values[:-1]
        count = count - np.where(holds, (fresh & (values >= lower) & (values <= upper)).sum(axis=0), 0)
    return count


def _holds(relation: Relation, value: int | Values) -> bool | NDArray[np.bool_]:
    """Whether a value, of any kind that can be compared, has the relation to zero."""
    match relation:
        case Relation.NOT_NEGATIVE:
            return value >= 0
        case Relation.ZERO:
            return value == 0
        case Relation.NOT_ZERO:
            return value != 0
    assert_never(relation)


def _solved(
    form: Affine, variable: str, sizes: Mapping[str, int], grid: Mapping[str, Values]
) -> tuple[int, int | Values]:
    """`form = factor * variable + rest`."""
    mine = [term for term in form.terms if term.variable == variable]
    factor = sum(term.factor * math.prod(sizes[s] for s in term.shapes) for term in mine)
    rest = Affine(tuple(term for term in form.terms if term.variable != variable)).evaluate(sizes, grid)
    return factor, rest


# --------------------------------------------------------------------------------------------------------- with symbols


@cache
def _filtered_symbolic(points: Points) -> sympy.Expr:
    import sympy

    return sympy.Mul(*map(_component_symbolic, _components(points)))


def _component_symbolic(points: Points) -> sympy.Expr:
    """One variable by `Min` and `Max`, the others by `Sum`; a sum of ones for filters that bound no variable alone."""
    import sympy

    variables = {v: sympy.Symbol(v, integer=True, nonnegative=True) for v in points.variables}
    counted = next((v for v in points.variables if _bounded(points.constraints, v)), None)
    inner = sympy.Integer(1) if counted is None else _range(points.constraints, counted, variables)
    others = [c for c in points.constraints if counted is None or counted not in c.form.variables]
    if others:
        inner = sympy.Piecewise((inner, sympy.And(*(_relation(c, variables) for c in others))), (0, True))
    for v in points.variables:
        if v != counted:
            inner = sympy.Sum(inner, (variables[v], 0, symbol(rank_of(v)) - 1))
    return inner


def _bounded(constraints: Sequence[Constraint], variable: str) -> bool:
    """Whether a variable stands alone, once, on one side of every filter that has it, and no filter leaves a gap."""
    for constraint in constraints:
        terms = [term for term in constraint.form.terms if term.variable == variable]
        if terms and constraint.relation is Relation.NOT_ZERO:
            return False
        if len(terms) > 1 or any(abs(term.factor) != 1 or term.shapes for term in terms):
            return False
    return True


def _range(constraints: Sequence[Constraint], variable: str, variables: Mapping[str, sympy.Symbol]) -> sympy.Expr:
    """The number of values of a variable, from its least to its largest."""
    import sympy

    low, high = [sympy.Integer(0)], [symbol(rank_of(variable)) - 1]
    for constraint in constraints:
        for term in constraint.form.terms:
            if term.variable == variable:
                rest = Affine(tuple(t for t in constraint.form.terms if t is not term))
                bound = -term.factor * _expression(rest, variables)
                low += [bound] if term.factor > 0 or constraint.relation is Relation.ZERO else []
                high += [bound] if term.factor < 0 or constraint.relation is Relation.ZERO else []
    return sympy.Max(0, sympy.Min(*(h + 1 for h in high)) - sympy.Max(*low))


def _expression(form: Affine, variables: Mapping[str, sympy.Symbol]) -> sympy.Expr:
    import sympy

    return sympy.sympify(form.evaluate({shape: symbol(shape) for shape in form.shapes}, variables))


def _relation(constraint: Constraint, variables: Mapping[str, sympy.Symbol]) -> sympy.Basic:
    import sympy

    form = _expression(constraint.form, variables)
    relations = {Relation.NOT_NEGATIVE: sympy.Ge, Relation.ZERO: sympy.Eq, Relation.NOT_ZERO: sympy.Ne}
    return relations[constraint.relation](form, 0)
