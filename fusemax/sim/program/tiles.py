"""Tiles in memories: the bytes set aside for each, and the waits for capacity while an older tile is in use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import prod

from fusemax.bind.capacity import tiles
from fusemax.bind.plan import LoopRef, Storage
from fusemax.sim.program.dependences import same_task
from fusemax.sim.program.phase import Phase, Streams
from fusemax.sim.program.program import Dependence, TaskStream, TileUse, Until
from fusemax.sim.stall import Stall, StallKind
from fusemax.sim.task_index import NONE

COPIES = 2
"""Tiles of one tensor that a memory holds at once, if it has the capacity."""


def reserved_bytes(phase: Phase) -> dict[tuple[str, str], float]:
    """The bytes that each memory sets aside for all copies of a tensor's tile."""
    found: dict[tuple[str, str], float] = {}
    for memory in phase.buffers:
        sizes = tile_bytes(phase, memory.name)
        copies = _copies(phase, memory.name, sizes)
        for hold in phase.stored(memory.name):
            if hold.order in sizes:
                found[memory.name, hold.tensor] = copies[hold.order] * sizes[hold.order]
    return found


def tile_bytes(phase: Phase, level: str) -> dict[int, float]:
    """Bytes of a tile of each storage of a memory, by its order; without storage that takes the place of another."""
    found: dict[int, float] = {}
    for number in phase.numbers:
        for hold, elements in tiles(phase.bound.nest, phase.placement(number).held_in(level)):
            found[hold.order] = float(elements) * phase.bound.arch.word_bits / 8
    return found


def tile_uses(phase: Phase, streams: Streams) -> dict[TaskStream, tuple[TileUse, ...]]:
    """The tiles that the tasks of each stream use."""
    found: dict[TaskStream, list[TileUse]] = {}
    for memory in phase.buffers:
        sizes = tile_bytes(phase, memory.name)
        for hold in phase.stored(memory.name):
            if hold.order not in sizes:
                continue
            loops, fill = phase.refill_loops(hold), streams.fills.get(hold.order)
            for user in _users(phase, streams, hold):
                tile = same_task(loops, user.loops, {})
                use = TileUse(memory.name, hold.tensor, sizes[hold.order], tile, fill is None or fill is user)
                found.setdefault(user, []).append(use)
    return {user: tuple(uses) for user, uses in found.items()}


def capacity_dependences(phase: Phase, streams: Streams) -> Iterator[Dependence]:
    """A part of a tile is overwritten when the tile that lies there is no longer in use."""
    for hold in phase.stored(phase.bound.arch.outermost.name):
        if hold.tensor in phase.makers:
            yield from _overwrites(phase, streams, hold, [hold], COPIES)
    for memory in phase.buffers:
        holds, sizes = phase.stored(memory.name), tile_bytes(phase, memory.name)
        copies = _copies(phase, memory.name, sizes)
        for hold in holds:
            if hold.order in sizes:
                same_place = [hold, *(other for other in holds if _replaces(other, hold, sizes))]
                yield from _overwrites(phase, streams, hold, same_place, copies[hold.order])
        if memory.size_bytes is not None and sum(sizes.values()) > memory.size_bytes:
            yield from _shared_capacity(phase, streams, [hold for hold in holds if hold.order in sizes])


def _overwrites(
    phase: Phase, streams: Streams, hold: Storage, same_place: Sequence[Storage], copies: int
) -> Iterator[Dependence]:
    """The writers of a tile wait for all uses, in its place, of the tile so many before."""
    loops = phase.refill_loops(hold).refs
    users = dict.fromkeys(user for one in same_place for user in _users(phase, streams, one))
    for writer in _writers(phase, streams, hold):
        for user in users:
            if user is not writer:
                yield _after_use(phase, hold, writer, user, loops, copies, parts=True)


def _shared_capacity(phase: Phase, streams: Streams, holds: Sequence[Storage]) -> Iterator[Dependence]:
    """Storage that is never needed at once, in a memory that has no capacity for both, is used alternately."""
    for i, first in enumerate(holds):
        for later in holds[i + 1 :]:
            if any(first in p.holds and later in p.holds for p in phase.bound.plan.placements):
                continue
            common = tuple(a for a, b in zip(first.loops, later.loops, strict=False) if a == b)
            for hold, other, tiles_before in ((later, first, 0), (first, later, 1)):
                for writer in _writers(phase, streams, hold):
                    for user in _users(phase, streams, other):
                        yield _after_use(phase, hold, writer, user, common, tiles_before, parts=False)


def _after_use(
    phase: Phase, hold: Storage, writer: TaskStream, user: TaskStream, loops: tuple[LoopRef, ...], before: int,
    *, parts: bool,
) -> Dependence:  # fmt: skip
    """A writer waits for a user of the same place, so many iterations of the loops before; with `parts` for the same part
    of the tile, else for all of it."""
    shared = tuple(loop for loop in loops if loop in user.loops.refs and loop in writer.loops.refs)
    last = same_task(user.loops, writer.loops, {v: v for v in phase.bound.nest.ranks(user.tensor)} if parts else {})
    back = before * prod(user.loops.without(shared).extents)

    def earlier(task: int) -> int:
        return max(last(task) - back, NONE)

    until = Until.BEGUN if user.server == writer.server else Until.ENDED
    return Dependence(writer, user, earlier if back else last, until, Stall(StallKind.CAPACITY, hold.tensor))


def _users(phase: Phase, streams: Streams, hold: Storage) -> list[TaskStream]:
    """The streams that read or write the tiles of a storage."""
    moves = [moved[hold.order] for moved in (streams.fills, streams.drains) if hold.order in moved]
    return [streams.einsums[number] for number in phase.users(hold)] + moves


def _writers(phase: Phase, streams: Streams, hold: Storage) -> list[TaskStream]:
    """The streams that put new words into the tiles of a storage."""
    made = [streams.einsums[n] for n in phase.users(hold) if phase.placement(n).name == hold.tensor]
    return made + ([streams.fills[hold.order]] if hold.order in streams.fills else [])


def _copies(phase: Phase, level: str, sizes: Mapping[int, float]) -> dict[int, int]:
    """The copies that a memory keeps of each tile: two, the smallest tiles first, as far as its capacity suffices."""
    size_bytes = phase.bound.arch.memory(level).size_bytes
    needed = {hold.order: sizes.get(hold.order, 0.0) for hold in phase.stored(level)}
    left = float("inf") if size_bytes is None else size_bytes - sum(needed.values())
    copies = dict.fromkeys(needed, 1)
    for order, size in sorted(needed.items(), key=lambda item: item[1]):
        if size <= left:
            left -= size
            copies[order] = COPIES
    return copies


def _replaces(hold: Storage, base: Storage, sizes: Mapping[int, float]) -> bool:
    """Whether a storage takes the place of another (docs/model.md, rule 15)."""
    return hold.order not in sizes and hold.loops == base.loops and base.spills
