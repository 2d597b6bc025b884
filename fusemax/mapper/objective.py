"""What is good: latency, energy, their product, or traffic; ties are broken by what remains."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fusemax.errors import FusemaxError, did_you_mean, listed
from fusemax.mapper.cost.candidates import Costs

DIGITS = 9
"""Significant digits to which values are compared, so that noise of floating point breaks no ties."""


@dataclass(frozen=True, slots=True)
class Objective:
    """A number to make small: `of` has its value and those that break ties, `floor` what nothing undercuts."""

    name: str
    unit: str
    of: Callable[[Costs], tuple[Any, ...]]
    floor: Callable[[float, float, float], float]

    def keys(self, costs: Costs) -> tuple[Any, ...]:
        """The value and the tie breakers of all candidates, rounded."""
        return tuple(rounded(values) for values in (*self.of(costs), costs.uneven, costs.buffer_bytes))


def rounded(values: Any) -> Any:
    """Values to so many significant digits.

    >>> rounded(np.array([1.00000000001, 0.0, np.inf]))
    array([ 1.,  0., inf])
    """
    array = np.asarray(values, np.float64)
    finite = np.isfinite(array) & (array > 0)
    scale = 10.0 ** (DIGITS - 1 - np.floor(np.log10(np.where(finite, array, 1.0))))
    return np.where(finite, np.round(np.where(finite, array, 1.0) * scale) / scale, array)


def undominated(values: Any) -> Any:
    """Which rows no other row undercuts or equals in every column; of equal rows the first.

    >>> undominated(np.array([[1.0, 4.0], [2.0, 2.0], [2.0, 3.0], [2.0, 2.0], [4.0, 1.0]])).tolist()
    [True, True, False, False, True]
    """
    found = np.zeros(len(values), bool)
    left = np.lexsort(values.T[::-1])  # whatever comes first there is undercut by nothing that is left
    while len(left):
        found[left[0]] = True
        left = left[(values[left] < values[left[0]]).any(axis=1)]
    return found


OBJECTIVES = {
    objective.name: objective
    for objective in (
        Objective("latency", "s", lambda c: (c.latency_s, c.dram_bytes, c.energy_j), lambda s, j, b: s),
        Objective("energy", "J", lambda c: (c.energy_j, c.latency_s, c.dram_bytes), lambda s, j, b: j),
        Objective("edp", "J s", lambda c: (c.energy_j * c.latency_s, c.latency_s, c.dram_bytes), lambda s, j, b: s * j),
        Objective("dram", "bytes", lambda c: (c.dram_bytes, c.latency_s, c.energy_j), lambda s, j, b: b),
    )
}


def objective_of(name: str) -> Objective:
    """The objective of a name. Raises `FusemaxError` for one that there is not.

    >>> objective_of("edp").unit
    'J s'
    """
    if name not in OBJECTIVES:
        hint = did_you_mean(name, list(OBJECTIVES)) or f"choose {listed(list(OBJECTIVES), word='or')}"
        raise FusemaxError(f"no objective '{name}'", hint)
    return OBJECTIVES[name]
