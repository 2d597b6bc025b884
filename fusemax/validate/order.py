"""What comes before what: definition before use, iterations with a start and an end, and one order of computation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fusemax.errors import FusemaxError, Problem, Span, did_you_mean, listed
from fusemax.ir.cascade import Role
from fusemax.ir.checked import CheckedEinsum, Loop, Use, When
from fusemax.ir.expr import Apply, Expr, Name, variable_of
from fusemax.ir.operators import REDUCERS
from fusemax.ir.printer import print_expr, print_number
from fusemax.validate.draft import Draft

Node = Loop | CheckedEinsum


def check_definitions(draft: Draft, einsums: Sequence[CheckedEinsum]) -> None:
    """A tensor is defined before it is used; the only way back is a `v+1` write."""
    first: dict[str, int] = {}
    steps: dict[str, int] = {}
    for i, einsum in enumerate(einsums):
        first.setdefault(einsum.name, i)
        if einsum.step:
            steps[einsum.name] = i
    for i, einsum in enumerate(einsums):
        for use in einsum.reads:
            if draft.tensors[use.tensor].role is not Role.INPUT:
                _check_defined(draft, einsum, use, i, first, steps)


def _check_defined(
    draft: Draft, einsum: CheckedEinsum, use: Use, at: int, first: dict[str, int], steps: dict[str, int]
) -> None:
    if use.when is When.NEW and use.tensor == einsum.name:
        tensor = draft.tensors[use.tensor]
        assert tensor.iterative is not None
        coordinate = use.indices[tensor.iterative].variables[0]
        message = f"'{use.tensor}' at '{coordinate}+1' is computed from itself"
        draft.refuse(message, use.span, f"read the step before, at '{coordinate}'")
        return
    defined = steps.get(use.tensor, at) if use.when is When.NEW else first.get(use.tensor, at)
    if defined < at or (use.when is When.OLD and use.tensor == einsum.name):
        return
    if (
        use.when in (When.OLD, When.FINAL)
        and defined != at
        and use.tensor in steps
        and first[use.tensor] == steps[use.tensor]
    ):
        return  # the initial value is missing: said once, where the tensor is written
    if defined == at:
        message = f"'{use.tensor}' is computed from itself"
        hint = "a tensor can go back only through an iteration: write `v+1`, read `v`"
    else:
        what = "its step is written" if use.when is When.NEW else "it is written"
        message = f"'{use.tensor}' is used before {what}"
        hint = "move the Einsum that writes it up"
    draft.refuse(message, use.span, hint)


# ---------------------------------------------------------------------------------------------------------- iterations


def check_iterations(draft: Draft, einsums: Sequence[CheckedEinsum]) -> None:
    """Every iteration has initial values and one trip count; `stop` and `loop` name iterations that there are."""
    iterative = {t.iterative_rank: t for t in draft.tensors.values() if t.iterative_rank is not None}
    stops: dict[str, Expr] = {}
    for stop in draft.cascade.stops:
        rank = next((r for r in iterative if variable_of(r) == stop.variable), None)
        if rank is None:
            hint = did_you_mean(stop.variable, map(variable_of, iterative))
            hint = hint or f"an iteration is a write at `{stop.variable}+1`"
            draft.refuse(f"`stop` over '{stop.variable}', but nothing iterates over it", stop.span, hint)
        elif rank in stops:
            draft.refuse(f"a second `stop` for '{stop.variable}'", stop.span, "keep one")
        else:
            stops[rank] = stop.count
    _check_headings(draft, einsums)
    for rank in iterative:
        _trip_count(draft, rank, stops.get(rank), einsums)
    for einsum in einsums:
        if einsum.step and len(draft.writes[einsum.name]) == 1:
            draft.incomplete.append(_missing_initial(draft, einsum))


def _check_headings(draft: Draft, einsums: Sequence[CheckedEinsum]) -> None:
    known = {v for einsum in einsums for v in einsum.variables}
    for section in draft.cascade.sections:
        if section.variable is not None and section.variable not in known:
            hint = did_you_mean(section.variable, known) or "drop the heading"
            draft.refuse(f"a loop over '{section.variable}', which indexes nothing", section.span, hint)


def _trip_count(draft: Draft, rank: str, stop: Expr | None, einsums: Sequence[CheckedEinsum]) -> None:
    """`stop`, else the final coordinate that is read, else the shape."""
    count = stop
    for einsum in einsums:
        for use, index in _final_reads(draft, einsum, rank):
            if count is None:
                count = index
            elif index not in (count, Name(rank)):
                message = (
                    f"'{use.tensor}' is read at '{print_expr(index)}', but the iteration ends at '{print_expr(count)}'"
                )
                hint = f"read it at {print_expr(count)}; another step must be copied inside of the loop"
                draft.refuse(message, use.span, hint)
    if count is not None and count != Name(rank):
        draft.equate(rank, count, f"the iteration over '{variable_of(rank)}' ends there", count.span)
    if count is None and rank not in draft.own_ranks | {e.left for e in draft.equations}:
        tensor = next(t for t in draft.tensors.values() if t.iterative_rank == rank)
        variable = variable_of(rank)
        message = f"nothing says how often the iteration over '{variable}' steps"
        hint = f"write `stop: {variable} >= {rank}`, or give a size: `shape {rank} = 16`"
        draft.incomplete.append(Problem(message, _step(draft, tensor.name), hint))


def _final_reads(draft: Draft, einsum: CheckedEinsum, rank: str) -> Iterable[tuple[Use, Expr]]:
    for access, use in einsum.uses.items():
        tensor = draft.tensors[access.tensor]
        if use.when is When.FINAL and tensor.iterative is not None and tensor.iterative_rank == rank:
            yield use, access.places[tensor.iterative].index


def _step(draft: Draft, tensor: str) -> Span | None:
    return next(w.einsum.target.span for w in draft.writes[tensor] if w.when is When.NEW)


def _missing_initial(draft: Draft, einsum: CheckedEinsum) -> Problem:
    tensor = draft.tensors[einsum.name]
    places = [variable_of(rank) if i != tensor.iterative else "0" for i, rank in enumerate(tensor.ranks)]
    operator, value = _identity(einsum.expr)
    hint = f"write `{tensor.name}[{', '.join(places)}] = {value}`, the identity of {operator}"
    return Problem(f"iterative '{tensor.name}' has no initial value", einsum.target.span, hint)


def _identity(expr: Expr) -> tuple[str, str]:
    """The operator at the root of a step, and its identity."""
    name = expr.operator if isinstance(expr, Apply) else "add"
    reducer = REDUCERS.get({"sub": "add", "div": "mul"}.get(name, name), REDUCERS["add"])
    value = print_number(reducer.identity) if reducer.identity % 1 else str(int(reducer.identity))
    return reducer.symbol, value


# ------------------------------------------------------------------------------------------------------------ schedule


def schedule(draft: Draft, einsums: Sequence[CheckedEinsum]) -> tuple[Node, ...]:
    """One order in which the Einsums can be computed: what an iteration ties together is a loop, the rest is not.

    This is the vectorization of Allen and Kennedy (1987): the strongly connected components of the dependence graph
    become loops over their iterative variable, whose dependences on the step before are then cut.
    """
    return _ordered(draft, list(einsums), frozenset())


def _ordered(draft: Draft, einsums: list[CheckedEinsum], stepped: frozenset[str]) -> tuple[Node, ...]:
    import networkx as nx

    graph: nx.DiGraph[int] = nx.DiGraph()
    graph.add_nodes_from(range(len(einsums)))
    writers: dict[str, list[int]] = {}
    for i, einsum in enumerate(einsums):
        writers.setdefault(einsum.name, []).append(i)
    for i, einsum in enumerate(einsums):
        for use in einsum.reads:
            if not _carried(draft, use, stepped):
                graph.add_edges_from((w, i) for w in writers.get(use.tensor, ()) if _needs(einsums[w], use))
        if einsum.step and not _rank_stepped(draft, einsum, stepped):
            initial = [w for w in writers[einsum.name] if w != i]
            graph.add_edges_from((w, i) for w in initial)
    condensed = nx.condensation(graph)
    order = nx.lexicographical_topological_sort(condensed, key=lambda n: min(condensed.nodes[n]["members"]))
    result: list[Node] = []
    for component in order:
        members = sorted(condensed.nodes[component]["members"])
        inside = [einsums[i] for i in members]
        if len(inside) == 1 and not graph.has_edge(members[0], members[0]):
            result.extend(inside)
        else:
            result.append(_loop(draft, inside, stepped))
    return tuple(result)


def _needs(writer: CheckedEinsum, use: Use) -> bool:
    """Whether this write is one that the read may see."""
    return not (writer.initial and use.when is When.NEW)


def _rank_stepped(draft: Draft, einsum: CheckedEinsum, stepped: frozenset[str]) -> bool:
    rank = draft.tensors[einsum.name].iterative_rank
    return rank is not None and variable_of(rank) in stepped


def _carried(draft: Draft, use: Use, stepped: frozenset[str]) -> bool:
    """Whether the read is of the step before, in a loop that is being stepped already."""
    rank = draft.tensors[use.tensor].iterative_rank
    return use.when is When.OLD and rank is not None and variable_of(rank) in stepped


def _loop(draft: Draft, members: list[CheckedEinsum], stepped: frozenset[str]) -> Loop:
    candidates = [
        use.indices[place].variables[0]
        for einsum in members
        for use in einsum.reads
        if use.when is When.OLD and (place := draft.tensors[use.tensor].iterative) is not None
    ]
    names_inside = {einsum.name for einsum in members}
    for variable in dict.fromkeys(v for v in candidates if v not in stepped):
        if all(_steps_along(draft, einsum, variable, names_inside) for einsum in members):
            return Loop(variable, _ordered(draft, members, stepped | {variable}))
    span = members[0].target.span
    message = f"{listed(dict.fromkeys(e.name for e in members))} need each other's results at the same step"
    raise FusemaxError([Problem(message, span, "break the circle: read one of them at the step before")])


def _steps_along(draft: Draft, einsum: CheckedEinsum, variable: str, inside: set[str]) -> bool:
    """Whether the Einsum computes one step at a time from what other members have at that step."""
    if einsum.initial:
        return variable in einsum.kept
    if variable not in einsum.kept:
        return False
    for use in einsum.reads:
        if use.tensor not in inside:
            continue
        places = [i for i, index in enumerate(use.indices) if index.variable == variable or index.step == variable]
        if not places:
            return False
        if use.when is None and all(use.indices[i].variable != variable for i in places):
            return False
    return True
