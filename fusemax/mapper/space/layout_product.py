"""The layouts of several bodies together, and the least time that any of them takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fusemax.mapper.objective import rounded, undominated
from fusemax.mapper.space.layouts import Layout, Layouts

MOST_JOINED = 300_000
"""Combinations of the bodies' layouts that are listed at once; of more, the best of each body are joined."""


def least_cycles(each: Sequence[Layouts]) -> float:
    """The fewest cycles of the busiest unit in any combination of the bodies' layouts: of rows that others undercut in
    every column none can be better, whatever is added."""
    total = np.zeros((1, each[0].cycles.shape[1]))
    for layouts in each:
        rows = layouts.cycles[undominated(layouts.cycles)]
        total = (total[:, None, :] + rows[None, :, :]).reshape(-1, total.shape[1])
        total = total[undominated(total)]
    return float(total.max(axis=1).min())


@dataclass(frozen=True)
class Joined:
    """Layouts of several bodies together: `least` seconds in rising order, and which layouts each has."""

    each: tuple[Layouts, ...]
    order: Any
    least: Any
    joules: Any
    by_energy: Any
    combinations: int
    slots: Mapping[str, Mapping[str, float]]

    @staticmethod
    def of(each: list[Layouts], clock_hz: float, slots: Mapping[str, Mapping[str, float]]) -> Joined:
        """Join the bodies' layouts, the best of each if there are too many combinations."""
        counts = [len(layouts.pairs) for layouts in each]
        combinations = int(np.prod(counts, dtype=object))
        most = max(1, int(MOST_JOINED ** (1 / len(each)))) if combinations > MOST_JOINED else max(counts)
        best = [np.argsort(layouts.cycles.max(axis=1), kind="stable")[:most] for layouts in each]
        cycles, joules, odd = each[0].cycles[best[0]], each[0].joules[best[0]], each[0].odd[best[0]]
        for layouts, chosen in zip(each[1:], best[1:], strict=True):
            cycles = (cycles[:, None, :] + layouts.cycles[chosen][None, :, :]).reshape(-1, cycles.shape[-1])
            joules = (joules[:, None] + layouts.joules[chosen][None, :]).reshape(-1)
            odd = (odd[:, None] + layouts.odd[chosen][None, :]).reshape(-1)
        least = cycles.max(axis=1) / clock_hz
        order = np.lexsort((joules, odd, rounded(least)))
        shape = [len(chosen) for chosen in best]
        at = np.unravel_index(order, shape)
        return Joined(
            tuple(each),
            [b[i] for b, i in zip(best, at, strict=True)],
            least[order],
            joules[order],
            np.lexsort((least[order], joules[order])),
            combinations,
            slots,
        )

    def layouts(self, number: int) -> tuple[Layout, ...]:
        """The layouts of one combination."""
        return tuple(of.layout(int(at[number])) for of, at in zip(self.each, self.order, strict=True))
