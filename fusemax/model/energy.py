"""Joules, under two accountings, and square metres.

`full` charges every access of every instance. `published` charges as the published numbers of FuseMax's evaluation do:
no register files, no drains, and none of the kinds that the mapping lists as uncounted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

import numpy as np

from fusemax.bind.bind import BoundMapping
from fusemax.bind.extents import Amount
from fusemax.bind.loop_nest import LoopNest
from fusemax.bind.plan import Placement
from fusemax.errors import FusemaxError, did_you_mean, listed
from fusemax.ir.arch import EXECUTED_AS, Arch, Unit
from fusemax.model.filters import point_count
from fusemax.model.operations import operations_on
from fusemax.model.traffic import Edge, EdgeTraffic, MemoryTraffic, Transfer
from fusemax.moved import current


class Accounting(Enum):
    """The accesses and operations that are charged."""

    FULL = "full"
    PUBLISHED = "published"


def accounting_of(name: str) -> Accounting:
    """The accounting of a name. Raises `FusemaxError` for an unknown name."""
    try:
        return Accounting(current(name))
    except ValueError:
        names = [accounting.value for accounting in Accounting]
        hint = did_you_mean(name, names) or f"choose {listed(names, word='or')}"
        raise FusemaxError(f"no accounting '{name}'", hint) from None


@dataclass(frozen=True, slots=True)
class Operations:
    """Operations of one placement by the kind as which its unit executes them, and register words read and written."""

    done: Mapping[str, Amount]
    register_reads: Amount
    register_writes: Amount


OPERANDS = {"exp": 1, "log": 1, "sqrt": 1, "rsqrt": 1, "neg": 1, "abs": 1, "select": 3}
"""The number of operands of each kind that does not have two."""


def as_done(kind: str, unit: Unit) -> tuple[str, int]:
    """The operation that a unit executes for a kind, and its number: a `mul` is one `mac`, an `exp` perhaps 6 `mac`."""
    name = EXECUTED_AS.get(kind, kind)
    operation = next((op for op in unit.ops if op.name == name), None)
    if operation is not None and operation.same_as is not None:
        return operation.same_as, operation.times
    return name, 1


def placement_operations(bound: BoundMapping, placement: Placement) -> Operations:
    """The operations of one placement.

    An operation reads one register word per operand and, in a reduction, the accumulator except at its first visit,
    and writes one word. An operation that stands for n of another reads 2 n words and writes n.
    """
    unit = bound.arch.unit(placement.unit)
    done: dict[str, Amount] = {}
    reads: Amount = 0
    writes: Amount = 0
    for kind, counts in operations_on(bound.checked, placement.einsum, unit).items():
        number: Amount = 0
        for at, n in counts.items():
            number = number + n * point_count(at, bound.sizes)
        name, times = as_done(kind, unit)
        done[name] = done.get(name, 0) + number * times
        reads = reads + number * times * (OPERANDS.get(kind, 2) if times == 1 else 2)
        writes = writes + number * times
    for _ in placement.einsum.reductions[:1]:
        reads = reads + _accumulations(bound.nest, placement)
    return Operations(done, reads, writes)


def _accumulations(nest: LoopNest, placement: Placement) -> Amount:
    """Reads of accumulators: one at every point of the reduction but the first of each visit of each element."""
    spatial = nest.elements(placement, [variable for _, variable in placement.spread], placement.kept)
    first = nest.whole(nest.tile_changes(nest.sequence(placement), placement.kept) * spatial)
    return nest.points(placement) - first


def deliveries(nest: LoopNest, crossing: EdgeTraffic) -> Amount:
    """Register writes of a word that enters an array: one in each element that receives it."""
    placement = nest.plan.placements[crossing.placement]
    return nest.whole(crossing.words * nest.copies(placement, crossing.operand))


def memory_words(counts: tuple[MemoryTraffic, ...], memory: str, drains: bool) -> tuple[Amount, Amount]:
    """Words read from and written to a memory; with `drains`, reads for drains are included."""
    reads: Amount = 0
    writes: Amount = 0
    for count in counts:
        if count.memory == memory and not count.reads:
            writes = writes + count.words
        elif count.memory == memory and (drains or count.kind is not Transfer.DRAIN):
            reads = reads + count.words
    return reads, writes


def memories_j(arch: Arch, counts: tuple[MemoryTraffic, ...], accounting: Accounting) -> dict[str, Amount]:
    """Joules of each memory, in accesses of its own width."""
    joules: dict[str, Amount] = {}
    for memory in arch.memories:
        reads, writes = memory_words(counts, memory.name, accounting is Accounting.FULL)
        words = memory.access_bits / arch.word_bits
        joules[memory.name] = reads / words * memory.read_j + writes / words * memory.write_j
    return joules


def unit_j(
    bound: BoundMapping, placement: Placement, done: Operations, arrived: Amount, accounting: Accounting
) -> Amount:  # fmt: skip
    """Joules of one placement in its unit: operations, and under `full` register files."""
    unit = bound.arch.unit(placement.unit)
    uncounted = bound.mapping.uncounted.kinds if bound.mapping.uncounted else ()
    energies = {op.name: op.energy_j or 0.0 for op in unit.ops}
    joules: Amount = 0.0
    for kind, number in done.done.items():
        if accounting is Accounting.FULL or kind not in uncounted:
            joules = joules + np.asarray(number, np.float64) * energies[kind]
    if accounting is Accounting.FULL and unit.registers is not None:
        writes = np.asarray(done.register_writes, np.float64) + arrived
        joules = joules + np.asarray(done.register_reads, np.float64) * unit.registers.read_j
        joules = joules + writes * unit.registers.write_j
    return joules


def arrivals(nest: LoopNest, crossings: tuple[EdgeTraffic, ...], number: int) -> Amount:
    """Register writes of all words that a placement receives."""
    total: Amount = 0.0
    for crossing in crossings:
        if crossing.placement == number and crossing.edge is Edge.IN:
            total = total + np.asarray(deliveries(nest, crossing), np.float64)
    return total


def area_m2(arch: Arch) -> float:
    """The area of buffers, register files and operators, in square metres. Raises `FusemaxError` if an area is missing.

    >>> from fusemax.syntax.load import load_arch
    >>> round(area_m2(load_arch("fusemax-cloud")) * 1e12)
    1302951587
    """
    total = 0.0
    for memory in arch.memories[1:]:
        total += _area(arch, f"memory '{memory.name}'", memory.area_m2)
    for unit in arch.units:
        each = sum(op.area_m2 or 0.0 for op in unit.ops)
        if unit.registers is not None:
            each += _area(arch, f"the registers of '{unit.name}'", unit.registers.area_m2)
        total += each * unit.elements
    return total


def _area(arch: Arch, part: str, area: float | None) -> float:
    if area is None:
        raise FusemaxError(f"'{arch.name}' states no area for {part}", "write `area: 1545 um^2` there")
    return area
