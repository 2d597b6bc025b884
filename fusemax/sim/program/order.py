"""Where every placement stands in the program: its position as it is written, and the segment that it belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

from fusemax.bind.plan import Composition, LoopRef, Placement, Plan, WaitFor
from fusemax.ir.mapping import BlockKind, Overlap
from fusemax.sim.task_index import Digit, Nest


@dataclass(slots=True, eq=False)
class Part:
    """A segment of the program as the tree has it: the loops around it, its members, and the drains it waits for.

    `tiles` are the loops whose iterations are the tiles of `previous:`; members in `late` run for the tile before.
    """

    loops: tuple[LoopRef, ...]
    weights: dict[LoopRef, int]
    start: int
    members: list[int] = field(default_factory=list)
    late: list[int] = field(default_factory=list)
    drains: list[str] = field(default_factory=list)
    tiles: tuple[LoopRef, ...] = ()
    step: int = 0


@dataclass(slots=True)
class Order:
    """Positions: for each placement, the weight of each loop around it and its offset; and all segments, if any."""

    weights: dict[int, dict[LoopRef, int]]
    offsets: dict[int, int]
    strict: set[int]
    parts: list[Part]
    size: int = 0


def order_of(plan: Plan, phase: Composition | None, extents: Mapping[str, Any]) -> Order:
    """The order of one phase, or of a program without phases."""
    return _Layout(extents).order(phase or plan.root, plan)


class _Layout:
    """Lays the tree out on a line: every node has as many places as it has tasks, were loops around it alone."""

    def __init__(self, extents: Mapping[str, Any]) -> None:
        self.extents = extents
        self.found = Order({}, {}, set(), [])

    def order(self, root: Composition, plan: Plan) -> Order:
        """Positions of all placements below a step."""
        children = [child for child in root.children if not isinstance(child, WaitFor)]
        overlapped = (
            len(children) == 1 and isinstance(children[0], Composition) and children[0].kind is Overlap.PIPELINE
        )
        self.found.size = self.size(root)
        self.step(root, (), {}, 0, None if not overlapped else _WHOLE, plan)
        return self.found

    def count(self, loops: tuple[LoopRef, ...]) -> int:
        return prod(int(self.extents[loop.variable]) for loop in loops)

    def body(self, step: Composition) -> int:
        return max(1, sum(self.size(child) for child in step.children))

    def size(self, child: Composition | int | WaitFor) -> int:
        """The places of a node; one iteration more where tasks of the tile before come late."""
        match child:
            case Composition():
                return self.body(child) * self.count(child.loops) + self.late(child)
            case WaitFor():
                return 0
        return 1

    def late(self, step: Composition) -> int:
        """The places of the iteration after the last, for `previous:`."""
        if step.kind is Overlap.STAGES and any(_has_previous(child) for child in step.children):
            return self.body(step)
        only = [child for child in step.children if not isinstance(child, WaitFor)]
        return 0 if step.loops == () or len(only) != 1 or not isinstance(only[0], Composition) else self.late(only[0])

    def step(
        self, step: Composition, loops: tuple[LoopRef, ...], weights: Mapping[LoopRef, int], start: int, part: Part | None, plan: Plan
    ) -> None:  # fmt: skip
        """Place the children of a node one after the other; `part` is the segment that it lies in, if it is inside one."""
        body, inner = self.body(step), dict(weights)
        below = body
        for loop in reversed(step.loops):
            inner[loop] = below
            below *= int(self.extents[loop.variable])
        loops += step.loops
        at = start
        beside: tuple[int | None, Part | None] = (None, None)
        for child in step.children:
            match child:
                case WaitFor(tensor):
                    owner = part or (self.found.parts[-1] if self.found.parts else None)
                    if owner is not None and owner is not _WHOLE:
                        owner.drains.append(tensor)
                case Composition():
                    mine = part
                    if part is None and (child.kind in (Overlap.PIPELINE, BlockKind.STAGE)):
                        mine = self.part(loops, inner, at, body)
                    self.nested(child, loops, inner, at, mine, plan)
                case int(number):
                    turns = plan.placements[number].turns
                    together = beside[1] if turns is not None and turns == beside[0] else None
                    mine = part or together or self.part(loops, inner, at, body)
                    beside = turns, mine
                    self.leaf(number, inner, at, mine, part is None, plan)
            at += self.size(child)

    def nested(
        self, child: Composition, loops: tuple[LoopRef, ...], weights: Mapping[LoopRef, int], at: int, part: Part | None, plan: Plan
    ) -> None:  # fmt: skip
        """A node inside of another; what is in `previous:` belongs to the turn after."""
        if child.kind is BlockKind.PREVIOUS and part is not None and part is not _WHOLE:
            before = len(part.members)
            self.step(child, loops, weights, at, part, plan)
            part.late += part.members[before:]
            del part.members[before:]
            return
        self.step(child, loops, weights, at, part, plan)
        if child.kind is BlockKind.STAGE and part is not None:
            self.found.strict.update([*part.members, *part.late])

    def part(self, loops: tuple[LoopRef, ...], weights: Mapping[LoopRef, int], start: int, body: int) -> Part:
        """A new segment."""
        part = Part(loops, dict(weights), start, step=body)
        self.found.parts.append(part)
        return part

    def leaf(self, number: int, weights: Mapping[LoopRef, int], at: int, part: Part, alone: bool, plan: Plan) -> None:
        self.found.weights[number] = dict(weights)
        self.found.offsets[number] = at
        if part is not _WHOLE:
            part.members.append(number)
        if alone:
            self.found.strict.add(number)


_WHOLE = Part((), {}, 0)
"""Stands for the segment of a program that is nothing but one pipeline, and needs no turns."""


def _has_previous(child: Composition | int | WaitFor) -> bool:
    return isinstance(child, Composition) and (
        child.kind is BlockKind.PREVIOUS or (child.kind is BlockKind.STAGE and any(map(_has_previous, child.children)))
    )


def sequence(placement: Placement, used: set[str], extents: Mapping[str, Any]) -> Nest:
    """The loops around a placement that it uses."""
    loops = tuple(loop for loop in placement.loops if loop.variable in used)
    return Nest(loops, tuple(int(extents[loop.variable]) for loop in loops))


def terms_of(nest: Nest, weights: Mapping[LoopRef, int]) -> tuple[tuple[Digit, int], ...]:
    """Digits of the loops that have a weight, with it."""
    return tuple((nest.digit(i), weights[loop]) for i, loop in enumerate(nest.loops) if loop in weights)
