"""Passes: how often any implementation must traverse the fibers of a rank, and which tensors live across passes.

FuseMax (MICRO 2024), section III, defines the count and gives it for its cascades; it is a property of the cascade
and so a lower bound for every mapping. The algorithm is this project's own. For one rank group it assigns each
tensor a time, *during* or *after* a pass, and each Einsum that traverses the group a pass, in the order of the file,
and repeats that while iterations carry something back.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from fusemax.analysis.rank_groups import Group, View, rank_groups, views
from fusemax.ir.cascade import Role
from fusemax.ir.checked import Checked, CheckedEinsum, Loop, Use, When


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
BEFORE, INITIALLY = "@v", "@0"
"""Marks of versions of an iterative tensor that are tensors of their own here: what the step before left of one that
is iterated outside of the group (other fibers), and an initial value."""


def group_passes(checked: Checked, einsums: Sequence[View], group: Group) -> GroupPasses:
    """Count the passes over one group and find what lives across them."""
    return _Counter(checked, einsums, group).result()


class _Counter:
    """The working state for one group. Sets of tensors are bits of integers, so that long cascades stay fast."""

    def __init__(self, checked: Checked, views: Sequence[View], group: Group) -> None:
        self.checked, self.group = checked, group
        self.bit = {
            name + mark: 1 << (3 * i + j)
            for i, name in enumerate(checked.tensors)
            for j, mark in enumerate(("", BEFORE, INITIALLY))
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
        written = _written(einsum)
        lineage, visited = self.bit[written] | self._lineage_read(i), 0
        for use in self.over[i]:
            visited |= self.bit[self._versions(use)[0]]
        for use in einsum.reads:
            for version in self._versions(use):
                visited |= self.visited.get(version, 0)
        self.lineage[written] = self.lineage.get(written, 0) | lineage
        self.visited[written] = self.visited.get(written, 0) | visited

    def _lineage_read(self, i: int) -> int:
        """The lineage of everything that an Einsum reads over the group."""
        lineage = 0
        for use in self.over[i]:
            for version in self._versions(use):
                lineage |= self.lineage.get(version, self.bit[version])
        return lineage

    def _versions(self, use: Use) -> tuple[str, ...]:
        """The versions of a tensor that a read may see: the step before of an iteration outside of the group is of
        other fibers, and the first step sees the initial value."""
        if use.when is not When.OLD:
            return (use.tensor,)
        return (use.tensor, use.tensor + INITIALLY) if self.steps_back[use.tensor] else (use.tensor + BEFORE,)

    def _times(self, use: Use) -> Iterator[tuple[str, _Time]]:
        """When what a read needs is available, by version."""
        tensor = self.checked.tensors[use.tensor]
        for version in self._versions(use):
            time = self.times.get(version, START)
            if tensor.role is Role.INPUT:
                time = START if self.group.ranks.isdisjoint(tensor.ranks) else _Time(1, True)
            elif use.when is When.FINAL and self.steps_back[use.tensor] and time.during:
                time = _Time(time.n, False)
            yield version, time

    def _operands(self, einsum: CheckedEinsum) -> tuple[int, int, Waits]:
        """The largest n of the during-operands, the largest of the after-operands, and the waits of the Einsum."""
        times = [found for use in einsum.reads for found in self._times(use)]
        d = max((t.n for _, t in times if t.during), default=0)
        a = max((t.n for _, t in times if not t.during), default=0)
        waits = frozenset((tensor, t.n) for tensor, t in times if not t.during and t.n)
        return d, a, waits.union(*(t.waits for _, t in times if t.during))

    def _place(self, i: int, view: View, traverses: bool) -> None:
        """The pass of an Einsum that traverses the group, and when the result of any is available."""
        einsum = view.einsum
        if einsum.initial and not einsum.reads:
            return  # available from the start
        d, a, waits = self._operands(einsum)
        during = self.group.touches(view.target)
        if traverses:
            n = max([1, d, *(self._barrier(i, wait) for wait in waits)])
            self.of[i] = n = max(n, self.of.get(i, 0))
        else:
            n, during = max(d, a), during and d > a
        self.times[_written(einsum)] = _Time(n, during, waits if during else NO_WAITS)

    def _barrier(self, i: int, wait: tuple[str, int]) -> int:
        """A wait costs one more pass if a fiber is visited that was visited for the tensor waited for."""
        tensor, n = wait
        return n + 1 if self._visited_twice(i, tensor) else n

    def _visited_twice(self, i: int, tensor: str) -> int:
        """What is in the lineage of an Einsum's reads and was read on the way to the tensor that it waits for."""
        return self._lineage_read(i) & self.visited.get(tensor, 0)

    # ------------------------------------------------------------------------------------------------ what follows of it

    def _per_tensor(self) -> dict[str, int]:
        """FuseMax's count of one tensor: how many different passes read it."""
        reading = self._reading(self.of)
        passes = {name: reading.get(name, set()) | reading.get(name + BEFORE, set()) for name in self.checked.tensors}
        return {name: len(found) for name, found in passes.items() if found}

    def _reading(self, placed: dict[int, int]) -> dict[str, set[int]]:
        """The passes that read each tensor; what the step before left is a tensor of its own."""
        found: dict[str, set[int]] = {}
        for i, n in placed.items():
            for use in self.over[i]:
                found.setdefault(self._versions(use)[0], set()).add(n)
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
        """The pass in which an Einsum reads; half a pass later for one that only waits for what a pass completes."""
        d, a, _ = self._operands(einsum)
        return self.of.get(i, d if d > a else a + 0.5)

    def _boundaries(self) -> Iterator[Boundary]:
        """One for each Einsum that starts a pass: nothing that it streams along with is in that pass already."""
        for i, einsum in ((i, view.einsum) for i, view, _ in self.einsums):
            n = self.of.get(i, 1)
            d, _, waits = self._operands(einsum)
            if n == 1 or d == n:
                continue
            for tensor, at in sorted(waits, key=lambda wait: (self.bit[wait[0]], wait[1])):
                twice = self._visited_twice(i, tensor)
                if at == n - 1 and twice:
                    yield Boundary(at, self._completed(tensor, at), _name(tensor), self._reread(i, twice), einsum.name)

    def _reread(self, i: int, twice: int) -> str:
        """What is seen again: rather what the Einsum reads itself than what that was computed from."""
        direct = [version for use in self.over[i] for version in self._versions(use) if self.bit[version] & twice]
        return _name(direct[0] if direct else next(name for name, bit in reversed(self.bit.items()) if bit & twice))

    def _completed(self, tensor: str, after: int) -> str:
        """The nearest tensor, from the one waited for back, that needs nothing that the same pass completes."""
        writers = {_written(view.einsum): view.einsum for _, view, _ in self.einsums}
        queue = [tensor]
        for version in queue:
            reads = writers[version].reads if version in writers else ()
            times = [found for use in reads for found in self._times(use)]
            needed = [other for other, time in times if not time.during and time.n == after]
            if not needed:
                return _name(version)
            queue += [other for other in needed if other not in queue]
        return _name(tensor)

    def _steps(self) -> tuple[str, ...]:
        """The iterative ranks outside of the group to whose single steps the counts refer: those whose step before is
        among what Einsums that traverse the group descend from."""
        cut: dict[str, frozenset[str]] = {}
        found: dict[str, None] = {}
        for _, view, traverses in self.einsums:
            mine: set[str] = set()
            for use in view.einsum.reads:
                rank = self.checked.tensors[use.tensor].iterative_rank
                outside = self._versions(use)[0] == use.tensor + BEFORE
                mine |= {rank} if outside and rank is not None else cut.get(use.tensor, frozenset())
            cut[view.einsum.name] = cut.get(view.einsum.name, frozenset()) | mine
            found.update(dict.fromkeys(sorted(mine)) if traverses else {})
        return tuple(found)

    def _lineages(self, live: dict[int, tuple[str, ...]]) -> dict[str, frozenset[str]]:
        """The lineage of every tensor that lives across a boundary."""
        living = sorted({name for names in live.values() for name in names})
        bits = {name: self.lineage.get(name, self.bit[name]) for name in living}
        return {name: frozenset(_name(o) for o, bit in self.bit.items() if bit & bits[name]) for name in living}


def _crossing(
    checked: Checked, moments: dict[str, set[int]] | dict[str, set[float]], count: int
) -> dict[int, tuple[str, ...]]:
    """Per boundary the tensors with a moment on both sides of it, in one of their versions."""
    crossing = {name: (min(at), max(at)) for name, at in moments.items()}

    def lives(name: str, n: int) -> bool:
        spans = [crossing[version] for version in (name, name + BEFORE) if version in crossing]
        return any(first <= n < last for first, last in spans)

    return {n: tuple(name for name in checked.tensors if lives(name, n)) for n in range(1, count)}


def _written(einsum: CheckedEinsum) -> str:
    """The version that an Einsum writes."""
    return einsum.name + (INITIALLY if einsum.initial else "")


def _name(version: str) -> str:
    """The tensor of a version; names of tensors have no such marks."""
    return version.removesuffix(BEFORE).removesuffix(INITIALLY)


def flattened(schedule: Sequence[Loop | CheckedEinsum]) -> Iterator[CheckedEinsum]:
    """The Einsums of a schedule in order, loops taken apart."""
    for node in schedule:
        if isinstance(node, Loop):
            yield from flattened(node.body)
        else:
            yield node


def all_passes(checked: Checked) -> tuple[GroupPasses, ...]:
    """The passes of every group."""
    einsums = views(checked)
    return tuple(group_passes(checked, einsums, group) for group in rank_groups(checked, einsums))
