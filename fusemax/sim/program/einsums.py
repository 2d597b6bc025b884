"""The task streams of Einsums: their loops, and the ticks of each task from its operations and its words over edges."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from fractions import Fraction
from math import ceil, prod
from typing import cast

from fusemax.bind.extents import single
from fusemax.bind.plan import LoopRef
from fusemax.model.cycles import edge_cycles, times
from fusemax.model.filters import steps
from fusemax.model.traffic import EdgeTraffic
from fusemax.sim.program.order import terms_of
from fusemax.sim.program.phase import Phase
from fusemax.sim.program.program import TaskKind, TaskStream
from fusemax.sim.task_index import Digit, IndexMap, TaskLoops

Cost = Callable[[int], int] | int
"""Ticks or cycles of a task, by its number; an integer if all take as many."""


def einsum_stream(phase: Phase, number: int) -> TaskStream:
    """The tasks of a placement: one for each iteration of the loops around it that its Einsum uses."""
    placement, loops, order = phase.placement(number), phase.task_loops(number), phase.order
    weights = order.weights[number]
    fixed = sum(phase.fixed(number, loop) * weights[loop] for loop in placement.loops if loop not in loops.refs)
    first = order.offsets[number] + fixed + order.late_by(number)
    cost, periodic = _cost(phase, number, loops)
    return TaskStream(
        placement.name, TaskKind.EINSUM, placement.name, phase.server(placement.unit), loops, loops.count, cost,
        IndexMap(terms_of(loops, weights), first).compiled(loops.count), placement=number,
        strict=number in order.strict, periodic=periodic, special=_special(phase, number, loops),
    )  # fmt: skip


def alternations_of(phase: Phase, einsums: Mapping[int, TaskStream]) -> tuple[tuple[TaskStream, ...], ...]:
    """The streams that share a unit cycle by cycle (`A | B`), group by group."""
    groups: dict[int, list[TaskStream]] = {}
    for number in phase.numbers:
        group = phase.placement(number).alternation
        if group is not None:
            groups.setdefault(group, []).append(einsums[number])
    return tuple(tuple(group) for group in groups.values())


def _special(phase: Phase, number: int, loops: TaskLoops) -> tuple[LoopRef, ...]:
    """The loops whose first iteration differs: an operand enters the array in it, or a step has none before."""
    placement = phase.placement(number)
    tensors = {operand.tensor for operand in (*placement.operands, placement.result)}
    reused = {loop for tensor in tensors for loop in phase.reused_over(number, tensor)}
    iterated = phase.steps(tensors)
    return tuple(loop for loop in loops.refs if loop in reused or loop.variable in iterated)


def _cost(phase: Phase, number: int, loops: TaskLoops) -> tuple[Cost, bool]:
    """Ticks of a task: its slots, or its words over the edges; and whether they are the same in all iterations."""
    placement, unit, cycle = phase.placement(number), phase.unit(number), phase.clock.cycle
    slots = _slots(phase, number, loops)
    per_task = [_per_task(phase, loops, c) for c in phase.traffic.crossings if c.placement == number]

    def ticks(active: Iterable[EdgeTraffic]) -> int:
        return ceil(Fraction(single(edge_cycles(unit, placement, list(active), []))) * cycle)

    conditions = list(dict.fromkeys(reused for _, reused in per_task if reused))
    if not conditions and not callable(slots):
        return max(slots * cycle, ticks(crossing for crossing, _ in per_task)), True
    rounds = [condition[0].below * condition[0].extent for condition in conditions]  # they are the innermost loops
    table: dict[tuple[bool, ...], int] = {}

    def cost(task: int) -> int:
        state = tuple([not task % inner for inner in rounds])
        if state not in table:
            true = {(), *(c for c, holds in zip(conditions, state, strict=True) if holds)}
            table[state] = ticks(crossing for crossing, reused in per_task if reused in true)
        busy = slots(task) if callable(slots) else slots
        return max(busy * cycle, table[state]) if busy else 0

    return cost, not callable(slots)


def _slots(phase: Phase, number: int, loops: TaskLoops) -> Cost:
    """Operation slots of a task; a filter leaves out time steps without a point."""
    bound, placement = phase.bound, phase.placement(number)
    time = times(bound.nest, (), bound.sizes)[number]
    total = steps(bound.nest, placement, bound.sizes)
    each = int(time.slots) // int(total) if total else 0
    if not placement.einsum.constraints:
        return int(time.slots) // loops.count
    digits = [(loop.variable, loops.digit(i)) for i, loop in enumerate(loops.refs)]

    def slots(task: int) -> int:
        at = {variable: digit.of(task) for variable, digit in digits}
        return each * int(steps(bound.nest, placement, bound.sizes, at))

    return slots


def _per_task(phase: Phase, loops: TaskLoops, crossing: EdgeTraffic) -> tuple[EdgeTraffic, tuple[Digit, ...]]:
    """The words that cross an edge at once, and the digits that are 0 when they do: those of the loops through which the
    array keeps its tile."""
    reused = phase.reused_over(crossing.placement, crossing.tensor)
    digits = tuple(loops.digit(loops.refs.index(loop)) for loop in reused)
    words = Fraction(single(crossing.words)) * prod(digit.extent for digit in digits) / loops.count
    return replace(crossing, words=cast(float, words)), tuple(digit for digit in digits if digit.extent > 1)
