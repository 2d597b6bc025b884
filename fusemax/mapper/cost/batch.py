"""All the ways to hold tensors in one tree of loops, costed together.

Where a tensor is held changes what it moves, what that takes in energy and at the edges of the array that makes it, and
the room that it needs; each of these adds up over tensors. So each way to hold one tensor is costed once, and sums of
those stand for all combinations.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice, product
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from fusemax.bind.bind import BoundMapping, bind
from fusemax.errors import FusemaxError
from fusemax.mapper.cost.candidates import Costs, Family, has_short_tiles, numbers_of
from fusemax.mapper.objective import Objective
from fusemax.model.energy import Accounting
from fusemax.model.estimate import estimate

if TYPE_CHECKING:
    from fusemax.mapper.space.loop_tree import Builder, Choice

AT_ONCE = 1 << 21
"""Candidates whose sums are made at once."""
MOST = 1 << 18
"""Combinations of one tree of loops that are looked at."""


@dataclass(frozen=True)
class Batch:
    """A tree of loops, for each tensor the ways to hold it, the tile sizes, and the sizes of ranks."""

    builder: Builder
    bare: Choice
    options: tuple[tuple[Any, ...], ...]
    grid: Mapping[str, Any]
    shapes: Mapping[str, int]

    @property
    def trees(self) -> int:
        """How many combinations there are."""
        return prod(map(len, self.options))

    @property
    def costings(self) -> int:
        """How many of them are costed one by one."""
        return 1 + sum(len(options) - 1 for options in self.options)

    @property
    def points(self) -> int:
        """The tile sizes of each."""
        return max((len(values) for values in self.grid.values()), default=1)

    def family(self, picks: Sequence[int]) -> Family:
        """One combination as a family: of each tensor the way with a number."""
        chosen = (options[pick] for options, pick in zip(self.options, picks, strict=True))
        choice = replace(self.bare, holds=tuple(hold for holds in chosen for hold in holds))
        return Family(self.builder.mapping(choice), {}, self.grid)


@dataclass(frozen=True)
class Parts:
    """What adds up: cycles by unit, for each of `turns` that come one after the other, bytes of the outermost memory,
    joules, and bytes that are held, by memory and Einsum."""

    sums: Any
    uneven: Any
    turns: int
    units: int
    memories: tuple[float, ...]
    latency_s: Any

    def costs(self, sums: Any, clock_hz: float, bandwidth: float, roomy: bool = False) -> Costs:
        """What candidates cost whose parts add up to `sums`, the parts in the last axis; infinite for what does not fit,
        unless `roomy`."""
        timed, shape = self.turns * self.units, sums.shape[:-1]
        cycles = sums[..., :timed].reshape(*shape, self.turns, self.units).max(axis=-1).sum(axis=-1)
        dram, joules = sums[..., timed], sums[..., timed + 1]
        used = sums[..., timed + 2 :].reshape(*shape, len(self.memories), -1).max(axis=-1)
        fits = roomy | (used <= np.array(self.memories)).all(axis=-1)
        latency = np.maximum(cycles / clock_hz, dram / bandwidth)
        nothing = np.where(fits, 0.0, np.inf)
        return Costs(
            latency + nothing, joules + nothing, dram + nothing, used[..., -1], np.broadcast_to(self.uneven, fits.shape)
        )


@dataclass
class Tally:
    """How many combinations were costed, why others cannot be, and whether all were looked at."""

    trees: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    whole: bool = True


def combined(batch: Batch, accounting: Accounting, tally: Tally) -> Iterator[tuple[list[tuple[int, ...]], Costs]]:
    """All combinations, many at once: the number of the way for each tensor, and the costs, one row a combination.

    Raises `FusemaxError` if the tree is none that the cascade or the machine allows.
    """
    arch = batch.builder.arch
    base, moves, tally.refused = _each(batch, accounting)
    bandwidth = arch.outermost.bandwidth_bytes_s or float("inf")
    again = base.costs(base.sums, arch.clock_hz, bandwidth, roomy=True).latency_s
    assert np.allclose(again, np.asarray(base.latency_s, np.float64), rtol=1e-9, atol=0), "its parts are what it takes"
    allowed = [[pick for pick, part in enumerate(each) if part is not None] for each in moves]
    every = list(islice(product(*allowed), MOST))
    tally.trees, tally.whole = len(every), len(every) == prod(map(len, allowed))
    chunk = max(1, AT_ONCE // batch.points)
    for begin in range(0, len(every), chunk):
        picks = every[begin : begin + chunk]
        sums = np.broadcast_to(base.sums, (len(picks), *base.sums.shape)).copy()
        for number, each in enumerate(moves):
            if len(each) > 1:
                sums += np.stack([each[pick[number]] for pick in picks])
        yield picks, base.costs(sums, arch.clock_hz, bandwidth)


def best_of(
    batch: Batch, objective: Objective, accounting: Accounting, top: int, tally: Tally
) -> tuple[list[Family], int]:
    """The families of the best combinations, the best first, and how many candidates fit. Raises as `combined` does."""
    found: list[tuple[tuple[float, ...], tuple[int, ...]]] = []
    fitting = 0
    for picks, costs in combined(batch, accounting, tally):
        fitting += int(np.count_nonzero(costs.feasible))
        found = sorted([*found, *_least(objective.keys(costs), picks, top)])[:top]
    return [batch.family(picks) for _, picks in found], fitting


def _least(
    keys: Sequence[Any], picks: Sequence[tuple[int, ...]], top: int
) -> list[tuple[tuple[float, ...], tuple[int, ...]]]:
    """The best candidate of each of the best combinations, with its keys."""
    first = keys[0].min(axis=1)
    likely = np.flatnonzero(first <= np.sort(first)[min(top, len(first)) - 1])
    found = []
    for at in likely[np.isfinite(first[likely])]:
        row = np.stack([key[at] for key in keys])
        best = int(np.lexsort(row[::-1])[0])
        found.append((tuple(map(float, row[:, best])), picks[at]))
    return sorted(found)[:top]


def _each(batch: Batch, accounting: Accounting) -> tuple[Parts, list[list[Any]], Counter[str]]:
    """The parts with the first way to hold each tensor, and by tensor and way what each other way adds; None for what
    cannot be."""
    first = [0] * len(batch.options)
    base = _parts(batch, first, accounting)
    moves: list[list[Any]] = []
    refused: Counter[str] = Counter()
    for number, options in enumerate(batch.options):
        each: list[Any] = [np.zeros_like(base.sums)]
        for pick in range(1, len(options)):
            picks = [*first[:number], pick, *first[number + 1 :]]
            try:
                each.append(_parts(batch, picks, accounting).sums - base.sums)
            except FusemaxError as error:
                each.append(None)
                refused[error.problems[0].message] += batch.trees // len(options)
        moves.append(each)
    return base, moves, refused


def _parts(batch: Batch, picks: Sequence[int], accounting: Accounting) -> Parts:
    """The parts of one combination, at all tile sizes: an array of points by parts."""
    arch, family = batch.builder.arch, batch.family(picks)
    bound = bind(
        batch.builder.checked, arch, family.mapping, batch.shapes, numbers_of(family.grid), check_capacity=False
    )
    found = estimate(bound, accounting)
    names = [unit.name for unit in arch.units]
    bodies = batch.bare.nest.bodies
    overlapped = bool(batch.builder.chain(batch.bare, None))
    cycles: list[Any] = [0.0] * len(names) * (1 if overlapped else len(bodies))
    for einsum in found.einsums:
        body = batch.bare.nest.body_of(einsum.einsum) or 0
        alone = not batch.builder.chain(batch.bare, body)  # its units do not overlap
        at = (0 if overlapped else body * len(names)) + (0 if alone else names.index(einsum.unit))
        cycles[at] = cycles[at] + np.maximum(einsum.slot_cycles, einsum.edge_cycles)
    sized = [memory for memory in arch.memories if memory.size_bytes is not None]
    held = [each for memory in sized for each in _room(bound, memory.name)]
    columns = [*cycles, found.dram_bytes, found.energy_j, *held]
    sums = np.stack([np.broadcast_to(np.asarray(column, np.float64), (batch.points,)) for column in columns], axis=-1)
    uneven = np.broadcast_to(np.asarray(has_short_tiles(bound), np.float64), (batch.points,))
    room = tuple(float(memory.size_bytes or 0) for memory in sized)
    return Parts(sums, uneven, len(cycles) // len(names), len(names), room, found.latency_s)


def _room(bound: BoundMapping, memory: str) -> list[Any]:
    """The bytes that are held in a memory around each placement."""
    word = bound.arch.word_bits / 8
    return [
        sum((bound.nest.max_tile_elements(hold) * word for hold in placement.holds if hold.level == memory), 0.0)
        for placement in bound.plan.placements
    ]
