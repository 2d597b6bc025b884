"""How a space is searched: strategies share one signature and are found by their name."""

from __future__ import annotations

import math
import random
import signal
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any, Protocol

import numpy as np

from fusemax.errors import FusemaxError
from fusemax.ir.arch import Arch
from fusemax.ir.checked import Checked
from fusemax.mapper.cost.batch import Batch, Tally, best_of
from fusemax.mapper.cost.candidates import Costs, Family, cost
from fusemax.mapper.objective import Objective, objective_of
from fusemax.model.energy import Accounting

SAME = 1e-8
"""Relative difference below which two values of an objective are the same."""
TIES = 16
"""Trees of loops, with all that they may hold, that are costed after the bound is reached, for the best of them otherwise."""
MOST_TREES = 2500
"""Trees that an exhaustive search costs one by one; beyond, it stops without a proof. What else they may hold comes free."""
AHEAD = 16
"""Trees of loops that wait for each process, or that it has costed and that wait for their turn."""
STEPS = 400
"""Steps of an annealing."""
START, END = 0.3, 0.003
"""Its temperatures: relative rises of the objective that are accepted at first and at last."""


class Structure(Protocol):
    """What a space is made of: trees that share their bounds."""

    @property
    def least_s(self) -> float: ...
    @property
    def least_j(self) -> float: ...


class Space(Protocol):
    """What strategies need to know of a space."""

    title: str
    """What it is: `among ...`."""
    checked: Checked
    arch: Arch
    shapes: dict[str, int]
    considered: int
    partial: bool
    unlisted: tuple[float, float]
    barred: dict[str, None]
    """Why some structures have no trees: what a user fixed."""

    @property
    def least_bytes(self) -> float:
        """Bytes that no mapping undercuts."""

    @property
    def least_j(self) -> float:
        """Joules that no mapping undercuts."""

    def structures(self, by_energy: bool) -> Iterator[Any]:
        """All structures, the most promising first."""

    def batches(self, structure: Any) -> Iterator[Work]:
        """The trees of a structure, as they are costed."""

    def families(self, structure: Any) -> Iterator[Family]:
        """The trees of a structure, one by one."""

    def start(self, random: random.Random) -> Any:
        """A state to begin with."""

    def neighbour(self, state: Any, random: random.Random) -> Any:
        """A state that differs in one choice."""

    def batch(self, state: Any) -> Work | None:
        """The trees of a state, if it has any."""


Work = Batch | Family
"""Trees that are costed together."""


@dataclass(frozen=True)
class Entry:
    """The best candidate of a tree."""

    key: tuple[float, ...]
    family: Family
    at: int
    share: float | None


@dataclass
class Search:
    """The best entries so far, and what was done to find them."""

    space: Space
    objective: Objective
    accounting: Accounting
    top: int
    jobs: int = 1
    limit: int = MOST_TREES
    seed: int = 0
    progress: Callable[[int, float], None] | None = None
    best: list[Entry] = field(default_factory=list)
    costings: int = 0
    trees: int = 0
    costed: int = 0
    fitting: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    least: float = math.inf
    partial: bool = False
    proven: bool = False
    interrupted: bool = False

    def floor(self, structure: Structure) -> float:
        """What no member of a structure undercuts."""
        return self.objective.floor(structure.least_s, structure.least_j, self.space.least_bytes)

    def rest(self, structure: Structure) -> float:
        """What neither a structure nor any that comes after it undercuts: their joules may be fewer than its own."""
        space = self.space
        least_j = structure.least_j if self.objective.name == "energy" else min(structure.least_j, space.least_j)
        rest = self.objective.floor(structure.least_s, least_j, space.least_bytes)
        self.least = min(self.least, rest, self.unlisted)
        return rest

    @property
    def unlisted(self) -> float:
        """What no member of the space undercuts that the space does not list."""
        least_s, least_j = self.space.unlisted
        return math.inf if math.isinf(least_s) else self.objective.floor(least_s, least_j, self.space.least_bytes)

    def hopeless(self, structure: Structure) -> bool:
        """Whether no tree of a structure can be as good as the best so far."""
        return self.floor(structure) > self.value() * (1 + SAME)

    def value(self) -> float:
        """The best value so far."""
        return self.best[0].key[0] if self.best else math.inf

    def take(self, tried: Tried) -> Entry | None:
        """Take down what was tried; the best candidate of it, if one fits."""
        self.costings += tried.costings
        self.trees += tried.trees
        self.costed += tried.costed
        self.fitting += tried.fitting
        self.refused.update(tried.refused)
        best = None
        for family, costs in tried.found:
            keys = self.objective.keys(costs)
            at = int(np.lexsort(keys[::-1])[0])
            if not math.isfinite(keys[0][at]):
                continue
            share = None if costs.share is None else float(costs.share[at])
            entry = Entry(tuple(float(key[at]) for key in keys), family, at, share)
            best = entry if best is None or entry.key < best.key else best
            if all(entry.key != other.key for other in self.best):
                self.best = sorted([*self.best, entry], key=lambda e: e.key)[: self.top]
        if self.progress is not None:
            self.progress(self.trees, self.value())
        return best


@dataclass(frozen=True)
class Tried:
    """What came of trees: those that may be best, with what all of their candidates cost; how many were costed one by
    one, how many trees and candidates that are, how many candidates fit, why trees are none, and whether all trees were looked at."""

    found: tuple[tuple[Family, Costs], ...]
    costings: int
    trees: int
    costed: int
    fitting: int
    refused: Counter[str] = field(default_factory=Counter)
    whole: bool = True


def try_out(work: Work, space: Space, objective: Objective, accounting: Accounting, top: int) -> Tried:
    """Cost one tree, or those that differ in what they hold."""
    try:
        if isinstance(work, Family):
            costs = priced(space, work, accounting)
            return Tried(((work, costs),), 1, 1, work.size, int(np.count_nonzero(costs.feasible)))
        tally = Tally()
        families, fitting = best_of(work, objective, accounting, top, tally)
        found = tuple((family, priced(space, family, accounting)) for family in families)
        return Tried(found, work.costings, tally.trees, tally.trees * work.points, fitting, tally.refused, tally.whole)
    except FusemaxError as error:
        return Tried((), work.costings, work.trees, 0, 0, Counter({error.problems[0].message: work.trees}))


def priced(space: Space, family: Family, accounting: Accounting) -> Costs:
    """What a tree costs. Raises `FusemaxError` if it is none."""
    return cost(space.checked, space.arch, family, space.shapes, accounting)


def exhaustive(search: Search) -> None:
    """Cost the most promising structures first, until no structure that is left can be better: then it is proven. A search
    that its limit cuts off costs half of its trees so, and then goes on all over the space."""
    try:
        if _in_order(search, search.limit // 2):
            with closing(_turns(search, promising(search.space))) as turns:
                for structure, tried, partial in turns:
                    search.partial |= partial
                    if tried is not None and not search.hopeless(structure):
                        search.take(tried)
                        if search.costings >= search.limit:
                            return
    except KeyboardInterrupt:
        search.interrupted = True


def _in_order(search: Search, limit: int) -> bool:
    """Cost the most promising structures first; whether the limit ended that."""
    rest, ties, tied = 0.0, 0, False
    with closing(_turns(search, search.space.structures(search.objective.name == "energy"))) as turns:
        for structure, tried, partial in turns:
            search.partial |= partial
            if tried is None:
                rest = search.rest(structure)
                tied = search.value() <= rest * (1 + SAME)
                beyond = rest > search.value() * (1 + SAME)
                search.proven |= tied or beyond
                if beyond or (tied and ties >= TIES):
                    return False
            elif not search.hopeless(structure):
                search.take(tried)
                ties += tied
                search.partial |= not tried.whole
                if search.costings >= limit:
                    search.proven |= search.value() <= rest * (1 + SAME)
                    return not search.proven
    search.partial |= search.space.partial
    search.proven = True
    return False


def promising(space: Space) -> Iterator[Any]:
    """All structures, which alternate by time and by energy: of those with the same bounds, which are much alike, a first
    one before the others."""
    seen: dict[tuple[float, float], list[Any]] = defaultdict(list)
    others: list[Any] = []
    orders = (space.structures(by_energy) for by_energy in (False, True))
    for structure in (each for pair in zip_longest(*orders) for each in pair if each is not None):
        alike = seen[structure.least_s, structure.least_j]
        if structure not in alike:
            alike.append(structure)
            if len(alike) == 1:
                yield structure
            else:
                others.append(structure)
    yield from others


Turn = tuple[Any, Tried | None, bool]
"""A structure, None as its turn begins and then what came of its trees, and whether the space was listed in part only so
far."""


def _turns(search: Search, structures: Iterator[Any]) -> Generator[Turn, None, None]:
    """Structures in order, each with its trees; with several jobs, other processes cost trees that are still to come."""
    about = search.objective.name, search.accounting, search.top
    if search.jobs <= 1:
        for structure, work, partial in _listed(search, structures):
            tried = None if work is None else try_out(work, search.space, search.objective, *about[1:])
            yield structure, tried, partial
        return
    pool = ProcessPoolExecutor(search.jobs, initializer=_begin, initargs=(search.space, *about))
    try:
        waiting: deque[tuple[Any, Future[Tried] | None, bool]] = deque()
        for structure, work, partial in _listed(search, structures):
            waiting.append((structure, None if work is None else pool.submit(_work, work), partial))
            if len(waiting) > AHEAD * search.jobs:
                yield _ended(*waiting.popleft())
        while waiting:
            yield _ended(*waiting.popleft())
    finally:
        pool.shutdown(cancel_futures=True)


def _listed(search: Search, structures: Iterator[Any]) -> Iterator[tuple[Any, Work | None, bool]]:
    """Structures in order: None, then the trees of those that may be better; and whether the space is a part so far."""
    space = search.space
    for structure in structures:
        yield structure, None, space.partial
        if not search.hopeless(structure):
            for work in space.batches(structure):
                yield structure, work, space.partial


def _ended(structure: Any, tried: Future[Tried] | None, partial: bool) -> Turn:
    """A turn with what came of it, once a process has found that."""
    return structure, None if tried is None else tried.result(), partial


_WORKER: dict[str, Any] = {}


def _begin(space: Space, objective: str, accounting: Accounting, top: int) -> None:
    """Give a process the space; Ctrl-C is for the process that gives it work."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _WORKER.update(space=space, objective=objective_of(objective), accounting=accounting, top=top)


def _work(work: Work) -> Tried:
    """What comes of trees, in a process of its own."""
    return try_out(work, **_WORKER)


def anneal(search: Search) -> None:
    """Simulated annealing (Kirkpatrick et al., Science 1983) over structures and orders; holds and tile sizes are all costed
    at every step. Finds good mappings of spaces that are too large to be searched through, and proves nothing."""
    source = random.Random(search.seed)
    try:
        if next(search.space.structures(False), None) is None:
            return
        state = search.space.start(source)
        now = _settle(search, state)
        for step in range(STEPS - 1):
            if search.costings >= search.limit:
                return
            temperature = START * (END / START) ** (step / STEPS)
            other = search.space.neighbour(state, source)
            value = _settle(search, other)
            rise = 0.0 if math.isinf(now) else math.inf if math.isinf(value) else value / now - 1
            if rise <= 0 or source.random() < math.exp(-min(rise / temperature, 700.0)):
                state, now = other, value
    except KeyboardInterrupt:
        search.interrupted = True


def _settle(search: Search, state: Any) -> float:
    """The best value of the tree of a state; infinite if it is none or nothing fits."""
    work = search.space.batch(state)
    if work is None:
        return math.inf
    entry = search.take(try_out(work, search.space, search.objective, search.accounting, search.top))
    return math.inf if entry is None else entry.key[0]


STRATEGIES: dict[str, Callable[[Search], None]] = {"exhaustive": exhaustive, "anneal": anneal}
