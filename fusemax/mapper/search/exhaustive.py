"""The exhaustive strategy: structures in the order of their bounds, until no structure that is left can be better."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from itertools import zip_longest

from fusemax.mapper.search.search import SAME, Search, strategy
from fusemax.mapper.search.workers import StructureTurn, turns
from fusemax.mapper.space.protocol import AnySpace, Cutoff, Structure

TIES = 16
"""Trees that are costed after the bound is reached, for the best of equal values."""


@strategy(proves=True)
def exhaustive(search: Search) -> None:
    """Cost the most promising structures first, until no structure that is left can be better: then the best is proven.
    A search that its limit cuts off costs half of its trees so, and the others all over the space."""
    try:
        if not _in_order(search, search.limit // 2):
            return
        with closing(turns(search, promising(search.space))) as events:
            for event in events:
                match event:
                    case Cutoff():
                        search.leave_out(event)
                    case StructureTurn(structure, result) if result is not None and not search.can_prune(structure):
                        search.record(result)
                        if search.costings >= search.limit:
                            return
    except KeyboardInterrupt:
        search.interrupted = True


def _in_order(search: Search, limit: int) -> bool:
    """Cost the most promising structures first; whether the limit ended that."""
    remaining, ties, tied = 0.0, 0, False
    with closing(turns(search, search.space.structures(search.objective.by_energy))) as events:
        for event in events:
            match event:
                case Cutoff():
                    search.leave_out(event)
                case StructureTurn(structure, None):
                    remaining = search.remaining_bound(structure)
                    tied = search.value() <= remaining * (1 + SAME)
                    beyond = remaining > search.value() * (1 + SAME)
                    search.proven |= tied or beyond
                    if beyond or (tied and ties >= TIES):
                        return False
                case StructureTurn(structure, result) if result is not None and not search.can_prune(structure):
                    search.record(result)
                    ties += tied
                    if not result.whole:
                        search.leave_out(Cutoff(structure.least_s, structure.least_j))
                    if search.costings >= limit:
                        search.proven |= search.value() <= remaining * (1 + SAME)
                        return not search.proven
    search.proven = True
    return False


def promising(space: AnySpace) -> Iterator[Structure | Cutoff]:
    """All structures, in the orders of time and of energy by turns: of those with equal bounds, which are much alike, a
    first one before the others."""
    seen: dict[tuple[float, float], list[Structure]] = defaultdict(list)
    others: list[Structure] = []
    orders = (space.structures(by_energy) for by_energy in (False, True))
    for structure in (each for pair in zip_longest(*orders) for each in pair if each is not None):
        if isinstance(structure, Cutoff):
            yield structure
            continue
        alike = seen[structure.least_s, structure.least_j]
        if structure not in alike:
            alike.append(structure)
            if len(alike) == 1:
                yield structure
            else:
                others.append(structure)
    yield from others
