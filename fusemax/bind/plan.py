"""A mapping bound to a cascade, an architecture and shapes: every Einsum with the loops around it, every hold.

Extents are integers or integer arrays, one element a shape point: the same plan serves one point and a grid of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import assert_never

from fusemax.bind.extents import Amount
from fusemax.bind.tensors import Splits, parts_of
from fusemax.errors import FusemaxError, Problem, Span, did_you_mean, listed
from fusemax.ir.arch import Arch
from fusemax.ir.checked import Checked, CheckedEinsum, Use, When
from fusemax.ir.expr import Name, Number
from fusemax.ir.mapping import Block, BlockKind, Case, For, Hold, Node, Overlap, PlacedEinsum, UnitBlock, Wait
from fusemax.ir.mapping import Mapping as MappingFile


@dataclass(frozen=True, slots=True)
class LoopRef:
    """One loop of the tree: its variable, and the number of its node."""

    variable: str
    node: int


@dataclass(frozen=True, slots=True)
class Storage:
    """A tensor held in a memory (`level`): the loops outside of the hold, and the spilled share, if its line says `spill`."""

    tensor: str
    level: str
    loops: tuple[LoopRef, ...]
    spill: Amount
    spills: bool
    order: int
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Operand:
    """A tensor at a place of an Einsum, and the variables, split, on which the place depends."""

    use: Use
    depends: frozenset[str]

    @property
    def tensor(self) -> str:
        """The tensor's name."""
        return self.use.tensor

    @property
    def when(self) -> When | None:
        """The step of a running tensor that stands there; None for other tensors."""
        return self.use.when


@dataclass(frozen=True, slots=True)
class Placement:
    """An Einsum on a unit: the loops around it, the variables on its axes, the loops inside the array, the storage around it.

    All variables are those of the mapping: where it splits one, its parts. `variables` are those of the iteration space,
    `kept` and `reduced` its two kinds; `operands` are the reads, `result` the write. `body` is the number of its loop body
    (`previous:` has one of its own), `phase` that of its phase. Placements of one `alternation` share their unit, cycle
    by cycle.
    """

    einsum: CheckedEinsum
    variables: tuple[str, ...]
    kept: frozenset[str]
    reduced: frozenset[str]
    operands: tuple[Operand, ...]
    result: Operand
    unit: str
    axes: tuple[tuple[str, str], ...]
    inner_loops: tuple[str, ...]
    chained: bool
    loops: tuple[LoopRef, ...]
    body: int
    phase: int
    holds: tuple[Storage, ...]
    alternation: int | None = None
    span: Span | None = field(default=None, compare=False)

    @property
    def name(self) -> str:
        """The Einsum's name."""
        return self.einsum.name

    @property
    def spread(self) -> tuple[tuple[str, str], ...]:
        """The axes over which the Einsum itself runs, each with its variable."""
        return tuple((axis, variable) for axis, variable in self.axes if variable in self.variables)

    def held_in(self, level: str) -> tuple[Storage, ...]:
        """The storage of one memory around the Einsum, outermost first."""
        return tuple(hold for hold in self.holds if hold.level == level)

    @property
    def reduced_axes(self) -> tuple[str, ...]:
        """The axes along which the result is reduced in space, and so drains."""
        return tuple(axis for axis, variable in self.axes if variable in self.reduced)


@dataclass(frozen=True, slots=True)
class WaitFor:
    """`wait T` and the loops around it."""

    tensor: str
    loops: tuple[LoopRef, ...]
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Composition:
    """A node of the tree of times: the overlap of the parts below. Leaves are placements, by number, and waits.

    `loops` are those of the node itself, outermost first.
    """

    kind: Overlap | BlockKind | None
    children: tuple[Composition | int | WaitFor, ...]
    loops: tuple[LoopRef, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """The placements and the storage of a tree, and the composition of their times."""

    placements: tuple[Placement, ...]
    holds: tuple[Storage, ...]
    root: Composition
    phases: int


def completed_in(plan: Plan, placement: Placement, loop: LoopRef) -> list[str]:
    """The Einsums that use a loop, and whose results a placement inside reads that does not use it (docs/model.md, rule 5)."""
    return [
        p.name
        for p in plan.placements
        if loop in p.loops
        and loop.variable in p.variables
        and any(operand.tensor == p.name for operand in placement.operands)
    ]


class Planner:
    """Walks the tree of a mapping without cases; `numbers` are the values of its parameters."""

    def __init__(
        self, checked: Checked, arch: Arch, mapping: MappingFile, numbers: Mapping[str, Amount], splits: Splits
    ) -> None:
        self.checked, self.arch, self.mapping, self.numbers, self.splits = checked, arch, mapping, numbers, splits
        self.placements: list[Placement] = []
        self.holds: list[Storage] = []
        self.problems: list[Problem] = []
        self.nodes = 0
        self.phase = 0
        self.writers: dict[str, list[CheckedEinsum]] = {}
        for einsum in checked.einsums:
            if not einsum.initial:
                self.writers.setdefault(einsum.name, []).append(einsum)

    def plan(self) -> Plan:
        """The plan. Raises `FusemaxError` with all problems of the tree."""
        root = Composition(None, self.body(self.mapping.body, (), (), 0))
        if self.problems:
            raise FusemaxError(self.problems)
        return Plan(tuple(self.placements), tuple(self.holds), root, max(1, self.phase))

    def fresh(self) -> int:
        """A number for a body or loop node."""
        self.nodes += 1
        return self.nodes

    def body(
        self, nodes: Sequence[Node], loops: tuple[LoopRef, ...], holds: tuple[Storage, ...], body: int
    ) -> tuple[Composition | int | WaitFor, ...]:
        """The children of one body; holds count for the whole of it."""
        for node in nodes:
            if isinstance(node, Hold):
                holds += self.held(node, loops)
        found: list[Composition | int | WaitFor] = []
        for node in nodes:
            match node:
                case For():
                    found.append(self.loop(node, loops, holds))
                case Block():
                    found.append(self.group(node, loops, holds, body))
                case UnitBlock():
                    found += self.placed(node, loops, holds, body)
                case Wait(tensor):
                    found.append(WaitFor(tensor, loops, node.span))
                case Hold():
                    pass
                case Case():
                    raise AssertionError("a mapping is planned when its cases are chosen")
                case _:
                    assert_never(node)
        return tuple(found)

    def loop(self, node: For, loops: tuple[LoopRef, ...], holds: tuple[Storage, ...]) -> Composition:
        """A loop node; its variables are loops of their own, outermost first."""
        number = self.fresh()
        mine = tuple(LoopRef(variable, number) for variable in node.variables)
        return Composition(node.overlap, self.body(node.body, loops + mine, holds, number), mine)

    def group(self, node: Block, loops: tuple[LoopRef, ...], holds: tuple[Storage, ...], body: int) -> Composition:
        """A stage, a phase, or the Einsums of the tile before."""
        match node.kind:
            case BlockKind.PHASE:
                step = Composition(node.kind, self.body(node.body, loops, holds, self.fresh()))
                self.phase += 1
                return step
            case BlockKind.PREVIOUS:
                return Composition(node.kind, self.body(node.body, loops, holds, self.fresh()))
            case BlockKind.STAGE:
                return Composition(node.kind, self.body(node.body, loops, holds, body))

    def held(self, node: Hold, loops: tuple[LoopRef, ...]) -> tuple[Storage, ...]:
        """The holds of one `hold` line."""
        spill = self.spilled(node)
        refs: list[Storage] = []
        for name in node.tensors:
            if name not in self.checked.tensors:
                self.problems.append(unknown_tensor(self.checked, name, node.span))
            else:
                refs.append(
                    Storage(
                        name, node.level, loops, spill, node.spill is not None, len(self.holds) + len(refs), node.span
                    )
                )
        self.holds += refs
        return tuple(refs)

    def spilled(self, node: Hold) -> Amount:
        """The share of a hold that does not fit."""
        match node.spill:
            case None:
                return 0
            case Number(value):
                return value
            case Name(name) if name in self.numbers:
                return self.numbers[name]
        self.problems.append(Problem("a share that is no number and no parameter", node.span, "write `spill 0.5`"))
        return 0

    def placed(self, node: UnitBlock, loops: tuple[LoopRef, ...], holds: tuple[Storage, ...], body: int) -> list[int]:
        """The Einsums of an `on` block."""
        units = [unit.name for unit in self.arch.units]
        if node.unit not in units:
            hint = did_you_mean(node.unit, units) or f"its units are {listed(units)}"
            self.problems.append(Problem(f"'{self.arch.name}' has no unit '{node.unit}'", node.span, hint))
            return []
        numbers = []
        alternation = {at: number for group in node.alternating for number in [self.fresh()] for at in group}
        each = [(at, item, self.einsum(item)) for at, item in enumerate(node.einsums)]
        for at, item, einsum in sorted(each, key=lambda entry: self.rank(entry[0], entry[2], node)):
            if einsum is None:
                continue
            self.placements.append(
                Placement(
                    einsum, parts_of(einsum.variables, self.splits), frozenset(parts_of(einsum.kept, self.splits)),
                    frozenset(parts_of(einsum.reduced, self.splits)), tuple(map(self.operand, einsum.reads)),
                    self.operand(einsum.target), node.unit, node.axes, item.over, item.chained, loops, body, self.phase,
                    holds, alternation.get(at), item.span,
                )
            )  # fmt: skip
            numbers.append(len(self.placements) - 1)
        return numbers

    def operand(self, use: Use) -> Operand:
        """A tensor at its place, with the parts of the variables that the place names."""
        return Operand(use, frozenset(parts_of(use.variables, self.splits)))

    def rank(self, at: int, einsum: CheckedEinsum | None, node: UnitBlock) -> tuple[int, int]:
        """The place of an Einsum in its block: as listed; one that alternates with an Einsum before it, after its operands."""
        if einsum is None or not any(at in group[1:] for group in node.alternating):
            return at, 0
        read = {use.tensor for use in einsum.reads}
        return max([at, *(i for i, item in enumerate(node.einsums) if item.einsum in read)]), 1

    def einsum(self, item: PlacedEinsum) -> CheckedEinsum | None:
        """The Einsum that a name means: the step of an iterative tensor, not its initial value."""
        writers = self.writers.get(item.einsum)
        if writers is None:
            hint = did_you_mean(item.einsum, self.writers) or f"it has {listed(self.writers, 20)}"
            self.problems.append(
                Problem(f"no Einsum '{item.einsum}' in '{self.checked.cascade.name}'", item.span, hint)
            )
            return None
        return writers[0]


def unknown_tensor(checked: Checked, name: str, span: Span | None) -> Problem:
    """The problem with a name that is no tensor of the cascade."""
    hint = did_you_mean(name, checked.tensors) or f"tensors are {listed(checked.tensors, 20)}"
    return Problem(f"unknown tensor '{name}'", span, hint)
