"""Transfers over the channel to the outermost memory: fills and drains of storage, and direct loads and stores."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from math import ceil, prod

from fusemax.bind.plan import LoopRef, Storage
from fusemax.model.traffic import MemoryTraffic, Transfer
from fusemax.sim.program.dependences import operand_dependence, same_task, variable_pairs
from fusemax.sim.program.order import terms_of
from fusemax.sim.program.phase import DirectTransfer, Phase, StorageTransfer, Streams
from fusemax.sim.program.program import Dependence, TaskKind, TaskStream, Until
from fusemax.sim.stall import Stall, StallKind
from fusemax.sim.task_index import NONE, IndexMap, TaskLoops

LEAST = 16
"""Transfers of fewer cycles than this are grouped over the innermost loop."""


def storage_transfers(phase: Phase, einsums: Mapping[int, TaskStream]) -> Iterator[StorageTransfer]:
    """The transfers between each storage and the outermost memory."""
    for hold in phase.stored():
        words = phase.stored_words(hold)
        if Transfer.FILL in words:
            yield StorageTransfer(hold, Transfer.FILL, _fill(phase, einsums, hold, words[Transfer.FILL]))
        if Transfer.DRAIN in words:
            loops = phase.refill_loops(hold)
            position, total = _first_use(phase, einsums, loops, hold), words[Transfer.DRAIN]
            stream = _stream(phase, TaskKind.STORE, hold.tensor, loops, total, loops.count, position)
            yield StorageTransfer(hold, Transfer.DRAIN, stream)


def _fill(phase: Phase, einsums: Mapping[int, TaskStream], hold: Storage, words: float) -> TaskStream:
    """The transfers that fill the tiles of a storage; a tile that was made here comes back from its second visit on."""
    loops, depends = phase.refill_loops(hold), phase.bound.nest.ranks(hold.tensor)
    position = _first_use(phase, einsums, loops, hold)
    if not phase.bound.nest.made_inside(hold):
        return _stream(phase, TaskKind.LOAD, hold.tensor, loops, words, loops.count, position)
    visits = [loops.digit(i) for i, loop in enumerate(loops.refs) if loop.variable not in depends]
    moving = loops.count - loops.count // prod(digit.extent for digit in visits)

    def again(tile: int) -> bool:
        return any(digit.of(tile) for digit in visits)

    special = loops.refs
    return _stream(phase, TaskKind.LOAD, hold.tensor, loops, words, moving, position, only=again, special=special)


def _first_use(
    phase: Phase, einsums: Mapping[int, TaskStream], loops: TaskLoops, hold: Storage
) -> Callable[[int], int]:
    """The position of the first task that needs a tile."""
    starts = []
    for n in phase.users(hold):
        weights = phase.order.weights[n]
        others = [
            loop for loop in phase.placement(n).loops if loop not in einsums[n].loops.refs and loop not in loops.refs
        ]
        starts.append((phase.order.offsets[n] + sum(phase.fixed(n, loop) * weights[loop] for loop in others), weights))
    start, weights = min(starts, key=lambda found: found[0])
    return IndexMap(terms_of(loops, weights), start).compiled(loops.count)


def _stream(
    phase: Phase, kind: TaskKind, tensor: str, loops: TaskLoops, words: float, moving: int,
    position: Callable[[int], int], *, reader: str = "", only: Callable[[int], bool] | None = None,
    special: tuple[LoopRef, ...] = (),
) -> TaskStream:  # fmt: skip
    """Transfers of so many words in all, in `moving` tasks; if these are not all tasks, `only` says which."""
    total = words * phase.bound.arch.word_bits / 8
    ticks = ceil(Fraction(total) / moving * phase.clock.byte)
    cost = ticks if only is None else (lambda task: ticks if only(task) else 0)
    after = phase.order.size if kind is TaskKind.STORE else 0  # loads go before stores
    place = (lambda task: position(task) + after) if after else position
    name = f"{kind.value} {tensor} for {reader}" if reader else f"{kind.value} {tensor}"
    return TaskStream(name, kind, tensor, phase.channel, loops, loops.count, cost, place, bytes=total, special=special)


def direct_transfers(phase: Phase, einsums: Mapping[int, TaskStream]) -> Iterator[DirectTransfer]:
    """The loads of operands that Einsums read from the outermost memory themselves, and the stores of their results."""
    for number in phase.numbers:
        counts = phase.direct_counts(number)
        returning = {count.tensor for count in counts if count.kind is Transfer.READ_BACK}
        for count in counts:
            loops = _direct_loops(phase, number, einsums[number], count, count.tensor in returning)
            base = einsums[number].position(0)
            position = IndexMap(terms_of(loops, phase.order.weights[number]), base).compiled(loops.count)
            store = count.kind is Transfer.WRITE
            stream = _stream(
                phase, TaskKind.STORE if store else TaskKind.LOAD, count.tensor, loops, float(count.words), loops.count,
                position, reader="" if store else einsums[number].name,
            )  # fmt: skip
            yield DirectTransfer(number, count.kind, stream)


def _direct_loops(phase: Phase, number: int, einsum: TaskStream, count: MemoryTraffic, returns: bool) -> TaskLoops:
    """The loops of which each iteration is a transfer: those that advance the array's tile, without the innermost if its
    transfers are short. A tile that returns must have left before, so that it moves alone."""
    loops = einsum.loops.without(phase.reused_over(number, count.tensor))
    size = float(count.words) / loops.count * phase.bound.arch.word_bits / 8
    short = size * phase.clock.byte < LEAST * phase.clock.cycle
    if loops.refs and short and not returns and not _shared(phase, number, count.tensor, loops.refs[-1]):
        return loops.without(loops.refs[-1:])
    return loops


def _shared(phase: Phase, number: int, tensor: str, loop: LoopRef) -> bool:
    """Whether other Einsums make or read a tensor of this phase within the same iteration of a loop."""
    others = [phase.placement(n) for n in phase.numbers if n != number and loop in phase.placement(n).loops]
    return tensor in phase.makers and any(
        tensor in (p.name, *(operand.tensor for operand in p.operands)) for p in others
    )


# --------------------------------------------------------------------------------------------------------- dependences


def drain_dependences(phase: Phase, streams: Streams) -> Iterator[Dependence]:
    """A tile leaves its storage when it is made."""
    for drain in streams.drains.values():
        maker = streams.einsums[phase.makers[drain.tensor]]
        yield operand_dependence(drain, maker, same_task(maker.loops, drain.loops, {}))


def direct_dependences(phase: Phase, streams: Streams) -> Iterator[Dependence]:
    """An Einsum waits for its direct loads and stores, which are as many tiles ahead or behind as are in flight."""
    stores = list(streams.drains.values())
    for transfer in streams.direct:
        einsum = streams.einsums[transfer.number]
        if transfer.stream.kind is TaskKind.STORE:
            yield from _store_dependences(phase, einsum, transfer)
            stores.append(transfer.stream)
        else:
            yield from _load_dependences(phase, einsum, transfer)
            yield from _after_stores(phase, transfer, [s for s in stores if s.tensor == transfer.stream.tensor])


def _first_tasks(transfer: TaskStream, einsum: TaskStream, constant: int = 0) -> Callable[[int], int]:
    """The first task of an Einsum that uses the tile of a transfer."""
    terms = [(transfer.loops.digit(i), einsum.loops.digit(i).below) for i in range(len(transfer.loops.refs))]
    return IndexMap(tuple(terms), constant).compiled(transfer.count)


def _tasks_below(transfer: TaskStream, einsum: TaskStream) -> int:
    """The tasks of an Einsum for each transfer."""
    return prod(einsum.loops.extents[len(transfer.loops.extents) :])


def _store_dependences(phase: Phase, einsum: TaskStream, transfer: DirectTransfer) -> Iterator[Dependence]:
    store, below = transfer.stream, _tasks_below(transfer.stream, einsum)
    first, behind = _first_tasks(store, einsum), phase.tiles_in_flight(transfer.number)
    yield operand_dependence(store, einsum, lambda task: first(task) + below - 1)
    leaving = Stall(StallKind.STORE, store.tensor)
    yield Dependence(einsum, store, lambda task: max(task // below - behind, NONE), Until.ARRIVED, leaving)


def _load_dependences(phase: Phase, einsum: TaskStream, transfer: DirectTransfer) -> Iterator[Dependence]:
    load, below = transfer.stream, _tasks_below(transfer.stream, einsum)
    stall = Stall(StallKind.TRANSFER, load.tensor, phase.bound.arch.outermost.name)
    yield Dependence(einsum, load, lambda task: task // below, Until.ARRIVED, stall)
    ahead = phase.tiles_in_flight(transfer.number)
    used = _first_tasks(load, einsum, (1 - ahead) * below - 1)
    yield Dependence(load, einsum, lambda task: max(used(task), NONE), Until.ENDED, Stall(StallKind.PREFETCH))


def _after_stores(phase: Phase, transfer: DirectTransfer, stores: Sequence[TaskStream]) -> Iterator[Dependence]:
    """A load of a tensor that is stored in the same phase waits for the store of its tile."""
    load = transfer.stream
    stall = Stall(StallKind.OPERAND, load.tensor)
    if transfer.kind is Transfer.READ_BACK:
        for store in stores:
            if store.loops.refs == load.loops.refs:
                yield Dependence(load, store, lambda task: task - 1, Until.ARRIVED, stall)
    elif load.tensor in phase.makers:
        reads = phase.placement(transfer.number).einsum.reads
        use = next(use for use in reads if use.tensor == load.tensor)
        pairs, back = variable_pairs(phase, phase.makers[load.tensor], use)
        for store in stores:
            yield operand_dependence(load, store, same_task(store.loops, load.loops, pairs, back))


def fill_dependences(phase: Phase, streams: Streams) -> Iterator[Dependence]:
    """A tile that comes back from the outermost memory has been stored there before."""
    for transfer in streams.storage:
        if transfer.kind is not Transfer.FILL:
            continue
        hold, fill = transfer.hold, transfer.stream
        for store in streams.stores(hold.tensor):
            if phase.bound.nest.made_inside(hold):
                stall = Stall(StallKind.OPERAND, hold.tensor)
                yield Dependence(fill, store, lambda tile: tile - 1, Until.ARRIVED, stall)
            else:
                same = {variable: variable for variable in phase.bound.nest.ranks(hold.tensor)}
                yield operand_dependence(fill, store, same_task(store.loops, fill.loops, same))
