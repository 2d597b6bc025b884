"""The layouts of several bodies together, and the lower bound of their time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fusemax.mapper.arrays import Floats, Integers
from fusemax.mapper.objective import rounded, undominated
from fusemax.mapper.space.layouts import BodyLayout, BodyLayouts

MOST_JOINED = 300_000
"""Combinations of the bodies' layouts that are listed at once; of more, the best of each body are joined."""


def min_cycles(each: Sequence[BodyLayouts]) -> float:
    """The fewest cycles of the busiest unit in any combination of the bodies' layouts: a row that another one undercuts
    in every column cannot be better, whatever is added."""
    total = np.zeros((1, each[0].cycles.shape[1]))
    for layouts in each:
        rows = layouts.cycles[undominated(layouts.cycles)]
        total = (total[:, None, :] + rows[None, :, :]).reshape(-1, total.shape[1])
        total = total[undominated(total)]
    return float(total.max(axis=1).min())


@dataclass(frozen=True)
class LayoutProduct:
    """Layouts of several bodies together, one element a combination: `least` seconds in rising order, their joules, in
    `order` the number of each body's layout, and in `by_energy` the combinations in the order of their joules.

    `combinations` is the number of all; `slots` has the slots of each Einsum on each unit over the run.
    """

    each: tuple[BodyLayouts, ...]
    order: tuple[Integers, ...]
    least: Floats
    joules: Floats
    by_energy: Integers
    combinations: int
    slots: Mapping[str, Mapping[str, float]]

    @staticmethod
    def of(each: list[BodyLayouts], clock_hz: float, slots: Mapping[str, Mapping[str, float]]) -> LayoutProduct:
        """Join the bodies' layouts, the best of each if there are too many combinations."""
        counts = [len(layouts.pairs) for layouts in each]
        combinations = int(np.prod(counts, dtype=object))
        most = max(1, int(MOST_JOINED ** (1 / len(each)))) if combinations > MOST_JOINED else max(counts)
        best = [np.argsort(layouts.cycles.max(axis=1), kind="stable")[:most] for layouts in each]
        cycles, joules, penalty = each[0].cycles[best[0]], each[0].joules[best[0]], each[0].penalty[best[0]]
        for layouts, chosen in zip(each[1:], best[1:], strict=True):
            cycles = (cycles[:, None, :] + layouts.cycles[chosen][None, :, :]).reshape(-1, cycles.shape[-1])
            joules = (joules[:, None] + layouts.joules[chosen][None, :]).reshape(-1)
            penalty = (penalty[:, None] + layouts.penalty[chosen][None, :]).reshape(-1)
        least = cycles.max(axis=1) / clock_hz
        order = np.lexsort((joules, penalty, rounded(least)))
        shape = [len(chosen) for chosen in best]
        at = np.unravel_index(order, shape)
        return LayoutProduct(
            tuple(each),
            tuple(b[i] for b, i in zip(best, at, strict=True)),
            least[order],
            joules[order],
            np.lexsort((least[order], joules[order])),
            combinations,
            slots,
        )

    def layouts(self, number: int) -> tuple[BodyLayout, ...]:
        """The layouts of one combination."""
        return tuple(of.layout(int(at[number])) for of, at in zip(self.each, self.order, strict=True))
