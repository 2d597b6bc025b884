"""Passes: how often any implementation must traverse the fibers of a rank, and the tensors that live across passes.

FuseMax (MICRO 2024), section III, defines the count and gives it for its cascades; it is a property of the cascade
and so a lower bound for every mapping. The algorithm is this project's own, by rules P1 to P11 of docs/passes.md. For
one rank group it assigns each tensor a time, *during* or *after* a pass, and each Einsum that traverses the group a
pass, in the order of the file, until iterations over the group lead to no change.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from fusemax.analysis.rank_groups import Group, View, rank_groups, views
from fusemax.ir.cascade import Role
from fusemax.ir.checked import Checked, CheckedEinsum, Loop, Use, When


@dataclass(frozen=True, slots=True)
class Boundary:
    """The reason for pass `after` + 1: pass `after` completes `completes`, and the Einsum `by` needs it and reads `rereads`
    again.

    `waits_for` is the tensor that the Einsum waits for: `completes` itself, or a tensor computed from it.
    """

    after: int
    completes: str
    waits_for: str
    rereads: str
    by: str


@dataclass(frozen=True, slots=True)
class GroupPasses:
    """The passes over one group.

    `of` has the pass of each Einsum that traverses the group, by the Einsum's position, and `placed` the latest pass
    in which it visits no fiber again. `moments` has, for each Einsum from the first to the last that touches the
    group, the time at which it reads: a pass, or n plus a half for an Einsum that does not traverse the group and
    waits for the end of pass n. `live` are the tensors whose fibers over the group live across each boundary,
    `partial` those with only some ranks of a family.
    """

    group: Group
    passes: int
    of: dict[int, int]
    placed: dict[int, int]
    moments: dict[int, float]
    per_tensor: dict[str, int]
    live: dict[int, tuple[str, ...]]
    partial: dict[int, tuple[str, ...]]
    boundaries: tuple[Boundary, ...]
    per_step_of: tuple[str, ...]
    lineage: dict[str, frozenset[str]] = field(repr=False)

    @property
    def live_tensors(self) -> tuple[str, ...]:
        """All tensors that live across some boundary, each once."""
        return tuple(dict.fromkeys(name for names in self.live.values() for name in names))

    @property
    def partial_tensors(self) -> tuple[str, ...]:
        """All tensors with a part of the family that are needed on both sides of some boundary."""
        return tuple(dict.fromkeys(name for names in self.partial.values() for name in names))


class Version(NamedTuple):
    """A tensor, or a version of an iterative tensor that counts as a tensor of its own.

    `when` is `When.OLD` for the step before of an iteration outside of the group, which has other fibers, `When.INITIAL`
    for an initial value, and else None.
    """

    tensor: str
    when: When | None = None


class Wait(NamedTuple):
    """An operand that is complete only after a pass."""

    version: Version
    after: int


Waits = frozenset[Wait]
NO_WAITS: Waits = frozenset()


@dataclass(frozen=True, slots=True)
class Availability:
    """The time of a tensor: *during* pass `n`, or *after* it, and the waits of its elements (docs/passes.md, rules P3 and P5)."""

    n: int
    during: bool
    waits: Waits = NO_WAITS


START = Availability(0, False)
"""The time of tensors that are there before any pass."""


def group_passes(checked: Checked, einsums: Sequence[View], group: Group) -> GroupPasses:
    """Count the passes over one group, and find the tensors that live across them (docs/passes.md, rule P9)."""
    return PassCounter(checked, einsums, group).result()


class PassCounter:
    """The working state for one group. Sets of versions are bits of integers, so that long cascades stay fast."""

    def __init__(self, checked: Checked, views: Sequence[View], group: Group) -> None:
        self.checked, self.group = checked, group
        self.bit = {
            Version(name, when): 1 << (3 * i + j)
            for i, name in enumerate(checked.tensors)
            for j, when in enumerate((None, When.OLD, When.INITIAL))
        }
        self.steps_back = {
            name: tensor.iterative_rank in group.ranks
            for name, tensor in checked.tensors.items()
            if tensor.iterative_rank is not None
        }
        positions = {id(einsum): i for i, einsum in enumerate(checked.einsums)}
        order = [positions[id(einsum)] for einsum in flattened(checked.schedule)]
        touching = {i for i, view in enumerate(views) if group.touches(view.ranks)}
        first = next((n for n, i in enumerate(order) if i in touching), 0)
        last = max((n for n, i in enumerate(order) if i in touching), default=-1)
        self.einsums = [(i, views[i], group.traversed(views[i])) for i in order[first : last + 1]]
        self.over = {i: [use for use, ranks in view.reads if group.within(ranks)] for i, view, _ in self.einsums}
        self.writers = {_written(view.einsum): view.einsum for _, view, _ in self.einsums}
        self.available: dict[Version, Availability] = {}
        self.lineage: dict[Version, int] = {}
        self.visited: dict[Version, int] = {}
        self.of: dict[int, int] = {}

    # -------------------------------------------------------------------------------------------------- the fixed point

    def result(self) -> GroupPasses:
        """Sweep until nothing changes; one sweep is enough without an iteration over the group."""
        rounds = len(self.einsums) + 2 if any(self.steps_back.values()) else 1
        for _ in range(rounds):
            before = (dict(self.available), dict(self.lineage), dict(self.visited), dict(self.of))
            for i, view, traverses in self.einsums:
                self.add_ancestry(i, view.einsum)
                self.place(i, view, traverses)
            if before == (self.available, self.lineage, self.visited, self.of):
                break
        else:
            assert rounds == 1, "the passes do not settle"
        count = max(self.of.values(), default=0)
        placed = self.as_late_as_possible()
        live = self.live(placed, count)
        return GroupPasses(
            self.group, count, self.of, placed, {i: self.moment(i, view.einsum) for i, view, _ in self.einsums},
            self.passes_per_tensor(), live, self.partial(count),
            tuple(self.boundaries()), self.per_step_of(), self.lineages(live),
        )  # fmt: skip

    def add_ancestry(self, i: int, einsum: CheckedEinsum) -> None:
        """`lineage`: the tensor and, through tensors that carry the group, those from which it is computed.
        `visited`: every tensor that an Einsum from which this one descends has read over the group (rule P4)."""
        written = _written(einsum)
        lineage, visited = self.bit[written] | self._lineage_read(i), 0
        for use in self.over[i]:
            visited |= self.bit[self.versions(use)[0]]
        for use in einsum.reads:
            for version in self.versions(use):
                visited |= self.visited.get(version, 0)
        self.lineage[written] = self.lineage.get(written, 0) | lineage
        self.visited[written] = self.visited.get(written, 0) | visited

    def _lineage_read(self, i: int) -> int:
        """The lineage of all tensors that an Einsum reads over the group."""
        lineage = 0
        for use in self.over[i]:
            for version in self.versions(use):
                lineage |= self.lineage.get(version, self.bit[version])
        return lineage

    def versions(self, use: Use) -> tuple[Version, ...]:
        """The versions of a tensor that a read may see (rule P8): the step before of an iteration outside of the group
        has other fibers, and the first step sees the initial value."""
        if use.when is not When.OLD:
            return (Version(use.tensor),)
        if self.steps_back[use.tensor]:
            return Version(use.tensor), Version(use.tensor, When.INITIAL)
        return (Version(use.tensor, When.OLD),)

    def availability(self, use: Use) -> Iterator[tuple[Version, Availability]]:
        """The time of each version that a read may see (rule P3)."""
        tensor = self.checked.tensors[use.tensor]
        for version in self.versions(use):
            time = self.available.get(version, START)
            if tensor.role is Role.INPUT:
                time = START if self.group.ranks.isdisjoint(tensor.ranks) else Availability(1, True)
            elif use.when is When.FINAL and self.steps_back[use.tensor] and time.during:
                time = Availability(time.n, False)
            yield version, time

    def operands(self, einsum: CheckedEinsum) -> tuple[int, int, Waits]:
        """The largest n of the operands available during a pass and of those available after one, and the waits of the
        Einsum (rule P5)."""
        times = [found for use in einsum.reads for found in self.availability(use)]
        d = max((t.n for _, t in times if t.during), default=0)
        a = max((t.n for _, t in times if not t.during), default=0)
        waits = frozenset(Wait(version, t.n) for version, t in times if not t.during and t.n)
        return d, a, waits.union(*(t.waits for _, t in times if t.during))

    def place(self, i: int, view: View, traverses: bool) -> None:
        """The pass of an Einsum that traverses the group, and the time of the result of any Einsum (rules P6 and P7)."""
        einsum = view.einsum
        if einsum.initial and not einsum.reads:
            return  # available from the start
        d, a, waits = self.operands(einsum)
        during = self.group.touches(view.target)
        if traverses:
            n = max([1, d, *(self.barrier(i, wait) for wait in waits)])
            self.of[i] = n = max(n, self.of.get(i, 0))
        else:
            n, during = max(d, a), during and d > a
        self.available[_written(einsum)] = Availability(n, during, waits if during else NO_WAITS)

    def barrier(self, i: int, wait: Wait) -> int:
        """A wait costs one more pass if a fiber is visited that was visited for the tensor waited for (rule P6)."""
        return wait.after + 1 if self.visited_twice(i, wait.version) else wait.after

    def visited_twice(self, i: int, version: Version) -> int:
        """The tensors in the lineage of an Einsum's reads that were visited for the tensor that it waits for."""
        return self._lineage_read(i) & self.visited.get(version, 0)

    # -------------------------------------------------------------------------------------------------- properties of it

    def passes_per_tensor(self) -> dict[str, int]:
        """FuseMax's count of one tensor: the number of different passes that read it."""
        reading = self._reading(self.of)
        passes = {
            name: reading.get(Version(name), set()) | reading.get(Version(name, When.OLD), set())
            for name in self.checked.tensors
        }
        return {name: len(found) for name, found in passes.items() if found}

    def _reading(self, placed: dict[int, int]) -> dict[Version, set[int]]:
        """The passes that read each version."""
        found: dict[Version, set[int]] = {}
        for i, n in placed.items():
            for use in self.over[i]:
                found.setdefault(self.versions(use)[0], set()).add(n)
        return found

    def as_late_as_possible(self) -> dict[int, int]:
        """Each Einsum whose result carries the group in the earliest pass of a reader, if its operands allow it (rule P11)."""
        placed = dict(self.of)
        readers: dict[str, list[int]] = {}
        for i in self.of:
            for use in self.over[i]:
                readers.setdefault(use.tensor, []).append(i)
        for i, view, traverses in reversed(self.einsums):
            if not traverses or not self.group.within(view.target) or view.einsum.target.when is not None:
                continue
            late = min((placed[r] for r in readers.get(view.einsum.name, ())), default=placed[i])
            others = (placed[r] for use in self.over[i] for r in readers[use.tensor] if r != i)
            if late > placed[i] and all(n >= late for n in others):
                placed[i] = late
        return placed

    def live(self, placed: dict[int, int], count: int) -> dict[int, tuple[str, ...]]:
        """Per boundary the tensors that are read later than they are read or made (rule P11)."""
        reading = self._reading(placed)
        for i, view, _ in self.einsums:
            made = Version(view.einsum.name)
            if i in placed and self.group.within(view.target) and made in reading:
                reading[made].add(placed[i])
        return _crossing(self.checked, reading, count)

    def partial(self, count: int) -> dict[int, tuple[str, ...]]:
        """The same for tensors with some ranks of a family; an Einsum that does not traverse it reads at or between passes."""
        moments: dict[Version, set[float]] = {}
        for i, view, _ in self.einsums if self.group.parts and count > 1 else ():
            at = self.moment(i, view.einsum)
            for use, ranks in ((view.einsum.target, view.target), *view.reads):
                if self.group.touches(ranks) and not self.group.within(ranks) and use.when is None:
                    moments.setdefault(Version(use.tensor), set()).add(at)
        return _crossing(self.checked, moments, count)

    def moment(self, i: int, einsum: CheckedEinsum) -> float:
        """The pass in which an Einsum reads; n plus a half for one that only waits for the end of pass n."""
        d, a, _ = self.operands(einsum)
        return self.of.get(i, d if d > a else a + 0.5)

    def boundaries(self) -> Iterator[Boundary]:
        """One for each Einsum that starts a pass: no operand is available during that pass (rule P10)."""
        for i, einsum in ((i, view.einsum) for i, view, _ in self.einsums):
            n = self.of.get(i, 1)
            d, _, waits = self.operands(einsum)
            if n == 1 or d == n:
                continue
            for version, at in sorted(waits, key=lambda wait: (self.bit[wait.version], wait.after)):
                twice = self.visited_twice(i, version)
                if at == n - 1 and twice:
                    yield Boundary(
                        at, self._completed(version, at), version.tensor, self._reread(i, twice), einsum.name
                    )

    def _reread(self, i: int, twice: int) -> str:
        """The tensor that is read again: a read of the Einsum itself rather than a tensor from which that is computed."""
        direct = [version for use in self.over[i] for version in self.versions(use) if self.bit[version] & twice]
        return (direct or [version for version, bit in reversed(self.bit.items()) if bit & twice])[0].tensor

    def _completed(self, waited: Version, after: int) -> str:
        """The nearest tensor, from the one waited for back, that needs no tensor that the same pass completes."""
        queue = [waited]
        for version in queue:
            reads = self.writers[version].reads if version in self.writers else ()
            times = [found for use in reads for found in self.availability(use)]
            needed = [other for other, time in times if not time.during and time.n == after]
            if not needed:
                return version.tensor
            queue += [other for other in needed if other not in queue]
        return waited.tensor

    def per_step_of(self) -> tuple[str, ...]:
        """The iterative ranks outside of the group to whose single steps the counts refer: Einsums that traverse the
        group descend from a step before (rule P8)."""
        cut: dict[str, frozenset[str]] = {}
        found: dict[str, None] = {}
        for _, view, traverses in self.einsums:
            mine: set[str] = set()
            for use in view.einsum.reads:
                rank = self.checked.tensors[use.tensor].iterative_rank
                outside = self.versions(use)[0].when is When.OLD
                mine |= {rank} if outside and rank is not None else cut.get(use.tensor, frozenset())
            cut[view.einsum.name] = cut.get(view.einsum.name, frozenset()) | mine
            found.update(dict.fromkeys(sorted(mine)) if traverses else {})
        return tuple(found)

    def lineages(self, live: dict[int, tuple[str, ...]]) -> dict[str, frozenset[str]]:
        """The lineage of every tensor that lives across a boundary."""
        living = sorted({name for names in live.values() for name in names})
        bits = {name: self.lineage.get(Version(name), self.bit[Version(name)]) for name in living}
        return {name: frozenset(o.tensor for o, bit in self.bit.items() if bit & bits[name]) for name in living}


def _crossing(
    checked: Checked, moments: dict[Version, set[int]] | dict[Version, set[float]], count: int
) -> dict[int, tuple[str, ...]]:
    """Per boundary the tensors with a moment on both sides of it, in one of their versions."""
    spans: dict[str, list[tuple[float, float]]] = {}
    for version, at in moments.items():
        spans.setdefault(version.tensor, []).append((min(at), max(at)))
    living = [(name, spans[name]) for name in checked.tensors if name in spans]
    return {
        n: tuple(name for name, mine in living if any(first <= n < last for first, last in mine))
        for n in range(1, count)
    }


def _written(einsum: CheckedEinsum) -> Version:
    """The version that an Einsum writes."""
    return Version(einsum.name, When.INITIAL if einsum.initial else None)


def flattened(schedule: Sequence[Loop | CheckedEinsum]) -> Iterator[CheckedEinsum]:
    """The Einsums of a schedule in order, without its loops."""
    for node in schedule:
        if isinstance(node, Loop):
            yield from flattened(node.body)
        else:
            yield node


def all_passes(checked: Checked) -> tuple[GroupPasses, ...]:
    """The passes of every group."""
    einsums = views(checked)
    return tuple(group_passes(checked, einsums, group) for group in rank_groups(checked, einsums))
