"""Dependences between Einsums, and between them and the loads of their operands: a task waits for the tiles it reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from math import prod

from fusemax.bind.plan import LoopRef
from fusemax.bind.tensors import parts_of
from fusemax.errors import FusemaxError
from fusemax.ir.arch import Unit
from fusemax.ir.checked import Use, When
from fusemax.sim.program.phase import Phase, Streams
from fusemax.sim.program.program import Dependence, Queue, TaskKind, TaskStream, Until
from fusemax.sim.stall import Stall, StallKind
from fusemax.sim.task_index import NONE, Digit, Guard, IndexMap, TaskLoops


def register_dependences(phase: Phase, einsums: Mapping[int, TaskStream]) -> Iterator[Dependence]:
    """The first Einsum of a block begins a tile when the registers have room for it."""
    for number in phase.numbers:
        stream, block, registers = einsums[number], phase.block(number), phase.unit(number).registers
        if number != block[0] or registers is None or registers.entries is None:
            continue
        index = _tiles_before(phase.tiles_in_flight(number))
        for other in block[1:]:
            if einsums[other].loops == stream.loops:
                yield Dependence(stream, einsums[other], index, Until.BEGUN, Stall(StallKind.REGISTERS))


def _tiles_before(tiles: int) -> Callable[[int], int]:
    """The task so many tiles before."""
    return lambda task: max(task - tiles, NONE)


def operand_dependences(phase: Phase, streams: Streams) -> Iterator[Dependence]:
    """An Einsum waits for the makers of its operands, or for the loads of the tiles that a memory holds of them; a maker
    waits for room in the queue of its readers.

    Raises `FusemaxError` if a queue has no room for a single tile.
    """
    limited: set[tuple[TaskStream, TaskStream]] = set()
    for number in phase.numbers:
        for use in phase.placement(number).einsum.reads:
            stream = streams.einsums[number]
            hold = phase.bound.nest.holder(phase.placement(number), use.tensor)
            if hold is not None and hold.order in streams.fills:
                fill = streams.fills[hold.order]
                stall = Stall(StallKind.TRANSFER, use.tensor, phase.bound.arch.outermost.name)
                yield operand_dependence(stream, fill, same_task(fill.loops, stream.loops, {}), stall)
            maker = _maker(phase, number, use)
            if maker is None:
                continue
            made = streams.einsums[maker]
            yield operand_dependence(stream, made, _made_before(phase, maker, use, made, stream))
            if _queued(phase, number, use, made, stream) and (made, stream) not in limited:
                limited.add((made, stream))
                yield from _queue_dependence(phase, made, stream, phase.unit(number))


def operand_dependence(
    stream: TaskStream, source: TaskStream, index: Callable[[int], int], stall: Stall | None = None
) -> Dependence:
    """A stream reads the result of another, which has arrived if both run on one unit and the other has begun."""
    beside = source.server == stream.server and source.kind is TaskKind.EINSUM
    until = Until.BEGUN if beside else Until.ARRIVED
    return Dependence(stream, source, index, until, stall or Stall(StallKind.OPERAND, source.tensor))


def _maker(phase: Phase, number: int, use: Use) -> int | None:
    """The placement of the same phase for whose result an operand waits."""
    maker = phase.makers.get(use.tensor)
    return None if maker == number or use.when is When.INITIAL else maker


def _made_before(phase: Phase, maker: int, use: Use, made: TaskStream, reader: TaskStream) -> Callable[[int], int]:
    pairs, back = variable_pairs(phase, maker, use)
    return same_task(made.loops, reader.loops, pairs, back)


# -------------------------------------------------------------------------------------------------------------- queues


def queues_of(phase: Phase, einsums: Mapping[int, TaskStream]) -> tuple[Queue, ...]:
    """The queues between units, in the order of their makers."""
    readers: dict[int, dict[int, TaskStream]] = {}
    for number in phase.numbers:
        for use in phase.placement(number).einsum.reads:
            maker = _maker(phase, number, use)
            if maker is not None and _queued(phase, number, use, einsums[maker], einsums[number]):
                readers.setdefault(maker, {})[number] = einsums[number]
    return tuple(
        Queue(einsums[maker], tuple(mine.values()), _words_a_lane(phase, einsums[maker], *map(phase.unit, mine)))
        for maker, mine in sorted(readers.items())
    )


def _queued(phase: Phase, number: int, use: Use, made: TaskStream, reader: TaskStream) -> bool:
    """Whether an operand comes from another unit without a memory between them."""
    return made.server != reader.server and phase.bound.nest.holder(phase.placement(number), use.tensor) is None


def _queue_dependence(phase: Phase, made: TaskStream, reader: TaskStream, unit: Unit) -> Iterator[Dependence]:
    """The maker of an operand for another unit waits until that has begun the tiles before, if its queue has a limit."""
    if unit.queue_words is None or reader.count % made.count:
        return
    words = _words_a_lane(phase, made, unit)
    limit = int(unit.queue_words // words)
    if not limit:
        message = f"a tile of '{made.name}' has {words:g} words for each element of '{unit.name}', and its queue {unit.queue_words}"
        raise FusemaxError(message, f"use smaller tiles, or give '{unit.name}' a longer queue")
    each = reader.count // made.count
    stall = Stall(StallKind.QUEUE, other=unit.name)
    yield Dependence(made, reader, lambda task: max((task + 1 - limit) * each - 1, NONE), Until.BEGUN, stall)


def _words_a_lane(phase: Phase, made: TaskStream, *readers: Unit) -> float:
    """The words of a tile over the elements of the unit that reads it, of the smallest if several do."""
    inside = set(phase.bound.nest.ranks(made.tensor)) - {loop.variable for loop in made.loops.refs}
    return prod(map(phase.extent, inside)) / min(unit.elements for unit in readers)


# --------------------------------------------------------------------------------------------------------------- tasks


def variable_pairs(phase: Phase, maker: int, use: Use) -> tuple[dict[str, str], tuple[str, ...]]:
    """The reader's variable for each of the maker's that the tensor has; and those of a step that is one back."""
    pairs: dict[str, str] = {}
    back: tuple[str, ...] = ()
    splits, tensor = phase.bound.nest.splits, phase.bound.checked.tensors[use.tensor]
    for place, (made, read) in enumerate(zip(phase.placement(maker).einsum.target.indices, use.indices, strict=True)):
        mine, other = made.variable or made.step, read.variable or read.step
        if mine is None or other is None:
            continue
        outer, inner = parts_of((mine,), splits), parts_of((other,), splits)
        if len(outer) == len(inner) and [*map(phase.extent, outer)] == [*map(phase.extent, inner)]:
            pairs.update(zip(outer, inner, strict=True))
            if place == tensor.iterative and use.when is When.OLD:
                back = outer
    return pairs, back


def same_task(
    source: TaskLoops, reader: TaskLoops, pairs: Mapping[str, str], back: tuple[str, ...] = ()
) -> Callable[[int], int]:
    """The last task of a stream that a task of another needs: at the same coordinates, and at the end of all loops that
    the other has not; `back` are the variables of a step, of which the one before is needed."""
    digits = [_coordinate(loop, reader, pairs) for loop in source.refs]
    terms: list[tuple[Digit, int]] = []
    steps: list[tuple[Digit, Digit]] = []
    constant = 0
    for i, (loop, digit) in enumerate(zip(source.refs, digits, strict=True)):
        made = source.digit(i)
        if digit is None:
            constant += (made.extent - 1) * made.below
            continue
        terms.append((digit, made.below))
        if loop.variable in back:
            steps.append((digit, made))
    if back and not steps:
        return lambda task: NONE  # all steps lie inside of one task
    if len(steps) == 1:
        ((mine, made),) = steps
        return IndexMap(tuple(terms), constant - made.below, (Guard(mine, 0, False),)).compiled(reader.count)
    plain = IndexMap(tuple(terms), constant).compiled(reader.count)
    return _step_before(plain, steps) if steps else plain


def _step_before(task_of: Callable[[int], int], steps: list[tuple[Digit, Digit]]) -> Callable[[int], int]:
    """The task one step before, where the digits of a step are those of several loops."""

    def before(task: int) -> int:
        number = task_of(task)
        for mine, made in reversed(steps):
            if mine.of(task):
                return number - made.below
            number += (made.extent - 1) * made.below
        return NONE

    return before


def _coordinate(loop: LoopRef, reader: TaskLoops, pairs: Mapping[str, str]) -> Digit | None:
    """The digit of a reader that is the coordinate of another's loop: a loop around both, or one over a variable that the
    tensor has."""
    shared = reader.find(loop)
    if shared is not None:
        return shared
    variable = pairs.get(loop.variable)
    return next((reader.digit(i) for i, other in enumerate(reader.refs) if other.variable == variable), None)
