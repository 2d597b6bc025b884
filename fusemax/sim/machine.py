"""The machine: servers that run the tasks of series, and the sequencer of what takes turns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from fusemax.errors import FusemaxError
from fusemax.sim.kernel import Kernel
from fusemax.sim.stream import Series, TaskKind

TURN, WORK, LOOK = range(3)
"""Priorities of events at one time: whose turn it is, what begins, and who looks on."""

Record = Callable[[Series, int, int, int, int], None]
"""Told of every task: its series and number, when its server became free for it, when it begins and when it ends."""


@dataclass(slots=True, eq=False)
class Server:
    """Something that runs one task at a time: an array, or the channel to the outermost memory.

    It begins the oldest task that is ready, unless an older one is of a `strict` series: that one comes first. `free`,
    `busy` and `stalls` are in ticks.
    """

    name: str
    kernel: Kernel
    series: list[Series] = field(default_factory=list)
    record: Record | None = None
    free: int = 0
    woken: int | None = None
    busy: int = 0
    begun: int = 0
    stalls: dict[str, int] = field(default_factory=dict)

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
        for series in self.series:
            if series.ready is not None:
                self.wake(series.ready)

    def fire(self, now: int) -> None:
        """Begin a task, or find out when to look again."""
        if self.woken != now:
            return  # looked earlier
        self.woken = None
        best, soonest = self.oldest(now)
        if best is not None and best.ready is not None and best.ready <= now:
            self.begin(best, now)
        elif soonest is not None:
            self.wake(soonest)  # what the oldest waits for wakes it too

    def oldest(self, now: int) -> tuple[Series | None, int | None]:
        """The series of the oldest task that is ready or that all others stand behind, and when to look again."""
        best: Series | None = None
        soonest: int | None = None
        for series in self.series:
            ready = series.ready
            waits = ready is None or ready > now
            if waits and ready is not None and (soonest is None or ready < soonest):
                soonest = ready
            if waits and not (series.strict and series.next < series.count):
                continue
            if best is None or series.key < best.key:
                best = series
        return best, soonest

    def begin(self, series: Series, now: int) -> None:
        """Run the next task of a series, in turns with those that are ready of the series beside it."""
        idle = now - self.free
        if idle:
            why = series.reason()
            self.stalls[why] = self.stalls.get(why, 0) + idle
        since = self.free
        if series.turns:
            together = [series, *(s for s in series.turns if s.ready is not None and s.ready <= now)]
            costs = [s.next_cost() for s in together]
            self.free = now + sum(costs)
            for one, cost in sorted(zip(together, costs, strict=True), key=lambda each: -each[1]):
                self.run(one, since, now, cost, now + sum(min(cost, other) for other in costs))
                since = now  # the others did not wait
        else:
            cost = series.next_cost()
            self.free = now + cost
            self.run(series, since, now, cost, self.free)
        self.wake(self.free)

    def run(self, series: Series, since: int, now: int, cost: int, end: int) -> None:
        """Begin a task of so many ticks that has ended at a time."""
        if self.record is not None:
            self.record(series, series.next, since, now, end)
        self.busy += cost
        self.begun += 1
        for reader in series.watched:
            series.queue = max(series.queue, series.next + 1 - reader.next * series.count // reader.count)
        segment = series.segment
        series.begun(now, end)
        if segment is not None:
            segment.ended(series, end + series.drain, self.kernel)
        for level in series.levels:
            if series.next % level.every:
                break
            level.iteration_began(self.kernel, series.next // level.every)


@dataclass(slots=True, eq=False)
class Segment:
    """A part of the program that takes turns with others: a stage, or a statement of a plain loop.

    `gate` counts its turns. A turn is over when all of its tasks have ended, and the drains for which it waits: at tick
    `latest`, for the task `last`.
    """

    gate: Series
    members: list[Series] = field(default_factory=list)
    sequencer: Sequencer | None = None
    left: int = 0
    latest: int = 0
    cause: str = "its turn"
    last: tuple[Series, int] | None = None

    def ended(self, series: Series, end: int, kernel: Kernel) -> None:
        """A task of it has begun and ends at a time."""
        if end > self.latest:
            self.latest, self.cause = end, f"{series.name} to drain" if series.drain else f"the end of {series.name}"
            self.last = series, series.next - 1
        self.left -= 1
        if not self.left:
            assert self.sequencer is not None
            kernel.at(self.latest, TURN, self.sequencer)

    def open(self, now: int) -> bool:
        """Begin a turn; whether there is anything to do in it."""
        turn = self.gate.next
        self.latest = now
        self.left = sum(s.per_instance for s in self.members if s.next < s.count and _instance(s) == turn)
        self.gate.begun(now, now)
        return self.left > 0


def _instance(series: Series) -> int:
    assert series.instance is not None
    return series.instance(series.next)


@dataclass(slots=True, eq=False)
class Sequencer:
    """Lets segments take turns in the order of the program."""

    segments: list[Segment] = field(default_factory=list)
    current: Segment | None = None

    def fire(self, now: int) -> None:
        """Open the next segment that has something to do."""
        cause = self.current.cause if self.current else "the start"
        last = self.current.last if self.current else None
        while True:
            left = [segment for segment in self.segments if segment.gate.next < segment.gate.count]
            if not left:
                return
            segment = min(left, key=lambda s: s.gate.position(s.gate.next))
            segment.gate.note, segment.gate.opened = cause, last
            if segment.open(now):
                self.current = segment
                return


@dataclass(slots=True, eq=False)
class Machine:
    """All servers and series of one phase."""

    kernel: Kernel
    units: list[Server] = field(default_factory=list)
    channel: Server | None = None
    sequencer: Sequencer = field(default_factory=Sequencer)
    series: list[Series] = field(default_factory=list)

    @property
    def servers(self) -> list[Server]:
        """Arrays and the channel."""
        return [*self.units, *([self.channel] if self.channel else [])]

    def start(self) -> None:
        """Find all first tasks, and open the first segment."""
        for series in self.series:
            if series.kind is not TaskKind.GATE:
                series.refresh()
        self.sequencer.fire(0)

    def finish(self, look: Callable[[], None] | None = None) -> int:
        """Run to the end; the time at which all results are there. Raises `FusemaxError` if tasks wait for ever."""
        self.kernel.run(look)
        if any(series.next < series.count for series in self.series):
            raise self.deadlock()
        return max((series.last for series in self.series), default=0)

    def deadlock(self) -> FusemaxError:
        """Who waits for whom, in a circle if there is one."""
        stuck = [s for s in self.series if s.next < s.count and s.kind is not TaskKind.GATE]
        chain: list[Series] = [min(stuck, key=lambda s: s.key)]
        text = ""
        while (found := self.blocker(chain[-1])) is not None:
            other, why = found
            text += f", which {why} {_task(other)}"
            if other in chain:
                break
            chain.append(other)
        message = f"nothing can go on: {_task(chain[0])}{text}"
        return FusemaxError(message, "put what is read before what reads it, or hold less at once")

    def blocker(self, series: Series) -> tuple[Series, str] | None:
        """Who keeps a task from beginning, and how: what it waits for, who has the turn, or who stands before it."""
        if series.ready is None and series.binding is not None:
            other = series.binding.series
            if other.kind is not TaskKind.GATE:
                return other, "waits for"
            turn = self.sequencer.current
            members = turn.members if turn is not None else []
            left = (s for s in members if turn and s.next < s.count and _instance(s) == turn.gate.next - 1)
            return next(((s, "waits for the end of") for s in left), None)
        oldest = None if series.server is None else series.server.oldest(self.kernel.now)[0]
        return None if oldest is None or oldest is series else (oldest, "stands behind")


def _task(series: Series) -> str:
    return f"{series.name} (task {series.next + 1} of {series.count})"
