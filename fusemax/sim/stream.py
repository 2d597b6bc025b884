"""A task stream as it runs: the next task, the reason for which it waits, and the times at which results arrive."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fusemax.bind.plan import LoopRef
from fusemax.sim.program.program import TaskStream
from fusemax.sim.stall import Stall, StallKind

if TYPE_CHECKING:
    from fusemax.sim.fast_forward.steady import Level
    from fusemax.sim.machine import SegmentState, Server

IDLE = Stall(StallKind.IDLE)


@dataclass(slots=True, eq=False)
class Need:
    """A dependence as it runs: task n needs task `index(n)` of another stream.

    `begun`: its begin suffices; `early`: else its end, so many ticks before its result arrives. `stall` is None for a
    gate, whose own applies.
    """

    state: StreamState
    index: Callable[[int], int]
    begun: bool
    stall: Stall | None
    early: int = 0


@dataclass(slots=True, eq=False)
class StreamState:
    """The state of a stream in a run.

    `next` is the task to begin next, at position `key`; `ready` when it may begin, if that is known; `binding` the need
    that is met last. `done` has the arrivals of the latest results, of which the first is task `oldest`'s, `last` the
    latest of all, and `waiting` the streams that look again when a task begins. `queue` is the longest queue of tiles.
    Of a gate, `stall` is the reason for which it opened last, and `opened` the task whose end opened it. The fields up to
    `strides` are the stream's own, read at every task.
    """

    stream: TaskStream
    count: int
    cost: Callable[[int], int] | int
    position: Callable[[int], int]
    strict: bool
    latency: int
    strides: dict[LoopRef, int]
    needs: list[Need] = field(repr=False, default_factory=list)
    server: Server | None = field(repr=False, default=None)
    segment: SegmentState | None = field(repr=False, default=None)
    readers: list[StreamState] = field(repr=False, default_factory=list)
    alternates: list[StreamState] = field(repr=False, default_factory=list)
    levels: list[Level] = field(repr=False, default_factory=list)
    next: int = 0
    key: int = 0
    ready: int | None = None
    binding: Need | None = field(repr=False, default=None)
    done: deque[int] = field(default_factory=deque)
    oldest: int = 0
    last: int = 0
    waiting: list[tuple[int, StreamState]] = field(repr=False, default_factory=list)
    queue: int = 0
    stall: Stall = IDLE
    opened: tuple[StreamState, int] | None = field(repr=False, default=None)

    @staticmethod
    def of(stream: TaskStream, latency: int) -> StreamState:
        """A stream before its first task; `latency` are the ticks by which its results arrive later."""
        return StreamState(
            stream, stream.count, stream.cost, stream.position, stream.strict, latency, stream.loops.strides
        )

    def refresh(self) -> None:
        """Find out when the next task may begin."""
        number = self.next
        if number >= self.count:
            self.ready = None
            return
        self.key = self.position(number)
        ready = 0
        binding = self.binding  # a need of a begin, which has no time
        for need in self.needs:
            task = need.index(number)
            if task < 0:
                continue
            other = need.state
            if task >= other.next:
                self.ready, self.binding = None, need
                other.waiting.append((task, self))
                return
            if not need.begun:
                at = task - other.oldest
                if at >= 0 and (done := other.done[at] - need.early) > ready:
                    ready, binding = done, need
        self.ready, self.binding = ready, binding
        if self.server is not None:
            self.server.wake(ready)

    def next_cost(self) -> int:
        """Ticks of the next task."""
        return self.cost if isinstance(self.cost, int) else self.cost(self.next)

    def reason(self) -> Stall:
        """The reason for which the next task waited last."""
        if self.binding is None:
            return IDLE
        return self.binding.stall or self.binding.state.stall

    def begun(self, now: int, end: int) -> None:
        """Count one more task, let the streams that waited for it look again, and look at the next."""
        done = self.done
        while done and done[0] <= now:
            done.popleft()
            self.oldest += 1
        done.append(end + self.latency)
        self.last = end + self.latency
        self.next += 1
        self.binding = None
        if self.waiting:
            self.tell()
        self.refresh()

    def tell(self) -> None:
        """Let the streams look again that waited for a task that has begun by now."""
        told = [state for task, state in self.waiting if task < self.next]
        if told:
            self.waiting = [entry for entry in self.waiting if entry[0] >= self.next]
            for state in told:
                state.refresh()

    def pass_over(self, tasks: int, ticks: int) -> None:
        """Count so many more tasks, which are like those before and so much later."""
        self.last += ticks
        self.done = deque(time + ticks for time in self.done)
        self.next += tasks
        self.oldest += tasks
        if self.next < self.count:
            self.key = self.position(self.next)
