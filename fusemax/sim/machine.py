"""The machine that runs a program: servers that run tasks, and the sequencer that opens segments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from fusemax.errors import FusemaxError
from fusemax.sim.kernel import Kernel
from fusemax.sim.program.program import Dependence, Member, Program, TaskKind, Until
from fusemax.sim.stall import Stall, StallKind
from fusemax.sim.stream import Need, StreamState

BARRIER, WORK, LOOK = range(3)
"""Priorities of events at one time: segments open, tasks begin, and the fast-forward looks on."""

AT_ONCE, START = Stall(StallKind.GATE), Stall(StallKind.START)

RecordTask = Callable[[StreamState, int, int, int, int], None]
"""Called for every task: its stream and number, the times at which its server became free, it begins and it ends."""


@dataclass(slots=True, eq=False)
class Server:
    """An array, or the channel to the outermost memory: it runs one task at a time.

    It begins the oldest task that is ready, unless an older one is of a `strict` stream: that one comes first. `free`,
    `busy` and `stalls` are in ticks.
    """

    name: str
    kernel: Kernel
    states: list[StreamState] = field(default_factory=list)
    record: RecordTask | None = None
    free: int = 0
    woken: int | None = None
    busy: int = 0
    begun: int = 0
    stalls: dict[Stall, int] = field(default_factory=dict)

    def wake(self, time: int) -> None:
        """Look for a task at a time, or as soon as the one that runs has ended."""
        if time < self.free:
            time = self.free
        if time < self.kernel.now:
            time = self.kernel.now
        if self.woken is None or time < self.woken:
            self.woken = time
            self.kernel.at(time, WORK, self)

    def look_again(self) -> None:
        """Find the time of the next task anew."""
        self.woken = None
        for state in self.states:
            if state.ready is not None:
                self.wake(state.ready)

    def fire(self, now: int) -> None:
        """Begin a task, or find out when to look again."""
        if self.woken != now:
            return  # looked earlier
        self.woken = None
        best, soonest = self.oldest(now)
        if best is not None and best.ready is not None and best.ready <= now:
            self.begin(best, now)
        elif soonest is not None:
            self.wake(soonest)  # the stream that the oldest waits for wakes it, too

    def oldest(self, now: int) -> tuple[StreamState | None, int | None]:
        """The stream of the oldest task that is ready or that all others stand behind, and when to look again."""
        best: StreamState | None = None
        soonest: int | None = None
        for state in self.states:
            ready = state.ready
            waits = ready is None or ready > now
            if waits and ready is not None and (soonest is None or ready < soonest):
                soonest = ready
            if waits and not (state.strict and state.next < state.count):
                continue
            if best is None or state.key < best.key:
                best = state
        return best, soonest

    def begin(self, state: StreamState, now: int) -> None:
        """Run the next task of a stream, together with those that are ready of the streams that alternate with it."""
        idle = now - self.free
        if idle:
            stall = state.reason()
            self.stalls[stall] = self.stalls.get(stall, 0) + idle
        since = self.free
        if state.alternates:
            together = [state, *(s for s in state.alternates if s.ready is not None and s.ready <= now)]
            costs = [s.next_cost() for s in together]
            self.free = now + sum(costs)
            for one, cost in sorted(zip(together, costs, strict=True), key=lambda each: -each[1]):
                self.run(one, since, now, cost, now + sum(min(cost, other) for other in costs))
                since = now  # the others did not wait
        else:
            cost = state.next_cost()
            self.free = now + cost
            self.run(state, since, now, cost, self.free)
        self.wake(self.free)

    def run(self, state: StreamState, since: int, now: int, cost: int, end: int) -> None:
        """Begin a task of so many ticks that has ended at a time."""
        if self.record is not None:
            self.record(state, state.next, since, now, end)
        self.busy += cost
        self.begun += 1
        for reader in state.readers:
            state.queue = max(state.queue, state.next + 1 - reader.next * state.count // reader.count)
        segment = state.segment
        state.begun(now, end)
        if segment is not None:
            segment.ended(state, end, self.kernel)
        for level in state.levels:
            if state.next % level.every:
                break
            level.iteration_began(self.kernel, state.next // level.every)


@dataclass(slots=True, eq=False)
class SegmentState:
    """A segment as it runs: `left` tasks of this opening have not begun.

    An opening is over when all of its tasks have ended, and the drains for which it waits: at tick `latest`, for the task
    `last`.
    """

    gate: StreamState
    sequencer: Sequencer
    members: dict[StreamState, Member] = field(default_factory=dict)
    left: int = 0
    latest: int = 0
    cause: Stall = AT_ONCE
    last: tuple[StreamState, int] | None = None

    def ended(self, state: StreamState, end: int, kernel: Kernel) -> None:
        """A task of it has begun and ends at a time."""
        member = self.members[state]
        end += member.drain
        if end > self.latest:
            self.latest, self.cause, self.last = end, member.stall, (state, state.next - 1)
        self.left -= 1
        if not self.left:
            kernel.at(self.latest, BARRIER, self.sequencer)

    def open(self, now: int) -> bool:
        """Begin an opening; whether there is anything to do in it."""
        opening = self.gate.next
        self.latest = now
        self.left = sum(member.per_opening for state, member in self.members.items() if self.runs(state, opening))
        self.gate.begun(now, now)
        return self.left > 0

    def runs(self, state: StreamState, opening: int) -> bool:
        """Whether the next task of a member belongs to an opening."""
        return state.next < state.count and self.members[state].opening(state.next) == opening


@dataclass(slots=True, eq=False)
class Sequencer:
    """Opens segments one after the other, in program order."""

    segments: list[SegmentState] = field(default_factory=list)
    current: SegmentState | None = None

    def fire(self, now: int) -> None:
        """Open the next segment that has something to do."""
        cause = self.current.cause if self.current else START
        last = self.current.last if self.current else None
        while True:
            left = [segment for segment in self.segments if segment.gate.next < segment.gate.count]
            if not left:
                return
            segment = min(left, key=lambda s: s.gate.position(s.gate.next))
            segment.gate.stall, segment.gate.opened = cause, last
            if segment.open(now):
                self.current = segment
                return


class Machine:
    """The state of a run of a program: its servers, streams and segments, before the first task."""

    def __init__(self, program: Program, record: RecordTask | None = None) -> None:
        self.program, self.kernel, self.sequencer = program, Kernel(), Sequencer()
        self.servers = [Server(name, self.kernel, record=record) for name in program.servers]
        self.states = [StreamState.of(stream, program.latencies.get(stream, 0)) for stream in program.streams]
        of = {state.stream: state for state in self.states}
        for state in self.states:
            if state.stream.server is not None:
                state.server = self.servers[state.stream.server]
                state.server.states.append(state)
        for dependence in program.dependences:
            of[dependence.stream].needs.append(_need(dependence, of[dependence.source]))
        for group in program.alternations:
            for stream in group:
                of[stream].alternates = [of[other] for other in group if other is not stream]
        for queue in program.queues:
            of[queue.maker].readers = [of[reader] for reader in queue.readers]
        for segment in program.segments:
            opened = SegmentState(of[segment.gate], self.sequencer, {of[m.stream]: m for m in segment.members})
            self.sequencer.segments.append(opened)
            for member in opened.members:
                member.segment = opened

    @property
    def work(self) -> list[StreamState]:
        """The streams that run on servers: all but gates."""
        return [state for state in self.states if state.stream.kind is not TaskKind.GATE]

    def start(self) -> None:
        """Find all first tasks, and open the first segment."""
        for state in self.work:
            state.refresh()
        self.sequencer.fire(0)

    def finish(self, look: Callable[[], None] | None = None) -> int:
        """Run to the end; the time at which all results are there. Raises `FusemaxError` if tasks wait for ever."""
        self.kernel.run(look)
        if any(state.next < state.count for state in self.states):
            raise self.deadlock()
        return max((state.last for state in self.states), default=0)

    def deadlock(self) -> FusemaxError:
        """The chain of tasks that wait for each other, a circle if there is one."""
        stuck = [state for state in self.work if state.next < state.count]
        chain: list[StreamState] = [min(stuck, key=lambda s: s.key)]
        text = ""
        while (found := self.blocker(chain[-1])) is not None:
            other, verb = found
            text += f", which {verb} {_task(other)}"
            if other in chain:
                break
            chain.append(other)
        message = f"nothing can go on: {_task(chain[0])}{text}"
        return FusemaxError(message, "list Einsums before their readers, or hold less at once")

    def blocker(self, state: StreamState) -> tuple[StreamState, str] | None:
        """The stream that keeps a task from beginning, and how: by a need, by its open segment, or by standing before it."""
        if state.ready is None and state.binding is not None:
            other = state.binding.state
            if other.stream.kind is not TaskKind.GATE:
                return other, "waits for"
            segment = self.sequencer.current
            left = [s for s in segment.members if segment.runs(s, segment.gate.next - 1)] if segment else []
            return (left[0], "waits for the end of") if left else None
        oldest = None if state.server is None else state.server.oldest(self.kernel.now)[0]
        return None if oldest is None or oldest is state else (oldest, "stands behind")


def _need(dependence: Dependence, source: StreamState) -> Need:
    begun = dependence.until is Until.BEGUN
    early = source.latency if dependence.until is Until.ENDED else 0
    return Need(source, dependence.index, begun, dependence.stall, early)


def _task(state: StreamState) -> str:
    return f"{state.stream.name} (task {state.next + 1} of {state.count})"
