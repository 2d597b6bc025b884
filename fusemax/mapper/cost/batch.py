"""All combinations of the holds of one tree of loops, costed together.

The hold of a tensor changes its traffic, the energy of that and the cycles at the edges of the array that makes it, and
the capacity that it uses; each of these adds up over tensors. So each option of one tensor is costed once, and sums of
these stand for all combinations.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice, product
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from fusemax.bind.bind import bind
from fusemax.bind.capacity import held_bytes
from fusemax.errors import FusemaxError
from fusemax.mapper.arrays import Floats, Integers
from fusemax.mapper.cost.candidates import Candidates, Costs, column, has_short_tiles, numbers_of
from fusemax.mapper.objective import Objective
from fusemax.model.energy import Accounting
from fusemax.model.estimate import estimate

if TYPE_CHECKING:
    from fusemax.mapper.space.loop_tree import HeldTensor, LoopTree, MappingWriter

AT_ONCE = 1 << 21
"""Candidates whose sums are made at once."""
MOST = 1 << 18
"""Combinations of one tree of loops that are looked at."""


@dataclass(frozen=True)
class Batch:
    """A tree of loops, for each tensor the options of its holds, the tile sizes, and the sizes of ranks."""

    writer: MappingWriter
    bare: LoopTree
    options: tuple[tuple[tuple[HeldTensor, ...], ...], ...]
    grid: Mapping[str, Integers]
    shapes: Mapping[str, int]

    @property
    def trees(self) -> int:
        """The number of combinations."""
        return prod(map(len, self.options))

    @property
    def costings(self) -> int:
        """The number of combinations costed one by one."""
        return 1 + sum(len(options) - 1 for options in self.options)

    @property
    def points(self) -> int:
        """The number of candidates of each: its tile sizes."""
        return max((len(values) for values in self.grid.values()), default=1)

    def candidates(self, picks: Sequence[int]) -> Candidates:
        """The tree of one combination: the number of an option for each tensor."""
        chosen = (options[pick] for options, pick in zip(self.options, picks, strict=True))
        tree = replace(self.bare, holds=tuple(hold for holds in chosen for hold in holds))
        return Candidates(self.writer.mapping(tree), {}, self.grid)

    def each(self) -> Iterator[Candidates]:
        """The trees of all combinations, one by one."""
        yield from map(self.candidates, product(*(range(len(options)) for options in self.options)))


@dataclass(frozen=True)
class AdditiveCosts:
    """The costs that add up over tensors, in the last axis of `sums`: cycles by unit, for each of `turns` that come one
    after the other, bytes of the outermost memory, joules, and bytes that are held, by memory and Einsum.

    `capacities` are the bytes of these memories; `latency_s` is that of the estimate, one element a candidate.
    """

    sums: Floats
    uneven: Floats
    turns: int
    units: int
    capacities: tuple[float, ...]
    latency_s: Floats

    def costs(self, sums: Floats, clock_hz: float, bandwidth: float, check_capacity: bool = True) -> Costs:
        """The costs of candidates from their sums; infinite for candidates that do not fit, if capacity is checked."""
        timed, shape = self.turns * self.units, sums.shape[:-1]
        cycles = sums[..., :timed].reshape(*shape, self.turns, self.units).max(axis=-1).sum(axis=-1)
        dram, joules = sums[..., timed], sums[..., timed + 1]
        used = sums[..., timed + 2 :].reshape(*shape, len(self.capacities), -1).max(axis=-1)
        fits = (not check_capacity) | (used <= np.array(self.capacities)).all(axis=-1)
        latency = np.maximum(cycles / clock_hz, dram / bandwidth)
        excess = np.where(fits, 0.0, np.inf)
        return Costs(
            latency + excess, joules + excess, dram + excess, used[..., -1], np.broadcast_to(self.uneven, fits.shape)
        )


@dataclass
class BatchTally:
    """The number of combinations costed, the reasons for which others are refused, and whether all were costed."""

    trees: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    whole: bool = True


def all_combinations(
    batch: Batch, accounting: Accounting, tally: BatchTally
) -> Iterator[tuple[list[tuple[int, ...]], Costs]]:
    """All combinations, many at once: the numbers of their options, and their costs, one row a combination, one column a
    candidate.

    Raises `FusemaxError` if the cascade or the machine does not allow the tree.
    """
    arch = batch.writer.arch
    base, moves, tally.refused = _each(batch, accounting)
    bandwidth = arch.outermost.bandwidth_bytes_s or float("inf")
    again = base.costs(base.sums, arch.clock_hz, bandwidth, check_capacity=False).latency_s
    assert np.allclose(again, base.latency_s, rtol=1e-9, atol=0), "the sum of its parts"
    allowed = [[pick for pick, part in enumerate(each) if part is not None] for each in moves]
    every = list(islice(product(*allowed), MOST))
    tally.trees, tally.whole = len(every), len(every) == prod(map(len, allowed))
    chunk = max(1, AT_ONCE // batch.points)
    for begin in range(0, len(every), chunk):
        picks = every[begin : begin + chunk]
        sums = np.broadcast_to(base.sums, (len(picks), *base.sums.shape)).copy()
        for number, each in enumerate(moves):
            if len(each) > 1:
                parts = [part for pick in picks if (part := each[pick[number]]) is not None]
                sums += np.stack(parts)
        yield picks, base.costs(sums, arch.clock_hz, bandwidth)


def best_of(
    batch: Batch, objective: Objective, accounting: Accounting, top: int, tally: BatchTally
) -> tuple[list[Candidates], int]:
    """The trees of the `top` best combinations, the best first, and the number of all candidates that fit.

    Raises `FusemaxError` as `all_combinations` does.
    """
    found: list[tuple[tuple[float, ...], tuple[int, ...]]] = []
    fitting = 0
    for picks, costs in all_combinations(batch, accounting, tally):
        fitting += int(np.count_nonzero(costs.feasible))
        found = sorted([*found, *_least(objective.keys(costs), picks, top)])[:top]
    return [batch.candidates(picks) for _, picks in found], fitting


def _least(
    keys: Sequence[Floats], picks: Sequence[tuple[int, ...]], top: int
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


def _each(batch: Batch, accounting: Accounting) -> tuple[AdditiveCosts, list[list[Floats | None]], Counter[str]]:
    """The costs with the first option of each tensor; by tensor and option the difference that it makes, None if it is
    refused; and the reasons for that."""
    first = [0] * len(batch.options)
    base = _additive(batch, first, accounting)
    moves: list[list[Floats | None]] = []
    refused: Counter[str] = Counter()
    for number, options in enumerate(batch.options):
        each: list[Floats | None] = [np.zeros_like(base.sums)]
        for pick in range(1, len(options)):
            picks = [*first[:number], pick, *first[number + 1 :]]
            try:
                each.append(_additive(batch, picks, accounting).sums - base.sums)
            except FusemaxError as error:
                each.append(None)
                refused[error.problems[0].message] += batch.trees // len(options)
        moves.append(each)
    return base, moves, refused


def _additive(batch: Batch, picks: Sequence[int], accounting: Accounting) -> AdditiveCosts:
    """The costs of one combination, at all tile sizes."""
    arch, candidates = batch.writer.arch, batch.candidates(picks)
    numbers = numbers_of(candidates.grid)
    bound = bind(batch.writer.checked, arch, candidates.mapping, batch.shapes, numbers, check_capacity=False)
    found = estimate(bound, accounting)
    names = [unit.name for unit in arch.units]
    bodies = batch.bare.nest.bodies
    overlapped = bool(batch.writer.chain(batch.bare, None))
    cycles = [np.zeros(())] * len(names) * (1 if overlapped else len(bodies))
    for einsum in found.einsums:
        body = batch.bare.nest.body_of(einsum.einsum) or 0
        alone = not batch.writer.chain(batch.bare, body)  # its units do not overlap
        at = (0 if overlapped else body * len(names)) + (0 if alone else names.index(einsum.unit))
        cycles[at] = cycles[at] + einsum.cycles
    sized = [memory for memory in arch.memories if memory.size_bytes is not None]
    held = [held_bytes(bound.nest, each.held_in(memory.name)) for memory in sized for each in bound.plan.placements]
    columns = [column(values, batch.points) for values in (*cycles, found.dram_bytes, found.energy_j, *held)]
    return AdditiveCosts(
        np.stack(columns, axis=-1),
        column(has_short_tiles(bound), batch.points),
        len(cycles) // len(names),
        len(names),
        tuple(float(memory.size_bytes or 0) for memory in sized),
        column(found.latency_s, batch.points),
    )
