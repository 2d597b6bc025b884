"""A loop nest that applies every operator of an Einsum point by point and counts as it goes: the oracle of operations.

It follows rules P16 and P17 of docs/passes.md word by word, and knows nothing of symbols.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import product

from fusemax.ir.checked import CheckedEinsum, Constraint, Relation
from fusemax.ir.expr import Access, Apply, Expr, Name, Number, rank_of

KINDS = {"eq": "cmp", "ne": "cmp", "lt": "cmp", "le": "cmp", "gt": "cmp", "ge": "cmp", "where": "select"}


def counted(einsum: CheckedEinsum, sizes: Mapping[str, int]) -> dict[str, int]:
    """Every operator of an Einsum at every point of its iteration space, then its reductions, one after the other."""
    found: Counter[str] = Counter()
    for node in applications(einsum.expr):
        if not ranked(einsum, node):  # "rank-free subexpressions count once"
            found.update(kinds(node))
    combined: set[tuple[int, ...]] = set()
    for point in points(einsum, sizes):
        for node in applications(einsum.expr):
            if ranked(einsum, node):
                found.update(kinds(node))
        combined.add(tuple(point.values()))
    left = list(einsum.variables)
    for i, reduction in enumerate(einsum.reductions):
        for _ in combined:  # "a reduction over n points of something else is n operations"
            found[reduction.reducer] += 1
            if i == 0 and reduction.reducer == "add" and any(ranked_product(einsum, t) for t in summands(einsum.expr)):
                found["mul"] -= 1  # "one product per point that joins a sum is a mac"
                found["add"] -= 1
                found["mac"] += 1
        kept = [j for j, variable in enumerate(left) if variable not in reduction.variables]
        combined = {tuple(values[j] for j in kept) for values in combined}
        left = [left[j] for j in kept]
    assert all(number >= 0 for number in found.values())
    return {kind: number for kind, number in found.items() if number}


def points(einsum: CheckedEinsum, sizes: Mapping[str, int]) -> Iterator[dict[str, int]]:
    """The points of the iteration space within all filters."""
    for values in product(*(range(sizes[rank_of(variable)]) for variable in einsum.variables)):
        point = dict(zip(einsum.variables, values, strict=True))
        if all(holds(constraint, point, sizes) for constraint in einsum.constraints):
            yield point


def holds(constraint: Constraint, point: Mapping[str, int], sizes: Mapping[str, int]) -> bool:
    """Whether a point meets a filter."""
    value = 0
    for term in constraint.form.terms:
        part = term.factor if term.variable is None else term.factor * point[term.variable]
        for shape in term.shapes:
            part *= sizes[shape]
        value += part
    return {Relation.NOT_NEGATIVE: value >= 0, Relation.ZERO: value == 0, Relation.NOT_ZERO: value != 0}[
        constraint.relation
    ]


def applications(expr: Expr) -> Iterator[Apply]:
    """Every operator with its operands."""
    if isinstance(expr, Apply):
        yield expr
        for arg in expr.args:
            yield from applications(arg)


def kinds(node: Apply) -> dict[str, int]:
    """The operations of one application: a maximum of n values takes n - 1, a square is a product, a sign of a number nothing."""
    match node:
        case Apply("max" | "min" as name, args):
            return {name: len(args) - 1}
        case Apply("pow", (_, Number(2))):
            return {"mul": 1}
        case Apply("neg", (Number(),)):
            return {}
    return {KINDS.get(node.operator, node.operator): 1}


def ranked(einsum: CheckedEinsum, expr: Expr) -> bool:
    """Whether a value differs from point to point."""
    match expr:
        case Access():
            return bool(einsum.uses[expr].variables)
        case Name(name):
            return name in einsum.variables
        case Apply(_, args):
            return any(ranked(einsum, arg) for arg in args)
    return False


def summands(expr: Expr) -> Iterator[Expr]:
    """The operator that joins a sum."""
    match expr:
        case Apply("add" | "sub", (left, right)):
            yield from summands(left)
            yield from summands(right)
        case _:
            yield expr


def ranked_product(einsum: CheckedEinsum, expr: Expr) -> bool:
    """Whether a product differs from point to point."""
    return isinstance(expr, Apply) and kinds(expr) == {"mul": 1} and ranked(einsum, expr)
