"""Needs of tasks that are still to come."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fusemax.bind.plan import LoopRef
from fusemax.sim.stream import Need, StreamState
from fusemax.sim.task_index import NONE, TaskLoops


def rising(index: Callable[[int], int], nest: TaskLoops, loops: Sequence[LoopRef]) -> bool:
    """Whether a map from tasks to tasks never falls from one iteration of some loops to the next: a sum of digits, each of
    which weighs at least as much as all below it.

    >>> from fusemax.sim.task_index import IndexMap
    >>> nest = TaskLoops((LoopRef("a", 0), LoopRef("b", 0)), (3, 5))
    >>> [rising(IndexMap(((nest.digit(0), w), (nest.digit(1), 1))).compiled(15), nest, nest.refs) for w in (7, 4, 3)]
    [True, True, False]
    """
    last = nest.count - 1
    top = index(last)
    below = 0
    for i in reversed(range(len(nest.refs))):
        digit = nest.digit(i)
        if digit.extent == 1 or nest.refs[i] not in loops:
            continue
        weight = top - index(last - digit.below)
        lowest = index(last - digit.below * (digit.extent - 1))
        if weight < below or lowest != max(top - weight * (digit.extent - 1), NONE):
            return False
        below += weight * (digit.extent - 1)
    return True


def is_done(need: Need, task: int, now: int) -> bool:
    """Whether a need is met by a task; one of `NONE` always is."""
    other = need.state
    at = task - other.oldest
    return task < other.next and (need.begun or at < 0 or other.done[at] - need.early <= now)


def next_wanted(need: Need, reader: StreamState, least: int) -> int:
    """The first task from `least` on that the next tasks of a reader need, as its needs rise; `NONE` if it needs none."""
    low, high = reader.next, reader.count
    if low >= high:
        return NONE
    found = need.index(low)
    if found >= least:
        return found
    while high - low > 1:  # index(low) < least
        middle = (low + high) // 2
        if need.index(middle) >= least:
            high = middle
        else:
            low = middle
    return need.index(high) if high < reader.count else NONE
