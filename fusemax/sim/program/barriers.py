"""The turns of a program: each stage, and each statement of a plain loop, is a segment with a gate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fusemax.sim import stream as sim
from fusemax.sim.machine import Segment
from fusemax.sim.program.dependences import strides
from fusemax.sim.program.order import Part, terms_of
from fusemax.sim.stream import Series, Wait
from fusemax.sim.task_index import Digit, IndexMap, Nest

if TYPE_CHECKING:
    from fusemax.sim.program.build import Program


def take_turns(program: Program) -> None:
    """Give every statement that takes turns its segment."""
    for part in program.order.parts:
        _segment(program, part)


def _segment(program: Program, part: Part) -> None:
    """One segment: its gate counts its turns, one more than there are tiles if something runs for the tile before."""
    extents = tuple(int(program.loop_nest.extents[loop.variable]) for loop in part.loops)
    nest = Nest(part.loops, extents)
    turns = nest.count + bool(part.late)
    inner = IndexMap(terms_of(nest, part.weights), part.start).compiled(nest.count)
    end = inner(nest.count - 1) + part.step

    def position(turn: int) -> int:
        return inner(turn) if turn < nest.count else end

    gate = Series("turn", sim.TaskKind.GATE, "", nest, turns, 0, position, strides(nest))
    segment = Segment(gate, sequencer=program.machine.sequencer)
    program.machine.sequencer.segments.append(segment)
    program.machine.series.append(gate)
    for number in (*part.members, *part.late):
        _member(program, number, segment, part, nest)


def _member(program: Program, number: int, segment: Segment, part: Part, nest: Nest) -> None:
    """Let a placement run in the turns of a segment."""
    series, placement = program.einsums[number], program.plan.placements[number]
    constant = int(number in part.late)
    terms: list[tuple[Digit, int]] = []
    per_turn = series.count
    for i, loop in enumerate(nest.loops):
        digit, below = series.nest.find(loop), nest.digit(i).below
        if digit is None:
            constant += program.fixed(number, loop) * below
        else:
            terms.append((digit, below))
            per_turn //= digit.extent
    series.segment, series.per_instance = segment, per_turn
    series.instance = IndexMap(tuple(terms), constant).compiled(series.count)
    if placement.name in part.drains:
        series.drain = program.clock.cycle * program.loop_nest.drain(placement)
    series.waits.append(Wait(segment.gate, series.instance, False, ""))
    segment.members.append(series)
