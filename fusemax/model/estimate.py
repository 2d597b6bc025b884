"""The cost of a mapping: cycles, seconds, joules, words at every memory and utilization, with its breakdown by Einsum."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fusemax.bind.bind import BoundMapping
from fusemax.bind.extents import Amount, largest
from fusemax.bind.parameters import ParameterValue
from fusemax.bind.plan import Placement
from fusemax.model.cycles import Time, compose, times
from fusemax.model.energy import Accounting, arrivals, memories_j, memory_words, placement_operations, unit_j
from fusemax.model.traffic import MemoryTraffic, traffic
from fusemax.view import Json, Record, Result, Table

SYNCHRONIZATION = "synchronization"
"""The limit of a mapping in which no unit is busy all of the time."""


@dataclass(frozen=True)
class EinsumCost:
    """The share of one Einsum: its unit, cycles by operations and by edges over the run, operations, and joules.

    `utilization` is its share of that of its unit: its operation slots over all slots of the unit.
    """

    einsum: str
    unit: str
    slot_cycles: Amount
    edge_cycles: Amount
    utilization: Amount
    operations: Mapping[str, Amount]
    energy_j: Amount

    @property
    def cycles(self) -> Amount:
        """Cycles for which its unit is busy with it: the larger of the two."""
        return largest([self.slot_cycles, self.edge_cycles])


@dataclass(frozen=True)
class PhaseCost:
    """One phase: cycles of its units, bytes of the outermost memory, and the seconds of the slower of both."""

    cycles: Amount
    dram_bytes: Amount
    seconds: Amount


@dataclass(frozen=True)
class Estimate(Result):
    """The cost of one mapping at one shape point, or at each of a grid of them (then numbers are arrays).

    `cycles` is the whole latency in cycles of the clock; `words` has reads (without those for drains) and writes by memory;
    `counts` every count of words, by memory, Einsum and tensor. `bound` is the limit for most of the time: the name of a
    unit or of the outermost memory, or `synchronization`. `parameters` are those that are not at their defaults, `model`
    and `seq` name the shapes if they are from a workload, and `notes` are assumptions.
    """

    mapping: str
    cascade: str
    arch: str
    accounting: str
    shapes: Mapping[str, Amount]
    cycles: Amount
    latency_s: Amount
    energy_j: Amount
    dram_bytes: Amount
    utilization: Mapping[str, Amount]
    bound: str | NDArray[np.str_]
    words: Mapping[str, tuple[Amount, Amount]]
    operations: Mapping[str, Amount]
    memory_j: Mapping[str, Amount]
    einsums: tuple[EinsumCost, ...] = field(repr=False)
    phases: tuple[PhaseCost, ...] = field(repr=False)
    counts: tuple[MemoryTraffic, ...] = field(repr=False)
    parameters: Mapping[str, ParameterValue] = field(default_factory=dict)
    model: str | None = None
    seq: int | None = None
    notes: tuple[str, ...] = ()

    def tables(self) -> Iterator[Table]:
        """The totals, then units, memories, phases, every Einsum, and traffic by tensor; of a grid, the first point."""
        from fusemax.model.tables import estimate_tables

        return estimate_tables(self)

    def records(self) -> list[Record]:
        """A row for each point: sizes, latency, cycles, energy, traffic, utilization of each unit, and the limiting resource."""
        from fusemax.model.json import point_records

        return point_records(self)

    def to_json(self) -> Json:
        """The estimate as JSON data (docs/json.md); of a grid, numbers are lists."""
        from fusemax.model.json import estimate_json

        return estimate_json(self)


def estimate(bound: BoundMapping, accounting: Accounting) -> Estimate:
    """Cost a bound mapping (docs/model.md, rules 1 to 16)."""
    arch, nest = bound.arch, bound.nest
    movement = traffic(nest)
    spent = times(nest, movement.crossings, bound.sizes)
    composed = compose(nest, spent)
    phases = tuple(phase_cost(bound, movement.counts, n, cycles) for n, cycles in enumerate(composed))
    latency = sum((phase.seconds for phase in phases), start=0.0)
    cycles = latency * arch.clock_hz
    done = [placement_operations(bound, placement) for placement in bound.plan.placements]
    einsums = tuple(
        EinsumCost(
            placement.name, placement.unit, time.slots, time.edges, utilization_of(bound, placement, time, cycles), ops.done,
            unit_j(bound, placement, ops, arrivals(nest, movement.crossings, i), accounting),
        )
        for i, (placement, time, ops) in enumerate(zip(bound.plan.placements, spent, done, strict=True))
    )  # fmt: skip
    memory_j = memories_j(arch, movement.counts, accounting)
    words = {memory.name: memory_words(movement.counts, memory.name, False) for memory in arch.memories}
    moved = sum(memory_words(movement.counts, arch.outermost.name, True))
    return Estimate(
        mapping=bound.mapping.name,
        cascade=bound.checked.cascade.name,
        arch=arch.name,
        accounting=accounting.value,
        shapes=bound.sizes,
        cycles=cycles,
        latency_s=latency,
        energy_j=sum(memory_j.values()) + sum(einsum.energy_j for einsum in einsums),
        dram_bytes=moved * (arch.word_bits / 8),
        utilization={u.name: sum((e.utilization for e in einsums if e.unit == u.name), 0.0) for u in arch.units},
        bound=limited_by(bound, spent, phases),
        words=words,
        operations=_totals(einsums),
        memory_j=memory_j,
        einsums=einsums,
        phases=phases,
        counts=movement.counts,
    )


def phase_cost(bound: BoundMapping, counts: tuple[MemoryTraffic, ...], number: int, cycles: Amount) -> PhaseCost:
    """The cost of a phase: traffic of the outermost memory overlaps all compute in it (docs/model.md, rule 4)."""
    outermost = bound.arch.outermost
    mine = tuple(count for count in counts if count.phase == number)
    moved = sum(memory_words(mine, outermost.name, True)) * (bound.arch.word_bits / 8)
    assert outermost.bandwidth_bytes_s is not None, "the reader of architectures asks for it"
    return PhaseCost(cycles, moved, largest([cycles / bound.arch.clock_hz, moved / outermost.bandwidth_bytes_s]))


def utilization_of(bound: BoundMapping, placement: Placement, time: Time, cycles: Amount) -> Amount:
    """The operation slots of an Einsum over all slots of its unit (docs/model.md, rule 16)."""
    unit = bound.arch.unit(placement.unit)
    share = np.asarray(time.used, np.float64) / (unit.elements * cycles)
    return share if np.ndim(share) else float(share)


def limited_by(bound: BoundMapping, spent: tuple[Time, ...], phases: tuple[PhaseCost, ...]) -> str | NDArray[np.str_]:
    """The limit: the outermost memory, if phases that wait for it take most of the time; else the busiest unit, or
    synchronization in a single phase in which no unit is busy all of the time."""
    memory = bound.arch.outermost.name
    starved: Amount = 0.0
    for phase in phases:
        starved = starved + np.where(phase.cycles / bound.arch.clock_hz < phase.seconds, phase.seconds, 0.0)
    busy: dict[str, Amount] = {}
    for placement, time in zip(bound.plan.placements, spent, strict=True):
        busy[placement.unit] = busy.get(placement.unit, 0.0) + time.cycles
    total = sum(phase.seconds for phase in phases)
    names = np.array(list(busy))
    stacked = np.array(np.broadcast_arrays(*busy.values()))
    busiest = names[np.argmax(stacked, axis=0)]
    serial = np.where(np.max(stacked, axis=0) < 0.999 * total * bound.arch.clock_hz, SYNCHRONIZATION, busiest)
    result = np.where(starved > total / 2, memory, serial if len(phases) == 1 else busiest)
    return str(result) if np.ndim(result) == 0 else result


def _totals(einsums: tuple[EinsumCost, ...]) -> dict[str, Amount]:
    totals: dict[str, Amount] = {}
    for einsum in einsums:
        for kind, number in einsum.operations.items():
            totals[kind] = totals.get(kind, 0) + number
    return totals
