"""Words that a bound mapping moves, for each Einsum, tensor and memory: functions over its loop nest (docs/model.md, rules 9
to 15)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from fusemax.bind.extents import Amount
from fusemax.bind.loop_nest import LoopNest
from fusemax.bind.plan import Operand, Placement, Storage


class Transfer(Enum):
    """The reason for which words move at a memory."""

    FILL = "fill"
    READ = "read"
    WRITE = "write"
    READ_BACK = "read back"
    DRAIN = "drain"


class Edge(Enum):
    """The direction in which words cross the boundary of an array."""

    IN = "in"
    OUT = "out"


@dataclass(frozen=True, slots=True)
class MemoryTraffic:
    """Words at a memory: read from it (`reads`) or written to it, for an Einsum, of a tensor, in a phase."""

    memory: str
    kind: Transfer
    reads: bool
    tensor: str
    einsum: str
    words: Amount
    phase: int


@dataclass(frozen=True, slots=True)
class EdgeTraffic:
    """Words of an operand over the edges of an array for a placement; it varies along `axes`."""

    placement: int
    edge: Edge
    operand: Operand
    axes: frozenset[str]
    words: Amount

    @property
    def tensor(self) -> str:
        """The tensor's name."""
        return self.operand.tensor


@dataclass(frozen=True, slots=True)
class Traffic:
    """All words that a bound mapping moves."""

    counts: tuple[MemoryTraffic, ...]
    crossings: tuple[EdgeTraffic, ...]


def traffic(nest: LoopNest) -> Traffic:
    """Reads and writes of every placement, then fills and drains of every storage."""
    counts: list[MemoryTraffic] = []
    crossings: list[EdgeTraffic] = []
    reads: dict[int, list[Operand]] = {}
    for number, operand in nest.fetched():
        reads.setdefault(number, []).append(operand)
    for number, placement in enumerate(nest.plan.placements):
        for operand in reads.get(number, ()):
            words = nest.visits(placement, operand)
            home = None if nest.linked(placement, operand) else nest.home(placement, operand.tensor)
            if home is not None:
                counts += words_at_memory(nest, placement, operand, home, Transfer.READ, words)
            crossings.append(EdgeTraffic(number, Edge.IN, operand, nest.varying(placement, operand), words))
        result = placement.result
        words, home = nest.visits(placement, result), nest.written_home(placement)
        if home is not None:  # written at every visit, read back at all but a word's first (docs/model.md, rule 11)
            counts += words_at_memory(nest, placement, result, home, Transfer.WRITE, words)
            again = words - nest.distinct(result)
            counts += words_at_memory(nest, placement, result, home, Transfer.READ_BACK, again)
        if home is not None or nest.leaves_array(placement):
            crossings.append(EdgeTraffic(number, Edge.OUT, result, nest.varying(placement, result), words))
    for hold in nest.plan.holds:
        counts += storage_traffic(nest, hold)
    return Traffic(tuple(counts), tuple(crossings))


def words_at_memory(
    nest: LoopNest, placement: Placement, operand: Operand, memory: str, kind: Transfer, words: Amount
) -> Iterator[MemoryTraffic]:
    """Words at a memory; a spilled share of a storage's reads and writes is traffic of the outermost too (docs/model.md, rule 15)."""
    reads, outermost = kind is not Transfer.WRITE, nest.arch.outermost.name
    yield MemoryTraffic(memory, kind, reads, operand.tensor, placement.name, words, placement.phase)
    hold = nest.holder(placement, operand.tensor)
    if hold is not None and memory != outermost and not _is_zero(hold.spill):
        spilled = words * hold.spill
        yield MemoryTraffic(outermost, kind, reads, operand.tensor, placement.name, spilled, placement.phase)


def storage_traffic(nest: LoopNest, hold: Storage) -> Iterator[MemoryTraffic]:
    """Fills and drains of a storage: inputs, and tensors that a storage further out keeps, come from there; results go
    there, and come back at all visits of a tile but its first."""
    backing = nest.backing(hold)
    if backing is None:
        return
    words = nest.fills(hold)
    if not nest.made_inside(hold):
        yield from words_between(nest, hold, backing, Transfer.FILL, words)
        return
    again = words - nest.whole(nest.product(sorted(set(nest.ranks(hold.tensor)))))
    yield from words_between(nest, hold, backing, Transfer.FILL, again)
    yield from words_between(nest, hold, backing, Transfer.DRAIN, words)


def words_between(
    nest: LoopNest, hold: Storage, backing: str, kind: Transfer, words: Amount
) -> Iterator[MemoryTraffic]:
    """Words between a storage and the memory behind it; a spilled share never leaves the outermost memory."""
    fills, outermost, phase = kind is Transfer.FILL, nest.arch.outermost.name, nest.phase(hold)
    behind = words * (1 - hold.spill) if backing == outermost and not _is_zero(hold.spill) else words
    yield MemoryTraffic(backing, kind, fills, hold.tensor, hold.tensor, behind, phase)
    yield MemoryTraffic(hold.level, kind, not fills, hold.tensor, hold.tensor, words, phase)


def _is_zero(share: Amount) -> bool:
    return isinstance(share, int | float) and share == 0
