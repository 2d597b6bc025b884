"""One Einsum at a time: its accesses, its iteration space, its reductions and its filters."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from fusemax.errors import FusemaxError, Span, listed
from fusemax.ir.affine import Affine, Term
from fusemax.ir.cascade import Einsum
from fusemax.ir.checked import CheckedEinsum, CheckedReduction, Constraint, Relation, Tensor, Use, When
from fusemax.ir.expr import (
    Access,
    Expr,
    Name,
    Place,
    accesses,
    index_variables,
    names,
    rank_of,
    summands,
    term_without,
    transform,
    variable_of,
    variables_of,
)
from fusemax.ir.operators import REDUCERS
from fusemax.ir.print_cascade import print_access, print_einsum, print_expr, print_index
from fusemax.validate.affine import indices_of, to_constraint
from fusemax.validate.draft import Draft, Write
from fusemax.validate.names import check_variables, resolve_names


def resolve(draft: Draft, einsum: Einsum, position: int, write: Write | None) -> CheckedEinsum | None:
    """The Einsum with its meaning, or None after its problems have been taken down."""
    before = len(draft.problems)
    check_variables(draft, einsum)
    expr = resolve_names(draft, einsum)
    uses: dict[Access, Use] = {}
    for access in accesses(expr):
        use = _use(draft, access, None)
        if use is not None:
            uses[access] = use
    draft.uses[position] = uses
    target = _use(draft, einsum.target, write.when) if write is not None else None
    bound = _bound(expr)
    kept = target.variables if target is not None else variables_of(einsum.target)
    _check_left(draft, einsum, position, {*bound, *(n.name for n in names(expr))}, any(accesses(expr)))
    reductions = _reductions(draft, einsum, kept, tuple(v for v in bound if v not in kept))
    constraints = _constraints(draft, einsum, {*kept, *bound})
    complete = all(access in uses for access in accesses(expr))
    if target is None or not complete or len(draft.problems) > before:
        return None
    reads = tuple(dict.fromkeys(uses.values()))
    return CheckedEinsum(einsum, target, reads, uses, expr, kept, reductions, constraints)


def _bound(expr: Expr) -> tuple[str, ...]:
    """The variables that the reads bind, also those of tensors that are not known."""
    found: dict[str, None] = {}
    for access in accesses(expr):
        indices = indices_of(access)
        found.update(dict.fromkeys(variables_of(access) if indices is None else _variables(indices)))
    return tuple(found)


def _variables(indices: Iterable[Affine]) -> tuple[str, ...]:
    return tuple(variable for index in indices for variable in index.variables)


# ------------------------------------------------------------------------------------------------------------ accesses


def _use(draft: Draft, access: Access, when: When | None) -> Use | None:
    """The access with its indices, ranks and, in an iteration, its step."""
    tensor, indices = draft.tensors.get(access.tensor), indices_of(access)
    if tensor is None or indices is None:
        return None  # refused where the tensors were collected
    for i, (place, index) in enumerate(zip(access.places, indices, strict=True)):
        if i != tensor.iterative or index.variables:  # else a final coordinate, which may name a size yet to be given
            for shape in index.shapes:
                check_shape_name(draft, shape, place.span)
        _check_place(draft, access, place, index, tensor.ranks[i])
    if when is None and tensor.iterative is not None:
        when = _when(draft, access, tensor, indices[tensor.iterative])
        if when is None:
            return None
    return Use(tensor.name, indices, tensor.ranks, when, access.span)


def _check_place(draft: Draft, access: Access, place: Place, index: Affine, rank: str) -> None:
    """Whether the subscript may stand at a place of this rank."""
    if place.rank is not None and place.rank != rank:
        message = f"this place of '{access.tensor}' is rank '{rank}', not '{place.rank}'"
        draft.refuse(message, place.span, f"write `{rank}: {print_index(place.index)}`")
        return
    variable = index.variable
    if variable is None or rank_of(variable) == rank:
        return
    if place.rank is None and rank_of(variable) in draft.own_ranks:
        message = (
            f"'{variable}' runs over rank '{rank_of(variable)}', but this place of '{access.tensor}' is rank '{rank}'"
        )
        hint = f"write '{variable_of(rank)}', or `{rank}: {variable}` to index '{rank}' with '{variable}'"
        draft.refuse(message, place.span, hint)
        return
    tensor = draft.tensors[access.tensor]
    if tensor.iterative is None or tensor.iterative_rank != rank:
        because = f"'{variable}' indexes rank '{rank}' of '{tensor.name}'"
        draft.equate(rank_of(variable), Name(rank), because, place.span)


def check_shape_name(draft: Draft, shape: str, span: Span | None) -> None:
    """Whether an upper-case name in an index or filter is the name of some size."""
    known = draft.cascade.shape_names
    if shape not in known:
        hint = draft.did_you_mean(shape, known) or f"give it a size: `shape {shape} = 64`"
        draft.refuse(f"unknown shape '{shape}'", span, hint)


def _when(draft: Draft, access: Access, tensor: Tensor, index: Affine) -> When | None:
    """Which coordinate of its iteration a read names."""
    step = draft.step(tensor.name)
    assert tensor.iterative is not None and step is not None
    variable = step.indices[tensor.iterative].step
    if index.variable == variable:
        return When.OLD
    if index.step == variable:
        return When.NEW
    rank = tensor.ranks[tensor.iterative]
    own = rank in index.shapes and index.terms != (Term(1, (rank,)),)
    if not index.variables and not own and (index.number is None or index.number > 0):
        return When.FINAL
    place = access.places[tensor.iterative]
    readable = f"'{variable}', '{variable}+1' and its final coordinate"
    message = f"iterative '{tensor.name}' is read at '{print_index(place.index)}'; it can be read at {readable}"
    copy = f"{_fresh(draft, tensor.name)}[{variable}] = {tensor.name}[{variable}+1]"
    hint = f"copy it inside of the loop, `{copy}`, and read the copy"
    if index.number == 0:
        hint = "write the initial value into a tensor of its own too, and read that one"
    draft.refuse(message, access.span, hint)
    return None


def _fresh(draft: Draft, name: str) -> str:
    """A name that is not taken."""
    number = 1
    while f"{name}{number}" in draft.accesses or f"{name}{number}" in draft.declared:
        number += 1
    return f"{name}{number}"


# ----------------------------------------------------------------------------------------------- space and reductions


def _check_left(draft: Draft, einsum: Einsum, position: int, right: set[str], reads: bool) -> None:
    """Every variable on the left stands on the right or, in a fill, is known from elsewhere."""
    for place in einsum.target.places:
        for variable in dict.fromkeys(index_variables(place)):
            rank = rank_of(variable)
            if variable in right:
                continue
            if reads:
                message = f"'{variable}' stands on the left but not on the right"
                hint = f"index a tensor on the right with '{variable}', or drop it on the left"
                draft.refuse(message, place.span, hint)
            elif rank not in draft.own_ranks and not draft.used_elsewhere(variable, position):
                hint = f"give it a size, `shape {rank} = 64`, or declare a tensor with rank {rank}"
                draft.refuse(f"nothing tells the range of '{variable}'", place.span, hint)


def _reductions(
    draft: Draft, einsum: Einsum, kept: tuple[str, ...], disappearing: tuple[str, ...]
) -> tuple[CheckedReduction, ...]:
    seen: dict[str, None] = {}
    before = len(draft.problems)
    for reduction in einsum.reductions:
        for variable in reduction.variables:
            if variable in kept:
                hint = f"drop '{variable}' on the left or in the action"
                draft.refuse(f"'{variable}' is reduced but stands on the left", reduction.span, hint)
            elif variable not in disappearing:
                hint = f"variables that disappear here: {listed(disappearing)}" if disappearing else "drop the action"
                draft.refuse(f"'{variable}' is reduced but does not stand on the right", reduction.span, hint)
            elif variable in seen:
                draft.refuse(f"'{variable}' is reduced twice", reduction.span, "name it in one action")
            seen[variable] = None
    rest = tuple(v for v in disappearing if v not in seen)
    other = next((r.reducer for r in einsum.reductions if r.reducer != "add"), None)
    if rest and other is not None and len(draft.problems) == before:
        all_of_them = ", ".join(v for v in disappearing)
        hint = f"name them all, `reduce[{all_of_them}] {REDUCERS[other].symbol}`, or sum: `reduce[{', '.join(rest)}] +`"
        draft.refuse(f"nothing says how to reduce {listed(rest)}", einsum.reductions[0].span, hint)
    if not einsum.reductions and disappearing:
        _check_implied(draft, einsum, disappearing)
    explicit = tuple(CheckedReduction(r.variables, r.reducer) for r in einsum.reductions)
    return explicit + ((CheckedReduction(rest, "add"),) if rest else ())


def _check_implied(draft: Draft, einsum: Einsum, disappearing: tuple[str, ...]) -> None:
    """An implied sum is refused where 'add once' and 'map, then reduce' differ."""
    found = term_without(einsum.expr, disappearing)
    if found is None:
        return
    term, variable = found
    message = f"the sum over '{variable}' is implied, but '{print_expr(term)}' does not range over it"
    draft.refuse(message, term.span, _two_einsums(draft, einsum, disappearing))


def _two_einsums(draft: Draft, einsum: Einsum, disappearing: tuple[str, ...]) -> str:
    """The fix: first the sum into a tensor of its own, then the rest."""
    explicit = f"`:: reduce[{', '.join(disappearing)}] +`"
    ranging = _ranging_part(einsum.expr, set(disappearing))
    places = tuple(replace(place, filters=()) for place in einsum.target.places)
    fresh = Access(_fresh(draft, einsum.name), places)
    if ranging is None:
        return (
            f"sum first, into `{print_access(fresh, scalar='')}`, then add; or, to map and then reduce, add {explicit}"
        )
    first = print_einsum(Einsum(fresh, ranging))
    read = fresh if places else Name(fresh.tensor)
    second = print_einsum(Einsum(einsum.target, transform(einsum.expr, lambda e: read if e == ranging else e)))
    return f"write `{first}`, then `{second}`; or, to map and then reduce, add {explicit}"


def _ranging_part(expr: Expr, disappearing: set[str]) -> Expr | None:
    """The one term that holds all the variables, if it is alone in holding any."""
    holding = [t for t in summands(expr) if disappearing & ({*variables_of(t)} | {n.name for n in names(t)})]
    return holding[0] if len(holding) == 1 else None


# ------------------------------------------------------------------------------------------------------------- filters


def _constraints(draft: Draft, einsum: Einsum, bound: set[str]) -> tuple[Constraint, ...]:
    """The filters of the written and the read subscripts, in normal form and each once."""
    found: dict[tuple[object, Relation], Constraint] = {}
    for access in (einsum.target, *accesses(einsum.expr)):
        for comparison in (c for place in access.places for c in place.filters):
            try:
                constraint = to_constraint(comparison)
            except FusemaxError as error:
                draft.refuse_all(error)
                continue
            for shape in constraint.form.shapes:
                check_shape_name(draft, shape, comparison.span)
            for variable in constraint.form.variables:
                if variable not in bound:
                    hint = f"variables here are {listed(sorted(bound))}" if bound else "no variable stands here"
                    message = f"the filter names '{variable}', which indexes nothing in this Einsum"
                    draft.refuse(message, comparison.span, hint)
            found.setdefault((frozenset(constraint.form.terms), constraint.relation), constraint)
    return tuple(found.values())
