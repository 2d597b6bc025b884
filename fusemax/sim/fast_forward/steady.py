"""Steady state: when a machine is again in a state in which it was, but for the iteration of a loop, what lies between
repeats until something at the end of the loop comes near; the clock and all counters jump there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

from fusemax.bind.plan import LoopRef
from fusemax.sim.fast_forward.isolated import Alone, alone
from fusemax.sim.fast_forward.lookahead import is_done, rising
from fusemax.sim.kernel import Kernel
from fusemax.sim.machine import LOOK, Machine, Sequencer, Server
from fusemax.sim.stream import Series, TaskKind, Wait

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
    """When a state was seen, at which iteration, and what all servers had counted."""

    now: int
    iteration: int
    counters: tuple[tuple[int, int, dict[str, int]], ...]


@dataclass(slots=True, eq=False)
class Level:
    """One loop, or several that are as good as one, the innermost of which is `loop`.

    It is looked at whenever its first series has begun an iteration to its end.
    """

    steady: Steady
    loop: LoopRef
    extent: int
    first: Series
    every: int
    inside: Sequence[tuple[Series, int]]
    apart: Sequence[Server]
    needs: Sequence[tuple[Series, int, Wait, bool]]
    alone: Alone | None
    large: bool
    outer: int = -1
    seen: dict[Any, Seen] = field(default_factory=dict)
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
        if (often and not self.wait) or (at == 2 and self.alone is not None):
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
        if self.alone is None or not self.steady.skip(self.alone, now):
            self.steady.look(self, now)


class Steady:
    """Watches a machine; it jumps over nothing between the times `begin` and `end`."""

    def __init__(self, machine: Machine, begin: int = 0, end: int = 0) -> None:
        self.machine, self.kernel, self.begin, self.end = machine, machine.kernel, begin, end
        self.segments = machine.sequencer.segments
        self.jumped = 0
        for loops in _runs(machine.series):
            members = [series for series in machine.series if loops[-1] in series.strides]
            first = next((series for series in members if series.kind is TaskKind.EINSUM), None)
            if first is None or not all(series.periodic for series in members):
                continue
            extent = prod(first.nest.extents[first.nest.loops.index(loop)] for loop in loops)
            if extent >= FEWEST:
                first.levels.append(self.level(loops, extent, members, first))
        for series in machine.series:
            series.levels.sort(key=lambda level: level.every)

    def level(self, loops: tuple[LoopRef, ...], extent: int, members: Sequence[Series], first: Series) -> Level:
        """Some loops as one that is looked at."""
        needs = [(s, s.strides[loops[-1]], w) for s in members for w in s.waits if w.series not in members]
        used = {id(series.server) for series in members}
        return Level(
            self, loops[-1], extent, first, first.strides[loops[-1]],
            inside=[(series, series.strides[loops[-1]]) for series in members],
            apart=[] if self.segments else [s for s in self.machine.servers if id(s) not in used],
            needs=[(s, stride, w, rising(w.index, s.nest, loops)) for s, stride, w in needs],
            alone=alone(self.machine, loops, extent, members),
            large=sum(s.strides[loops[-1]] for s in members) >= LARGE,
        )  # fmt: skip

    def skip(self, alone: Alone, now: int) -> bool:
        """Run a loop at once that has a server for itself; whether that can be done."""
        if self.begin <= now < self.end:
            return False
        passed = alone.skip(now, self.begin if now < self.begin < self.end else None)
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
        for series, stride in level.inside:
            begin = outer * level.extent * stride
            if not begin + stride <= series.next <= begin + (level.extent - 1) * stride:
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
        room = self.room(level, period)
        until = min((time for time in self.outside(level, apart) if time > now), default=None)
        if now < self.begin < self.end:
            seen = self.begin - max(
                0, max(server.free for server in self.machine.servers) - now
            )  # what still runs then
            until = seen if until is None else min(until, seen)
        if until is not None:
            room = min(room, (until - now - 1) // (now - before.now))
        while room > 0 and not self.undisturbed(level, room * period, now):
            room //= 2
        if room > 0:
            self.jump(level, room, period, now - before.now, before.counters, apart)
            level.seen, level.settled, level.failures = {}, True, 0

    def room(self, level: Level, period: int) -> int:
        """How often a period fits in before the end of the loop, and before somebody outside waits for a task."""
        last = (level.outer + 1) * level.extent - 1
        room = min((last * stride - series.next) // (period * stride) for series, stride in level.inside)
        for series, stride in level.inside:
            for task, reader in series.waiting:
                if level.loop not in reader.strides:
                    room = min(room, (task - series.next) // (period * stride))
        return room

    def undisturbed(self, level: Level, iterations: int, now: int) -> bool:
        """Whether all is done that so many iterations wait for outside of the loop, and nothing else comes in between."""
        end = (level.outer + 1) * level.extent
        for series, stride, wait, rises in level.needs:
            last = series.next // stride + iterations + 1 if rises else end
            if not is_done(wait, wait.index(last * stride - 1), now):
                return False
        for server in self.machine.servers:
            others = [s.key for s in server.series if level.loop not in s.strides and s.ready is not None]
            for series in server.series if others else ():
                if level.loop in series.strides:
                    latest = series.position(series.next + iterations * series.strides[level.loop])
                    if any(series.key < key < latest for key in others):
                        return False
        return True

    def outside(self, level: Level, apart: Sequence[Server]) -> Iterator[int]:
        """The times at which something happens that has nothing to do with a loop, as far as they are known."""
        for server in apart:
            yield server.free
        for series in self.machine.series:
            if level.loop not in series.strides:
                yield from series.done
                if series.ready is not None:
                    yield series.ready

    def state(self, level: Level, iteration: int, now: int, apart: Sequence[Server]) -> Any:
        """All that decides about the loop, relative to the time and to the iteration."""
        series = tuple(
            (
                s.next - iteration * s.strides[level.loop],
                -1 if s.ready is None else max(s.ready - now, 0),
                -1 if s.binding is None else id(s.binding),
                tuple([time - now for time in s.done if time > now]),
            )
            if level.loop in s.strides
            else (s.next, s.ready is not None and s.ready <= now)
            for s in self.machine.series
        )
        idle = (
            level.looked - now
        )  # a server that has not worked since the last look waits for what is outside of the loop
        servers = tuple(None if s in apart else max(s.free - now, idle) for s in self.machine.servers)
        segments = tuple((s.left, max(s.latest - now, 0)) for s in self.segments if s.left)
        turns = (
            tuple(time for time, _, event in self.kernel.pending() if isinstance(event, Sequencer))
            if self.segments
            else ()
        )
        return series, servers, segments, turns

    def jump(
        self, level: Level, times: int, period: int, ticks: int, before: Sequence[tuple[int, int, dict[str, int]]],
        apart: Sequence[Server],
    ) -> None:  # fmt: skip
        """Let so many periods pass at once."""
        now, later = self.kernel.now, times * ticks
        self.kernel.jump(later)
        for series in self.machine.series:
            tasks = times * period * series.strides.get(level.loop, 0)
            if not tasks:
                continue
            series.pass_over(tasks, later)
            series.waiting = [
                (task + tasks if level.loop in reader.strides else task, reader) for task, reader in series.waiting
            ]
            if series.ready is not None:
                series.ready += later
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


def _runs(series: Sequence[Series]) -> Iterator[tuple[LoopRef, ...]]:
    """Loops that are as good as one, outermost first: every series has all of them one below the other, or none, and
    the first iteration of an inner one is like the others."""
    special = {loop for one in series for loop in one.special}
    nests = list(dict.fromkeys(one.nest.loops for one in series))
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
