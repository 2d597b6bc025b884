"""A bound mapping as a program: the series of its Einsums, transfers and tiles, and what each of them waits for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil, prod

from fusemax.ir.checked import Use, When
from fusemax.ir.mapping import Block
from fusemax.model.accesses import Count, Crossing, Kind, Movement, Mover
from fusemax.model.bind import Bound
from fusemax.model.cycles import edge_cycles, times
from fusemax.model.filtered import steps
from fusemax.model.plan import HoldRef, LoopRef, Placement, Step, parts_of, rank_variables
from fusemax.model.room import tiles
from fusemax.sim import series as sim
from fusemax.sim.index import NONE, Digit, Guard, IndexMap, Nest
from fusemax.sim.kernel import Kernel
from fusemax.sim.machine import Machine, Record, Segment, Server
from fusemax.sim.order import Order, Part, order_of, sequence, terms_of
from fusemax.sim.series import Series, Wait

COPIES = 2
"""Tiles of one tensor that a memory holds at once, if there is room."""
AHEAD = 8
"""Tiles in flight on a unit that does not say how many registers it has."""
SPARE = 2
"""Registers of an element that hold no tile in flight (the design's `4-simulator.md`)."""


@dataclass(frozen=True, slots=True)
class Clock:
    """Integer ticks in which a cycle and a byte of the outermost memory are exact.

    >>> Clock.of(940e6, 400 * 2**30)
    Clock(cycle=67108864, byte=146875)
    """

    cycle: int
    byte: int

    @staticmethod
    def of(clock_hz: float, bandwidth_bytes_s: float) -> Clock:
        """The ticks for a clock and a bandwidth."""
        ratio = Fraction(bandwidth_bytes_s) / Fraction(clock_hz)
        return Clock(ratio.numerator, ratio.denominator)


class Program:
    """Builds the machine of one phase."""

    def __init__(self, bound: Bound, movement: Movement, phase: int, latencies: bool, record: Record | None) -> None:
        self.bound, self.movement, self.phase, self.latencies, self.record = bound, movement, phase, latencies, record
        self.mover, self.arch, self.plan = bound.mover, bound.arch, bound.plan
        self.numbers = [n for n, p in enumerate(self.plan.placements) if p.phase == phase]
        bandwidth = self.arch.outermost.bandwidth_bytes_s
        assert bandwidth is not None, "the reader of architectures asks for it"
        self.clock = Clock.of(self.arch.clock_hz, bandwidth)
        self.kernel = Kernel()
        self.machine = Machine(self.kernel)
        self.order = self._order()
        self.used = {
            n: set(parts_of(self.plan.placements[n].einsum.variables, self.mover.splits)) for n in self.numbers
        }
        self.einsums: dict[int, Series] = {}
        self.makers: dict[str, int] = {self.plan.placements[n].name: n for n in self.numbers}
        self.fills: dict[int, Series] = {}
        self.drains: dict[int, Series] = {}
        self.reserved: dict[tuple[str, str], float] = {}
        self.stores: dict[str, list[Series]] = {}

    def build(self) -> Machine:
        """The machine, ready to start."""
        record = self.record
        for unit in self.arch.units:
            self.machine.units.append(Server(unit.name, self.kernel, record=record))
        self.machine.channel = Server(self.arch.outermost.name, self.kernel, record=record)
        for n in self.numbers:
            self.einsums[n] = self.einsum(n)
        for n in self.numbers:
            self.wait_for_tiles_in_flight(n)
        self.segments()
        self.hold_tiles()
        for n in self.numbers:
            self.move_directly(n)
        for n in self.numbers:
            for use in self.plan.placements[n].einsum.reads:
                self.wait_for_operand(n, use)
        self.fill_after_stores()
        self.forget_latencies()
        for server in self.machine.units:
            server.in_order = any(series.strict for series in server.series)
        return self.machine

    def forget_latencies(self) -> None:
        """Results that nobody outside of their array waits for are there at once."""
        waits = [wait for series in self.machine.series for wait in series.waits]
        outside = {id(wait.series) for wait in waits if not wait.together and not wait.early}
        for wait in waits:
            if id(wait.series) not in outside:
                wait.series.latency = wait.early = 0

    def _order(self) -> Order:
        phases = [c for c in self.plan.root.children if isinstance(c, Step) and c.kind is Block.PHASE]
        return order_of(self.plan, phases[self.phase] if phases else None, self.mover.extents)

    # ---------------------------------------------------------------------------------------------------------- Einsums

    def einsum(self, number: int) -> Series:
        """The tasks of a placement."""
        placement = self.plan.placements[number]
        nest = sequence(placement, self.used[number], self.mover.extents)
        weights, constant = self.order.weights[number], self.order.offsets[number]
        for loop in placement.loops:
            if loop not in nest.loops:
                constant += self.fixed(number, loop) * weights[loop]
        if any(number in part.late for part in self.order.parts):
            constant += next(part.step for part in self.order.parts if number in part.late)
        cost, periodic = self.cost(number, nest)
        series = Series(
            placement.name, sim.Kind.EINSUM, placement.name, nest, nest.count, cost,
            IndexMap(terms_of(nest, weights), constant).compiled(nest.count), strides(nest),
            latency=self.latency(placement), placement=number, strict=number in self.order.strict, periodic=periodic,
        )  # fmt: skip
        server = next(unit for unit in self.machine.units if unit.name == placement.unit)
        self.add(series, server)
        return series

    def add(self, series: Series, server: Server) -> None:
        """Put a series on a server."""
        series.server = server
        server.series.append(series)
        self.machine.series.append(series)

    def fixed(self, number: int, loop: LoopRef) -> int:
        """The iteration of a loop in which an Einsum runs that does not use it: the last if it reads what the loop
        completes, else the first (rule 5)."""
        placement = self.plan.placements[number]
        inside = {
            p.name
            for n in self.numbers
            if loop in (p := self.plan.placements[n]).loops and loop.variable in self.used[n]
        }
        last = any(use.tensor in inside for use in placement.einsum.reads)
        return int(self.mover.extents[loop.variable]) - 1 if last else 0

    def latency(self, placement: Placement) -> int:
        """Ticks by which a reduction over an axis arrives later outside of its array: one cycle an element."""
        unit = next(unit for unit in self.arch.units if unit.name == placement.unit)
        return self.clock.cycle * drain_of(placement, self.mover, dict(unit.axes)) if self.latencies else 0

    def cost(self, number: int, nest: Nest) -> tuple[Callable[[int], int] | int, bool]:
        """Ticks of a task: its slots, or its words over the edges; and whether they are the same in all iterations."""
        placement = self.plan.placements[number]
        unit = next(unit for unit in self.arch.units if unit.name == placement.unit)
        crossings = [c for c in self.movement.crossings if c.placement == number]
        slots = self.slots(number, nest)
        per_task = [self.per_task(placement, nest, c) for c in crossings]

        def ticks(active: Iterable[Crossing]) -> int:
            edges = edge_cycles(unit, placement, list(active), [])
            return ceil(Fraction(edges) * self.clock.cycle)

        conditions = list(dict.fromkeys(dropped for _, dropped in per_task if dropped))
        if not conditions and not callable(slots):
            return max(slots * self.clock.cycle, ticks(c for c, _ in per_task)), True
        table: dict[tuple[bool, ...], int] = {}

        def cost(task: int) -> int:
            state = tuple(all(digit.of(task) == 0 for digit in condition) for condition in conditions)
            if state not in table:
                true = {(), *(c for c, holds in zip(conditions, state, strict=True) if holds)}
                table[state] = ticks(c for c, dropped in per_task if dropped in true)
            busy = slots(task) if callable(slots) else slots
            return max(busy * self.clock.cycle, table[state]) if busy else 0

        return cost, not callable(slots)

    def slots(self, number: int, nest: Nest) -> Callable[[int], int] | int:
        """Operation slots of a task; a filter leaves out time steps in which nothing is to do."""
        placement = self.plan.placements[number]
        time = times(self.bound.checked, self.arch, self.plan, self.mover, (), self.bound.sizes)[number]
        total = steps(self.mover, placement, self.bound.sizes)
        each = int(time.slots) // int(total) if total else 0
        if not placement.einsum.constraints:
            return int(time.slots) // nest.count
        digits = [(loop.variable, nest.digit(i)) for i, loop in enumerate(nest.loops)]

        def slots(task: int) -> int:
            at = {variable: digit.of(task) for variable, digit in digits}
            return each * int(steps(self.mover, placement, self.bound.sizes, at))

        return slots

    def per_task(self, placement: Placement, nest: Nest, crossing: Crossing) -> tuple[Crossing, tuple[Digit, ...]]:
        """What crosses an edge at once, and the digits that are 0 when it does: those of the innermost loops around the
        array that the tensor does not depend on."""
        dropped = self.dropped(placement, nest, self.depends(placement, crossing.tensor))
        digits = tuple(nest.digit(nest.loops.index(loop)) for loop in dropped)
        words = Fraction(crossing.words) * prod(digit.extent for digit in digits) / nest.count
        return replace(crossing, words=words), tuple(digit for digit in digits if digit.extent > 1)

    def depends(self, placement: Placement, tensor: str) -> set[str]:
        """The variables, split, that the accesses of a placement to a tensor name."""
        uses = [u for u in (*placement.einsum.reads, placement.einsum.target) if u.tensor == tensor]
        return {v for use in uses for v in parts_of(use.variables, self.mover.splits)}

    def dropped(self, placement: Placement, nest: Nest, depends: set[str]) -> tuple[LoopRef, ...]:
        """The innermost loops of a nest that a tensor does not depend on; none if it depends on one inside the array."""
        if any(variable in depends for variable in placement.over):
            return ()
        kept = len(nest.loops)
        while kept and nest.loops[kept - 1].variable not in depends:
            kept -= 1
        return nest.loops[kept:]

    def in_flight(self, placement: Placement) -> int:
        """The tiles that a unit works on at once; so many transfers past the memories go ahead of their use."""
        registers = next(unit for unit in self.arch.units if unit.name == placement.unit).registers
        return AHEAD if registers is None or registers.entries is None else max(1, registers.entries - SPARE)

    def wait_for_tiles_in_flight(self, number: int) -> None:
        """The first Einsum of a block begins a tile when the registers have room for it."""
        mine = self.plan.placements[number]
        unit = next(unit for unit in self.arch.units if unit.name == mine.unit)
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
        hold = self.mover.holder(placement, use.tensor)
        if hold is not None and hold.order in self.fills:
            fill = self.fills[hold.order]
            self.wait(
                series, fill, self.same(fill.nest, series.nest, {}), f"{use.tensor} from {self.arch.outermost.name}"
            )
        maker = self.makers.get(use.tensor)
        if maker is None or maker == number or use.when is When.INITIAL:
            return
        made = self.einsums[maker]
        pairs, step = self.pairs(placement, self.plan.placements[maker], use)
        index = self.same(made.nest, series.nest, pairs, step)
        self.wait(series, made, index, f"{use.tensor}")
        if made.server is not series.server and hold is None and made not in series.watched:
            made.watched.append(series)

    def wait(self, series: Series, other: Series, index: Callable[[int], int], why: str) -> None:
        """Let a series wait for another."""
        together = other.server is series.server and other.kind is sim.Kind.EINSUM
        series.waits.append(Wait(other, index, together, why))

    def pairs(self, reader: Placement, maker: Placement, use: Use) -> tuple[dict[str, str], tuple[str, ...]]:
        """The reader's variable for each of the maker's that the tensor has; and those of a step that is one back."""
        pairs: dict[str, str] = {}
        back: tuple[str, ...] = ()
        splits = self.mover.splits
        tensor = self.bound.checked.tensors[use.tensor]
        for place, (made, read) in enumerate(zip(maker.einsum.target.indices, use.indices, strict=True)):
            mine, other = made.variable or made.step, read.variable or read.step
            if mine is None or other is None:
                continue
            outer, inner = parts_of((mine,), splits), parts_of((other,), splits)
            sizes = [[int(self.mover.extents[v]) for v in parts] for parts in (outer, inner)]
            if len(outer) == len(inner) and sizes[0] == sizes[1]:
                pairs.update(zip(outer, inner, strict=True))
                if place == tensor.iterative and use.when is When.OLD:
                    back = outer
        return pairs, back

    def same(
        self, of: Nest, reader: Nest, pairs: Mapping[str, str], back: tuple[str, ...] = ()
    ) -> Callable[[int], int]:
        """The last task of a nest that a task of another needs: at the same coordinates, and at the end of all loops
        that the other has not; `back` are the variables of a step, of which the one before is needed."""
        digits = {loop: self.coordinate(loop, reader, pairs) for loop in of.loops}
        stepped = [(i, loop) for i, loop in enumerate(of.loops) if loop.variable in back and digits[loop] is not None]
        terms: list[tuple[Digit, int]] = []
        constant = 0
        for i, loop in enumerate(of.loops):
            below, digit = of.digit(i).below, digits[loop]
            if digit is None:
                constant += (of.extents[i] - 1) * below
            else:
                terms.append((digit, below))
        if not back:
            return IndexMap(tuple(terms), constant).compiled(reader.count)
        if not stepped:
            return lambda task: NONE  # all steps lie inside of one task
        plain = IndexMap(tuple(terms), constant).compiled(reader.count)
        steps_ = [(digits[loop], of.digit(i)) for i, loop in stepped]
        if len(steps_) == 1 and steps_[0][0] is not None:
            mine, made = steps_[0]
            assert mine is not None
            guard = Guard(mine, 0, False)
            return IndexMap(tuple(terms), constant - made.below, (guard,)).compiled(reader.count)

        def before(task: int) -> int:
            number = plain(task)
            for mine, made in reversed(steps_):
                assert mine is not None
                if mine.of(task):
                    return number - made.below
                number += (made.extent - 1) * made.below
            return NONE

        return before

    def coordinate(self, loop: LoopRef, reader: Nest, pairs: Mapping[str, str]) -> Digit | None:
        """The digit of a reader that is the coordinate of another's loop: a loop around both, or one over a variable
        that the tensor has."""
        shared = reader.find(loop)
        if shared is not None:
            return shared
        variable = pairs.get(loop.variable)
        return next((reader.digit(i) for i, other in enumerate(reader.loops) if other.variable == variable), None)

    # ------------------------------------------------------------------------------------------------------------ turns

    def segments(self) -> None:
        """Give every statement that takes turns its segment."""
        for part in self.order.parts:
            self.segment(part)

    def segment(self, part: Part) -> None:
        """One segment: its gate counts its turns, one more than there are tiles if something runs for the tile before."""
        extents = tuple(int(self.mover.extents[loop.variable]) for loop in part.loops)
        nest = Nest(part.loops, extents)
        turns = nest.count + bool(part.late)
        inner = IndexMap(terms_of(nest, part.weights), part.start).compiled(nest.count)
        end = inner(nest.count - 1) + part.step

        def position(turn: int) -> int:
            return inner(turn) if turn < nest.count else end

        gate = Series("turn", sim.Kind.GATE, "", nest, turns, 0, position, strides(nest))
        segment = Segment(gate, sequencer=self.machine.sequencer)
        self.machine.sequencer.segments.append(segment)
        self.machine.series.append(gate)
        for number in (*part.members, *part.late):
            self.take_turns(number, segment, part, nest)

    def take_turns(self, number: int, segment: Segment, part: Part, nest: Nest) -> None:
        """Let a placement run in the turns of a segment."""
        series, placement = self.einsums[number], self.plan.placements[number]
        constant = int(number in part.late)
        terms: list[tuple[Digit, int]] = []
        per_turn = series.count
        for i, loop in enumerate(nest.loops):
            digit, below = series.nest.find(loop), nest.digit(i).below
            if digit is None:
                constant += self.fixed(number, loop) * below
            else:
                terms.append((digit, below))
                per_turn //= digit.extent
        series.segment, series.per_instance = segment, per_turn
        series.instance = IndexMap(tuple(terms), constant).compiled(series.count)
        if placement.name in part.drains:
            unit = next(unit for unit in self.arch.units if unit.name == placement.unit)
            series.drain = self.clock.cycle * drain_of(placement, self.mover, dict(unit.axes))
        series.waits.append(Wait(segment.gate, series.instance, False, ""))
        segment.members.append(series)

    # ------------------------------------------------------------------------------------------------------------ tiles

    def hold_tiles(self) -> None:
        """The transfers of all tiles that are held, and how many copies of each a memory has room for."""
        for memory in self.arch.memories[1:]:
            holds = [h for h in self.plan.holds if h.level == memory.name and self.touchers(h)]
            sizes = self.sizes(memory.name)
            copies = _copies({h.order: sizes.get(h.order, 0.0) for h in holds}, memory.size_bytes)
            for hold in holds:
                self.move(hold)
            for hold in holds:
                if hold.order in sizes:
                    self.reserved[memory.name, hold.tensor] = copies[hold.order] * sizes[hold.order]
                    self.reuse(hold, [h for h in holds if _in_its_place(h, hold, sizes)], copies[hold.order])
            if memory.size_bytes is not None and sum(sizes.values()) > memory.size_bytes:
                self.share([h for h in holds if h.order in sizes])

    def sizes(self, level: str) -> dict[int, float]:
        """Bytes of each hold of a memory; one that takes the place of another is not among them."""
        found: dict[int, float] = {}
        for n in self.numbers:
            together = tuple(h for h in self.plan.placements[n].holds if h.level == level)
            for hold, elements in tiles(self.bound.checked, self.mover, together):
                found[hold.order] = float(elements) * self.arch.word_bits / 8
        return found

    def touchers(self, hold: HoldRef) -> list[int]:
        """The placements that read or write a tensor where a hold keeps it."""
        return [n for n in self.numbers if self._uses(self.plan.placements[n], hold)]

    def _uses(self, placement: Placement, hold: HoldRef) -> bool:
        named = {use.tensor for use in placement.einsum.reads} | {placement.name}
        return hold in placement.holds and hold.tensor in named

    def move(self, hold: HoldRef) -> None:
        """The transfers between a hold and the outermost memory."""
        nest = self.hold_nest(hold)
        moved = self.transfers(hold)
        if Kind.FILL in moved:
            self.fills[hold.order] = self.fill(hold, nest, moved[Kind.FILL])
        if Kind.DRAIN in moved:
            self.drains[hold.order] = self.drain(hold, nest, moved[Kind.DRAIN])

    def users(self, hold: HoldRef) -> list[Series]:
        """Everyone who reads or writes the tiles of a hold."""
        moves = [moved[hold.order] for moved in (self.fills, self.drains) if hold.order in moved]
        return [self.einsums[n] for n in self.touchers(hold)] + moves

    def writers(self, hold: HoldRef) -> list[Series]:
        """Those who put something new into the tiles of a hold."""
        made = [self.einsums[n] for n in self.touchers(hold) if self.plan.placements[n].name == hold.tensor]
        return made + ([self.fills[hold.order]] if hold.order in self.fills else [])

    def reuse(self, hold: HoldRef, others: list[HoldRef], copies: int) -> None:
        """A part of a tile is overwritten when all have done with what lies there: that of so many tiles before."""
        nest = self.hold_nest(hold)
        for writer in self.writers(hold):
            for user in {id(s): s for h in (hold, *others) for s in self.users(h)}.values():
                if user is not writer:
                    self.after(writer, user, nest.loops, copies, f"room for {hold.tensor}")

    def tiles_of(self, series: Series) -> Iterator[tuple[str, str, float, Callable[[int], int]]]:
        """The tiles that the tasks of a series use: memory, tensor, bytes, and the number of the tile."""
        for memory in self.arch.memories[1:]:
            sizes = self.sizes(memory.name)
            for hold in self.plan.holds:
                if hold.level == memory.name and hold.order in sizes and series in self.users(hold):
                    tile = self.same(self.hold_nest(hold), series.nest, {})
                    yield memory.name, hold.tensor, sizes[hold.order], tile

    def words_per_lane(self, series: Series) -> float:
        """The words of a tile of a tensor, over the elements of the unit that reads it."""
        assert series.placement is not None
        inside = set(self.names(series)) - {loop.variable for loop in series.nest.loops}
        words = prod(int(self.mover.extents[v]) for v in inside)
        units = {self.plan.placements[r.placement].unit for r in series.watched if r.placement is not None}
        return words / min(unit.elements for unit in self.arch.units if unit.name in units)

    def share(self, holds: list[HoldRef]) -> None:
        """Holds that are never kept at once and have no room beside each other take turns."""
        for i, first in enumerate(holds):
            for later in holds[i + 1 :]:
                if not any(first in p.holds and later in p.holds for p in self.plan.placements):
                    common = tuple(a for a, b in zip(first.loops, later.loops, strict=False) if a == b)
                    for a, b, tiles_before in ((later, first, 0), (first, later, 1)):
                        for writer in self.writers(a):
                            for user in self.users(b):
                                self.after(writer, user, common, tiles_before, f"room for {a.tensor}", whole=True)

    def after(
        self, writer: Series, user: Series, loops: tuple[LoopRef, ...], before: int, why: str, whole: bool = False
    ) -> None:
        """Let a writer wait for a user of the same place, so many iterations of the loops before; `whole`: of all of it."""
        if not set(loops) <= {*user.nest.loops} or not set(loops) <= {*writer.nest.loops}:
            loops = tuple(loop for loop in loops if loop in user.nest.loops and loop in writer.nest.loops)
        pairs = {} if whole else {v: v for v in self.names(user)}
        same = self.same(user.nest, writer.nest, pairs)
        back = before * prod(e for loop, e in zip(user.nest.loops, user.nest.extents, strict=True) if loop not in loops)
        index = (lambda task: max(same(task) - back, NONE)) if back else same
        writer.waits.append(Wait(user, index, user.server is writer.server, why, user.latency))

    def names(self, series: Series) -> tuple[str, ...]:
        """The variables of a tensor, split."""
        return rank_variables(self.bound.checked.tensors[series.tensor], self.mover.splits)

    def hold_nest(self, hold: HoldRef) -> Nest:
        """The loops at whose iterations a hold is filled anew (rule 9)."""
        depends = set(rank_variables(self.bound.checked.tensors[hold.tensor], self.mover.splits))
        loops = hold.loops
        while loops and loops[-1].variable not in depends:
            loops = loops[:-1]
        return Nest(loops, tuple(int(self.mover.extents[loop.variable]) for loop in loops))

    def first_use(self, nest: Nest, hold: HoldRef) -> Callable[[int], int]:
        """The position of the first task that needs a tile."""
        starts = []
        for n in self.touchers(hold):
            weights = self.order.weights[n]
            start = self.order.offsets[n]
            for loop in self.plan.placements[n].loops:
                if loop not in self.einsums[n].nest.loops and loop not in nest.loops:
                    start += self.fixed(n, loop) * weights[loop]
            starts.append((start, weights))
        start, weights = min(starts, key=lambda found: found[0])
        return IndexMap(terms_of(nest, weights), start).compiled(nest.count)

    def transfers(self, hold: HoldRef) -> dict[Kind, float]:
        """Words that a hold moves from and to the outermost memory."""
        single = Mover(self.bound.checked, self.plan, self.mover.extents, self.mover.splits, self.mover.outermost)
        single.fill(hold)
        return {c.kind: c.words for c in single.counts if c.memory == self.mover.outermost and c.words}

    def fill(self, hold: HoldRef, nest: Nest, words: float) -> Series:
        """The transfers that fill the tiles of a hold; a tile that was made here comes back from its second visit on."""
        depends = set(rank_variables(self.bound.checked.tensors[hold.tensor], self.mover.splits))
        made = any(self.plan.placements[n].name == hold.tensor for n in self.touchers(hold))
        others = [nest.digit(i) for i, loop in enumerate(nest.loops) if loop.variable not in depends]
        first = nest.count // prod(digit.extent for digit in others) if made else 0
        again = (lambda tile: any(digit.of(tile) for digit in others)) if made else None
        position = self.first_use(nest, hold)
        return self.transfer(
            f"load {hold.tensor}", sim.Kind.LOAD, hold.tensor, nest, words, nest.count - first, position, again
        )

    def transfer(
        self, name: str, kind: sim.Kind, tensor: str, nest: Nest, words: float, moving: int,
        position: Callable[[int], int], only: Callable[[int], bool] | None = None,
    ) -> Series:  # fmt: skip
        """Transfers of so many words in all; if not all of them move something, `only` says which do."""
        total = words * self.arch.word_bits / 8
        ticks = round(Fraction(total) / moving * self.clock.byte)
        cost = ticks if only is None else (lambda task: ticks if only(task) else 0)
        if kind is sim.Kind.STORE:  # what is wanted goes before what is done
            loads, after = position, self.order.size
            position = lambda task: loads(task) + after  # noqa: E731
        series = Series(name, kind, tensor, nest, nest.count, cost, position, strides(nest), total=total)
        assert self.machine.channel is not None
        self.add(series, self.machine.channel)
        return series

    def drain(self, hold: HoldRef, nest: Nest, words: float) -> Series:
        """The transfers that bring the tiles of a hold out."""
        maker = self.einsums[self.makers[hold.tensor]]
        position = self.first_use(nest, hold)
        series = self.transfer(f"store {hold.tensor}", sim.Kind.STORE, hold.tensor, nest, words, nest.count, position)
        self.wait(series, maker, self.same(maker.nest, nest, {}), hold.tensor)
        self.stores.setdefault(hold.tensor, []).append(series)
        return series

    # ------------------------------------------------------------------------------------- past all memories on the chip

    def move_directly(self, number: int) -> None:
        """Transfers of what an Einsum reads from the outermost memory and writes to it itself."""
        counts = [
            c for c in self.movement.counts
            if c.memory == self.mover.outermost and c.einsum == self.plan.placements[number].name
            and c.kind in (Kind.READ, Kind.WRITE, Kind.READ_BACK) and c.phase == self.phase and c.words
        ]  # fmt: skip
        for count in counts:
            self.direct(number, count)

    def direct(self, number: int, count: Count) -> None:
        """The transfers of one operand or result."""
        placement, series = self.plan.placements[number], self.einsums[number]
        dropped = self.dropped(placement, series.nest, self.depends(placement, count.tensor))
        nest = series.nest.without(dropped)
        size = float(count.words) / nest.count * self.arch.word_bits / 8
        if (
            nest.loops and size * self.clock.byte < self.clock.cycle
        ):  # less than a cycle's: a whole loop of them at once
            nest = nest.without(nest.loops[-1:])
        weights = self.order.weights[number]
        base = series.position(0)
        position = IndexMap(terms_of(nest, weights), base).compiled(nest.count)
        words = float(count.words)
        begin = [(nest.digit(i), series.nest.digit(i).below) for i in range(len(nest.loops))]
        first = IndexMap(tuple(begin), 0).compiled(nest.count)
        below = prod(series.nest.extents[len(nest.extents) :])
        ahead = self.in_flight(placement)
        if count.kind is Kind.WRITE:
            store = self.transfer(
                f"store {count.tensor}", sim.Kind.STORE, count.tensor, nest, words, nest.count, position
            )
            self.wait(store, series, lambda task: first(task) + below - 1, count.tensor)
            series.waits.append(
                Wait(store, lambda task: max(task // below - ahead, NONE), False, f"{count.tensor} to leave")
            )
            self.stores.setdefault(count.tensor, []).append(store)
            return
        load = self.transfer(
            f"load {count.tensor} for {series.name}", sim.Kind.LOAD, count.tensor, nest, words, nest.count, position
        )
        why = f"{count.tensor} from {self.arch.outermost.name}"
        series.waits.append(Wait(load, lambda task: task // below, False, why))
        use_before = IndexMap(tuple(begin), (1 - ahead) * below - 1).compiled(nest.count)
        load.waits.append(Wait(series, lambda task: max(use_before(task), NONE), False, "its use", series.latency))
        if count.kind is Kind.READ and count.tensor in self.makers:
            maker = self.makers[count.tensor]
            use = next((u for u in placement.einsum.reads if u.tensor == count.tensor), None)
            pairs, back = self.pairs(placement, self.plan.placements[maker], use) if use is not None else ({}, ())
            for store in self.stores.get(count.tensor, []):
                self.wait(load, store, self.same(store.nest, nest, pairs, back), count.tensor)

    def fill_after_stores(self) -> None:
        """What comes back from the outermost memory has been brought there before."""
        for order, fill in self.fills.items():
            hold = next(h for h in self.plan.holds if h.order == order)
            for store in self.stores.get(hold.tensor, []):
                own = hold.tensor in self.makers and hold in self.plan.placements[self.makers[hold.tensor]].holds
                if own:
                    fill.waits.append(Wait(store, lambda tile: tile - 1, False, hold.tensor))
                else:
                    names = rank_variables(self.bound.checked.tensors[hold.tensor], self.mover.splits)
                    self.wait(fill, store, self.same(store.nest, fill.nest, {v: v for v in names}), hold.tensor)


def _copies(sizes: Mapping[int, float], capacity: float | None) -> dict[int, int]:
    """How many copies of each tile a memory keeps: two, the smallest first, as far as there is room."""
    room = float("inf") if capacity is None else capacity - sum(sizes.values())
    copies = dict.fromkeys(sizes, 1)
    for order, size in sorted(sizes.items(), key=lambda item: item[1]):
        if size <= room:
            room -= size
            copies[order] = COPIES
    return copies


def _in_its_place(hold: HoldRef, base: HoldRef, sizes: Mapping[int, float]) -> bool:
    """Whether a hold takes the place of another (rule 15)."""
    return hold.order not in sizes and hold.loops == base.loops and base.spills


def strides(nest: Nest) -> dict[LoopRef, int]:
    """The tasks per iteration of each loop."""
    return {loop: nest.digit(i).below for i, loop in enumerate(nest.loops)}


def drain_of(placement: Placement, mover: Mover, lengths: Mapping[str, int]) -> int:
    """Cycles that a result takes to leave its array: one an element along an axis over which it is reduced."""
    mine = set(parts_of(placement.einsum.variables, mover.splits))
    kept = set(parts_of(placement.einsum.kept, mover.splits))
    return max((lengths[axis] for axis, v in placement.axes if v in mine and v not in kept), default=0)
