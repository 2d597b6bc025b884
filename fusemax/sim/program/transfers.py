"""Tiles in memories and transfers: what is loaded and stored when, and who waits for room."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, prod
from typing import TYPE_CHECKING

from fusemax.bind.capacity import tiles
from fusemax.bind.extents import single
from fusemax.bind.plan import LoopRef, Placement, Storage
from fusemax.ir.arch import Unit
from fusemax.model.traffic import MemoryTraffic, Transfer, storage_traffic
from fusemax.sim import stream as sim
from fusemax.sim.program.dependences import pairs as pairs_of
from fusemax.sim.program.dependences import same, strides
from fusemax.sim.program.order import terms_of
from fusemax.sim.stream import Series, Wait
from fusemax.sim.task_index import NONE, IndexMap, Nest

if TYPE_CHECKING:
    from fusemax.sim.program.build import Program

COPIES = 2
"""Tiles of one tensor that a memory holds at once, if there is room."""
LEAST = 16
"""Transfers of fewer cycles than this are put together over the innermost loop."""


@dataclass(frozen=True, slots=True)
class TileUse:
    """The tiles of a tensor in a memory that the tasks of a series use, by their numbers; `first`: nobody loads them before."""

    memory: str
    tensor: str
    bytes: float
    tile: Callable[[int], int]
    first: bool

    def begins(self, number: int) -> bool:
        """Whether a task is the first of its series on its tile."""
        return number == 0 or self.tile(number - 1) != self.tile(number)


class Tiles:
    """Adds to a program the transfers of its tiles, and the waits for their room."""

    def __init__(self, program: Program) -> None:
        self.program, self.bound, self.loop_nest = program, program.bound, program.loop_nest
        self.arch, self.plan, self.numbers = program.arch, program.plan, program.numbers
        self.einsums, self.makers = program.einsums, program.makers
        self.fills: dict[int, Series] = {}
        self.drains: dict[int, Series] = {}
        self.reserved: dict[tuple[str, str], float] = {}
        self.stores: dict[str, list[Series]] = {}

    def build(self) -> None:
        """All transfers, and all waits for room."""
        self.hold_tiles()
        for number in self.numbers:
            self.move_directly(number)
        self.fill_after_stores()

    def hold_tiles(self) -> None:
        """The transfers of all tiles that are held, and how many copies of each a memory has room for."""
        for hold in self.plan.holds:
            if hold.level == self.arch.outermost.name and hold.tensor in self.makers and self.touchers(hold):
                self.reuse(hold, [], COPIES)
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
            for hold, elements in tiles(self.loop_nest, together):
                found[hold.order] = float(elements) * self.arch.word_bits / 8
        return found

    def touchers(self, hold: Storage) -> list[int]:
        """The placements that read or write a tensor where a hold keeps it."""
        return [n for n in self.numbers if self._uses(self.plan.placements[n], hold)]

    def _uses(self, placement: Placement, hold: Storage) -> bool:
        named = {use.tensor for use in placement.einsum.reads} | {placement.name}
        return hold in placement.holds and hold.tensor in named

    def move(self, hold: Storage) -> None:
        """The transfers between a hold and the outermost memory."""
        nest = self.hold_nest(hold)
        moved = self.transfers(hold)
        if Transfer.FILL in moved:
            self.fills[hold.order] = self.fill(hold, nest, moved[Transfer.FILL])
        if Transfer.DRAIN in moved:
            self.drains[hold.order] = self.drain(hold, nest, moved[Transfer.DRAIN])

    def users(self, hold: Storage) -> list[Series]:
        """Everyone who reads or writes the tiles of a hold."""
        moves = [moved[hold.order] for moved in (self.fills, self.drains) if hold.order in moved]
        return [self.einsums[n] for n in self.touchers(hold)] + moves

    def writers(self, hold: Storage) -> list[Series]:
        """Those who put something new into the tiles of a hold."""
        made = [self.einsums[n] for n in self.touchers(hold) if self.plan.placements[n].name == hold.tensor]
        return made + ([self.fills[hold.order]] if hold.order in self.fills else [])

    def reuse(self, hold: Storage, others: list[Storage], copies: int) -> None:
        """A part of a tile is overwritten when all have done with what lies there: that of so many tiles before."""
        nest = self.hold_nest(hold)
        for writer in self.writers(hold):
            for user in {id(s): s for h in (hold, *others) for s in self.users(h)}.values():
                if user is not writer:
                    self.after(writer, user, nest.loops, copies, f"room for {hold.tensor}")

    def tiles_of(self, series: Series) -> Iterator[TileUse]:
        """The tiles that the tasks of a series use."""
        for memory in self.arch.memories[1:]:
            sizes = self.sizes(memory.name)
            for hold in self.plan.holds:
                if hold.level == memory.name and hold.order in sizes and series in self.users(hold):
                    tile = same(self.hold_nest(hold), series.nest, {})
                    yield TileUse(
                        memory.name, hold.tensor, sizes[hold.order], tile, self.fills.get(hold.order, series) is series
                    )

    def words_per_lane(self, series: Series, unit: Unit | None = None) -> float:
        """The words of a tile of a tensor, over the elements of a unit; without, of the smallest that reads it."""
        inside = set(self.names(series)) - {loop.variable for loop in series.nest.loops}
        words = prod(int(self.loop_nest.extents[v]) for v in inside)
        names = {reader.server.name for reader in series.watched if reader.server}
        units = [unit] if unit else [unit for unit in self.arch.units if unit.name in names]
        return words / min(unit.elements for unit in units)

    def share(self, holds: list[Storage]) -> None:
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
        last = same(user.nest, writer.nest, pairs)
        back = before * prod(e for loop, e in zip(user.nest.loops, user.nest.extents, strict=True) if loop not in loops)
        index = (lambda task: max(last(task) - back, NONE)) if back else last
        writer.waits.append(Wait(user, index, user.server is writer.server, why, user.latency))

    def names(self, series: Series) -> tuple[str, ...]:
        """The variables of a tensor, split."""
        return self.loop_nest.ranks(series.tensor)

    def hold_nest(self, hold: Storage) -> Nest:
        """The loops at whose iterations a hold is filled anew (docs/model.md, rule 9)."""
        loops = self.loop_nest.refill_loops(hold)
        return Nest(loops, tuple(int(self.loop_nest.extents[loop.variable]) for loop in loops))

    def first_use(self, nest: Nest, hold: Storage) -> Callable[[int], int]:
        """The position of the first task that needs a tile."""
        starts = []
        for n in self.touchers(hold):
            weights = self.program.order.weights[n]
            start = self.program.order.offsets[n]
            for loop in self.plan.placements[n].loops:
                if loop not in self.einsums[n].nest.loops and loop not in nest.loops:
                    start += self.program.fixed(n, loop) * weights[loop]
            starts.append((start, weights))
        start, weights = min(starts, key=lambda found: found[0])
        return IndexMap(terms_of(nest, weights), start).compiled(nest.count)

    def transfers(self, hold: Storage) -> dict[Transfer, float]:
        """Words that a hold moves from and to the outermost memory."""
        counts = storage_traffic(self.loop_nest, hold)
        return {c.kind: single(c.words) for c in counts if c.memory == self.arch.outermost.name and c.words}

    def fill(self, hold: Storage, nest: Nest, words: float) -> Series:
        """The transfers that fill the tiles of a hold; a tile that was made here comes back from its second visit on."""
        depends = set(self.loop_nest.ranks(hold.tensor))
        made = any(self.plan.placements[n].name == hold.tensor for n in self.touchers(hold))
        others = [nest.digit(i) for i, loop in enumerate(nest.loops) if loop.variable not in depends]
        first = nest.count // prod(digit.extent for digit in others) if made else 0
        again = (lambda tile: any(digit.of(tile) for digit in others)) if made else None
        position = self.first_use(nest, hold)
        series = self.transfer(
            f"load {hold.tensor}", sim.TaskKind.LOAD, hold.tensor, nest, words, nest.count - first, position, again
        )
        series.special = nest.loops if made else ()
        return series

    def transfer(
        self, name: str, kind: sim.TaskKind, tensor: str, nest: Nest, words: float, moving: int,
        position: Callable[[int], int], only: Callable[[int], bool] | None = None,
    ) -> Series:  # fmt: skip
        """Transfers of so many words in all; if not all of them move something, `only` says which do."""
        total = words * self.arch.word_bits / 8
        ticks = ceil(Fraction(total) / moving * self.program.clock.byte)
        cost = ticks if only is None else (lambda task: ticks if only(task) else 0)
        after = self.program.order.size if kind is sim.TaskKind.STORE else 0  # what is wanted goes before what is done
        place = (lambda task: position(task) + after) if after else position
        series = Series(name, kind, tensor, nest, nest.count, cost, place, strides(nest), total=total)
        assert self.program.machine.channel is not None
        self.program.add(series, self.program.machine.channel)
        return series

    def drain(self, hold: Storage, nest: Nest, words: float) -> Series:
        """The transfers that bring the tiles of a hold out."""
        maker = self.einsums[self.makers[hold.tensor]]
        position = self.first_use(nest, hold)
        series = self.transfer(
            f"store {hold.tensor}", sim.TaskKind.STORE, hold.tensor, nest, words, nest.count, position
        )
        self.program.wait(series, maker, same(maker.nest, nest, {}), hold.tensor)
        self.stores.setdefault(hold.tensor, []).append(series)
        return series

    def move_directly(self, number: int) -> None:
        """Transfers of what an Einsum reads from the outermost memory and writes to it itself."""
        counts = [
            c for c in self.program.movement.counts
            if c.memory == self.arch.outermost.name and c.einsum == self.plan.placements[number].name
            and c.kind in (Transfer.READ, Transfer.WRITE, Transfer.READ_BACK) and c.phase == self.program.phase and c.words
        ]  # fmt: skip
        again = {count.tensor for count in counts if count.kind is Transfer.READ_BACK}
        for count in counts:
            self.direct(number, count, count.tensor in again)

    def direct(self, number: int, count: MemoryTraffic, again: bool) -> None:
        """The transfers of one operand or result; tile by tile if it comes back `again`, for then it must have left."""
        placement, series = self.plan.placements[number], self.einsums[number]
        dropped = self.program.dropped(placement, series.nest, self.program.depends(placement, count.tensor))
        nest = series.nest.without(dropped)
        size = float(count.words) / nest.count * self.arch.word_bits / 8
        small = size * self.program.clock.byte < LEAST * self.program.clock.cycle
        if nest.loops and small and not again and not self.shared_by_others(number, count.tensor, nest.loops[-1]):
            nest = nest.without(nest.loops[-1:])  # the innermost loop's all at once
        weights = self.program.order.weights[number]
        base = series.position(0)
        position = IndexMap(terms_of(nest, weights), base).compiled(nest.count)
        words = float(count.words)
        begin = [(nest.digit(i), series.nest.digit(i).below) for i in range(len(nest.loops))]
        first = IndexMap(tuple(begin), 0).compiled(nest.count)
        below = prod(series.nest.extents[len(nest.extents) :])
        ahead = self.program.in_flight(placement)
        if count.kind is Transfer.WRITE:
            store = self.transfer(
                f"store {count.tensor}", sim.TaskKind.STORE, count.tensor, nest, words, nest.count, position
            )
            self.program.wait(store, series, lambda task: first(task) + below - 1, count.tensor)
            series.waits.append(
                Wait(store, lambda task: max(task // below - ahead, NONE), False, f"{count.tensor} to leave")
            )
            self.stores.setdefault(count.tensor, []).append(store)
            return
        load = self.transfer(
            f"load {count.tensor} for {series.name}", sim.TaskKind.LOAD, count.tensor, nest, words, nest.count, position
        )
        why = f"{count.tensor} from {self.arch.outermost.name}"
        series.waits.append(Wait(load, lambda task: task // below, False, why))
        use_before = IndexMap(tuple(begin), (1 - ahead) * below - 1).compiled(nest.count)
        load.waits.append(Wait(series, lambda task: max(use_before(task), NONE), False, "its use", series.latency))
        if count.kind is Transfer.READ_BACK:  # what comes back has left before
            for store in (s for s in self.stores.get(count.tensor, []) if s.nest.loops == nest.loops):
                load.waits.append(Wait(store, lambda task: task - 1, False, count.tensor))
        if count.kind is Transfer.READ and count.tensor in self.makers:
            maker = self.makers[count.tensor]
            use = next((u for u in placement.einsum.reads if u.tensor == count.tensor), None)
            pairs, back = (
                pairs_of(self.bound, placement, self.plan.placements[maker], use) if use is not None else ({}, ())
            )
            for store in self.stores.get(count.tensor, []):
                self.program.wait(load, store, same(store.nest, nest, pairs, back), count.tensor)

    def shared_by_others(self, number: int, tensor: str, loop: LoopRef) -> bool:
        """Whether others take part in a tensor that is made on chip within the same iteration of a loop."""
        others = [p for n in self.numbers if n != number and loop in (p := self.plan.placements[n]).loops]
        return tensor in self.makers and any(
            p.name == tensor or any(use.tensor == tensor for use in p.einsum.reads) for p in others
        )

    def fill_after_stores(self) -> None:
        """What comes back from the outermost memory has been brought there before."""
        for order, fill in self.fills.items():
            hold = next(h for h in self.plan.holds if h.order == order)
            for store in self.stores.get(hold.tensor, []):
                own = hold.tensor in self.makers and hold in self.plan.placements[self.makers[hold.tensor]].holds
                if own:
                    fill.waits.append(Wait(store, lambda tile: tile - 1, False, hold.tensor))
                else:
                    names = self.loop_nest.ranks(hold.tensor)
                    self.program.wait(fill, store, same(store.nest, fill.nest, {v: v for v in names}), hold.tensor)


def _copies(sizes: Mapping[int, float], capacity: float | None) -> dict[int, int]:
    """How many copies of each tile a memory keeps: two, the smallest first, as far as there is room."""
    room = float("inf") if capacity is None else capacity - sum(sizes.values())
    copies = dict.fromkeys(sizes, 1)
    for order, size in sorted(sizes.items(), key=lambda item: item[1]):
        if size <= room:
            room -= size
            copies[order] = COPIES
    return copies


def _in_its_place(hold: Storage, base: Storage, sizes: Mapping[int, float]) -> bool:
    """Whether a hold takes the place of another (docs/model.md, rule 15)."""
    return hold.order not in sizes and hold.loops == base.loops and base.spills
