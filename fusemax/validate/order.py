"""The order of statements: definition before use, and iterations with a start and an end."""

from __future__ import annotations

from collections.abc import Iterator

from fusemax.errors import FusemaxError, Problem
from fusemax.ir.affine import total
from fusemax.ir.cascade import Role
from fusemax.ir.checked import Use, When
from fusemax.ir.expr import Access, Apply, Expr, Name, variable_of
from fusemax.ir.operators import REDUCERS, Reducer
from fusemax.ir.print_cascade import print_expr, print_index, print_number
from fusemax.validate.affine import to_affine
from fusemax.validate.draft import Draft, Write


def check_definitions(draft: Draft) -> None:
    """A tensor is defined before it is used; the only way back is a `v+1` write."""
    for position, uses in draft.uses.items():
        for access, use in uses.items():
            if draft.tensors[use.tensor].role is not Role.INPUT:
                _check_defined(draft, position, access, use)


def _check_defined(draft: Draft, position: int, access: Access, use: Use) -> None:
    own = draft.cascade.einsums[position].name == use.tensor
    written = draft.written.get(use.tensor, -1)  # of one that is never written, this has been said
    match use.when:
        case When.NEW | When.FINAL if own:
            tensor = draft.tensors[use.tensor]
            at = print_index(access.places[tensor.iterative or 0].index)
            hint = f"read the step before, at '{variable_of(tensor.iterative_rank or '')}'"
            draft.refuse(f"'{use.tensor}' at '{at}' is computed from itself", use.span, hint)
        case None if own and written == position:
            hint = "only an iteration goes back: write the tensor at `v+1`, and read it at `v`"
            draft.refuse(f"'{use.tensor}' is computed from itself", use.span, hint)
        case None if written > position:
            _refuse_early(draft, use, "it is written", written)
        case When.NEW if (step := draft.step(use.tensor)) and step.position > position:
            _refuse_early(draft, use, "its step is written", step.position)
        case When.OLD if (initial := _initial(draft, use.tensor)) and initial.position > position:
            _refuse_early(draft, use, "its initial value is written", initial.position)


def _refuse_early(draft: Draft, use: Use, what: str, position: int) -> None:
    span = draft.cascade.einsums[position].target.span
    place = f", at {span}" if span else ""
    draft.refuse(f"'{use.tensor}' is used before {what}{place}", use.span, "move the equation that writes it up")


def _initial(draft: Draft, tensor: str) -> Write | None:
    return next((write for write in draft.writes[tensor] if write.when is When.INITIAL), None)


# ---------------------------------------------------------------------------------------------------------- iterations


def check_iterations(draft: Draft) -> None:
    """Every iteration has initial values and one trip count; `stop` and `loop` name iterations that there are."""
    ranks = dict.fromkeys(t.iterative_rank for t in draft.tensors.values() if t.iterative_rank is not None)
    stops = _stops(draft, list(ranks))
    _check_headings(draft)
    for rank in ranks:
        _trip_count(draft, rank, stops.get(rank))
    for name in draft.tensors:
        step = draft.step(name)
        if step is not None and all(write.when is When.NEW for write in draft.writes[name]):
            draft.incomplete.append(_missing_initial(draft, step))


def _stops(draft: Draft, ranks: list[str]) -> dict[str, Expr]:
    """The count that `stop` gives each iteration."""
    stops: dict[str, Expr] = {}
    for stop in draft.cascade.stops:
        rank = next((r for r in ranks if variable_of(r) == stop.variable), None)
        if rank is None:
            near = draft.did_you_mean(stop.variable, map(variable_of, ranks))
            hint = near or f"an iteration is a write at `{stop.variable}+1`"
            draft.refuse(f"`stop` over '{stop.variable}', but nothing iterates over it", stop.span, hint)
        elif not _same(stop.count, before := stops.setdefault(rank, stop.count)):
            ends = f"'{print_expr(before)}' and '{print_expr(stop.count)}'"
            draft.refuse(f"the iteration over '{stop.variable}' ends twice, at {ends}", stop.span, "keep one `stop`")
    return stops


def _check_headings(draft: Draft) -> None:
    for section in draft.cascade.sections:
        if section.variable is not None and section.variable not in draft.positions:
            hint = draft.did_you_mean(section.variable, draft.positions) or "drop the heading"
            draft.refuse(f"a loop over '{section.variable}', which indexes nothing", section.span, hint)


def _trip_count(draft: Draft, rank: str, stop: Expr | None) -> None:
    """`stop`, else the final coordinate that is read, else the shape."""
    count = stop
    for access, index in _final_reads(draft, rank):
        if count is None:
            count = index
        elif not (_same(index, count) or index == Name(rank)):
            end = print_expr(count)
            message = f"'{access.tensor}' is read at '{print_expr(index)}', but the iteration ends at '{end}'"
            draft.refuse(message, access.span, f"read it at '{end}', or copy the step inside of the loop")
    if count is not None and count != Name(rank):
        draft.equate(rank, count, f"the iteration over '{variable_of(rank)}' ends there", count.span)
    known = draft.own_ranks.union(left for left, _ in draft.equations)
    if count is None and rank not in known:
        step = next(draft.step(name) for name, t in draft.tensors.items() if t.iterative_rank == rank)
        variable = variable_of(rank)
        message = f"nothing says how often the iteration over '{variable}' steps"
        hint = f"write `stop: {variable} >= N`, or give a size: `shape {rank} = 16`"
        draft.incomplete.append(Problem(message, step.einsum.target.span if step else None, hint))


def _same(left: Expr, right: Expr) -> bool:
    try:
        return not total((to_affine(left), 1), (to_affine(right), -1)).terms
    except FusemaxError:
        return left == right


def _final_reads(draft: Draft, rank: str) -> Iterator[tuple[Access, Expr]]:
    """The reads of final coordinates, with the index that says where the iteration ends."""
    for access, use in (item for uses in draft.uses.values() for item in uses.items()):
        tensor = draft.tensors[use.tensor]
        if use.when is When.FINAL and tensor.iterative is not None and tensor.iterative_rank == rank:
            yield access, access.places[tensor.iterative].index


def _missing_initial(draft: Draft, step: Write) -> Problem:
    tensor = draft.tensors[step.einsum.name]
    places = [variable_of(rank) if i != tensor.iterative else "0" for i, rank in enumerate(tensor.ranks)]
    start = f"{tensor.name}[{', '.join(places)}]"
    reducer = _reducer(step.einsum.expr)
    hint = f"write `{start} = ...`, its value before the first step"
    if reducer is not None:
        identity = int(reducer.identity) if reducer.identity.is_integer() else reducer.identity
        hint = f"write `{start} = {print_number(identity)}`, the identity of {reducer.symbol}"
    return Problem(f"iterative '{tensor.name}' has no initial value", step.einsum.target.span, hint)


def _reducer(expr: Expr) -> Reducer | None:
    """The reducer that is the operator at the root of a step; a difference adds, a quotient multiplies."""
    name = expr.operator if isinstance(expr, Apply) else ""
    return REDUCERS.get({"sub": "add", "div": "mul"}.get(name, name))
