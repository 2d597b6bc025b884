"""Barriers of a program: each stage, and each statement of a plain loop, is a segment that a gate opens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from fusemax.sim.program.order import SegmentLayout, terms_of
from fusemax.sim.program.phase import Phase
from fusemax.sim.program.program import Dependence, Member, Segment, TaskKind, TaskStream, Until
from fusemax.sim.stall import Stall, StallKind
from fusemax.sim.task_index import Digit, IndexMap, TaskLoops


def segments_of(phase: Phase, einsums: Mapping[int, TaskStream]) -> tuple[Segment, ...]:
    """All segments of a phase; a phase that is one pipeline has none."""
    return tuple(_segment(phase, layout, einsums) for layout in phase.order.segments)


def barrier_dependences(segments: Sequence[Segment]) -> Iterator[Dependence]:
    """The members of a segment wait for its openings."""
    for segment in segments:
        for member in segment.members:
            yield Dependence(member.stream, segment.gate, member.opening, Until.ARRIVED, None)


def _segment(phase: Phase, layout: SegmentLayout, einsums: Mapping[int, TaskStream]) -> Segment:
    """One segment: it opens once a tile, and once more at the end if a member runs for the tile before."""
    loops = phase.loops(layout.loops)
    start = IndexMap(terms_of(loops, layout.weights), layout.start).compiled(loops.count)
    end = start(loops.count - 1) + layout.step

    def position(opening: int) -> int:
        return start(opening) if opening < loops.count else end

    gate = TaskStream("gate", TaskKind.GATE, "", None, loops, loops.count + bool(layout.late), 0, position)
    members = (*layout.members, *layout.late)
    return Segment(gate, tuple(_member(phase, number, layout, loops, einsums[number]) for number in members))


def _member(phase: Phase, number: int, layout: SegmentLayout, loops: TaskLoops, stream: TaskStream) -> Member:
    """A placement in the openings of a segment."""
    constant = int(number in layout.late)
    terms: list[tuple[Digit, int]] = []
    per_opening = stream.count
    for i, loop in enumerate(loops.refs):
        digit, below = stream.loops.find(loop), loops.digit(i).below
        if digit is None:
            constant += phase.fixed(number, loop) * below
        else:
            terms.append((digit, below))
            per_opening //= digit.extent
    drain = phase.drain(number) if stream.name in layout.drains else 0
    stall = Stall(StallKind.DRAIN if drain else StallKind.BARRIER, stream.name)
    return Member(stream, IndexMap(tuple(terms), constant).compiled(stream.count), per_opening, drain, stall)
