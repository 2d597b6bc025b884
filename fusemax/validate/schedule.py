"""One order of computation: Einsums that an iteration ties together are a loop, the others are not."""

from __future__ import annotations

from collections.abc import Sequence

from fusemax.errors import FusemaxError, Problem, listed
from fusemax.ir.checked import CheckedEinsum, Loop, Use, When
from fusemax.ir.expr import variable_of
from fusemax.validate.draft import Draft

Node = Loop | CheckedEinsum


def schedule(draft: Draft, einsums: Sequence[CheckedEinsum]) -> tuple[Node, ...]:
    """One order in which the Einsums can be computed: those that an iteration ties together are a loop.

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
        if all(_steps_along(einsum, variable, names_inside) for einsum in members):
            return Loop(variable, _ordered(draft, members, stepped | {variable}))
    span = members[0].target.span
    names = list(dict.fromkeys(einsum.name for einsum in members))
    each = "each other" if len(names) > 1 else "itself"
    message = f"computed from {each}, and not step by step: {listed(names)}"
    hint = "within an iteration, read the others at the same step, or at the step before"
    raise FusemaxError([Problem(message, span, hint)])


def _steps_along(einsum: CheckedEinsum, variable: str, inside: set[str]) -> bool:
    """Whether the Einsum computes one step at a time from other members at that step."""
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
