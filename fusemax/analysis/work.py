"""Operations of Einsums by kind, and elements of tensors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

from fusemax.analysis.counting import ONCE, Points, points
from fusemax.ir.checked import Checked, CheckedEinsum, Tensor
from fusemax.ir.expr import Apply, Expr, Number, accesses, names, terms, walk
from fusemax.ir.operators import OPERATORS, REDUCERS

if TYPE_CHECKING:
    import sympy

Tally = Mapping[str, Mapping[Points, int]]
"""Operations by kind: the number of operations at each point of a space."""


@lru_cache(maxsize=4096)
def operations(checked: Checked, einsum: CheckedEinsum) -> Tally:
    """The operations of one Einsum.

    One product a point that joins a sum is a `mac`, further factors are `mul`; any other reduction over
    n points is n operations of its kind; subexpressions without a rank count once; filters count only their points.
    Operators that the file defines count under their own name.

    >>> from fusemax import check, parse
    >>> checked = check(parse("Z[m] = A[k, m] * B[k]"))
    >>> {kind: dict(at) for kind, at in operations(checked, checked.einsums[0]).items()}
    {'mac': {Points(ranks=('K', 'M'), variables=(), constraints=()): 1}}
    """
    space = points(einsum.variables, einsum.constraints, checked.ranks)
    tally: dict[str, dict[Points, int]] = {}
    for kind, at, times in _counts(checked, einsum, space):
        counts = tally.setdefault(kind, {})
        counts[at] = counts.get(at, 0) + times
    return {kind: {at: n for at, n in counts.items() if n} for kind, counts in tally.items() if any(counts.values())}


def _counts(checked: Checked, einsum: CheckedEinsum, space: Points) -> Iterator[tuple[str, Points, int]]:
    for node in walk(einsum.expr):
        if isinstance(node, Apply):
            kind, times = _kind(node)
            yield kind, space if _ranges(einsum, node) else ONCE, times
    left = einsum.variables
    for i, reduction in enumerate(einsum.reductions):
        at = points(left, einsum.constraints, checked.ranks)
        if i == 0 and reduction.reducer == "add" and any(_is_product(einsum, term) for term in terms(einsum.expr)):
            yield "mul", at, -1
            yield "mac", at, 1
        else:
            yield REDUCERS[reduction.reducer].kind, at, 1
        left = tuple(v for v in left if v not in reduction.variables)


def _kind(node: Apply) -> tuple[str, int]:
    """The kind under which an operator counts, and its number of operations."""
    match node:
        case Apply("neg", (Number(),)):
            return "neg", 0  # a negative literal
        case Apply("pow", (_, Number(2))):
            return "mul", 1
        case Apply("max" | "min" as kind, args):
            return kind, len(args) - 1
        case Apply(operator):
            return (OPERATORS[operator].kind if operator in OPERATORS else operator), 1


def _ranges(einsum: CheckedEinsum, node: Apply) -> bool:
    """Whether a subexpression has a rank: an access with a variable, or a variable as a value."""
    bare = any(name.name in einsum.variables for name in names(node))
    return bare or any(einsum.uses[access].variables for access in accesses(node))


def _is_product(einsum: CheckedEinsum, term: Expr) -> bool:
    return isinstance(term, Apply) and _kind(term) == ("mul", 1) and _ranges(einsum, term)


def expanded(checked: Checked) -> dict[str, dict[str, int]]:
    """The operations of one application of each operator that the file defines, down to built-in kinds.

    A subexpression without an argument is computed once and for all, and not counted.

    >>> from fusemax import check, parse
    >>> expanded(check(parse("op f(x) = x * sqrt(2) + exp(x)\\nZ[m] = f(A[m])")))
    {'f': {'add': 1, 'mul': 1, 'exp': 1}}
    """
    found: dict[str, dict[str, int]] = {}
    for op in checked.cascade.ops:
        counts: dict[str, int] = {}
        for node in walk(op.body):
            if isinstance(node, Apply) and any(name.name in op.args for name in names(node)):
                kind, times = _kind(node)
                for inner, n in found.get(kind, {kind: 1}).items():
                    counts[inner] = counts.get(inner, 0) + n * times
        found[op.name] = {kind: n for kind, n in counts.items() if n}
    return found


def elements(tensor: Tensor, sizes: Mapping[str, sympy.Symbol]) -> sympy.Expr:
    """The elements of a tensor, in symbols (docs/passes.md, rule P18); an iterative one has its initial value too."""
    import sympy

    return sympy.Mul(*(sizes[rank] + (1 if i == tensor.iterative else 0) for i, rank in enumerate(tensor.ranks)))
