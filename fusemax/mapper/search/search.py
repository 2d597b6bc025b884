"""The state of a search, the trial of trees, and the strategies by their names."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from fusemax.errors import FusemaxError, did_you_mean, listed
from fusemax.mapper.cost.batch import BatchTally, best_of
from fusemax.mapper.cost.candidates import Candidates, Costs, cost
from fusemax.mapper.objective import Objective, objective_of
from fusemax.mapper.options import SearchOptions
from fusemax.mapper.space.protocol import AnySpace, Cutoff, Structure, Trees
from fusemax.model.energy import Accounting, accounting_of

SAME = 1e-8
"""Relative difference below which two values of an objective are the same."""
MOST_TREES = 2500
"""Trees that a search costs one by one at most. Combinations of their holds come free."""


@dataclass(frozen=True)
class Entry:
    """The best candidate of a tree."""

    key: tuple[float, ...]
    candidates: Candidates
    at: int
    share: float | None


@dataclass(frozen=True)
class TrialResult:
    """The result of costing trees: the trees that may be best, with the costs of all of their candidates; the numbers of
    trees costed one by one, of trees, of candidates and of candidates that fit; the reasons for which trees are refused;
    and whether all combinations were costed."""

    found: tuple[tuple[Candidates, Costs], ...]
    costings: int
    trees: int
    costed: int
    fitting: int
    refused: Counter[str] = field(default_factory=Counter)
    whole: bool = True


@dataclass
class Search:
    """The best entries so far, and the work done to find them.

    `least` is the lower bound of the structures that were listed and of the parts that were left out; `left_out` that of
    the latter alone.
    """

    space: AnySpace
    options: SearchOptions
    objective: Objective = field(init=False)
    accounting: Accounting = field(init=False)
    best: list[Entry] = field(default_factory=list)
    costings: int = 0
    trees: int = 0
    costed: int = 0
    fitting: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    least: float = math.inf
    left_out: float = math.inf
    proven: bool = False
    interrupted: bool = False

    def __post_init__(self) -> None:
        self.objective = objective_of(self.options.objective)
        self.accounting = accounting_of(self.options.accounting)

    @property
    def top(self) -> int:
        """The number of entries to keep."""
        return max(1, self.options.top)

    @property
    def limit(self) -> int:
        """The number of trees to cost one by one."""
        return MOST_TREES if self.options.limit is None else self.options.limit

    def bound(self, structure: Structure | Cutoff) -> float:
        """The lower bound of the members of a structure, or of a part that is left out."""
        return self.objective.bound(structure.least_s, structure.least_j, self.space.least_bytes)

    def remaining_bound(self, structure: Structure) -> float:
        """The lower bound of a structure and of all that come after it, which may have fewer joules."""
        space = self.space
        least_j = structure.least_j if self.objective.by_energy else min(structure.least_j, space.least_j)
        remaining = self.objective.bound(structure.least_s, least_j, space.least_bytes)
        self.least = min(self.least, remaining)
        return remaining

    def leave_out(self, cutoff: Cutoff) -> None:
        """Record a part of the space that is left out."""
        self.left_out = min(self.left_out, self.bound(cutoff))
        self.least = min(self.least, self.left_out)

    @property
    def whole(self) -> bool:
        """Whether no mapping that was left out can be better than the best so far."""
        return self.value() <= self.left_out * (1 + SAME)

    def can_prune(self, structure: Structure) -> bool:
        """Whether no tree of a structure can be as good as the best so far."""
        return self.bound(structure) > self.value() * (1 + SAME)

    def value(self) -> float:
        """The best value so far."""
        return self.best[0].key[0] if self.best else math.inf

    def record(self, result: TrialResult) -> Entry | None:
        """Record the result of a trial; the best candidate of it, if one fits."""
        self.costings += result.costings
        self.trees += result.trees
        self.costed += result.costed
        self.fitting += result.fitting
        self.refused.update(result.refused)
        best = None
        for candidates, costs in result.found:
            keys = self.objective.keys(costs)
            at = int(np.lexsort(keys[::-1])[0])
            if not math.isfinite(keys[0][at]):
                continue
            share = None if costs.share is None else float(costs.share[at])
            entry = Entry(tuple(float(key[at]) for key in keys), candidates, at, share)
            best = entry if best is None or entry.key < best.key else best
            if all(entry.key != other.key for other in self.best):
                self.best = sorted([*self.best, entry], key=lambda e: e.key)[: self.top]
        if self.options.progress is not None:
            self.options.progress(self.trees, self.value())
        return best


def try_out(trees: Trees, space: AnySpace, objective: Objective, accounting: Accounting, top: int) -> TrialResult:
    """Cost one tree, or those that differ in their holds; at most `top` of them may be best."""
    try:
        if isinstance(trees, Candidates):
            costs = priced(space, trees, accounting)
            return TrialResult(((trees, costs),), 1, 1, trees.size, int(np.count_nonzero(costs.feasible)))
        tally = BatchTally()
        best, fitting = best_of(trees, objective, accounting, top, tally)
        found = tuple((candidates, priced(space, candidates, accounting)) for candidates in best)
        costed = tally.trees * trees.points
        return TrialResult(found, trees.costings, tally.trees, costed, fitting, tally.refused, tally.whole)
    except FusemaxError as error:
        return TrialResult((), trees.costings, trees.trees, 0, 0, Counter({error.problems[0].message: trees.trees}))


def priced(space: AnySpace, candidates: Candidates, accounting: Accounting) -> Costs:
    """The costs of a tree. Raises `FusemaxError` if the cascade or the machine does not allow it."""
    return cost(space.checked, space.arch, candidates, space.shapes, accounting)


# ---------------------------------------------------------------------------------------------------------- strategies

Searching = Callable[[Search], None]
"""Searches the space of a search, and records the results in it."""


@dataclass(frozen=True, slots=True)
class Strategy:
    """A way to search a space, and whether it can prove that no mapping of the space is better."""

    run: Searching
    proves: bool


STRATEGIES: dict[str, Strategy] = {}


def strategy(*, proves: bool) -> Callable[[Searching], Searching]:
    """Register a strategy by the name of its function."""

    def register(run: Searching) -> Searching:
        STRATEGIES[run.__name__] = Strategy(run, proves)
        return run

    return register


def strategy_of(name: str) -> Strategy:
    """The strategy of a name. Raises `FusemaxError` for an unknown one."""
    if name not in STRATEGIES:
        hint = did_you_mean(name, list(STRATEGIES)) or f"choose {listed(list(STRATEGIES), word='or')}"
        raise FusemaxError(f"no strategy '{name}'", hint)
    return STRATEGIES[name]
