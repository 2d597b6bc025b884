"""Program order: the position of every placement as it is written, and the segment to which it belongs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod

from fusemax.bind.extents import Extent
from fusemax.bind.plan import Composition, LoopRef, Plan, WaitFor
from fusemax.ir.mapping import BlockKind, Overlap
from fusemax.sim.task_index import Digit, TaskLoops


@dataclass(frozen=True, slots=True)
class SegmentLayout:
    """A segment of the program as the tree has it: the loops around it, its placements, and the drains it waits for.

    An opening starts at position `start` plus the weights of its loops, and has `step` positions. Placements in `late` run
    for the tile before.
    """

    loops: tuple[LoopRef, ...]
    weights: Mapping[LoopRef, int]
    start: int
    step: int
    members: tuple[int, ...]
    late: tuple[int, ...]
    drains: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Order:
    """Positions in program order: for each placement, by number, the weight of each loop around it and its offset.

    `strict` are the placements whose tasks a unit begins as they are listed, `size` is the number of positions.
    """

    weights: Mapping[int, Mapping[LoopRef, int]]
    offsets: Mapping[int, int]
    strict: frozenset[int]
    segments: tuple[SegmentLayout, ...]
    size: int

    def late_by(self, number: int) -> int:
        """The positions by which a placement comes later because it runs for the tile before."""
        return next((segment.step for segment in self.segments if number in segment.late), 0)


def order_of(plan: Plan, root: Composition, extents: Mapping[str, Extent]) -> Order:
    """The order of all placements below a node: of one phase, or of a plan without phases."""
    layout = _Layout(plan, extents)
    children = [child for child in root.children if not isinstance(child, WaitFor)]
    overlapped = len(children) == 1 and isinstance(children[0], Composition) and children[0].kind is Overlap.PIPELINE
    layout.place(root, (), {}, 0, _WHOLE if overlapped else None)
    segments = tuple(
        SegmentLayout(s.loops, s.weights, s.start, s.step, tuple(s.members), tuple(s.late), tuple(s.drains))
        for s in layout.segments
    )
    return Order(layout.weights, layout.offsets, frozenset(layout.strict), segments, layout.size(root))


def terms_of(loops: TaskLoops, weights: Mapping[LoopRef, int]) -> tuple[tuple[Digit, int], ...]:
    """The digits of the loops that have a weight, with it."""
    return tuple((loops.digit(i), weights[loop]) for i, loop in enumerate(loops.refs) if loop in weights)


@dataclass(slots=True, eq=False)
class _OpenSegment:
    """A segment to which placements are still added."""

    loops: tuple[LoopRef, ...]
    weights: Mapping[LoopRef, int]
    start: int
    step: int
    members: list[int] = field(default_factory=list)
    late: list[int] = field(default_factory=list)
    drains: list[str] = field(default_factory=list)


_WHOLE = _OpenSegment((), {}, 0, 0)
"""Stands for the segment of a program that is one pipeline, and needs no barriers."""


class _Layout:
    """Lays a tree out on a line: every node has as many positions as it has tasks, were loops around it alone."""

    def __init__(self, plan: Plan, extents: Mapping[str, Extent]) -> None:
        self.plan, self.extents = plan, extents
        self.weights: dict[int, Mapping[LoopRef, int]] = {}
        self.offsets: dict[int, int] = {}
        self.strict: set[int] = set()
        self.segments: list[_OpenSegment] = []

    def body(self, node: Composition) -> int:
        """The positions of one iteration of a node."""
        return max(1, sum(self.size(child) for child in node.children))

    def size(self, child: Composition | int | WaitFor) -> int:
        """The positions of a node; one iteration more where tasks of the tile before come late."""
        match child:
            case Composition():
                iterations = prod(int(self.extents[loop.variable]) for loop in child.loops)
                return self.body(child) * iterations + self.late(child)
            case WaitFor():
                return 0
        return 1

    def late(self, node: Composition) -> int:
        """The positions of the iteration after the last, for `previous:`."""
        if node.kind is Overlap.STAGES and any(_has_previous(child) for child in node.children):
            return self.body(node)
        only = [child for child in node.children if not isinstance(child, WaitFor)]
        return 0 if node.loops == () or len(only) != 1 or not isinstance(only[0], Composition) else self.late(only[0])

    def place(
        self, node: Composition, loops: tuple[LoopRef, ...], weights: Mapping[LoopRef, int], start: int,
        segment: _OpenSegment | None,
    ) -> None:  # fmt: skip
        """Place the children of a node one after the other; `segment` is the one in which it lies, if it lies in one."""
        body, inner = self.body(node), dict(weights)
        below = body
        for loop in reversed(node.loops):
            inner[loop] = below
            below *= int(self.extents[loop.variable])
        loops += node.loops
        at = start
        beside: tuple[int | None, _OpenSegment | None] = (None, None)
        for child in node.children:
            match child:
                case WaitFor(tensor):
                    owner = segment or (self.segments[-1] if self.segments else None)
                    if owner is not None and owner is not _WHOLE:
                        owner.drains.append(tensor)
                case Composition():
                    mine = segment
                    if segment is None and (child.kind in (Overlap.PIPELINE, BlockKind.STAGE)):
                        mine = self.open(loops, inner, at, body)
                    self.nested(child, loops, inner, at, mine)
                case int(number):
                    group = self.plan.placements[number].alternation
                    together = beside[1] if group is not None and group == beside[0] else None
                    mine = segment or together or self.open(loops, inner, at, body)
                    beside = group, mine
                    self.leaf(number, inner, at, mine, segment is None)
            at += self.size(child)

    def nested(
        self, child: Composition, loops: tuple[LoopRef, ...], weights: Mapping[LoopRef, int], at: int,
        segment: _OpenSegment | None,
    ) -> None:  # fmt: skip
        """A node inside of another; the body of `previous:` belongs to the opening after."""
        if child.kind is BlockKind.PREVIOUS and segment is not None and segment is not _WHOLE:
            before = len(segment.members)
            self.place(child, loops, weights, at, segment)
            segment.late += segment.members[before:]
            del segment.members[before:]
            return
        self.place(child, loops, weights, at, segment)
        if child.kind is BlockKind.STAGE and segment is not None:
            self.strict.update([*segment.members, *segment.late])

    def open(self, loops: tuple[LoopRef, ...], weights: Mapping[LoopRef, int], start: int, body: int) -> _OpenSegment:
        """A new segment."""
        segment = _OpenSegment(loops, dict(weights), start, body)
        self.segments.append(segment)
        return segment

    def leaf(
        self, number: int, weights: Mapping[LoopRef, int], at: int, segment: _OpenSegment, alone: bool
    ) -> None:  # fmt: skip
        """A placement; `alone`: it is a segment of its own."""
        self.weights[number] = dict(weights)
        self.offsets[number] = at
        if segment is not _WHOLE:
            segment.members.append(number)
        if alone:
            self.strict.add(number)


def _has_previous(child: Composition | int | WaitFor) -> bool:
    return isinstance(child, Composition) and (
        child.kind is BlockKind.PREVIOUS or (child.kind is BlockKind.STAGE and any(map(_has_previous, child.children)))
    )
