"""Passes: how often any implementation must traverse the fibers of a rank, and which tensors live across passes.

FuseMax (MICRO 2024), section III, defines the count and gives it for its cascades; it is a property of the cascade
and so a lower bound for every mapping. The algorithm is this project's own. For one rank group it assigns each
tensor a time, *during* or *after* a pass, and each Einsum that traverses the group a pass, in the order of the file,
and repeats that while iterations carry something back.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from fusemax.analysis.groups import Group, View, rank_groups, views
from fusemax.ir.cascade import Role
from fusemax.ir.checked import Checked, CheckedEinsum, Use, When


@dataclass(frozen=True, slots=True)
class Boundary:
    """Why pass `after` + 1 is one more: what pass `after` completes, and who, needing it, reads what again.

    `waits_for` is what the reader needs: `completes` itself, or something computed from it.
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
    that it can be in without visiting anything again. `moments` has for each Einsum
    from the first to the last that touches the group the time at which it reads: a pass, or, by a half, the time
    between two, if it needs what a pass completes and does not traverse the group itself. `live` are the tensors
    whose fibers over the group live across each boundary, `partial` those with only some ranks of a family.
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


Waits = frozenset[tuple[str, int]]
NO_WAITS: Waits = frozenset()


@dataclass(frozen=True, slots=True)
class _Time:
    """When a tensor is available: while pass `n` streams by, or only after it; and what its elements waited for."""

    n: int
    during: bool
    waits: Waits = NO_WAITS


START = _Time(0, False)


def group_passes(checked: Checked, einsums: Sequence[View], group: Group) -> GroupPasses:
    """Count the passes over one group and find what lives across them."""
    return _Counter(checked, einsums, group).result()


class _Counter:
    """The working state for one group. Sets of tensors are bits of integers, so that long cascades stay fast."""

    def __init__(self, checked: Checked, views: Sequence[View], group: Group) -> None:
        self.checked, self.group = checked, group
        self.bit = {name: 1 << i for i, name in enumerate(checked.tensors)}
        self.steps_back = {
            name: tensor.iterative_rank in group.ranks
            for name, tensor in checked.tensors.items()
            if tensor.iterative_rank is not None
        }
        touching = [i for i, view in enumerate(views) if group.touches(view.ranks)]
        window = range(touching[0], touching[-1] + 1) if touching else range(0)
        self.einsums = [(i, views[i], group.traversed(views[i])) for i in window]
        self.over = {i: [use for use, ranks in view.reads if group.within(ranks)] for i, view, _ in self.einsums}
        self.times: dict[str, _Time] = {}
        self.lineage: dict[str, int] = {}
        self.visited: dict[str, int] = {}
        self.of: dict[int, int] = {}

    # -------------------------------------------------------------------------------------------------- the fixed point

    def result(self) -> GroupPasses:
        """Sweep until nothing changes; one sweep is enough where no iteration over the group leads back."""
        rounds = len(self.einsums) + 2 if any(self.steps_back.values()) else 1
        for _ in range(rounds):
            before = (dict(self.times), dict(self.lineage), dict(self.visited), dict(self.of))
            for i, view, traverses in self.einsums:
                self._ancestry(i, view.einsum)
                self._place(i, view, traverses)
            if before == (self.times, self.lineage, self.visited, self.of):
                break
        else:
            assert rounds == 1, "the passes do not settle"
        count = max(self.of.values(), default=0)
        placed = self._as_late_as_possible()
        live = self._live(placed, count)
        return GroupPasses(
            self.group, count, self.of, placed, {i: self._moment(i, view.einsum) for i, view, _ in self.einsums},
            self._per_tensor(), live, self._partial(count),
            tuple(self._boundaries()), self._steps(), self._lineages(live),
        )  # fmt: skip

    def _ancestry(self, i: int, einsum: CheckedEinsum) -> None:
        """`lineage`: the tensor and, through tensors that carry the group, what it is computed from.
        `visited`: every tensor that an Einsum from which this one descends has read over the group."""
        lineage, visited = self.bit[einsum.name], 0
        for use in self.over[i]:
            if self._belongs(use):
                lineage |= self.lineage.get(use.tensor, self.bit[use.tensor])
                visited |= self.bit[use.tensor]
        for use in einsum.reads:
            if self._belongs(use):
                visited |= self.visited.get(use.tensor, 0)
        self.lineage[einsum.name] = self.lineage.get(einsum.name, 0) | lineage
        self.visited[einsum.name] = self.visited.get(einsum.name, 0) | visited

    def _belongs(self, use: Use) -> bool:
        """Whether a read is of the same fibers: the step before of an iteration outside of the group is of others."""
        return not (use.when is When.OLD and not self.steps_back[use.tensor])

    def _time(self, use: Use) -> _Time:
        """When what a read needs is available."""
        tensor = self.checked.tensors[use.tensor]
        if tensor.role is Role.INPUT:
            return _Time(1, True) if not self.group.ranks.isdisjoint(tensor.ranks) else START
        if not self._belongs(use):
            return START
        time = self.times.get(use.tensor, START)
        if use.when is When.FINAL and self.steps_back[use.tensor] and time.during:
            return _Time(time.n, False)
        return time

    def _place(self, i: int, view: View, traverses: bool) -> None:
        einsum = view.einsum
        if einsum.initial and not einsum.reads:
            self.times.setdefault(einsum.name, START)
            return
        times = [(use, self._time(use)) for use in einsum.reads]
        waits = frozenset((use.tensor, t.n) for use, t in times if not t.during and t.n)
        waits = waits.union(*(t.waits for _, t in times if t.during)) if times else waits
        d = max((t.n for _, t in times if t.during), default=0)
        a = max((t.n for _, t in times if not t.during), default=0)
        keeps = self.group.touches(view.target)
        if traverses:
            n = max([1, d, *(self._barrier(i, wait) for wait in waits)])
            self.of[i] = max(n, self.of.get(i, 0))
            self._available(einsum.name, _Time(self.of[i], keeps, waits if keeps else NO_WAITS))
        else:
            during = d > a and keeps
            self._available(einsum.name, _Time(max(d, a), during, waits if during else NO_WAITS))

    def _available(self, name: str, time: _Time) -> None:
        """Of the writes of a tensor the latest counts."""
        before = self.times.get(name, START)
        if (time.n, not time.during) >= (before.n, not before.during):
            self.times[name] = _Time(time.n, time.during, time.waits | before.waits if time.during else NO_WAITS)

    def _barrier(self, i: int, wait: tuple[str, int]) -> int:
        """A wait costs one more pass if a fiber is visited that was visited for the tensor waited for."""
        tensor, n = wait
        return n + 1 if self._visited_twice(i, tensor) else n

    def _visited_twice(self, i: int, tensor: str) -> int:
        reads = 0
        for use in self.over[i]:
            if self._belongs(use):
                reads |= self.lineage.get(use.tensor, self.bit[use.tensor])
        return reads & self.visited.get(tensor, 0)

    # ------------------------------------------------------------------------------------------------ what follows of it

    def _per_tensor(self) -> dict[str, int]:
        """FuseMax's count of one tensor: how many different passes read it."""
        reading = self._reading(self.of)
        return {name: len(reading[name]) for name in self.checked.tensors if name in reading}

    def _reading(self, placed: dict[int, int]) -> dict[str, set[int]]:
        found: dict[str, set[int]] = {}
        for i, n in placed.items():
            for use in self.over[i]:
                found.setdefault(use.tensor, set()).add(n)
        return found

    def _as_late_as_possible(self) -> dict[int, int]:
        """Each Einsum whose output carries the group in the earliest pass of a reader, if its operands allow it."""
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

    def _live(self, placed: dict[int, int], count: int) -> dict[int, tuple[str, ...]]:
        """Per boundary the tensors that are read later than they are read or produced."""
        reading = self._reading(placed)
        for i, view, _ in self.einsums:
            if i in placed and self.group.within(view.target) and view.einsum.name in reading:
                reading[view.einsum.name].add(placed[i])
        return _crossing(self.checked, reading, count)

    def _partial(self, count: int) -> dict[int, tuple[str, ...]]:
        """The same for tensors with some ranks of a family; who does not traverse reads at or between passes."""
        moments: dict[str, set[float]] = {}
        for i, view, _ in self.einsums if self.group.parts and count > 1 else ():
            at = self._moment(i, view.einsum)
            for use, ranks in ((view.einsum.target, view.target), *view.reads):
                if self.group.touches(ranks) and not self.group.within(ranks) and use.when is None:
                    moments.setdefault(use.tensor, set()).add(at)
        return _crossing(self.checked, moments, count)

    def _moment(self, i: int, einsum: CheckedEinsum) -> float:
        if i in self.of:
            return self.of[i]
        times = [self._time(use) for use in einsum.reads]
        d = max((t.n for t in times if t.during), default=0)
        a = max((t.n for t in times if not t.during), default=0)
        return d if d > a else a + 0.5

    def _boundaries(self) -> Iterator[Boundary]:
        """One for each Einsum that starts a pass: nothing that it streams along with is in that pass already."""
        for i, einsum in ((i, view.einsum) for i, view, _ in self.einsums):
            n = self.of.get(i, 1)
            times = [(use, self._time(use)) for use in einsum.reads]
            if n == 1 or any(t.during and t.n == n for _, t in times):
                continue
            waits = {(use.tensor, t.n) for use, t in times if not t.during} | {
                wait for _, t in times if t.during for wait in t.waits
            }
            for tensor, at in sorted(waits, key=lambda wait: self.bit[wait[0]]):
                twice = self._visited_twice(i, tensor)
                if at == n - 1 and twice:
                    yield Boundary(at, self._completed(tensor), tensor, self._reread(i, twice), einsum.name)

    def _reread(self, i: int, twice: int) -> str:
        """What is seen again: rather what the Einsum reads itself than what that was computed from."""
        direct = [use.tensor for use in self.over[i] if self.bit[use.tensor] & twice]
        return direct[0] if direct else next(name for name, bit in reversed(self.bit.items()) if bit & twice)

    def _completed(self, tensor: str) -> str:
        """The tensor itself if its Einsum traverses the group, else the nearest from which it is computed."""
        queue, seen = [tensor], {tensor}
        while queue:
            name = queue.pop(0)
            writers = [
                (view.einsum, traverses)
                for _, view, traverses in self.einsums
                if view.einsum.name == name and not view.einsum.initial
            ]
            if any(traverses for _, traverses in writers):
                return name
            for einsum, _ in writers:
                fresh = [u.tensor for u in einsum.reads if u.tensor not in seen and self.visited.get(u.tensor)]
                queue += fresh
                seen.update(fresh)
        return tensor

    def _steps(self) -> tuple[str, ...]:
        """The iterative ranks outside of the group whose steps the counts are of."""
        reads = (use for _, view, _ in self.einsums for use in view.einsum.reads if not self._belongs(use))
        ranks = (self.checked.tensors[use.tensor].iterative_rank for use in reads)
        return tuple(dict.fromkeys(rank for rank in ranks if rank is not None))

    def _lineages(self, live: dict[int, tuple[str, ...]]) -> dict[str, frozenset[str]]:
        """The lineage of every tensor that lives across a boundary."""
        living = {name for names in live.values() for name in names}
        bits = {name: self.lineage.get(name, self.bit[name]) for name in living}
        return {name: frozenset(o for o, bit in self.bit.items() if bit & bits[name]) for name in sorted(living)}


def _crossing(
    checked: Checked, moments: dict[str, set[int]] | dict[str, set[float]], count: int
) -> dict[int, tuple[str, ...]]:
    return {
        n: tuple(name for name in checked.tensors if name in moments and min(moments[name]) <= n < max(moments[name]))
        for n in range(1, count)
    }


def all_passes(checked: Checked) -> tuple[GroupPasses, ...]:
    """The passes of every group."""
    einsums = views(checked)
    return tuple(group_passes(checked, einsums, group) for group in rank_groups(checked, einsums))
