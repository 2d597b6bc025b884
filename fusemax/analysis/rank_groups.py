"""Rank groups: every rank, and every family of ranks that a split or join connects; and the accesses that carry them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

from fusemax.ir.checked import Checked, CheckedEinsum, Rank, Use
from fusemax.ir.expr import rank_of

Alternatives = tuple[frozenset[str], ...]


@dataclass(frozen=True, slots=True)
class Group:
    """A rank, or a family, which goes by the joined rank's name.

    `alternatives` are the sets of ranks that stand for all of it: the joined rank, or all parts of a split.
    `parts` are the parts of its splits, outermost first, empty for a single rank. `ranks` are all of these.
    """

    name: str
    alternatives: Alternatives
    parts: tuple[str, ...] = ()

    ranks: frozenset[str] = frozenset()

    def within(self, ranks: Set[str]) -> bool:
        """Whether these ranks are, or have among them, all of the group."""
        return any(alternative <= ranks for alternative in self.alternatives)

    def touches(self, ranks: Set[str]) -> bool:
        """Whether some of these ranks are of the group."""
        return not self.ranks.isdisjoint(ranks)

    def traversed(self, view: View) -> bool:
        """Whether an Einsum traverses the group: by its iteration space, or by one of its accesses."""
        return any(self.within(ranks) for ranks in (view.space, view.target, *(ranks for _, ranks in view.reads)))


@dataclass(frozen=True, slots=True)
class View:
    """An Einsum reduced to ranks: those of its iteration space, of its target and of each of its reads."""

    einsum: CheckedEinsum
    space: frozenset[str]
    target: frozenset[str]
    reads: tuple[tuple[Use, frozenset[str]], ...]

    @property
    def ranks(self) -> frozenset[str]:
        """All ranks of the Einsum."""
        return self.space.union(self.target, *(ranks for _, ranks in self.reads))


def views(checked: Checked) -> tuple[View, ...]:
    """Every Einsum reduced to ranks."""
    return tuple(
        View(e, frozenset(map(rank_of, e.variables)), present(e.target), tuple((use, present(use)) for use in e.reads))
        for e in checked.einsums
    )


def present(use: Use) -> frozenset[str]:
    """The ranks that an access ranges over (docs/passes.md, rule P2): of its places and of the variables there, not of single
    coordinates."""
    found: set[str] = set()
    for index, rank in zip(use.indices, use.ranks, strict=True):
        if index.variables:
            found.add(rank)
            found.update(rank_of(variable) for variable in index.variables)
    return frozenset(found)


def rank_groups(checked: Checked, einsums: Sequence[View]) -> tuple[Group, ...]:
    """The groups that some Einsum traverses, in the order in which the cascade mentions their ranks."""
    groups = (group_of(rank, checked.ranks) for rank in checked.ranks.values())
    everywhere = frozenset().union(*(view.ranks for view in einsums))
    return tuple(group for group in groups if group.within(everywhere))


def group_of(rank: Rank, ranks: Mapping[str, Rank]) -> Group:
    """The group that a rank heads: itself, or its family."""
    alternatives = _alternatives(rank, ranks)
    return Group(rank.name, alternatives, _parts(rank), frozenset().union(*alternatives))


def _parts(rank: Rank) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part for split in rank.splits for part in split))


def _alternatives(rank: Rank, ranks: Mapping[str, Rank]) -> Alternatives:
    """The rank itself, or all parts of one of its splits, each part by any of its own alternatives."""
    found: dict[frozenset[str], None] = {frozenset({rank.name}): None}
    for split in rank.splits:
        combined: list[frozenset[str]] = [frozenset()]
        for part in split:
            inner = _alternatives(ranks[part], ranks) if part in ranks else (frozenset({part}),)
            combined = [have | more for have in combined for more in inner]
        found.update(dict.fromkeys(combined))
    return tuple(found)
