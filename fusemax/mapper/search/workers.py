"""Trials of the structures of a space in order, in this process or ahead of their turn in others."""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

from fusemax.mapper.objective import Objective
from fusemax.mapper.search.search import Search, TrialResult, try_out
from fusemax.mapper.space.protocol import AnySpace, Cutoff, Structure, Trees
from fusemax.model.energy import Accounting

AHEAD = 16
"""Trees of loops that wait for each process, or that it has costed and that wait for their turn."""


@dataclass(frozen=True, slots=True)
class StructureTurn:
    """The turn of a structure begins (`result` is None), or some of its trees were costed."""

    structure: Structure
    result: TrialResult | None


SearchEvent = StructureTurn | Cutoff
"""An event of a search, in the order of the space."""


def turns(search: Search, structures: Iterator[Structure | Cutoff]) -> Generator[SearchEvent, None, None]:
    """Structures in order, each with its trees, and the parts that are left out; with several jobs, other processes cost
    trees that are still to come."""
    if search.options.jobs <= 1:
        for structure, trees in _listed(search, structures):
            if isinstance(structure, Cutoff):
                yield structure
            else:
                yield StructureTurn(structure, None if trees is None else _tried(search, trees))
        return
    arguments = (search.space, search.objective, search.accounting, search.top)
    pool = ProcessPoolExecutor(search.options.jobs, initializer=_begin, initargs=arguments)
    try:
        waiting: deque[tuple[Structure | Cutoff, Future[TrialResult] | None]] = deque()
        for structure, trees in _listed(search, structures):
            waiting.append((structure, None if trees is None else pool.submit(_work, trees)))
            if len(waiting) > AHEAD * search.options.jobs:
                yield _event(*waiting.popleft())
        while waiting:
            yield _event(*waiting.popleft())
    finally:
        pool.shutdown(cancel_futures=True)


def _listed(
    search: Search, structures: Iterator[Structure | Cutoff]
) -> Iterator[tuple[Structure | Cutoff, Trees | None]]:
    """Structures in order: None, then the trees of those that may be better; and the parts that are left out."""
    for structure in structures:
        yield structure, None
        if isinstance(structure, Cutoff) or search.can_prune(structure):
            continue
        for trees in search.space.batches(structure):
            yield (trees, None) if isinstance(trees, Cutoff) else (structure, trees)


def _tried(search: Search, trees: Trees) -> TrialResult:
    return try_out(trees, search.space, search.objective, search.accounting, search.top)


def _event(structure: Structure | Cutoff, result: Future[TrialResult] | None) -> SearchEvent:
    """A turn, with the result of its trees once a process has it."""
    if isinstance(structure, Cutoff):
        return structure
    return StructureTurn(structure, None if result is None else result.result())


_trial: partial[TrialResult] | None = None
"""The trial of trees in a process of its own."""


def _begin(space: AnySpace, objective: Objective, accounting: Accounting, top: int) -> None:
    """Give a process the space; Ctrl-C is for the process that gives it work."""
    global _trial
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _trial = partial(try_out, space=space, objective=objective, accounting=accounting, top=top)


def _work(trees: Trees) -> TrialResult:
    """The result of trees, in a process of its own."""
    assert _trial is not None, "the process has begun"
    return _trial(trees)
