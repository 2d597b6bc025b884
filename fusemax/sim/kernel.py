"""A clock and a heap of events in integer ticks. It knows no hardware."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import Protocol

OFTEN = 1 << 15


class Event(Protocol):
    """Something that happens at a time."""

    def fire(self, now: int) -> None:
        """Let it happen."""


class Kernel:
    """Fires events in the order of their times, then of their priorities, then as they were put in.

    >>> class Bell:
    ...     def fire(self, now: int) -> None:
    ...         print("at", now)
    >>> kernel = Kernel()
    >>> kernel.at(20, 0, Bell())
    >>> kernel.at(10, 0, Bell())
    >>> kernel.run()
    at 10
    at 20
    """

    def __init__(self) -> None:
        self.now = 0
        self._heap: list[tuple[int, int, int, Event]] = []
        self._count = 0

    def at(self, time: int, priority: int, event: Event) -> None:
        """Put in an event that fires at a time that has not passed."""
        self._count += 1
        heappush(self._heap, (time, priority, self._count, event))

    def run(self, look: Callable[[], None] | None = None) -> None:
        """Fire until no event is left; `look` is called now and then."""
        fired = 0
        while self._heap:
            time, _, _, event = heappop(self._heap)
            self.now = time
            event.fire(time)
            fired += 1
            if look is not None and not fired % OFTEN:
                look()

    def pending(self) -> list[tuple[int, int, Event]]:
        """The events to come, soonest first: their time from now, their priority, and the event."""
        return [(time - self.now, priority, event) for time, priority, _, event in sorted(self._heap, key=_order)]

    def jump(self, ticks: int) -> None:
        """Move the clock and all that is to come."""
        self.now += ticks
        self._heap = [(time + ticks, priority, count, event) for time, priority, count, event in self._heap]
        heapify(self._heap)


def _order(entry: tuple[int, int, int, Event]) -> tuple[int, int, int]:
    return entry[:3]
