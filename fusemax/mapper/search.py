"""How a space is searched: strategies share one signature and are found by their name."""

from __future__ import annotations

import math
import random
import signal
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from fusemax.errors import FusemaxError
from fusemax.ir.arch import Arch
from fusemax.ir.checked import Checked
from fusemax.mapper.family import Costs, Family, cost
from fusemax.mapper.objective import Objective
from fusemax.model.energy import Accounting

SAME = 1e-8
"""Relative difference below which two values of an objective are the same."""
TIES = 150
"""Trees that are costed after the bound is reached, for the one of them that is best otherwise."""
MOST_TREES = 2500
"""Trees that an exhaustive search costs; beyond, it stops without a proof."""
AHEAD = 16
"""Trees that wait for each process, or that it has costed and that wait for their turn."""
STEPS = 2000
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

    checked: Checked
    arch: Arch
    shapes: dict[str, int]
    considered: int
    partial: bool
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

    def families(self, structure: Any) -> Iterator[Family]:
        """The trees of a structure."""

    def start(self, random: random.Random) -> Any:
        """A state to begin with."""

    def neighbour(self, state: Any, random: random.Random) -> Any:
        """A state that differs in one choice."""

    def family(self, state: Any) -> Family | None:
        """The tree of a state, if it has one."""


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
        self.least = min(self.least, rest)
        return rest

    def hopeless(self, structure: Structure) -> bool:
        """Whether no tree of a structure can be as good as the best so far."""
        return self.floor(structure) > self.value() * (1 + SAME)

    def value(self) -> float:
        """The best value so far."""
        return self.best[0].key[0] if self.best else math.inf

    def take(self, family: Family, costs: Costs | str) -> Entry | None:
        """Take down what a tree costs, or why it is none; its best candidate, if one fits."""
        self.trees += 1
        if isinstance(costs, str):
            self.refused[costs] += 1
            return None
        self.costed += family.size
        self.fitting += int(np.count_nonzero(costs.feasible))
        keys = self.objective.keys(costs)
        at = int(np.lexsort(keys[::-1])[0])
        if not math.isfinite(keys[0][at]):
            return None
        share = None if costs.share is None else float(costs.share[at])
        entry = Entry(tuple(float(key[at]) for key in keys), family, at, share)
        if all(entry.key != other.key for other in self.best):
            self.best = sorted([*self.best, entry], key=lambda e: e.key)[: self.top]
        if self.progress is not None:
            self.progress(self.trees, self.value())
        return entry


def priced(space: Space, family: Family, accounting: Accounting) -> Costs | str:
    """What a tree costs, or the first line of why it is none."""
    try:
        return cost(space.checked, space.arch, family, space.shapes, accounting)
    except FusemaxError as error:
        return error.problems[0].message


def exhaustive(search: Search) -> None:
    """Cost the most promising structures first, until no structure that is left can be better: then it is proven."""
    rest, ties, tied = 0.0, 0, False
    try:
        with closing(_turns(search)) as turns:
            for structure, tree, search.partial in turns:
                if tree is None:
                    rest = search.rest(structure)
                    if rest > search.value() * (1 + SAME):
                        search.proven = True
                        return
                    tied = search.value() <= rest * (1 + SAME)
                    search.proven |= tied
                    if tied and ties >= TIES:
                        return
                elif not search.hopeless(structure):
                    search.take(*tree)
                    ties += tied
                    if search.trees >= search.limit:
                        search.proven |= search.value() <= rest * (1 + SAME)
                        return
        search.partial |= search.space.partial
        search.proven = True
    except KeyboardInterrupt:
        search.interrupted = True


Turn = tuple[Any, tuple[Family, Costs | str] | None, bool]
"""A structure, None as its turn begins and then each of its trees with what it costs, and whether the space was listed
in part only so far."""


def _turns(search: Search) -> Generator[Turn, None, None]:
    """Structures in order, each with its trees; with several jobs, other processes cost trees that are still to come."""
    if search.jobs <= 1:
        for structure, family, partial in _listed(search):
            tree = None if family is None else (family, priced(search.space, family, search.accounting))
            yield structure, tree, partial
        return
    pool = ProcessPoolExecutor(search.jobs, initializer=_begin, initargs=(search.space, search.accounting))
    try:
        waiting: deque[tuple[Any, Family | None, bool, Future[Costs | str] | None]] = deque()
        for structure, family, partial in _listed(search):
            waiting.append((structure, family, partial, None if family is None else pool.submit(_work, family)))
            if len(waiting) > AHEAD * search.jobs:
                yield _ended(*waiting.popleft())
        while waiting:
            yield _ended(*waiting.popleft())
    finally:
        pool.shutdown(cancel_futures=True)


def _listed(search: Search) -> Iterator[tuple[Any, Family | None, bool]]:
    """Structures in order: None, then the trees of those that may be better; and whether the space is a part so far."""
    space = search.space
    for structure in space.structures(search.objective.name == "energy"):
        yield structure, None, space.partial
        if not search.hopeless(structure):
            for family in space.families(structure):
                yield structure, family, space.partial


def _ended(structure: Any, family: Family | None, partial: bool, costs: Future[Costs | str] | None) -> Turn:
    """A turn with its costs, once a process has found them."""
    return structure, None if family is None or costs is None else (family, costs.result()), partial


_WORKER: dict[str, Any] = {}


def _begin(space: Space, accounting: Accounting) -> None:
    """Give a process the space; Ctrl-C is for the process that gives it work."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _WORKER.update(space=space, accounting=accounting)


def _work(family: Family) -> Costs | str:
    """What a tree costs, in a process of its own."""
    return priced(_WORKER["space"], family, _WORKER["accounting"])


def anneal(search: Search) -> None:
    """Simulated annealing (Kirkpatrick et al., Science 1983) over structures, orders and holds; tile sizes are all
    costed at every step. Finds good mappings of spaces that are too large to be searched through, and proves nothing."""
    source = random.Random(search.seed)
    try:
        if next(search.space.structures(False), None) is None:
            return
        state = search.space.start(source)
        now = _settle(search, state)
        for step in range(min(STEPS, search.limit) - 1):
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
    family = search.space.family(state)
    if family is None:
        return math.inf
    entry = search.take(family, priced(search.space, family, search.accounting))
    return math.inf if entry is None else entry.key[0]


STRATEGIES: dict[str, Callable[[Search], None]] = {"exhaustive": exhaustive, "anneal": anneal}
