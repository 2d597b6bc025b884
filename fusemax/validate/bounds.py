"""Coordinates that lie outside of their rank, whatever the sizes or with the sizes that the cascade gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

from fusemax.ir.affine import Affine, Term, constant, total
from fusemax.ir.checked import CheckedEinsum, Use
from fusemax.ir.expr import Access, rank_of, variable_of
from fusemax.ir.print_cascade import print_index
from fusemax.validate.draft import Draft


def leaves(index: Affine, rank: str) -> bool:
    """Whether an index leaves its rank whatever the sizes, if its variables run over all of their ranks.

    >>> m = Term(1, (), "m")
    >>> leaves(Affine((m,)), "M"), leaves(Affine((m, Term(1))), "M")
    (False, True)
    """
    least: list[tuple[Affine, int]] = [(constant(0), 1)]
    beyond: list[tuple[Affine, int]] = [(constant(1), 1), (Affine((Term(1, (rank,)),)), -1)]
    if len(index.variables) < sum(term.variable is not None for term in index.terms):
        return False  # a variable times one size less itself times another: for the sizes to decide
    for term in index.terms:
        if term.variable is None:
            least.append((Affine((term,)), 1))
            beyond.append((Affine((term,)), 1))
        else:
            last = (Term(term.factor, (*term.shapes, rank_of(term.variable))), Term(-term.factor, term.shapes))
            (beyond if term.factor > 0 else least).append((Affine(last), 1))
    return _positive(total(*beyond)) or _positive(total(*((form, -times) for form, times in least)))


def _positive(form: Affine) -> bool:
    """Whether a form in sizes, which are at least 1, is positive for all of them."""
    return bool(form.terms) and all(term.factor > 0 for term in form.terms)


def extremes(index: Affine, sizes: Mapping[str, int]) -> tuple[int, int]:
    """The least and the last coordinate that an index names.

    >>> extremes(Affine((Term(2, (), "q"), Term(-1, (), "s"))), {"Q": 4, "S": 3})
    (-2, 6)
    """
    factors = dict.fromkeys(index.variables, 0)
    offset = 0
    for term in index.terms:
        factor = term.factor * prod(sizes[shape] for shape in term.shapes)
        if term.variable is None:
            offset += factor
        else:
            factors[term.variable] += factor
    ends = [factor * (sizes[rank_of(variable)] - 1) for variable, factor in factors.items()]
    return offset + sum(min(0, end) for end in ends), offset + sum(max(0, end) for end in ends)


def check_bounds(draft: Draft, einsums: Sequence[CheckedEinsum], sizes: Mapping[str, int]) -> None:
    """Refuse accesses that leave a rank; places that a filter limits or an iteration steps along are judged elsewhere."""
    for einsum in einsums:
        limited = {v for constraint in einsum.constraints for v in constraint.form.variables}
        for access, use in ((einsum.source.target, einsum.target), *einsum.uses.items()):
            for i, index in enumerate(use.indices):
                if i != draft.tensors[use.tensor].iterative and limited.isdisjoint(index.variables):
                    _check(draft, access, use, i, sizes)


def _check(draft: Draft, access: Access, use: Use, i: int, sizes: Mapping[str, int]) -> None:
    index, rank, place = use.indices[i], use.ranks[i], access.places[i]
    if leaves(index, rank):
        last = f"coordinates of '{rank}' go from 0 to {rank} - 1"
        hint = f"{last}; filter the subscript to stay inside" if index.variables else last
        if index.terms == (Term(1, (rank,)),):
            hint = f"{last}; write '{variable_of(rank)}' for all of them"
        draft.refuse(f"'{use.tensor}' at '{print_index(place.index)}' leaves its rank '{rank}'", place.span, hint)
        return
    named = dict.fromkeys([*index.shapes, *map(rank_of, index.variables), rank])
    if not all(name in sizes for name in named):
        return
    least, most = extremes(index, sizes)
    if least < 0 or most >= sizes[rank]:
        at = f"'{use.tensor}' at '{print_index(place.index)}' reaches {least if least < 0 else most}"
        given = ", ".join(f"{name} = {sizes[name]}" for name in named)
        filtered = ", or filter the subscript to stay inside" if index.variables else ""
        message = f"{at}, but coordinates of '{rank}' go from 0 to {sizes[rank] - 1}"
        draft.refuse(message, place.span, f"the sizes are {given}; give others{filtered}")
