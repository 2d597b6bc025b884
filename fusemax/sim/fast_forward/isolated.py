"""Loops that keep one server busy while nobody waits for what they do before their end: run at once, whatever happens
elsewhere meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from fusemax.bind.plan import LoopRef
from fusemax.sim.fast_forward.lookahead import is_done, next_wanted, rising
from fusemax.sim.machine import Machine, Server
from fusemax.sim.stream import Series, TaskKind, Wait


@dataclass(slots=True, eq=False)
class Alone:
    """The innermost loop of some series of one server.

    `needs` are the waits for others, `readers` those of others that could notice. A state that has come back in a run of the loop comes
    back in every run; `known` has after how many iterations, and ticks.
    """

    server: Server
    extent: int
    inside: Sequence[Series]
    needs: Sequence[tuple[Series, Wait]]
    readers: Sequence[tuple[Series, Wait]]
    run: int = -1
    seen: dict[Any, tuple[int, int, int, int]] = field(default_factory=dict)
    known: dict[Any, tuple[int, int]] = field(default_factory=dict)

    def skip(self, now: int, before: int | None) -> int:
        """Run as many iterations as possible at once, up to a time if one is given; how many tasks those are."""
        first = self.inside[0]
        run, iteration = (first.next - 1) // self.extent, first.next
        period, ticks = self.period(run, iteration, now)
        if not period:
            return 0
        begin = run * self.extent
        last = begin + self.extent - 1
        if any(not begin < series.next <= last for series in self.inside):
            return 0
        times = min((last - series.next) // period for series in self.inside)
        if before is not None:
            times = min(times, (before - self.server.free - 1) // ticks)
        if times <= 0 or not self.undisturbed(now, times * period):
            return 0
        self.jump(times * period, times * ticks)
        return times * period * len(self.inside)

    def period(self, run: int, iteration: int, now: int) -> tuple[int, int]:
        """After how many iterations and ticks the state comes back, with no idle time; 0 if that is not known."""
        server = self.server
        state = (server.free - now, *(series.next - iteration for series in self.inside))
        found = self.known.get(state)
        if found is not None:
            return found
        if run != self.run:
            self.run, self.seen = run, {}
        before = self.seen.get(state)
        self.seen[state] = now, iteration, server.busy, server.begun
        if before is None:
            return 0, 0
        ticks, period, busy, begun = (new - old for new, old in zip(self.seen[state], before, strict=True))
        if not ticks or busy != ticks or begun != period * len(self.inside):
            return 0, 0
        self.known[state] = period, ticks
        return period, ticks

    def undisturbed(self, now: int, tasks: int) -> bool:
        """Whether so many tasks of each series begin one after the other, and nobody needs to know when."""
        for series, wait in self.needs:
            if not is_done(wait, wait.index(series.next + tasks), now):
                return False
        for reader, wait in self.readers:
            made = wait.series.next
            if made - 1 <= next_wanted(wait, reader, made - 1) < made + tasks:
                return False
        latest = max(series.position(series.next + tasks) for series in self.inside)
        return all(s.key > latest or s.next >= s.count or s in self.inside for s in self.server.series)

    def jump(self, tasks: int, ticks: int) -> None:
        """Count so many tasks of each series, in so many ticks without a pause."""
        for series in self.inside:
            series.pass_over(tasks, ticks)
            series.waiting = [
                (task + tasks if reader in self.inside else task, reader) for task, reader in series.waiting
            ]
        server = self.server
        server.free += ticks
        server.busy += ticks
        server.begun += tasks * len(self.inside)
        server.woken = None
        server.wake(server.free)
        for series in self.inside:
            series.tell()


def alone(machine: Machine, loops: Sequence[LoopRef], extent: int, members: Sequence[Series]) -> Alone | None:
    """Loops that are as good as one as what may be run at once, if they can ever be."""
    server = members[0].server
    if machine.sequencer.segments or server is None or any(
        s.server is not server or s.strides[loops[-1]] != 1 or s.kind is not TaskKind.EINSUM or s.latency or s.watched
        or s.turns for s in members
    ):  # fmt: skip
        return None
    needs = [(s, wait) for s in members for wait in s.waits if wait.series not in members]
    waits = [(s, wait) for s in machine.series if s not in members for wait in s.waits if wait.series in members]
    readers = [(s, wait) for s, wait in waits if s.server is not server or not wait.together]
    among = [wait for s in members for wait in s.waits if wait.series in members]
    steady = all(w.together for w in among) and all(rising(w.index, s.nest, s.nest.loops) for s, w in readers)
    if steady and all(rising(w.index, s.nest, loops) for s, w in needs):
        return Alone(server, extent, members, needs, readers)
    return None
