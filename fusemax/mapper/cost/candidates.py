"""A tree of loops and holds with open numbers, and the costs of all of its candidates at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from fusemax.bind.bind import BoundMapping, bind
from fusemax.bind.capacity import fits, held_together, tiles, used_bytes
from fusemax.bind.extents import Amount
from fusemax.bind.loop_nest import LoopNest
from fusemax.bind.plan import Storage
from fusemax.errors import FusemaxError
from fusemax.ir.arch import Arch
from fusemax.ir.checked import Checked
from fusemax.ir.mapping import Mapping as MappingFile
from fusemax.mapper.arrays import Floats, Integers, Truths
from fusemax.model.energy import Accounting
from fusemax.model.estimate import Estimate, estimate

Word = tuple[str, ...] | float
"""The value of a parameter that is a list of words, or a share that a user fixes."""
ChosenValue = Word | int

SHARE_STEP = 1e-9
"""The step to which shares are rounded up, so that all fits in floating point too."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """The candidates of one tree: a mapping with open parameters, its words, and in `grid` the values of its numbers, one
    a candidate.

    `share` names the parameter that is the smallest share to spill with which all fits.
    """

    mapping: MappingFile
    words: Mapping[str, Word]
    grid: Mapping[str, Integers]
    share: str | None = None

    @property
    def size(self) -> int:
        """The number of candidates."""
        return max((len(values) for values in self.grid.values()), default=1)

    @property
    def trees(self) -> int:
        """The number of trees: one."""
        return 1

    @property
    def costings(self) -> int:
        """The number of trees costed one by one: one."""
        return 1

    def each(self) -> Iterator[Candidates]:
        """The tree itself."""
        yield self

    def member(self, at: int) -> dict[str, ChosenValue]:
        """The parameters of one candidate."""
        return {**self.words, **{name: values[at].item() for name, values in self.grid.items()}}


@dataclass(frozen=True)
class Costs:
    """The costs of candidates: arrays of one shape; those of candidates that do not fit are infinite.

    `uneven` is 1 where a last tile is shorter than the others; `share` is the smallest share to spill, if one is open.
    """

    latency_s: Floats
    energy_j: Floats
    dram_bytes: Floats
    buffer_bytes: Floats
    uneven: Floats
    share: Floats | None = None

    @property
    def feasible(self) -> Truths:
        """Whether each candidate fits."""
        return np.isfinite(self.latency_s)


def cost(
    checked: Checked, arch: Arch, candidates: Candidates, shapes: Mapping[str, int], accounting: Accounting
) -> Costs:
    """Cost all candidates. Raises `FusemaxError` if the cascade or the machine does not allow the tree."""
    parameters: dict[str, ChosenValue | Amount] = {**candidates.words, **numbers_of(candidates.grid)}
    share: Floats | None = None
    if candidates.share is not None:
        parameters[candidates.share] = 0
        share = least_share(bind(checked, arch, candidates.mapping, shapes, parameters, check_capacity=False))
        parameters[candidates.share] = np.minimum(share, 1.0)
    bound = bind(checked, arch, candidates.mapping, shapes, parameters, check_capacity=False)
    found = estimate(bound, accounting)
    fit = np.asarray(fits(bound.nest)) & (True if share is None else share <= 1)
    return Costs(
        _where(fit, found.latency_s, candidates.size),
        _where(fit, found.energy_j, candidates.size),
        _where(fit, found.dram_bytes, candidates.size),
        column(used(bound), candidates.size),
        column(has_short_tiles(bound), candidates.size),
        None if share is None else np.broadcast_to(share, (candidates.size,)),
    )


def exact(
    checked: Checked, arch: Arch, candidates: Candidates, at: int, shapes: Mapping[str, int], accounting: Accounting,
    share: float | None = None,
) -> tuple[MappingFile, Estimate]:  # fmt: skip
    """One candidate as a mapping of its own, and its whole estimate."""
    from fusemax.bind.instantiate import concrete
    from fusemax.mapper.cost.tidy import tidy

    parameters = candidates.member(at)
    if candidates.share is not None:
        parameters[candidates.share] = 0.0 if share is None else float(share)
    mapping = concrete(candidates.mapping, parameters)
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
    """The costs of a mapping, without the noise of floating point."""
    latency, energy, moved = (
        float(f"{float(value):.12e}") for value in (found.latency_s, found.energy_j, found.dram_bytes)
    )
    return latency, energy, moved


def has_short_tiles(bound: BoundMapping) -> Truths:
    """Whether any last tile is shorter than the others: one truth value, or one for each point of a grid."""
    found = np.zeros((), np.bool_)
    for part, length in bound.nest.longest.items():
        found = found | (np.asarray(bound.nest.extents[part]) != np.asarray(length))
    return found


def numbers_of(grid: Mapping[str, Integers]) -> dict[str, int | Integers]:
    """The values of a grid; those of one point are numbers, which are cheaper to cost."""
    return {name: values[0].item() if len(values) == 1 else values for name, values in grid.items()}


def column(values: ArrayLike, size: int) -> Floats:
    """A value for each of `size` candidates, from one of each, or one of all."""
    return np.broadcast_to(np.asarray(values, np.float64), (size,))


def _where(condition: Truths, values: ArrayLike, size: int) -> Floats:
    return column(np.where(condition, np.asarray(values, np.float64), np.inf), size)


def used(bound: BoundMapping) -> Floats:
    """The bytes of the innermost memory that are used: one number, or one for each point of a grid."""
    return np.asarray(used_bytes(bound.nest, bound.arch.innermost().name), np.float64)


def least_share(bound: BoundMapping) -> Floats:
    """The smallest share to spill with which all that is held fits; more than one if no share is large enough.

    The plan has its shares at zero: tensors in lines that spill get the capacity that the others leave.
    """
    share = np.zeros(())
    for memory in bound.arch.memories:
        if memory.size_bytes is None:
            continue
        words = memory.size_bytes * 8 / bound.arch.word_bits
        for holds in held_together(bound.plan, memory.name):
            share = np.maximum(share, _share_of(bound.nest, holds, words))
    return np.where(share > 0, np.ceil(share / SHARE_STEP) * SHARE_STEP, 0.0)


def _share_of(nest: LoopNest, holds: tuple[Storage, ...], words: float) -> Floats:
    """The smallest share for storages of one memory that live at once."""
    fixed, spilled = np.zeros(()), np.zeros(())
    for hold, elements in tiles(nest, holds):
        if hold.spills:
            spilled = spilled + np.asarray(elements, np.float64)
        else:
            fixed = fixed + np.asarray(elements, np.float64)
    left = words - fixed
    with np.errstate(divide="ignore", invalid="ignore"):
        needed = np.where(spilled > 0, 1 - left / np.maximum(spilled, 1), 0.0)
    return np.where(left < 0, 2.0, needed)
