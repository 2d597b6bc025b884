"""What waits say about tasks that are still to come."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fusemax.bind.plan import LoopRef
from fusemax.sim.stream import Series, Wait
from fusemax.sim.task_index import NONE, Nest


def rising(index: Callable[[int], int], nest: Nest, loops: Sequence[LoopRef]) -> bool:
    """Whether a map from tasks to tasks never falls from one iteration of some loops to the next: a sum of digits, of
    which none weighs less than all below it.

    >>> from fusemax.sim.task_index import IndexMap
    >>> nest = Nest((LoopRef("a", 0), LoopRef("b", 0)), (3, 5))
    >>> [rising(IndexMap(((nest.digit(0), w), (nest.digit(1), 1))).compiled(15), nest, nest.loops) for w in (7, 4, 3)]
    [True, True, False]
    """
    last = nest.count - 1
    top = index(last)
    below = 0
    for i in reversed(range(len(nest.loops))):
        digit = nest.digit(i)
        if digit.extent == 1 or nest.loops[i] not in loops:
            continue
        weight = top - index(last - digit.below)
        lowest = index(last - digit.below * (digit.extent - 1))
        if weight < below or lowest != max(top - weight * (digit.extent - 1), NONE):
            return False
        below += weight * (digit.extent - 1)
    return True


def is_done(wait: Wait, task: int, now: int) -> bool:
    """Whether a task is done that is waited for; `NONE` always is."""
    other = wait.series
    at = task - other.oldest
    return task < other.next and (wait.together or at < 0 or other.done[at] - wait.early <= now)


def next_wanted(wait: Wait, reader: Series, least: int) -> int:
    """The first task from `least` on that the next tasks of a reader wait for, as its waits rise; `NONE` if none is."""
    low, high = reader.next, reader.count
    if low >= high:
        return NONE
    found = wait.index(low)
    if found >= least:
        return found
    while high - low > 1:  # index(low) < least
        middle = (low + high) // 2
        if wait.index(middle) >= least:
            high = middle
        else:
            low = middle
    return wait.index(high) if high < reader.count else NONE
