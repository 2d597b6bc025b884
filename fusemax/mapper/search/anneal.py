"""Simulated annealing (Kirkpatrick et al., Science 1983) over structures and orders of loops."""

from __future__ import annotations

import math
from random import Random
from typing import Any

from fusemax.mapper.search.search import Search, strategy, try_out
from fusemax.mapper.space.protocol import Cutoff

STEPS = 400
"""Steps of a walk."""
START, END = 0.3, 0.003
"""The first and the last temperature: relative rises of the objective that are accepted."""


@strategy(proves=False)
def anneal(search: Search) -> None:
    """Walk at random from tree to tree; holds and tile sizes are all costed at every step. Finds good mappings of spaces
    that are too large for an exhaustive search, and proves nothing."""
    source = Random(search.options.seed)
    try:
        if all(isinstance(structure, Cutoff) for structure in search.space.structures(False)):
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
    """The best value of the trees of a state; infinite if there are no trees, or no candidate fits."""
    trees = search.space.batch(state)
    if trees is None:
        return math.inf
    entry = search.record(try_out(trees, search.space, search.objective, search.accounting, search.top))
    return math.inf if entry is None else entry.key[0]
