"""Steady states: when a machine returns to a state, but for the iteration of a loop, the schedule in between repeats until
the end of the loop comes near; the clock and all counters jump there."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from math import prod

from fusemax.bind.plan import LoopRef
from fusemax.sim.fast_forward.isolated import IsolatedLoop, isolated_loop
from fusemax.sim.fast_forward.lookahead import is_done, rising
from fusemax.sim.kernel import Kernel
from fusemax.sim.machine import LOOK, Machine, Sequencer, Server
from fusemax.sim.program.program import TaskKind
from fusemax.sim.stall import Stall
from fusemax.sim.stream import Need, StreamState

FEWEST = 6
"""A loop of fewer iterations is not worth looking at."""
LARGE = 32
"""A loop with so many tasks in an iteration is looked at after every iteration."""
STRETCH = 8
"""Of other loops so many iterations are looked at, one after the other, beginning at every power of two."""
MOST_SEEN = 4096
"""So many states are kept of one loop."""
SMALL, MOST_PATIENCE = 4, 6
"""A small loop that did not settle is left alone for the next 1, 3, 7, ... at most 63 runs of it."""


@dataclass(frozen=True, slots=True)
class Seen:
    """When a state was seen, at which iteration, and the counters of all servers."""

    now: int
    iteration: int
    counters: tuple[tuple[int, int, dict[Stall, int]], ...]


@dataclass(slots=True, eq=False)
class Level:
    """One loop, or several that are as good as one, the innermost of which is `loop`.

    It is looked at whenever its first stream has begun an iteration to its end.
    """

    steady: Steady
    loop: LoopRef
    extent: int
    first: StreamState
    every: int
    inside: Sequence[tuple[StreamState, int]]
    apart: Sequence[Server]
    needs: Sequence[tuple[StreamState, int, Need, bool]]
    isolated: IsolatedLoop | None
    large: bool
    outer: int = -1
    seen: dict[Hashable, Seen] = field(default_factory=dict)
    looked: int = 0
    settled: bool = False
    failures: int = 0
    wait: int = 0
    wanted: bool = False

    def iteration_began(self, kernel: Kernel, iteration: int) -> None:
        """Look when everything at this time has happened, if this iteration is one to look at."""
        at = iteration % self.extent
        if not at and self.wait:
            self.wait -= 1
        if at < 2 or self.wanted:
            return
        often = self.large or at - (1 << (at.bit_length() - 1)) < STRETCH
        if (often and not self.wait) or (at == 2 and self.isolated is not None):
            self.wanted = True
            kernel.at(kernel.now, LOOK, self)

    def begin(self, outer: int) -> None:
        """Forget the states of the run of the loop before; look less often at a loop that never settles."""
        if self.seen and not self.settled and self.every < SMALL:
            self.failures = min(self.failures + 1, MOST_PATIENCE)
            self.wait = (1 << self.failures) - 1
        self.outer, self.seen, self.settled = outer, {}, False

    def fire(self, now: int) -> None:
        """Look."""
        self.wanted = False
        if self.isolated is None or not self.steady.skip(self.isolated, now):
            self.steady.look(self, now)


class Steady:
    """Fast-forwards a machine, except between the times `begin` and `end`."""

    def __init__(self, machine: Machine, begin: int = 0, end: int = 0) -> None:
        self.machine, self.kernel, self.begin, self.end = machine, machine.kernel, begin, end
        self.segments = machine.sequencer.segments
        self.jumped = 0
        for loops in _runs(machine.states):
            members = [state for state in machine.states if loops[-1] in state.strides]
            first = next((state for state in members if state.stream.kind is TaskKind.EINSUM), None)
            if first is None or not all(state.stream.periodic for state in members):
                continue
            extent = prod(first.stream.loops.extents[first.stream.loops.refs.index(loop)] for loop in loops)
            if extent >= FEWEST:
                first.levels.append(self.level(loops, extent, members, first))
        for state in machine.states:
            state.levels.sort(key=lambda level: level.every)

    def level(
        self, loops: tuple[LoopRef, ...], extent: int, members: Sequence[StreamState], first: StreamState
    ) -> Level:
        """Some loops as one that is looked at."""
        needs = [(s, s.strides[loops[-1]], need) for s in members for need in s.needs if need.state not in members]
        used = {state.server for state in members}
        return Level(
            self, loops[-1], extent, first, first.strides[loops[-1]],
            inside=[(state, state.strides[loops[-1]]) for state in members],
            apart=[] if self.segments else [s for s in self.machine.servers if s not in used],
            needs=[(s, stride, need, rising(need.index, s.stream.loops, loops)) for s, stride, need in needs],
            isolated=isolated_loop(self.machine, loops, extent, members),
            large=sum(s.strides[loops[-1]] for s in members) >= LARGE,
        )  # fmt: skip

    def skip(self, isolated: IsolatedLoop, now: int) -> bool:
        """Run a loop at once that has a server for itself; whether that can be done."""
        if self.begin <= now < self.end:
            return False
        passed = isolated.skip(now, self.begin if now < self.begin < self.end else None)
        self.jumped += passed
        return passed > 0

    def look(self, level: Level, now: int) -> None:
        """Compare with the states before, in the same run of the loop; jump if there is one like this."""
        if self.begin <= now < self.end:
            return
        iteration = level.first.next // level.every
        outer = (level.first.next - 1) // (level.every * level.extent)
        if outer != level.outer:
            level.begin(outer)
        for one, stride in level.inside:
            begin = outer * level.extent * stride
            if not begin + stride <= one.next <= begin + (level.extent - 1) * stride:
                return
        apart = level.apart
        state = self.state(level, iteration, now, apart)
        level.looked = now
        before = level.seen.get(state)
        counters = tuple((s.busy, s.begun, dict(s.stalls)) for s in self.machine.servers)
        if before is None:
            if len(level.seen) >= MOST_SEEN:
                level.seen.clear()
            level.seen[state] = Seen(now, iteration, counters)
            return
        period = iteration - before.iteration
        left = self.periods_left(level, period)
        until = min((time for time in self.outside(level, apart) if time > now), default=None)
        if now < self.begin < self.end:
            seen = self.begin - max(
                0, max(server.free for server in self.machine.servers) - now
            )  # tasks still run then
            until = seen if until is None else min(until, seen)
        if until is not None:
            left = min(left, (until - now - 1) // (now - before.now))
        while left > 0 and not self.undisturbed(level, left * period, now):
            left //= 2
        if left > 0:
            self.jump(level, left, period, now - before.now, before.counters, apart)
            level.seen, level.settled, level.failures = {}, True, 0

    def periods_left(self, level: Level, period: int) -> int:
        """How often a period fits in before the end of the loop, and before a stream outside waits for a task."""
        last = (level.outer + 1) * level.extent - 1
        left = min((last * stride - state.next) // (period * stride) for state, stride in level.inside)
        for state, stride in level.inside:
            for task, reader in state.waiting:
                if level.loop not in reader.strides:
                    left = min(left, (task - state.next) // (period * stride))
        return left

    def undisturbed(self, level: Level, iterations: int, now: int) -> bool:
        """Whether all needs of so many iterations outside of the loop are met, and no other task comes in between."""
        end = (level.outer + 1) * level.extent
        for state, stride, need, rises in level.needs:
            last = state.next // stride + iterations + 1 if rises else end
            if not is_done(need, need.index(last * stride - 1), now):
                return False
        for server in self.machine.servers:
            others = [s.key for s in server.states if level.loop not in s.strides and s.ready is not None]
            for state in server.states if others else ():
                if level.loop in state.strides:
                    latest = state.position(state.next + iterations * state.strides[level.loop])
                    if any(state.key < key < latest for key in others):
                        return False
        return True

    def outside(self, level: Level, apart: Sequence[Server]) -> Iterator[int]:
        """The times of events outside of a loop, as far as they are known."""
        for server in apart:
            yield server.free
        for state in self.machine.states:
            if level.loop not in state.strides:
                yield from state.done
                if state.ready is not None:
                    yield state.ready

    def state(self, level: Level, iteration: int, now: int, apart: Sequence[Server]) -> Hashable:
        """The state of the loop, relative to the time and to the iteration."""
        streams = tuple(
            (
                s.next - iteration * s.strides[level.loop],
                -1 if s.ready is None else max(s.ready - now, 0),
                s.binding,
                tuple([time - now for time in s.done if time > now]),
            )
            if level.loop in s.strides
            else (s.next, s.ready is not None and s.ready <= now)
            for s in self.machine.states
        )
        idle = (
            level.looked - now
        )  # a server that has not worked since the last look waits for streams outside of the loop
        servers = tuple(None if s in apart else max(s.free - now, idle) for s in self.machine.servers)
        segments = tuple((s.left, max(s.latest - now, 0)) for s in self.segments if s.left)
        openings = (
            tuple(time for time, _, event in self.kernel.pending() if isinstance(event, Sequencer))
            if self.segments
            else ()
        )
        return streams, servers, segments, openings

    def jump(
        self, level: Level, times: int, period: int, ticks: int, before: Sequence[tuple[int, int, dict[Stall, int]]],
        apart: Sequence[Server],
    ) -> None:  # fmt: skip
        """Let so many periods pass at once."""
        now, later = self.kernel.now, times * ticks
        self.kernel.jump(later)
        for state in self.machine.states:
            tasks = times * period * state.strides.get(level.loop, 0)
            if not tasks:
                continue
            state.pass_over(tasks, later)
            state.waiting = [
                (task + tasks if level.loop in reader.strides else task, reader) for task, reader in state.waiting
            ]
            if state.ready is not None:
                state.ready += later
        for segment in self.segments:
            segment.latest += later
        for server, (busy, begun, stalls) in zip(self.machine.servers, before, strict=True):
            if server not in apart and (server.begun > begun or server.free > now):  # else it is idle all the time
                server.free += later
            self.jumped += times * (server.begun - begun)
            server.busy += times * (server.busy - busy)
            server.begun += times * (server.begun - begun)
            for why, waited in server.stalls.items():
                server.stalls[why] = waited + times * (waited - stalls.get(why, 0))
            server.look_again()


def _runs(states: Sequence[StreamState]) -> Iterator[tuple[LoopRef, ...]]:
    """Loops that are as good as one, outermost first: every stream has all of them one below the other, or none, and
    the first iteration of an inner one is like the others."""
    special = {loop for one in states for loop in one.stream.special}
    nests = list(dict.fromkeys(one.stream.loops.refs for one in states))
    seen: set[LoopRef] = set()
    for nest in nests:
        run: tuple[LoopRef, ...] = ()
        for loop in (*nest, None):
            if run and (loop is None or loop in special or not all(_together(run[-1], loop, other) for other in nests)):
                if run[-1] not in seen:
                    yield run
                seen.update(run)
                run = ()
            if loop is not None:
                run += (loop,)


def _together(outer: LoopRef, inner: LoopRef, nest: tuple[LoopRef, ...]) -> bool:
    """Whether a nest has a loop right below another, or neither."""
    if outer in nest and inner in nest:
        return nest.index(inner) == nest.index(outer) + 1
    return outer not in nest and inner not in nest
