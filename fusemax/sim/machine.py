"""The machine: servers that run the tasks of series, and the sequencer of what takes turns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from fusemax.errors import FusemaxError
from fusemax.sim.kernel import Kernel
from fusemax.sim.series import Kind, Series

TURN, WORK, LOOK = range(3)
"""Priorities of events at one time: whose turn it is, what begins, and who looks on."""

Record = Callable[[Series, int, int, int, int], None]
"""Told of every task: its series and number, when its server became free for it, when it begins and when it ends."""


@dataclass(slots=True, eq=False)
class Server:
    """Something that runs one task at a time: an array, or the channel to the outermost memory.

    It begins the oldest task that is ready; with `in_order`, the oldest task of all, and waits until it is ready.
    """

    name: str
    kernel: Kernel
    in_order: bool = False
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
        best: Series | None = None
        soonest: int | None = None
        for series in self.series:
            ready = series.ready
            if ready is None:
                if self.in_order and series.next < series.count and (best is None or series.key < best.key):
                    best = series
            elif ready <= now or self.in_order:
                if best is None or series.key < best.key:
                    best = series
            elif soonest is None or ready < soonest:
                soonest = ready
        if best is None:
            if soonest is not None:
                self.wake(soonest)
        elif best.ready is None:
            pass  # what it waits for wakes it
        elif best.ready > now:
            self.wake(best.ready)
        else:
            self.begin(best, now)

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
            for one, cost in sorted(zip(together, costs, strict=True), key=lambda each: each[1]):
                self.run(one, since, now, cost, now + sum(min(cost, other) for other in costs))
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

    `gate` counts its turns. A turn is over when all of its tasks have ended, and the drains for which it waits.
    """

    gate: Series
    members: list[Series] = field(default_factory=list)
    sequencer: Sequencer | None = None
    left: int = 0
    latest: int = 0
    cause: str = "its turn"

    def ended(self, series: Series, end: int, kernel: Kernel) -> None:
        """A task of it has begun and ends at a time."""
        if end > self.latest:
            self.latest, self.cause = end, f"{series.name} to drain" if series.drain else f"the end of {series.name}"
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
        while True:
            left = [segment for segment in self.segments if segment.gate.next < segment.gate.count]
            if not left:
                return
            segment = min(left, key=lambda s: s.gate.position(s.gate.next))
            segment.gate.note = cause
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
            if series.kind is not Kind.GATE:
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
        stuck = [s for s in self.series if s.next < s.count and s.kind is not Kind.GATE]
        first = min(stuck, key=lambda s: s.key)
        chain: list[Series] = [first]
        while chain[-1].ready is None and (binding := chain[-1].binding) is not None:
            other = binding.series
            if other in chain:
                chain = [*chain[chain.index(other) :], other]
                break
            chain.append(other)
        text = ", which waits for ".join(f"{s.name} (task {s.next + 1} of {s.count})" for s in chain)
        return FusemaxError(f"nothing can go on: {text}", "put what is read before what reads it, or hold less at once")
