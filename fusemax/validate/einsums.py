"""One Einsum at a time: its names, its iteration space, its reductions and its filters."""

from __future__ import annotations

from dataclasses import replace

from fusemax.errors import FusemaxError, did_you_mean, listed
from fusemax.ir.affine import Affine, Term, substitute, total
from fusemax.ir.cascade import Einsum
from fusemax.ir.checked import CheckedEinsum, CheckedReduction, Constraint, Relation, Tensor, Use, When
from fusemax.ir.expr import (
    Access,
    Expr,
    Name,
    Place,
    accesses,
    names,
    rank_of,
    term_without,
    terms,
    transform,
    variable_of,
    variables_of,
)
from fusemax.ir.operators import REDUCERS
from fusemax.ir.printer import print_access, print_einsum, print_expr
from fusemax.validate.affine import to_affine, to_constraint
from fusemax.validate.draft import Draft, Write
from fusemax.validate.names import resolve_names


def resolve(draft: Draft, einsum: Einsum, write: Write) -> CheckedEinsum | None:
    """The Einsum with its meaning, or None after its problems have been taken down."""
    before = len(draft.problems)
    expr = resolve_names(draft, einsum)
    uses = {access: use for access in accesses(expr) if (use := _use(draft, access, None)) is not None}
    reads = tuple(dict.fromkeys(uses.values()))
    target = _use(draft, einsum.target, write.when)
    if target is None or len(draft.problems) > before:
        return None
    kept = target.variables
    bound = tuple(dict.fromkeys(v for use in reads for v in use.variables))
    _check_left(draft, einsum, kept, {*bound, *(n.name for n in names(expr))}, reads)
    reductions = _reductions(draft, einsum, kept, tuple(v for v in bound if v not in kept))
    constraints = _constraints(draft, einsum, {*kept, *bound})
    checked = CheckedEinsum(einsum, target, reads, uses, expr, kept, reductions, constraints)
    for access, use in ((einsum.target, target), *uses.items()):
        _check_inside(draft, checked, use, access)
    return checked if len(draft.problems) == before else None


# ------------------------------------------------------------------------------------------------------------ accesses


def _use(draft: Draft, access: Access, when: When | None) -> Use | None:
    """The access with its indices, ranks and, in an iteration, its step."""
    tensor = draft.tensors.get(access.tensor)
    if tensor is None:
        return None  # refused where the tensors were collected
    try:
        indices = tuple(to_affine(place.index) for place in access.places)
    except FusemaxError as error:
        draft.refuse_all(error)
        return None
    for place, index, rank in zip(access.places, indices, tensor.ranks, strict=True):
        _check_place(draft, access, place, index, rank)
    if when is None and tensor.iterative is not None:
        when = _when(draft, access, tensor, indices[tensor.iterative])
        if when is None:
            return None
    return Use(tensor.name, indices, tensor.ranks, when, access.span)


def _check_place(draft: Draft, access: Access, place: Place, index: Affine, rank: str) -> None:
    """Whether the subscript may stand at a place of this rank."""
    for shape in index.shapes:
        check_shape_name(draft, shape, index)
    if place.rank is not None and place.rank != rank:
        message = f"this place of '{access.tensor}' is rank '{rank}', not '{place.rank}'"
        draft.refuse(message, place.span, f"write `{rank}: {print_expr(place.index)}`")
        return
    variable = index.variable or index.step
    if variable is None or rank_of(variable) == rank:
        return
    if place.rank is None and rank_of(variable) in draft.own_ranks:
        message = f"'{variable}' is the variable of rank '{rank_of(variable)}', but this place of '{access.tensor}' is rank '{rank}'"
        hint = f"write '{variable_of(rank)}', or `{rank}: {print_expr(place.index)}` if '{variable}' shall index it"
        draft.refuse(message, place.span, hint)
        return
    tensor = draft.tensors[access.tensor]
    if tensor.iterative is None or tensor.ranks[tensor.iterative] != rank:
        draft.equate(
            rank_of(variable), Name(rank), f"'{variable}' indexes rank '{rank}' of '{tensor.name}'", place.span
        )


def check_shape_name(draft: Draft, shape: str, index: Affine) -> None:
    """Whether an upper-case name in an index or filter is the name of some size."""
    known = draft.shape_names
    if shape not in known:
        hint = did_you_mean(shape, known) or f"give it a default: `shape {shape} = 64`"
        draft.refuse(f"unknown shape '{shape}'", index.span, hint)


def _when(draft: Draft, access: Access, tensor: Tensor, index: Affine) -> When | None:
    """Which coordinate of its iteration a read names."""
    assert tensor.iterative is not None
    step = next(w for w in draft.writes[tensor.name] if w.when is When.NEW)
    variable = step.indices[tensor.iterative].step
    if index.variable == variable:
        return When.OLD
    if index.step == variable:
        return When.NEW
    if not index.variables and index.number is None:
        return When.FINAL
    place = print_expr(access.places[tensor.iterative].index)
    copied = f"{tensor.name}C"
    message = f"iterative '{tensor.name}' is read at '{place}'; it can be read at '{variable}', '{variable}+1' and its final coordinate"
    draft.refuse(
        message, access.span, f"copy it, `{copied}[{variable}] = {tensor.name}[{variable}+1]`, and read the copy"
    )
    return None


# ------------------------------------------------------------------------------------------------- space and reductions


def _check_left(draft: Draft, einsum: Einsum, kept: tuple[str, ...], right: set[str], reads: tuple[Use, ...]) -> None:
    """Every variable on the left stands on the right or, in a fill, is known from elsewhere."""
    for variable in kept:
        if variable in right:
            continue
        if reads:
            message = f"'{variable}' stands on the left but not on the right"
            draft.refuse(message, einsum.target.span, "index a tensor with it on the right, or drop it on the left")
        elif rank_of(variable) not in known_ranks(draft, einsum):
            message = f"nothing tells the range of '{variable}'"
            hint = f"declare rank {rank_of(variable)}: `shape {rank_of(variable)} = 64`, or an input that has it"
            draft.refuse(message, einsum.target.span, hint)


def known_ranks(draft: Draft, but: Einsum) -> set[str]:
    """Ranks that a declaration or another Einsum knows."""
    used = {
        rank_of(v)
        for einsum in draft.cascade.einsums
        if einsum is not but
        for v in (*variables_of(einsum.target), *variables_of(einsum.expr))
    }
    return used | draft.own_ranks


def _reductions(
    draft: Draft, einsum: Einsum, kept: tuple[str, ...], disappearing: tuple[str, ...]
) -> tuple[CheckedReduction, ...]:
    seen: set[str] = set()
    for reduction in einsum.reductions:
        for variable in reduction.variables:
            if variable in kept:
                hint = f"drop '{variable}' on the left or in the action"
                draft.refuse(f"'{variable}' is reduced but stands on the left", reduction.span, hint)
            elif variable not in disappearing:
                hint = f"what disappears here is {listed(disappearing)}" if disappearing else "drop the action"
                draft.refuse(f"'{variable}' is reduced but does not stand on the right", reduction.span, hint)
            elif variable in seen:
                draft.refuse(f"'{variable}' is reduced twice", reduction.span, "name it in one action")
            seen.add(variable)
    rest = tuple(v for v in disappearing if v not in seen)
    if einsum.reductions and rest and any(r.reducer != "add" for r in einsum.reductions):
        symbol = REDUCERS[next(r.reducer for r in einsum.reductions if r.reducer != "add")].symbol
        hint = f"name all: `reduce[{', '.join((*seen, *rest))}] {symbol}`, or sum: `reduce[{', '.join(rest)}] +`"
        draft.refuse(f"nothing says how {listed(rest)} shall be reduced", einsum.reductions[0].span, hint)
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
    draft.refuse(message, term.span, _two_einsums(einsum, disappearing))


def _two_einsums(einsum: Einsum, disappearing: tuple[str, ...]) -> str:
    """The fix: first the sum into a tensor of its own, then the rest."""
    ranging = _ranging_part(einsum.expr, set(disappearing))
    fresh = Access(f"{einsum.name}1", tuple(replace(p, filters=()) for p in einsum.target.places))
    if ranging is None:
        return f"sum first, into `{print_access(fresh, scalar='')}`, then add; or say `:: reduce[{', '.join(disappearing)}] +`"
    first = print_einsum(Einsum(fresh, ranging))
    rest = _replaced(einsum.expr, ranging, fresh)
    second = print_einsum(Einsum(einsum.target, rest))
    return f"write `{first}`, then `{second}`; or, to map and then reduce, add `:: reduce[{', '.join(disappearing)}] +`"


def _ranging_part(expr: Expr, disappearing: set[str]) -> Expr | None:
    """The one term that holds all the variables, if it is alone in holding any."""
    holding = [t for t in terms(expr) if disappearing & ({*variables_of(t)} | {n.name for n in names(t)})]
    return holding[0] if len(holding) == 1 else None


def _replaced(expr: Expr, old: Expr, new: Expr) -> Expr:
    return transform(expr, lambda node: new if node == old else node)


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
                check_shape_name(draft, shape, Affine((), comparison.span))
            foreign = [v for v in constraint.form.variables if v not in bound]
            if foreign:
                hint = f"variables here are {listed(sorted(bound))}" if bound else "no variable stands here"
                draft.refuse(
                    f"the filter names '{foreign[0]}', which indexes nothing in this Einsum", comparison.span, hint
                )
            found.setdefault((frozenset(constraint.form.terms), constraint.relation), constraint)
    return tuple(found.values())


def _check_inside(draft: Draft, einsum: CheckedEinsum, use: Use, access: Access) -> None:
    """Refuse a coordinate that lies outside its rank whatever the sizes: `A[m+1]` with m over all of M."""
    tensor = draft.tensors[use.tensor]
    for i, (index, rank) in enumerate(zip(use.indices, use.ranks, strict=True)):
        if i == tensor.iterative:
            continue
        variable = variable_of(rank)
        form = substitute(index, {variable: Affine(())}) if index.variables == (variable,) else None
        filtered = any(variable in c.form.variables for c in einsum.constraints)
        outside = (
            form is not None and total((index, 1), (form, -1)).variable == variable and form.number not in (0, None)
        )
        negative = not index.variables and (index.number or 0) < 0
        last = index.terms == (Term(1, (rank,), None),)
        if (outside and not filtered) or negative or last:
            text = print_expr(access.places[i].index)
            where = f"up to {rank} - 1" if not negative else "from 0"
            hint = f"coordinates of '{rank}' go {where}" + (f"; filter `{variable}` to stay inside" if outside else "")
            draft.refuse(f"'{use.tensor}' at '{text}' leaves its rank '{rank}'", access.places[i].span, hint)
