"""Points within filters: of an Einsum's iteration space, and of the time steps in which any element has work."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from fusemax.analysis.counting import Points
from fusemax.bind.extents import Amount
from fusemax.bind.loop_nest import LoopNest
from fusemax.bind.plan import Placement
from fusemax.ir.affine import Affine, Term, constant, total
from fusemax.ir.checked import Constraint, Relation
from fusemax.ir.expr import rank_of


def point_count(points: Points, sizes: Mapping[str, Amount]) -> Amount:
    """The points of a space, for sizes that may be arrays.

    >>> point_count(Points(("M", "P")), {"M": 2, "P": np.array([3, 5])})
    array([ 6, 10])
    """
    found: Amount = 1
    for rank in points.ranks:
        found = found * sizes[rank]
    if not points.constraints:
        return found
    known = {name: sizes[name] for name in sorted(points.filtered.sizes)}
    return found * _each(known, points.filtered.number)


def steps(
    nest: LoopNest, placement: Placement, sizes: Mapping[str, Amount], at: Mapping[str, int] | None = None
) -> Amount:
    """The time steps of a placement: the iterations of its loops in which at least one point is within the filters.

    `at` has the coordinates of loops that stand still.
    Exact if at each step no two filters meet different values of the variables that are spread over the axes.
    """
    fixed = at or {}
    loops = [loop for loop in nest.sequence(placement) if loop not in fixed]
    constraints = placement.einsum.constraints
    if not constraints:
        return nest.whole(nest.product(loops))
    names = {v for c in constraints for v in c.form.variables}
    shapes = {s for c in constraints for s in c.form.shapes}
    parts = {part for v in names for part in nest.splits.get(v, (v,))}
    known = {f"size {shape}": sizes[shape] for shape in sorted(shapes)}
    known.update({part: nest.extents[part] for part in sorted(parts)})
    mine = tuple(loop for loop in loops if loop in parts)

    def count(here: Mapping[str, int]) -> int:
        numbers = {shape: here[f"size {shape}"] for shape in shapes}
        split = [_split(c, nest.splits, numbers, here, fixed) for c in constraints]
        within = tuple(c for constraint in split for c in _reached(constraint, mine, here))
        return Points((), mine, within).number({rank_of(loop): here[loop] for loop in mine})

    return nest.product([loop for loop in loops if loop not in parts]) * _each(known, count)


def _each(known: Mapping[str, Amount], count: Callable[[Mapping[str, int]], int]) -> Amount:
    """A count at each point of arrays."""
    if not any(np.ndim(value) for value in known.values()):
        return count({name: int(value) for name, value in known.items()})
    rows = zip(*(column.tolist() for column in np.broadcast_arrays(*known.values())), strict=True)
    return np.array([count(dict(zip(known, row, strict=True))) for row in rows])


def _split(
    constraint: Constraint, splits: Mapping[str, tuple[str, ...]], shapes: Mapping[str, int], extents: Mapping[str, int],
    fixed: Mapping[str, int],
) -> Constraint:  # fmt: skip
    """A filter over the parts of split variables, with numbers for shapes."""
    terms: list[tuple[Affine, int]] = [(constant(0), 1)]
    for term in constraint.form.terms:
        factor = term.factor
        for shape in term.shapes:
            factor *= shapes[shape]
        if term.variable is None:
            terms.append((constant(factor), 1))
            continue
        for part in reversed(splits.get(term.variable, (term.variable,))):
            terms.append((constant(factor * fixed[part]) if part in fixed else Affine((Term(factor, (), part),)), 1))
            factor *= extents[part]
    return Constraint(total(*terms), constraint.relation)


def _reached(constraint: Constraint, loops: tuple[str, ...], extents: Mapping[str, int]) -> Iterator[Constraint]:
    """The constraints of a filter on the loops alone: some values of the other variables meet it."""
    low = high = 0
    for term in constraint.form.terms:
        if term.variable is not None and term.variable not in loops:
            low += min(0, term.factor * (extents[term.variable] - 1))
            high += max(0, term.factor * (extents[term.variable] - 1))
    rest = Affine(tuple(t for t in constraint.form.terms if t.variable is None or t.variable in loops))
    if constraint.relation is Relation.NOT_ZERO:
        if low == high:
            yield Constraint(rest, Relation.NOT_ZERO)
        return
    yield Constraint(total((rest, 1), (constant(high), 1)), Relation.NOT_NEGATIVE)
    if constraint.relation is Relation.ZERO:
        yield Constraint(total((rest, -1), (constant(-low), 1)), Relation.NOT_NEGATIVE)
