"""How many points an iteration space has: exactly with numbers, as a SymPy expression without."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from fusemax.errors import FusemaxError
from fusemax.ir.affine import Affine
from fusemax.ir.checked import Constraint, Rank, Relation
from fusemax.ir.expr import rank_of

if TYPE_CHECKING:
    import sympy

MOST_POINTS = 2**28
"""Filters are counted point by point over all their variables but one; more than this is refused."""


@dataclass(frozen=True, slots=True)
class Points:
    """The points of the ranks that no filter names, times those of the variables between which filters hold."""

    ranks: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    constraints: tuple[Constraint, ...] = ()

    def number(self, sizes: Mapping[str, int]) -> int:
        """The number of points for given sizes.

        >>> Points(("M", "P")).number({"M": 3, "P": 5})
        15
        """
        return math.prod(sizes[rank] for rank in self.ranks) * _filtered_number(self, sizes)

    def symbolic(self) -> sympy.Expr:
        """The number of points in the rank shapes.

        >>> Points(("M", "P")).symbolic()
        M*P
        """
        import sympy

        return sympy.Mul(*map(symbol, self.ranks), _filtered_symbolic(self))

    @property
    def sizes(self) -> set[str]:
        """The sizes on which the number depends."""
        shapes = {shape for constraint in self.constraints for shape in constraint.form.shapes}
        return {*self.ranks, *map(rank_of, self.variables), *shapes}


ONCE = Points()


@cache
def symbol(name: str) -> sympy.Symbol:
    """The SymPy symbol of a rank's shape: a positive integer."""
    import sympy

    return sympy.Symbol(name, integer=True, positive=True)


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


# --------------------------------------------------------------------------------------------------------- with numbers


def _filtered_number(points: Points, sizes: Mapping[str, int]) -> int:
    """Count by solving for the widest variable, for all values of the others at once."""
    if not points.constraints:
        return 1
    import numpy as np

    widest = max(points.variables, key=lambda v: sizes[rank_of(v)])
    others = [v for v in points.variables if v != widest]
    extent = math.prod(sizes[rank_of(v)] for v in others)
    if extent > MOST_POINTS:
        raise FusemaxError(f"a filter over {extent:.3g} points is too large to count", "give smaller shapes")
    shape = [sizes[rank_of(v)] for v in others]
    total = 0
    for start in range(0, extent, 2**22):
        flat = np.arange(start, min(start + 2**22, extent))
        grid = dict(zip(others, np.unravel_index(flat, shape) if shape else (), strict=True))
        total += int(_count_one(points.constraints, widest, sizes, grid, len(flat)).sum())
    return total


def _count_one(constraints: Sequence[Constraint], variable: str, sizes: Mapping[str, int], grid: Any, length: int) -> Any:
    """For each point of the grid, how many values of one variable meet all constraints."""
    import numpy as np

    lower, upper = np.zeros(length, np.int64), np.full(length, sizes[rank_of(variable)] - 1, np.int64)
    holds = np.ones(length, bool)
    excluded: list[Any] = []
    for constraint in constraints:
        factor, rest = _solved(constraint.form, variable, sizes, grid)
        match constraint.relation:
            case Relation.NOT_NEGATIVE if factor == 0:
                holds = holds & (rest >= 0)
            case Relation.NOT_NEGATIVE if factor > 0:
                lower = np.maximum(lower, -(rest // factor))
            case Relation.NOT_NEGATIVE:
                upper = np.minimum(upper, rest // -factor)
            case Relation.ZERO if factor == 0:
                holds = holds & (rest == 0)
            case Relation.ZERO:
                exact = (-rest) % factor == 0
                holds = holds & exact
                lower, upper = np.maximum(lower, -rest // factor), np.minimum(upper, -rest // factor)
            case Relation.NOT_ZERO if factor == 0:
                holds = holds & (rest != 0)
            case Relation.NOT_ZERO:
                excluded.append(np.where((-rest) % factor == 0, -rest // factor, -1))
    count = np.where(holds, np.maximum(upper - lower + 1, 0), 0)
    if excluded:
        values = np.sort(np.array(np.broadcast_arrays(*excluded, count)[:-1]), axis=0)
        fresh = np.ones(values.shape, bool)
        fresh[1:] = values[1:] != values[:-1]
        count = count - np.where(holds, (fresh & (values >= lower) & (values <= upper)).sum(axis=0), 0)
    return count


def _solved(form: Affine, variable: str, sizes: Mapping[str, int], grid: Any) -> tuple[int, Any]:
    """`form = factor * variable + rest`."""
    mine = [term for term in form.terms if term.variable == variable]
    factor = sum(term.factor * math.prod(sizes[s] for s in term.shapes) for term in mine)
    rest = Affine(tuple(term for term in form.terms if term.variable != variable)).evaluate(sizes, grid)
    return factor, rest


# --------------------------------------------------------------------------------------------------------- with symbols


def _filtered_symbolic(points: Points) -> sympy.Expr:
    """One variable by `Min` and `Max`, the others by `Sum`; inequalities that SymPy cannot count stay a sum of ones."""
    import sympy

    if not points.constraints:
        return sympy.Integer(1)
    counted = next((v for v in points.variables if _unit(points.constraints, v)), None)
    variables = {v: sympy.Symbol(v, integer=True, nonnegative=True) for v in points.variables}
    if counted is None:
        inner: sympy.Expr = sympy.Piecewise((1, sympy.And(*(_relation(c, variables) for c in points.constraints))), (0, True))
    else:
        low, high = [sympy.Integer(0)], [symbol(rank_of(counted)) - 1]
        for constraint in points.constraints:
            low_, high_ = _bounds(constraint, counted, variables)
            low, high = low + low_, high + high_
        inner = sympy.Max(0, sympy.Min(*(h + 1 for h in high)) - sympy.Max(*low))
    for v in points.variables:
        if v != counted:
            inner = _sum(inner, variables[v], symbol(rank_of(v)))
    return inner


def _sum(inner: sympy.Expr, variable: sympy.Symbol, size: sympy.Symbol) -> sympy.Expr:
    import sympy

    if variable not in inner.free_symbols:
        return inner * size
    return sympy.Sum(inner, (variable, 0, size - 1))


def _unit(constraints: Sequence[Constraint], variable: str) -> bool:
    """Whether a variable can be counted by its bounds: it stands alone, once, in every inequality that has it."""
    for constraint in constraints:
        terms = [term for term in constraint.form.terms if term.variable == variable]
        if not terms or constraint.relation is Relation.NOT_ZERO:
            return False
        if len(terms) > 1 or abs(terms[0].factor) != 1 or terms[0].shapes:
            return False
    return True


def _bounds(constraint: Constraint, variable: str, variables: Mapping[str, sympy.Symbol]) -> Iterator[list[sympy.Expr]]:
    sign = next(term.factor for term in constraint.form.terms if term.variable == variable)
    rest = Affine(tuple(term for term in constraint.form.terms if term.variable != variable))
    bound = _expression(rest, variables) * -sign
    both = constraint.relation is Relation.ZERO
    yield [bound] if sign > 0 or both else []
    yield [bound] if sign < 0 or both else []


def _expression(form: Affine, variables: Mapping[str, sympy.Symbol]) -> sympy.Expr:
    import sympy

    return sympy.sympify(form.evaluate({shape: symbol(shape) for shape in form.shapes}, variables))


def _relation(constraint: Constraint, variables: Mapping[str, sympy.Symbol]) -> sympy.Basic:
    import sympy

    form = _expression(constraint.form, variables)
    relations = {Relation.NOT_NEGATIVE: sympy.Ge, Relation.ZERO: sympy.Eq, Relation.NOT_ZERO: sympy.Ne}
    return relations[constraint.relation](form, 0)
