"""A bound mapping as a program: the series of its Einsums, transfers and tiles, and what each of them waits for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil, gcd, lcm, prod
from typing import cast

from fusemax.bind.bind import BoundMapping
from fusemax.bind.extents import single
from fusemax.bind.plan import Composition, LoopRef, Placement
from fusemax.bind.registers import iterative_variables, room, waiting
from fusemax.bind.tensors import parts_of
from fusemax.errors import FusemaxError
from fusemax.ir.checked import Use, When
from fusemax.ir.expr import variable_of
from fusemax.ir.mapping import BlockKind
from fusemax.model.cycles import edge_cycles, edge_rates, times
from fusemax.model.filters import steps
from fusemax.model.traffic import EdgeTraffic, Traffic
from fusemax.sim import stream as sim
from fusemax.sim.kernel import Kernel
from fusemax.sim.machine import Machine, Record, Server
from fusemax.sim.program.barriers import take_turns
from fusemax.sim.program.dependences import pairs, same, strides
from fusemax.sim.program.order import Order, order_of, sequence, terms_of
from fusemax.sim.program.transfers import Tiles
from fusemax.sim.stream import Series, Wait
from fusemax.sim.task_index import NONE, Digit, IndexMap, Nest


@dataclass(frozen=True, slots=True)
class Clock:
    """Integer ticks in which a cycle, a byte of the outermost memory, and a word over an edge are exact.

    >>> Clock.of(940e6, 400 * 2**30), Clock.of(1e9, 1e9, (4, 6))
    (Clock(cycle=67108864, byte=146875), Clock(cycle=12, byte=12))
    """

    cycle: int
    byte: int

    @staticmethod
    def of(clock_hz: float, bandwidth_bytes_s: float, rates: Iterable[int] = ()) -> Clock:
        """The ticks for a clock, a bandwidth, and the words a cycle that edges let pass."""
        ratio = Fraction(bandwidth_bytes_s) / Fraction(clock_hz)
        words = lcm(*rates)
        times = words // gcd(words, ratio.numerator)
        return Clock(ratio.numerator * times, ratio.denominator * times)


class Program:
    """Builds the machine of one phase."""

    def __init__(
        self, bound: BoundMapping, movement: Traffic, phase: int, latencies: bool, record: Record | None
    ) -> None:
        self.bound, self.movement, self.phase, self.latencies, self.record = bound, movement, phase, latencies, record
        self.loop_nest, self.arch, self.plan = bound.nest, bound.arch, bound.plan
        self.numbers = [n for n, p in enumerate(self.plan.placements) if p.phase == phase]
        bandwidth = self.arch.outermost.bandwidth_bytes_s
        assert bandwidth is not None, "the reader of architectures asks for it"
        self.clock = Clock.of(self.arch.clock_hz, bandwidth, (r for u in self.arch.units for r in edge_rates(u)))
        self.kernel = Kernel()
        self.machine = Machine(self.kernel)
        self.order = self._order()
        self.einsums: dict[int, Series] = {}
        self.makers: dict[str, int] = {self.plan.placements[n].name: n for n in self.numbers}
        self.kept = waiting([p.einsum for p in self.plan.placements], iterative_variables(self.bound.checked.tensors))
        self.tiles = Tiles(self)

    def build(self) -> Machine:
        """The machine, ready to start."""
        record = self.record
        for unit in self.arch.units:
            self.machine.units.append(Server(unit.name, self.kernel, record=record))
        self.machine.channel = Server(self.arch.outermost.name, self.kernel, record=record)
        for n in self.numbers:
            self.einsums[n] = self.einsum(n)
        for n in self.numbers:
            self.einsums[n].turns = self.in_turns(n)
        for n in self.numbers:
            self.wait_for_tiles_in_flight(n)
        take_turns(self)
        self.tiles.build()
        for n in self.numbers:
            for use in self.plan.placements[n].einsum.reads:
                self.wait_for_operand(n, use)
        self.forget_latencies()
        return self.machine

    def forget_latencies(self) -> None:
        """Results that nobody outside of their array waits for are there at once."""
        waits = [wait for series in self.machine.series for wait in series.waits]
        outside = {id(wait.series) for wait in waits if not wait.together and not wait.early}
        for wait in waits:
            if id(wait.series) not in outside:
                wait.series.latency = wait.early = 0

    def _order(self) -> Order:
        phases = [c for c in self.plan.root.children if isinstance(c, Composition) and c.kind is BlockKind.PHASE]
        return order_of(self.plan, phases[self.phase] if phases else None, self.loop_nest.extents)

    # ---------------------------------------------------------------------------------------------------------- Einsums

    def einsum(self, number: int) -> Series:
        """The tasks of a placement."""
        placement = self.plan.placements[number]
        nest = sequence(placement, set(placement.variables), self.loop_nest.extents)
        weights, constant = self.order.weights[number], self.order.offsets[number]
        for loop in placement.loops:
            if loop not in nest.loops:
                constant += self.fixed(number, loop) * weights[loop]
        if any(number in part.late for part in self.order.parts):
            constant += next(part.step for part in self.order.parts if number in part.late)
        cost, periodic = self.cost(number, nest)
        series = Series(
            placement.name, sim.TaskKind.EINSUM, placement.name, nest, nest.count, cost,
            IndexMap(terms_of(nest, weights), constant).compiled(nest.count), strides(nest),
            latency=self.latency(placement), placement=number, strict=number in self.order.strict, periodic=periodic,
            special=self.special(placement, nest),
        )  # fmt: skip
        server = next(unit for unit in self.machine.units if unit.name == placement.unit)
        self.add(series, server)
        return series

    def in_turns(self, number: int) -> list[Series]:
        """The series with which a placement takes turns (`A | B`)."""
        mine = self.plan.placements[number].turns
        others = (n for n in self.numbers if n != number and self.plan.placements[n].turns == mine is not None)
        return [self.einsums[n] for n in others]

    def add(self, series: Series, server: Server) -> None:
        """Put a series on a server."""
        series.server = server
        server.series.append(series)
        self.machine.series.append(series)

    def fixed(self, number: int, loop: LoopRef) -> int:
        """The iteration of a loop in which an Einsum runs that does not use it: the last if it reads what the loop
        completes, else the first (docs/model.md, rule 5)."""
        return int(self.loop_nest.fixed_iteration(self.plan.placements[number], loop))

    def latency(self, placement: Placement) -> int:
        """Ticks by which a reduction over an axis arrives later outside of its array: one cycle an element."""
        return self.clock.cycle * self.loop_nest.drain(placement) if self.latencies else 0

    def cost(self, number: int, nest: Nest) -> tuple[Callable[[int], int] | int, bool]:
        """Ticks of a task: its slots, or its words over the edges; and whether they are the same in all iterations."""
        placement = self.plan.placements[number]
        unit = self.arch.unit(placement.unit)
        crossings = [c for c in self.movement.crossings if c.placement == number]
        slots = self.slots(number, nest)
        per_task = [self.per_task(placement, nest, c) for c in crossings]

        def ticks(active: Iterable[EdgeTraffic]) -> int:
            edges = edge_cycles(unit, placement, list(active), [])
            return ceil(Fraction(single(edges)) * self.clock.cycle)

        conditions = list(dict.fromkeys(dropped for _, dropped in per_task if dropped))
        if not conditions and not callable(slots):
            return max(slots * self.clock.cycle, ticks(c for c, _ in per_task)), True
        rounds = [condition[0].below * condition[0].extent for condition in conditions]  # they are the innermost loops
        table: dict[tuple[bool, ...], int] = {}

        def cost(task: int) -> int:
            state = tuple([not task % inner for inner in rounds])
            if state not in table:
                true = {(), *(c for c, holds in zip(conditions, state, strict=True) if holds)}
                table[state] = ticks(c for c, dropped in per_task if dropped in true)
            busy = slots(task) if callable(slots) else slots
            return max(busy * self.clock.cycle, table[state]) if busy else 0

        return cost, not callable(slots)

    def slots(self, number: int, nest: Nest) -> Callable[[int], int] | int:
        """Operation slots of a task; a filter leaves out time steps in which nothing is to do."""
        placement = self.plan.placements[number]
        time = times(self.loop_nest, (), self.bound.sizes)[number]
        total = steps(self.loop_nest, placement, self.bound.sizes)
        each = int(time.slots) // int(total) if total else 0
        if not placement.einsum.constraints:
            return int(time.slots) // nest.count
        digits = [(loop.variable, nest.digit(i)) for i, loop in enumerate(nest.loops)]

        def slots(task: int) -> int:
            at = {variable: digit.of(task) for variable, digit in digits}
            return each * int(steps(self.loop_nest, placement, self.bound.sizes, at))

        return slots

    def per_task(
        self, placement: Placement, nest: Nest, crossing: EdgeTraffic
    ) -> tuple[EdgeTraffic, tuple[Digit, ...]]:
        """What crosses an edge at once, and the digits that are 0 when it does: those of the innermost loops around the
        array that the tensor does not depend on."""
        dropped = self.dropped(placement, nest, self.depends(placement, crossing.tensor))
        digits = tuple(nest.digit(nest.loops.index(loop)) for loop in dropped)
        words = Fraction(single(crossing.words)) * prod(digit.extent for digit in digits) / nest.count
        return replace(crossing, words=cast(float, words)), tuple(digit for digit in digits if digit.extent > 1)

    def special(self, placement: Placement, nest: Nest) -> tuple[LoopRef, ...]:
        """The loops whose first iteration is not like the others: something enters the array, or a step has none before."""
        tensors = {use.tensor for use in (*placement.einsum.reads, placement.einsum.target)}
        dropped = {loop for t in tensors for loop in self.dropped(placement, nest, self.depends(placement, t))}
        ranks = {self.bound.checked.tensors[t].iterative_rank for t in tensors} - {None}
        steps_ = {v for rank in ranks if rank for v in parts_of((variable_of(rank),), self.loop_nest.splits)}
        return tuple(loop for loop in nest.loops if loop in dropped or loop.variable in steps_)

    def depends(self, placement: Placement, tensor: str) -> set[str]:
        """The variables, split, that the accesses of a placement to a tensor name."""
        uses = [u for u in (*placement.einsum.reads, placement.einsum.target) if u.tensor == tensor]
        return {v for use in uses for v in parts_of(use.variables, self.loop_nest.splits)}

    def dropped(self, placement: Placement, nest: Nest, depends: set[str]) -> tuple[LoopRef, ...]:
        """The innermost loops of a nest that a tensor does not depend on; none if it depends on one inside the array."""
        if any(variable in depends for variable in placement.inner_loops):
            return ()
        return nest.loops[len(self.loop_nest.advancing(nest.loops, depends)) :]

    def in_flight(self, placement: Placement) -> int:
        """The tiles that a unit works on at once; so many transfers past the memories go ahead of their use."""
        registers = self.arch.unit(placement.unit).registers
        return max(1, room(registers.entries if registers else None) // self.words(placement))

    def words(self, placement: Placement) -> int:
        """The words that an element keeps of one tile, at most, of what is made and read in a block."""
        makers = {p.name: p for p in self.plan.placements if (p.unit, p.body) == (placement.unit, placement.body)}
        return max(
            (
                prod(
                    int(self.loop_nest.extents[v])
                    for v in makers[maker].inner_loops
                    if v in parts_of(kept, self.loop_nest.splits)
                )
                for (maker, reader), kept in self.kept.items()
                if maker in makers and reader in makers
            ),
            default=1,
        )

    def wait_for_tiles_in_flight(self, number: int) -> None:
        """The first Einsum of a block begins a tile when the registers have room for it."""
        mine = self.plan.placements[number]
        unit = self.arch.unit(mine.unit)
        series = self.einsums[number]
        block = [n for n in self.numbers if (p := self.plan.placements[n]).unit == mine.unit and p.body == mine.body]
        if number != block[0] or unit.registers is None or unit.registers.entries is None:
            return
        limit = self.in_flight(mine)
        for other in block[1:]:
            if self.einsums[other].nest == series.nest:
                series.waits.append(Wait(self.einsums[other], lambda task: max(task - limit, NONE), True, "registers"))

    # --------------------------------------------------------------------------------------------------------- operands

    def wait_for_operand(self, number: int, use: Use) -> None:
        """An Einsum waits for those who make what it reads, for the tile that a memory holds, or for the transfer."""
        placement, series = self.plan.placements[number], self.einsums[number]
        hold = self.loop_nest.holder(placement, use.tensor)
        if hold is not None and hold.order in self.tiles.fills:
            fill = self.tiles.fills[hold.order]
            self.wait(series, fill, same(fill.nest, series.nest, {}), f"{use.tensor} from {self.arch.outermost.name}")
        maker = self.makers.get(use.tensor)
        if maker is None or maker == number or use.when is When.INITIAL:
            return
        made = self.einsums[maker]
        named, step = pairs(self.bound, placement, self.plan.placements[maker], use)
        index = same(made.nest, series.nest, named, step)
        self.wait(series, made, index, f"{use.tensor}")
        if made.server is not series.server and hold is None and series not in made.watched:
            made.watched.append(series)
            self.wait_for_room_in_queue(made, series)

    def wait_for_room_in_queue(self, made: Series, reader: Series) -> None:
        """Who makes an operand for another unit waits until that has begun the tiles before, if its queue has a limit.

        Raises `FusemaxError` if the queue has no room for a single tile.
        """
        unit = next(unit for unit in self.arch.units if reader.server and unit.name == reader.server.name)
        if unit.queue_words is None or reader.count % made.count:
            return
        words = self.tiles.words_per_lane(made, unit)
        limit = int(unit.queue_words // words)
        if not limit:
            message = f"a tile of '{made.name}' has {words:g} words for each element of '{unit.name}', and its queue {unit.queue_words}"
            raise FusemaxError(message, f"use smaller tiles, or give '{unit.name}' a longer queue")
        each = reader.count // made.count
        made.waits.append(
            Wait(
                reader, lambda task: max((task + 1 - limit) * each - 1, NONE), True, f"room in the queue of {unit.name}"
            )
        )

    def wait(self, series: Series, other: Series, index: Callable[[int], int], why: str) -> None:
        """Let a series wait for another."""
        together = other.server is series.server and other.kind is sim.TaskKind.EINSUM
        series.waits.append(Wait(other, index, together, why))
