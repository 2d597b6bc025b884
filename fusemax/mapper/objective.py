"""The objectives of a search: latency, energy, their product, or traffic; other costs break ties."""

from __future__ import annotations

from enum import Enum
from typing import assert_never

import numpy as np

from fusemax.errors import FusemaxError, did_you_mean, listed
from fusemax.mapper.arrays import Floats, Truths
from fusemax.mapper.cost.candidates import Costs
from fusemax.units import readable_bytes, readable_seconds

DIGITS = 9
"""Significant digits to which values are compared, so that noise of floating point breaks no ties."""


class Objective(Enum):
    """A cost to minimize."""

    LATENCY = "latency"
    ENERGY = "energy"
    EDP = "edp"
    DRAM = "dram"

    @property
    def by_energy(self) -> bool:
        """Whether structures with few joules are the most promising, not those with few seconds."""
        return self is Objective.ENERGY

    def values(self, costs: Costs) -> tuple[Floats, ...]:
        """The value of each candidate, then the costs that break ties."""
        match self:
            case Objective.LATENCY:
                return costs.latency_s, costs.dram_bytes, costs.energy_j
            case Objective.ENERGY:
                return costs.energy_j, costs.latency_s, costs.dram_bytes
            case Objective.EDP:
                return costs.energy_j * costs.latency_s, costs.latency_s, costs.dram_bytes
            case Objective.DRAM:
                return costs.dram_bytes, costs.latency_s, costs.energy_j
        assert_never(self)

    def keys(self, costs: Costs) -> tuple[Floats, ...]:
        """The value and the tie breakers of all candidates, rounded."""
        return tuple(rounded(values) for values in (*self.values(costs), costs.uneven, costs.buffer_bytes))

    def bound(self, least_s: float, least_j: float, least_bytes: float) -> float:
        """The lower bound of the value, from those of seconds, joules and bytes of the outermost memory.

        >>> Objective.EDP.bound(2.0, 3.0, 1e6)
        6.0
        """
        match self:
            case Objective.LATENCY:
                return least_s
            case Objective.ENERGY:
                return least_j
            case Objective.EDP:
                return least_s * least_j
            case Objective.DRAM:
                return least_bytes
        assert_never(self)

    def readable(self, value: float) -> str:
        """A value with its unit.

        >>> Objective.DRAM.readable(2048), Objective.EDP.readable(0.25)
        ('2 KiB', '0.25 J s')
        """
        match self:
            case Objective.LATENCY:
                return readable_seconds(value)
            case Objective.ENERGY:
                return f"{value:.4g} J"
            case Objective.EDP:
                return f"{value:.4g} J s"
            case Objective.DRAM:
                return readable_bytes(value)
        assert_never(self)


def objective_of(name: str) -> Objective:
    """The objective of a name. Raises `FusemaxError` for an unknown one.

    >>> objective_of("edp")
    <Objective.EDP: 'edp'>
    """
    try:
        return Objective(name)
    except ValueError:
        names = [objective.value for objective in Objective]
        hint = did_you_mean(name, names) or f"choose {listed(names, word='or')}"
        raise FusemaxError(f"no objective '{name}'", hint) from None


def rounded(values: Floats) -> Floats:
    """Values to `DIGITS` significant digits, of any shape.

    >>> rounded(np.array([1.00000000001, 0.0, np.inf]))
    array([ 1.,  0., inf])
    """
    array = np.asarray(values, np.float64)
    finite = np.isfinite(array) & (array > 0)
    scale = 10.0 ** (DIGITS - 1 - np.floor(np.log10(np.where(finite, array, 1.0))))
    return np.where(finite, np.round(np.where(finite, array, 1.0) * scale) / scale, array)


def significant(value: float) -> float:
    """One value to `DIGITS` significant digits."""
    return float(rounded(np.asarray(value)))


def undominated(values: Floats) -> Truths:
    """The rows that no other row undercuts or equals in every column; of equal rows the first. Points by columns.

    >>> undominated(np.array([[1.0, 4.0], [2.0, 2.0], [2.0, 3.0], [2.0, 2.0], [4.0, 1.0]])).tolist()
    [True, True, False, False, True]
    """
    found = np.zeros(len(values), np.bool_)
    left = np.lexsort(values.T[::-1])  # no row that is left undercuts the first of them
    while len(left):
        found[left[0]] = True
        left = left[(values[left] < values[left[0]]).any(axis=1)]
    return found
