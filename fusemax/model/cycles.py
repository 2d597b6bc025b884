"""Cycles of operation slots and edge traffic, composed by the tree of the mapping."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce

from fusemax.analysis.counting import points
from fusemax.bind.extents import Amount, largest
from fusemax.bind.loop_nest import LoopNest
from fusemax.bind.plan import Composition, Placement, WaitFor
from fusemax.errors import FusemaxError, Problem
from fusemax.ir.arch import Unit
from fusemax.ir.checked import Checked, CheckedEinsum
from fusemax.ir.mapping import BlockKind, Overlap
from fusemax.model.filters import point_count, steps
from fusemax.model.operations import operations_on, operator_of
from fusemax.model.traffic import Edge, EdgeTraffic


@dataclass(frozen=True, slots=True)
class Time:
    """Cycles of one placement over the run: those of its operations (`slots`) and those of its edges.

    `used` are the slots of single elements: points within the filters, times slots per point.
    """

    slots: Amount
    edges: Amount
    used: Amount

    @property
    def cycles(self) -> Amount:
        """The larger of the two."""
        return largest([self.slots, self.edges])


def times(nest: LoopNest, crossings: tuple[EdgeTraffic, ...], sizes: Mapping[str, Amount]) -> tuple[Time, ...]:
    """The time of every placement. Raises `FusemaxError` for operators and edges that a unit lacks."""
    found = []
    problems: list[Problem] = []
    for number, placement in enumerate(nest.plan.placements):
        unit = nest.arch.unit(placement.unit)
        slots = placement_slots(nest.checked, placement, unit, problems)
        mine = [crossing for crossing in crossings if crossing.placement == number]
        space = points(placement.einsum.variables, placement.einsum.constraints, nest.checked.ranks)
        busy = slots * steps(nest, placement, sizes)
        found.append(Time(busy, edge_cycles(unit, placement, mine, problems), slots * point_count(space, sizes)))
    if problems:
        raise FusemaxError(problems)
    return tuple(found)


def placement_slots(checked: Checked, placement: Placement, unit: Unit, problems: list[Problem]) -> int:
    """Slots per point (docs/model.md, rule 8); operators that the unit lacks become problems."""
    total, missing = slots_of(checked, placement.einsum, unit)
    for kind in missing:
        through = operator_of(checked, placement.einsum, kind)
        whose = f" for '{through}'" if through else ""
        message = f"'{unit.name}' has no '{kind}', which '{placement.name}' needs{whose}"
        has = ", ".join(op.name for op in unit.ops)
        problems.append(Problem(message, placement.span, f"it has {has}: place the Einsum on another unit"))
    return min(total, 1) if placement.chained else total


def slots_of(checked: Checked, einsum: CheckedEinsum, unit: Unit) -> tuple[int, tuple[str, ...]]:
    """Slots of one point of an Einsum in an element of a unit, every operator its own, and the operators that it lacks.

    >>> from fusemax import check, load_arch, load_cascade
    >>> checked, unit = check(load_cascade("attention-3pass")), load_arch("fusemax-cloud").units[0]
    >>> [(einsum.name, *slots_of(checked, einsum, unit)) for einsum in checked.einsums if einsum.name in ("SN", "A")]
    [('SN', 7, ()), ('A', 0, ('div',))]
    """
    total, missing = 0, []
    for kind, counts in operations_on(checked, einsum, unit).items():
        times = sum(n for at, n in counts.items() if at.ranks or at.variables)
        slots = unit.slots(kind)
        if slots is None:
            missing.append(kind)
        else:
            total += times * slots
    return total, tuple(missing)


def edge_rates(unit: Unit) -> tuple[int, ...]:
    """Words per cycle over each edge of a unit, and over all entering edges together.

    >>> from fusemax import load_arch
    >>> edge_rates(load_arch("fusemax-cloud").units[0])
    (256, 256, 256, 512)
    """
    each = tuple(unit.lengths[axis] for _, axis in unit.edges)
    entering = sum(unit.entering.values())
    return (*each, entering) if entering else each


def edge_cycles(unit: Unit, placement: Placement, crossings: list[EdgeTraffic], problems: list[Problem]) -> Amount:
    """Cycles of the words over the edges; words that do not vary along a single entering edge take the best split (rule 14)."""
    entering = unit.entering
    if not unit.edges:
        return 0
    bound: dict[str, Amount] = dict.fromkeys(entering, 0)
    either: Amount = 0
    leaving: Amount = 0
    for crossing in crossings:
        if crossing.edge is Edge.OUT:
            leaving = leaving + crossing.words
            _check_exit(unit, placement, crossing, problems)
        elif len(crossing.axes & entering.keys()) == 1:
            (axis,) = crossing.axes & entering.keys()
            bound[axis] = bound[axis] + crossing.words
        else:
            either = either + crossing.words
    everything = reduce(lambda a, b: a + b, bound.values(), either) / sum(entering.values())
    needs = [bound[axis] / rate for axis, rate in entering.items()] + [everything]
    needs += [leaving / rate for rate in unit.leaving.values()]
    return largest(needs)


def _check_exit(unit: Unit, placement: Placement, crossing: EdgeTraffic, problems: list[Problem]) -> None:
    """A result leaves by an edge whose axis it varies along; one that varies along other axes only is refused."""
    if not unit.can_leave(crossing.axes):
        message = f"'{placement.name}' varies along {', '.join(sorted(crossing.axes))} only, where '{unit.name}' has no edge to leave by"
        problems.append(Problem(message, placement.span, "swap its axes"))


# --------------------------------------------------------------------------------------------------------- composition


@dataclass(frozen=True, slots=True)
class Composed:
    """Cycles of a part of the tree, and of each unit in it alone."""

    cycles: Amount
    units: Mapping[str, Amount]


def compose(nest: LoopNest, times: tuple[Time, ...]) -> tuple[Amount, ...]:
    """The cycles of each phase; a mapping without `phase` is one."""
    composer, root = _Composer(nest, times), nest.plan.root
    phases = [child for child in root.children if isinstance(child, Composition) and child.kind is BlockKind.PHASE]
    return tuple(composer.step(phase).cycles for phase in phases or [root])


class _Composer:
    """The cycles of a tree, node by node."""

    def __init__(self, nest: LoopNest, times: tuple[Time, ...]) -> None:
        self.nest, self.times = nest, times

    def step(self, step: Composition) -> Composed:
        """One node: units overlap below `pipeline` and within a stage, and take turns elsewhere."""
        parts = [self.child(child) for child in step.children]
        units: dict[str, Amount] = {}
        for part in parts:
            for unit, cycles in part.units.items():
                units[unit] = units.get(unit, 0) + cycles
        waits = sum((self.drain(child) for child in step.children if isinstance(child, WaitFor)), start=0)
        if step.kind in (Overlap.PIPELINE, BlockKind.STAGE):
            return Composed(largest(units.values()) + waits, units)
        total: Amount = 0
        for part in parts:
            total = total + part.cycles
        return Composed(total, units)

    def child(self, child: Composition | int | WaitFor) -> Composed:
        """A part: a subtree, a placement or a wait."""
        match child:
            case Composition():
                return self.step(child)
            case WaitFor():
                return Composed(self.drain(child), {})
            case number:
                cycles = self.times[number].cycles
                return Composed(cycles, {self.nest.plan.placements[number].unit: cycles})

    def drain(self, wait: WaitFor) -> Amount:
        """The cycles of a `wait` over the run: its reduction drains once for each tile."""
        placement = self.nest.makers[wait.tensor]
        loops = [loop.variable for loop in wait.loops if loop.variable in placement.variables]
        return self.nest.drain(placement) * self.nest.whole(self.nest.product(loops))
