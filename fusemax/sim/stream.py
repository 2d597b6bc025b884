"""A series: tasks of one kind in the order of their loops, and what each of them waits for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from fusemax.bind.plan import LoopRef
from fusemax.sim.task_index import Nest

if TYPE_CHECKING:
    from fusemax.sim.fast_forward.steady import Level
    from fusemax.sim.machine import Segment, Server


class TaskKind(Enum):
    """What the tasks of a series do."""

    EINSUM = "einsum"
    LOAD = "load"
    STORE = "store"
    GATE = "gate"


@dataclass(slots=True, eq=False)
class Wait:
    """Task n waits until task `index(n)` of another series is done, if there is one.

    `together`: both run on one server, which ends one task before it begins the next, so that it is enough that the
    other has begun. `early`: so many ticks before its result is there, for who needs its place and not its result.
    `why` is what a person reads; without, it is the other's `note`.
    """

    series: Series
    index: Callable[[int], int]
    together: bool
    why: str
    early: int = 0


@dataclass(slots=True, eq=False)
class Series:
    """Tasks 0 to `count - 1`, begun in this order, each `cost` ticks long; results are there `latency` ticks later.

    `position` gives a task's place in the program, in the order in which it is written, `strides` the tasks per
    iteration of each loop, `total` the bytes of all transfers, `special` the loops whose first iteration is not like the
    others, `turns` the series with which it takes turns, `opened`, of a gate, the task for whose end it waited. The rest
    is the state of a run: `next` is the task to begin next, `ready` when it may begin if that is known, `binding` what it
    waits for longest, `done` when the results of the latest tasks are there, of which the first is task `oldest`.
    """

    name: str
    kind: TaskKind
    tensor: str
    nest: Nest
    count: int
    cost: Callable[[int], int] | int
    position: Callable[[int], int]
    strides: dict[LoopRef, int]
    latency: int = 0
    total: float = 0.0
    placement: int | None = None
    strict: bool = False
    periodic: bool = True
    special: tuple[LoopRef, ...] = ()
    waits: list[Wait] = field(repr=False, default_factory=list)
    server: Server | None = field(repr=False, default=None)
    segment: Segment | None = field(repr=False, default=None)
    instance: Callable[[int], int] | None = None
    per_instance: int = 0
    drain: int = 0
    watched: list[Series] = field(repr=False, default_factory=list)
    turns: list[Series] = field(repr=False, default_factory=list)
    opened: tuple[Series, int] | None = field(repr=False, default=None)
    next: int = 0
    ready: int | None = None
    key: int = 0
    note: str = ""
    binding: Wait | None = field(repr=False, default=None)
    done: deque[int] = field(default_factory=deque)
    oldest: int = 0
    last: int = 0
    waiting: list[tuple[int, Series]] = field(repr=False, default_factory=list)
    queue: int = 0
    levels: list[Level] = field(repr=False, default_factory=list)

    def refresh(self) -> None:
        """Find out when the next task may begin."""
        number = self.next
        if number >= self.count:
            self.ready = None
            return
        self.key = self.position(number)
        ready = 0
        binding = self.binding  # what has only had to begin
        for wait in self.waits:
            task = wait.index(number)
            if task < 0:
                continue
            other = wait.series
            if task >= other.next:
                self.ready, self.binding = None, wait
                other.waiting.append((task, self))
                return
            if not wait.together:
                at = task - other.oldest
                if at >= 0 and (done := other.done[at] - wait.early) > ready:
                    ready, binding = done, wait
        self.ready, self.binding = ready, binding
        if self.server is not None:
            self.server.wake(ready)

    def next_cost(self) -> int:
        """Ticks of the next task."""
        return self.cost if isinstance(self.cost, int) else self.cost(self.next)

    def reason(self) -> str:
        """For what the next task waited last."""
        if self.binding is None:
            return "nothing to do"
        return self.binding.why or self.binding.series.note

    def begun(self, now: int, end: int) -> None:
        """Count one more task, tell those that waited for it, and look at the next."""
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
        """Let those look again that waited for what has begun by now."""
        told = [series for task, series in self.waiting if task < self.next]
        if told:
            self.waiting = [entry for entry in self.waiting if entry[0] >= self.next]
            for series in told:
                series.refresh()

    def pass_over(self, tasks: int, ticks: int) -> None:
        """Count so many more tasks, that are like those before and so much later."""
        self.last += ticks
        self.done = deque(time + ticks for time in self.done)
        self.next += tasks
        self.oldest += tasks
        if self.next < self.count:
            self.key = self.position(self.next)
