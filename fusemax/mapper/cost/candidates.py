"""A tree of loops and holds with open numbers, and what it costs for all of them at once."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from math import ceil
from typing import Any

import numpy as np

from fusemax.bind.bind import BoundMapping, bind
from fusemax.bind.capacity import fits, held_together, tiles, used_bytes
from fusemax.bind.loop_nest import LoopNest
from fusemax.errors import FusemaxError
from fusemax.ir.arch import Arch
from fusemax.ir.checked import Checked
from fusemax.ir.mapping import Mapping as MappingFile
from fusemax.model.energy import Accounting
from fusemax.model.estimate import Estimate, estimate

SHARE_STEP = 1e-9
"""Shares are rounded up by it, so that what they let fit does fit in floating point."""


@dataclass(frozen=True, slots=True)
class Family:
    """A mapping whose parameters are open: words are chosen, `grid` has the values of its numbers, one a candidate.

    `share` names the parameter that is the smallest share to spill with which all fits.
    """

    mapping: MappingFile
    words: Mapping[str, Any]
    grid: Mapping[str, Any]
    share: str | None = None

    @property
    def size(self) -> int:
        """How many candidates it has."""
        return max((len(values) for values in self.grid.values()), default=1)

    @property
    def trees(self) -> int:
        """It is one tree."""
        return 1

    @property
    def costings(self) -> int:
        """It is costed once."""
        return 1

    def member(self, at: int) -> dict[str, Any]:
        """The parameters of one candidate."""
        return {**self.words, **{name: values[at].item() for name, values in self.grid.items()}}


@dataclass(frozen=True)
class Costs:
    """What the candidates of a family cost: arrays, one element a candidate; those that do not fit are infinite."""

    latency_s: Any
    energy_j: Any
    dram_bytes: Any
    buffer_bytes: Any
    uneven: Any
    share: Any = field(default=None)

    @property
    def feasible(self) -> Any:
        """Where a candidate fits."""
        return np.isfinite(self.latency_s)


def cost(checked: Checked, arch: Arch, family: Family, shapes: Mapping[str, int], accounting: Accounting) -> Costs:
    """Cost all candidates. Raises `FusemaxError` if the tree is none that the cascade or the machine allows."""
    parameters: dict[str, Any] = {**family.words, **numbers_of(family.grid)}
    share = None
    if family.share is not None:
        parameters[family.share] = 0
        share = least_share(bind(checked, arch, family.mapping, shapes, parameters, check_capacity=False))
        parameters[family.share] = np.minimum(share, 1.0)
    bound = bind(checked, arch, family.mapping, shapes, parameters, check_capacity=False)
    found = estimate(bound, accounting)
    fit = np.asarray(fits(bound.nest)) & (True if share is None else share <= 1)
    return Costs(
        _where(fit, found.latency_s, family.size),
        _where(fit, found.energy_j, family.size),
        _where(fit, found.dram_bytes, family.size),
        np.broadcast_to(np.asarray(used(bound), np.float64), (family.size,)),
        np.broadcast_to(np.asarray(has_short_tiles(bound), np.float64), (family.size,)),
        None if share is None else np.broadcast_to(share, (family.size,)),
    )


def exact(
    checked: Checked, arch: Arch, family: Family, at: int, shapes: Mapping[str, int], accounting: Accounting,
    share: float | None = None,
) -> tuple[MappingFile, Estimate]:  # fmt: skip
    """One candidate as a mapping of its own, and its whole estimate."""
    from fusemax.bind.instantiate import concrete
    from fusemax.mapper.cost.tidy import tidy

    parameters = family.member(at)
    if family.share is not None:
        parameters[family.share] = 0.0 if share is None else float(share)
    mapping = concrete(family.mapping, parameters)
    bound = bind(checked, arch, mapping, shapes, {})
    found = estimate(bound, accounting)
    for apart in (False, True):
        tidied = tidy(mapping, bound, apart)
        with suppress(FusemaxError):
            again = estimate(bind(checked, arch, tidied, shapes, {}), accounting)
            if _figures(again) == _figures(found):
                return tidied, again
    return mapping, found


def _figures(found: Estimate) -> tuple[float, float, float]:
    """What a mapping costs, without the noise of floating point."""
    latency, energy, moved = (
        float(f"{float(value):.12e}") for value in (found.latency_s, found.energy_j, found.dram_bytes)
    )
    return latency, energy, moved


def has_short_tiles(bound: BoundMapping) -> Any:
    """Whether any last tile is shorter than the others: a truth value, or one for each point of a grid."""
    found: Any = False
    for part, length in bound.nest.longest.items():
        found = found | (np.asarray(bound.nest.extents[part]) != np.asarray(length))
    return found


def numbers_of(grid: Mapping[str, Any]) -> dict[str, Any]:
    """Grids of one point are numbers: they cost less."""
    return {name: values[0].item() if len(values) == 1 else values for name, values in grid.items()}


def _where(condition: Any, values: Any, size: int) -> Any:
    return np.broadcast_to(np.where(condition, np.asarray(values, np.float64), np.inf), (size,))


def used(bound: BoundMapping) -> Any:
    """The bytes of the innermost memory that are used."""
    return used_bytes(bound.nest, bound.arch.innermost().name)


def least_share(bound: BoundMapping) -> Any:
    """The smallest share to spill with which all that is held fits; more than one if nothing helps.

    The plan has its shares at zero: what stands in lines that spill must leave what the others do not need.
    """
    share: Any = 0.0
    for memory in bound.arch.memories:
        if memory.size_bytes is None:
            continue
        words = memory.size_bytes * 8 / bound.arch.word_bits
        for holds in held_together(bound.plan, memory.name):
            share = np.maximum(share, _share_of(bound.nest, holds, words))
    return np.where(share > 0, np.ceil(share / SHARE_STEP) * SHARE_STEP, 0.0)


def _share_of(nest: LoopNest, holds: Any, words: float) -> Any:
    fixed: Any = 0.0
    spilled: Any = 0.0
    for hold, elements in tiles(nest, holds):
        if hold.spills:
            spilled = spilled + np.asarray(elements, np.float64)
        else:
            fixed = fixed + np.asarray(elements, np.float64)
    left = words - fixed
    with np.errstate(divide="ignore", invalid="ignore"):
        needed = np.where(np.asarray(spilled) > 0, 1 - left / np.maximum(spilled, 1), 0.0)
    return np.where(left < 0, 2.0, needed)


def divisors(number: int) -> list[int]:
    """All divisors, the smallest first.

    >>> divisors(12)
    [1, 2, 3, 4, 6, 12]
    """
    small = [d for d in range(1, ceil(number**0.5) + 1) if number % d == 0]
    return sorted({*small, *(number // d for d in small)})


__all__ = ["Costs", "Family", "cost", "divisors", "exact", "least_share"]
