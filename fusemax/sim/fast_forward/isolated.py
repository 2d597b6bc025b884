"""Loops that keep one server busy while no other stream waits for their tasks before their end: run at once, whatever
happens elsewhere meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from fusemax.bind.plan import LoopRef
from fusemax.sim.fast_forward.lookahead import is_done, next_wanted, rising
from fusemax.sim.machine import Machine, Server
from fusemax.sim.program.program import TaskKind
from fusemax.sim.stream import Need, StreamState


@dataclass(slots=True, eq=False)
class IsolatedLoop:
    """The innermost loop of some streams of one server.

    `needs` are the needs of other streams, `readers` those that others have of these. A state that has come back in a run
    of the loop comes back in every run; `known` has after how many iterations, and ticks, `seen` the states of this run.
    """

    server: Server
    extent: int
    inside: Sequence[StreamState]
    needs: Sequence[tuple[StreamState, Need]]
    readers: Sequence[tuple[StreamState, Need]]
    run: int = -1
    seen: dict[tuple[int, ...], tuple[int, int, int, int]] = field(default_factory=dict)
    known: dict[tuple[int, ...], tuple[int, int]] = field(default_factory=dict)

    def skip(self, now: int, before: int | None) -> int:
        """Run as many iterations as possible at once, up to a time if one is given; how many tasks those are."""
        first = self.inside[0]
        run, iteration = (first.next - 1) // self.extent, first.next
        period, ticks = self.period(run, iteration, now)
        if not period:
            return 0
        begin = run * self.extent
        last = begin + self.extent - 1
        if any(not begin < state.next <= last for state in self.inside):
            return 0
        times = min((last - state.next) // period for state in self.inside)
        if before is not None:
            times = min(times, (before - self.server.free - 1) // ticks)
        if times <= 0 or not self.undisturbed(now, times * period):
            return 0
        self.jump(times * period, times * ticks)
        return times * period * len(self.inside)

    def period(self, run: int, iteration: int, now: int) -> tuple[int, int]:
        """After how many iterations and ticks the state comes back, with no idle time; 0 if that is not known."""
        server = self.server
        state = (server.free - now, *(one.next - iteration for one in self.inside))
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
        """Whether so many tasks of each stream begin one after the other, and no other stream waits for one of them."""
        for state, need in self.needs:
            if not is_done(need, need.index(state.next + tasks), now):
                return False
        for reader, need in self.readers:
            made = need.state.next
            if made - 1 <= next_wanted(need, reader, made - 1) < made + tasks:
                return False
        latest = max(state.position(state.next + tasks) for state in self.inside)
        return all(s.key > latest or s.next >= s.count or s in self.inside for s in self.server.states)

    def jump(self, tasks: int, ticks: int) -> None:
        """Count so many tasks of each stream, in so many ticks without a pause."""
        for state in self.inside:
            state.pass_over(tasks, ticks)
            state.waiting = [
                (task + tasks if reader in self.inside else task, reader) for task, reader in state.waiting
            ]
        server = self.server
        server.free += ticks
        server.busy += ticks
        server.begun += tasks * len(self.inside)
        server.woken = None
        server.wake(server.free)
        for state in self.inside:
            state.tell()


def isolated_loop(
    machine: Machine, loops: Sequence[LoopRef], extent: int, members: Sequence[StreamState]
) -> IsolatedLoop | None:
    """Loops that are as good as one as a loop that may be run at once, if they can ever be."""
    server = members[0].server
    if machine.sequencer.segments or server is None or any(
        s.server is not server or s.strides[loops[-1]] != 1 or s.stream.kind is not TaskKind.EINSUM or s.latency
        or s.readers or s.alternates for s in members
    ):  # fmt: skip
        return None
    needs = [(s, need) for s in members for need in s.needs if need.state not in members]
    wanted = [(s, need) for s in machine.states if s not in members for need in s.needs if need.state in members]
    readers = [(s, need) for s, need in wanted if s.server is not server or not need.begun]
    among = [need for s in members for need in s.needs if need.state in members]
    steady = all(need.begun for need in among)
    rises = steady and all(rising(need.index, s.stream.loops, s.stream.loops.refs) for s, need in readers)
    if rises and all(rising(need.index, s.stream.loops, loops) for s, need in needs):
        return IsolatedLoop(server, extent, members, needs, readers)
    return None
