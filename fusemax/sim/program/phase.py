"""One phase of a bound mapping, and the geometry of its tasks: all questions that a program asks of the loop nest."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod

from fusemax.bind.bind import BoundMapping
from fusemax.bind.extents import single
from fusemax.bind.plan import Composition, LoopRef, Placement, Storage
from fusemax.bind.registers import iterative_variables, tiles_in_flight, waiting
from fusemax.bind.tensors import parts_of
from fusemax.ir.arch import Memory, Unit
from fusemax.ir.expr import variable_of
from fusemax.ir.mapping import BlockKind
from fusemax.model.cycles import edge_rates
from fusemax.model.traffic import MemoryTraffic, Traffic, Transfer, storage_traffic
from fusemax.sim.program.order import Order, order_of
from fusemax.sim.program.program import Clock, TaskKind, TaskStream
from fusemax.sim.task_index import TaskLoops


@dataclass(frozen=True, slots=True, eq=False)
class Phase:
    """The placements of a phase, by number, with their order and the clock of their tasks.

    `traffic` is that of all phases. `makers` has the placement that makes each tensor, `whole` the variables over which a
    reader needs a maker's tile as a whole, by the names of both. Rules of docs/model.md are asked of the loop nest.
    """

    bound: BoundMapping
    number: int
    traffic: Traffic
    clock: Clock
    order: Order
    numbers: tuple[int, ...]
    makers: Mapping[str, int]
    whole: Mapping[tuple[str, str], frozenset[str]]

    @staticmethod
    def of(bound: BoundMapping, traffic: Traffic, number: int) -> Phase:
        """A phase of a bound mapping, by its number."""
        arch, plan = bound.arch, bound.plan
        bandwidth = arch.outermost.bandwidth_bytes_s
        assert bandwidth is not None, "the reader of architectures asks for it"
        clock = Clock.of(arch.clock_hz, bandwidth, (rate for unit in arch.units for rate in edge_rates(unit)))
        phases = [c for c in plan.root.children if isinstance(c, Composition) and c.kind is BlockKind.PHASE]
        order = order_of(plan, phases[number] if phases else plan.root, bound.nest.extents)
        numbers = tuple(n for n, placement in enumerate(plan.placements) if placement.phase == number)
        makers = {plan.placements[n].name: n for n in numbers}
        einsums = [placement.einsum for placement in plan.placements]
        whole = waiting(einsums, iterative_variables(bound.checked.tensors))
        return Phase(bound, number, traffic, clock, order, numbers, makers, whole)

    def placement(self, number: int) -> Placement:
        """A placement by its number."""
        return self.bound.plan.placements[number]

    def unit(self, number: int) -> Unit:
        """The unit of a placement."""
        return self.bound.arch.unit(self.placement(number).unit)

    def server(self, unit: str) -> int:
        """The number of a unit's server."""
        return [one.name for one in self.bound.arch.units].index(unit)

    @property
    def channel(self) -> int:
        """The number of the server that moves words from and to the outermost memory."""
        return len(self.bound.arch.units)

    @property
    def buffers(self) -> tuple[Memory, ...]:
        """The memories further in than the outermost, outermost first."""
        arch = self.bound.arch
        return arch.path(arch.outermost, arch.innermost())[1:]

    def stored(self, level: str | None = None) -> tuple[Storage, ...]:
        """The storage of a memory that the phase uses; of all but the outermost if none is given, outermost first."""
        memories = [memory.name for memory in self.buffers] if level is None else [level]
        return tuple(
            hold for memory in memories for hold in self.bound.plan.holds if hold.level == memory and self.users(hold)
        )

    # ------------------------------------------------------------------------------------------------------------ loops

    def extent(self, variable: str) -> int:
        """The extent of a variable."""
        return int(self.bound.nest.extents[variable])

    def loops(self, refs: tuple[LoopRef, ...]) -> TaskLoops:
        """Loops with their extents."""
        return TaskLoops(refs, tuple(self.extent(loop.variable) for loop in refs))

    def task_loops(self, number: int) -> TaskLoops:
        """The loops around a placement that its Einsum uses."""
        return self.loops(self.bound.nest.loops_around(self.placement(number)))

    def fixed(self, number: int, loop: LoopRef) -> int:
        """The iteration of a loop in which an Einsum runs that does not use it (docs/model.md, rule 5)."""
        return int(self.bound.nest.fixed_iteration(self.placement(number), loop))

    def drain(self, number: int) -> int:
        """Ticks in which the result of a reduction over an axis leaves its array."""
        return self.clock.cycle * self.bound.nest.drain(self.placement(number))

    # ------------------------------------------------------------------------------------------------------------ reuse

    def reused_over(self, number: int, tensor: str) -> tuple[LoopRef, ...]:
        """The innermost loops around an array through which it keeps its tile of a tensor, at all of its places.

        Limit: no loop if one of the places depends on a loop inside of the array, although that may have one iteration
        only, with which the reuse rule (docs/model.md, rule 10) would keep the tile.
        """
        placement = self.placement(number)
        operands = [one for one in (*placement.operands, placement.result) if one.tensor == tensor]
        depends = frozenset[str]().union(*(operand.depends for operand in operands))
        if depends.intersection(placement.inner_loops):
            return ()
        loops = self.bound.nest.loops_around(placement)
        return loops[len(self.bound.nest.advancing(loops, depends)) :]

    def steps(self, tensors: Collection[str]) -> Collection[str]:
        """The variables, split, along which running tensors are iterated."""
        ranks = (self.bound.checked.tensors[tensor].iterative_rank for tensor in tensors)
        return parts_of((variable_of(rank) for rank in ranks if rank is not None), self.bound.nest.splits)

    # ------------------------------------------------------------------------------------------------------------ tiles

    def refill_loops(self, hold: Storage) -> TaskLoops:
        """The loops at whose iterations a storage is filled anew."""
        return self.loops(self.bound.nest.refill_loops(hold))

    def users(self, hold: Storage) -> tuple[int, ...]:
        """The placements that read or write a tensor where a storage keeps it."""
        return tuple(n for n in self.numbers if self.uses(n, hold))

    def uses(self, number: int, hold: Storage) -> bool:
        """Whether a placement reads or writes a tensor where a storage keeps it."""
        placement = self.placement(number)
        named = (placement.result.tensor, *(operand.tensor for operand in placement.operands))
        return hold in placement.holds and hold.tensor in named

    def stored_words(self, hold: Storage) -> dict[Transfer, float]:
        """The words that a storage moves from and to the outermost memory, over the run."""
        counts = storage_traffic(self.bound.nest, hold)
        return {c.kind: single(c.words) for c in counts if c.memory == self.bound.arch.outermost.name and c.words}

    def direct_counts(self, number: int) -> list[MemoryTraffic]:
        """The words that a placement moves between its unit and the outermost memory."""
        kinds = (Transfer.READ, Transfer.WRITE, Transfer.READ_BACK)
        return [
            count for count in self.traffic.counts
            if count.memory == self.bound.arch.outermost.name and count.einsum == self.placement(number).name
            and count.kind in kinds and count.phase == self.number and count.words
        ]  # fmt: skip

    # -------------------------------------------------------------------------------------------------------- registers

    def tiles_in_flight(self, number: int) -> int:
        """The tiles that the registers of a placement's unit hold at once."""
        registers = self.unit(number).registers
        return tiles_in_flight(registers.entries if registers else None, self._words_in_flight(number))

    def _words_in_flight(self, number: int) -> int:
        """The words of one tile that an element keeps, at most, for readers in the same block."""
        block = {p.name: p for p in map(self.placement, self.block(number))}
        words = (
            prod(self.extent(v) for v in block[maker].inner_loops if v in parts_of(variables, self.bound.nest.splits))
            for (maker, reader), variables in self.whole.items()
            if maker in block and reader in block
        )
        return max(words, default=1)

    def block(self, number: int) -> tuple[int, ...]:
        """The placements on the unit of one in the same body."""
        unit, body = self.placement(number).unit, self.placement(number).body
        return tuple(n for n in self.numbers if (self.placement(n).unit, self.placement(n).body) == (unit, body))


@dataclass(frozen=True, slots=True, eq=False)
class StorageTransfer:
    """The transfers that fill a storage from the outermost memory, or drain it there."""

    hold: Storage
    kind: Transfer
    stream: TaskStream


@dataclass(frozen=True, slots=True, eq=False)
class DirectTransfer:
    """The transfers of an operand or a result of a placement, past all memories between."""

    number: int
    kind: Transfer
    stream: TaskStream


@dataclass(frozen=True, eq=False)
class Streams:
    """The streams of a phase that do work: of Einsums, by placement, of storage, and of direct transfers."""

    einsums: Mapping[int, TaskStream]
    storage: tuple[StorageTransfer, ...]
    direct: tuple[DirectTransfer, ...]

    @cached_property
    def fills(self) -> Mapping[int, TaskStream]:
        """The streams that fill storage, by its order."""
        return {t.hold.order: t.stream for t in self.storage if t.kind is Transfer.FILL}

    @cached_property
    def drains(self) -> Mapping[int, TaskStream]:
        """The streams that drain storage, by its order."""
        return {t.hold.order: t.stream for t in self.storage if t.kind is Transfer.DRAIN}

    @property
    def transfers(self) -> tuple[TaskStream, ...]:
        """All streams of the channel."""
        return (*(transfer.stream for transfer in self.storage), *(transfer.stream for transfer in self.direct))

    def stores(self, tensor: str) -> tuple[TaskStream, ...]:
        """The streams that store a tensor."""
        return tuple(s for s in self.transfers if s.kind is TaskKind.STORE and s.tensor == tensor)
