"""Words moved, per Einsum, tensor and memory, from the loop nest: docs/model.md, rules 9 to 15, for any mapping.

A tensor's tile in an array is what its spatial axes hold; it is fetched again at every iteration of the loops around
it and of those inside of the array (`over`), except of those innermost ones that the tensor does not depend on.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from typing import Any

import numpy as np

from fusemax.bind.plan import (
    Extent,
    Placement,
    Plan,
    Storage,
    is_output,
    parts_of,
    rank_variables,
    running,
    sources,
)
from fusemax.ir.checked import Checked, Use, When


class Transfer(Enum):
    """What a count is of."""

    FILL = "fill"
    READ = "read"
    WRITE = "write"
    READ_BACK = "read back"
    DRAIN = "drain"


class Edge(Enum):
    """Words that cross an array's boundary: by which of its axes they vary."""

    IN = "in"
    OUT = "out"


@dataclass(frozen=True, slots=True)
class MemoryTraffic:
    """Words at a memory: read from it (`reads`) or written to it, for an Einsum, of a tensor, in a phase."""

    memory: str
    kind: Transfer
    reads: bool
    tensor: str
    einsum: str
    words: Any
    phase: int


@dataclass(frozen=True, slots=True)
class EdgeTraffic:
    """Words of a tensor over the edges of an array for a placement; `axes` are those along which it varies, `depends` the
    variables."""

    placement: int
    edge: Edge
    tensor: str
    axes: frozenset[str]
    words: Any
    depends: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Traffic:
    """All counts of a plan."""

    counts: tuple[MemoryTraffic, ...]
    crossings: tuple[EdgeTraffic, ...]


class LoopNest:
    """Counts the movement of one plan.

    Parts of uneven splits have their mean extents in `extents`, so that products are totals, and in `longest` those of
    all tiles but the last.
    """

    def __init__(
        self, checked: Checked, plan: Plan, extents: Mapping[str, Extent], splits: Mapping[str, tuple[str, ...]],
        outermost: str, longest: Mapping[str, Extent] | None = None,
    ) -> None:  # fmt: skip
        self.checked, self.plan, self.splits, self.outermost = checked, plan, splits, outermost
        self.extents, self.longest = dict(extents), dict(longest or {})
        self.sources = sources(checked)
        self.makers = {p.name: p for p in plan.placements}
        self.counts: list[MemoryTraffic] = []
        self.crossings: list[EdgeTraffic] = []

    def with_extents(self, extents: Mapping[str, Extent]) -> LoopNest:
        """The same plan with other extents."""
        return LoopNest(self.checked, self.plan, extents, self.splits, self.outermost, self.longest)

    def movement(self) -> Traffic:
        """Count reads and writes of every placement, then fills and drains of every hold."""
        self.counts, self.crossings = [], []
        fetched: set[tuple[int, str, str, When | None]] = set()
        for number, placement in enumerate(self.plan.placements):
            for use in placement.einsum.reads:
                self.read(number, placement, use, fetched)
            self.write(number, placement)
        for hold in self.plan.holds:
            self.fill(hold)
        return Traffic(tuple(self.counts), tuple(self.crossings))

    # ------------------------------------------------------------------------------------------------------- the nest

    def product(self, variables: Sequence[str]) -> Extent:
        """The product of extents."""
        result: Extent = 1
        for variable in variables:
            result = result * self.extents[variable]
        return result

    def sequence(self, placement: Placement) -> list[str]:
        """The loops that an Einsum runs in, outermost first: those around it that it uses, and those inside."""
        mine = set(parts_of(placement.einsum.variables, self.splits))
        return [loop.variable for loop in placement.loops if loop.variable in mine] + list(placement.inner_loops)

    def spatial(self, placement: Placement) -> dict[str, str]:
        """The variable that is spread over each axis."""
        return {axis: variable for axis, variable in placement.axes}

    def visits(self, placement: Placement, depends: frozenset[str]) -> Extent:
        """How many words of a tensor enter or leave the array, each counted once however widely multicast."""
        mine = set(parts_of(placement.einsum.variables, self.splits))
        spatial = [v for v in self.spatial(placement).values() if v in depends and v in mine]
        return self.whole(self.changes(self.sequence(placement), depends) * self.product(spatial))

    def whole(self, total: Extent) -> Extent:
        """A total as the integer that it is: means of uneven tiles are fractions, or rounded in a grid."""
        if not self.longest:
            return total
        if isinstance(total, Fraction):
            return total.numerator if total.denominator == 1 else total
        return np.rint(total) if np.asarray(total).dtype.kind == "f" else total

    def elements(self, placement: Placement, variables: Sequence[str], depends: Collection[str]) -> Extent:
        """The elements over axes of an array that take part whenever a tile becomes another: of uneven tiles all in turn,
        if it changes with them, else those of the first, which is a long one."""
        result: Extent = 1
        for variable in variables:
            mean = self.extents[variable]
            if variable in self.longest:
                mean = _either(self.turns(placement, variable, depends), mean, self.longest[variable])
            result = result * mean
        return result

    def turns(self, placement: Placement, variable: str, depends: Collection[str]) -> Any:
        """Whether a tile becomes another with every iteration of the loops over the other parts of a variable."""
        parts = next(parts for parts in self.splits.values() if variable in parts)
        found: Any = True
        changing: Any = False
        for loop in reversed(self.sequence(placement)):
            several = np.asarray(self.extents[loop]) > 1
            if loop in depends:
                changing = changing | several
            if loop in parts:
                found = found & (changing | ~several)
        return found

    def changes(self, loops: Sequence[str], depends: Collection[str]) -> Extent:
        """How often a tile becomes another while loops run, outermost first: all of their iterations but those of the
        innermost ones on which it does not depend; loops with one iteration do not matter."""
        result: Extent = 1
        changing: Any = False
        for loop in reversed(loops):
            if loop in depends:
                changing = changing | (np.asarray(self.extents[loop]) > 1)
            result = result * _where(changing, self.extents[loop])
        return result

    def depends(self, use: Use) -> frozenset[str]:
        """The variables, split, that an access names."""
        return frozenset(parts_of(use.variables, self.splits))

    def distinct(self, use: Use) -> Extent:
        """The elements of an access, each once."""
        return self.whole(self.product(sorted(self.depends(use))))

    # ------------------------------------------------------------------------------------------------ reads and writes

    def holder(self, placement: Placement, tensor: str) -> Storage | None:
        """The innermost hold of a tensor around a placement."""
        return next((hold for hold in reversed(placement.holds) if hold.tensor == tensor), None)

    def home(self, placement: Placement, tensor: str) -> str | None:
        """The memory from or to which a placement moves a tensor; None for what passes through links."""
        hold = self.holder(placement, tensor)
        if hold is not None:
            return hold.level
        maker = self.makers.get(tensor)
        crosses = maker is not None and maker.phase != placement.phase
        return self.outermost if tensor in self.sources or crosses else None

    def written_home(self, placement: Placement) -> str | None:
        """The memory to which a placement writes its result; None if it stays in registers and links."""
        home = self.home(placement, placement.name)
        if home is not None:
            return home
        leaves = is_output(self.checked.tensors[placement.name]) or any(
            p.phase != placement.phase and any(use.tensor == placement.name for use in p.einsum.reads)
            for p in self.plan.placements
        )
        return self.outermost if leaves else None

    def read(
        self, number: int, placement: Placement, use: Use, fetched: set[tuple[int, str, str, When | None]]
    ) -> None:
        """One operand: shared by all Einsums of a unit in one body, and not fetched if it was made there."""
        maker = self.makers.get(use.tensor)
        made_here = maker is not None and maker.unit == placement.unit and maker.body == placement.body
        if made_here and use.when not in (When.OLD, When.FINAL):
            return
        key = (placement.body, placement.unit, use.tensor, use.when)
        if key in fetched:
            return
        fetched.add(key)
        depends = self.depends(use)
        words = self.visits(placement, depends)
        linked = use.when is When.NEW and maker is not None and maker.body == placement.body
        home = None if linked else self.home(placement, use.tensor)
        if home is not None:
            self.count(home, Transfer.READ, True, use.tensor, placement, words, self.holder(placement, use.tensor))
        self.crossings.append(
            EdgeTraffic(number, Edge.IN, use.tensor, self.varying(placement, depends), words, depends)
        )

    def varying(self, placement: Placement, depends: frozenset[str]) -> frozenset[str]:
        """The axes of the unit along which a tensor varies."""
        return frozenset(axis for axis, variable in self.spatial(placement).items() if variable in depends)

    def write(self, number: int, placement: Placement) -> None:
        """The result: written at every visit, read back at all but the first."""
        use = placement.einsum.target
        depends = self.depends(use)
        words = self.visits(placement, depends)
        home = self.written_home(placement)
        hold = self.holder(placement, use.tensor)
        if home is not None:
            self.count(home, Transfer.WRITE, False, use.tensor, placement, words, hold)
            again = words - self.distinct(use)
            self.count(home, Transfer.READ_BACK, True, use.tensor, placement, again, hold)
        if home is not None or self.leaves_array(placement):
            self.crossings.append(EdgeTraffic(number, Edge.OUT, use.tensor, self.varying(placement, depends), words))

    def leaves_array(self, placement: Placement) -> bool:
        """Whether somebody on another unit, or in another body, reads the result."""
        return any(
            (p.unit, p.body) != (placement.unit, placement.body)
            and any(use.tensor == placement.name for use in p.einsum.reads)
            for p in self.plan.placements
        )

    def count(
        self,
        memory: str,
        kind: Transfer,
        reads: bool,
        tensor: str,
        placement: Placement,
        words: Any,
        hold: Storage | None,
    ) -> None:
        """Take down words; a spilled share of a hold's reads and writes is traffic of the outermost memory too."""
        self.counts.append(MemoryTraffic(memory, kind, reads, tensor, placement.name, words, placement.phase))
        if hold is not None and memory != self.outermost and not _is_zero(hold.spill):
            spilled = words * hold.spill
            self.counts.append(
                MemoryTraffic(self.outermost, kind, reads, tensor, placement.name, spilled, placement.phase)
            )

    # ------------------------------------------------------------------------------------------------- fills and drains

    def tile(self, hold: Storage) -> Extent:
        """The elements that a hold keeps: the loops inside of it over the tensor's ranks."""
        return self.product(self.kept(hold))

    def room(self, hold: Storage) -> Extent:
        """The elements that a hold keeps at most."""
        result: Extent = 1
        for variable in self.kept(hold):
            result = result * self.longest.get(variable, self.extents[variable])
        return result

    def kept(self, hold: Storage) -> list[str]:
        """The variables of a tensor that run inside of a hold."""
        outside = {loop.variable for loop in hold.loops}
        inside = rank_variables(self.checked.tensors[hold.tensor], self.splits)
        return [v for v in dict.fromkeys(inside) if v not in outside]

    def moved(self, hold: Storage) -> Extent:
        """The words by which a hold is filled, over the run."""
        tensor = self.checked.tensors[hold.tensor]
        depends = set(rank_variables(tensor, self.splits))
        return self.whole(self.changes([loop.variable for loop in hold.loops], depends) * self.tile(hold))

    def fill(self, hold: Storage) -> None:
        """Inputs, and what a hold further out keeps, come from there; results go there; running tensors stay."""
        tensor = self.checked.tensors[hold.tensor]
        if hold.level == self.outermost or running(tensor):
            return
        phase = next((p.phase for p in self.plan.placements if hold in p.holds), 0)
        parent = self.parent(hold, phase)
        if parent is None:
            return
        maker = self.makers.get(hold.tensor)
        made_inside = maker is not None and hold in maker.holds
        words = self.moved(hold)
        if not made_inside:
            self.transfer(hold, parent, phase, Transfer.FILL, words)
            return
        again = words - self.whole(self.product(sorted(set(rank_variables(tensor, self.splits)))))
        self.transfer(hold, parent, phase, Transfer.FILL, again)
        self.transfer(hold, parent, phase, Transfer.DRAIN, words)

    def transfer(self, hold: Storage, parent: str, phase: int, kind: Transfer, words: Any) -> None:
        """Words between a hold and the memory behind it; of a spilled share the outermost memory sees nothing."""
        fills = kind is Transfer.FILL
        behind = words * (1 - hold.spill) if parent == self.outermost and not _is_zero(hold.spill) else words
        self.counts.append(MemoryTraffic(parent, kind, fills, hold.tensor, hold.tensor, behind, phase))
        self.counts.append(MemoryTraffic(hold.level, kind, not fills, hold.tensor, hold.tensor, words, phase))

    def parent(self, hold: Storage, phase: int) -> str | None:
        """The memory behind a hold: a hold further out, or the outermost for what comes from or goes there."""
        outer = [h for h in self.plan.holds if h.tensor == hold.tensor and h.order < hold.order and _around(h, hold)]
        if outer:
            return outer[-1].level
        maker = self.makers.get(hold.tensor)
        tensor = self.checked.tensors[hold.tensor]
        crosses = maker is not None and (maker.phase != phase or self._read_elsewhere(hold.tensor, phase))
        return self.outermost if hold.tensor in self.sources or is_output(tensor) or crosses else None

    def _read_elsewhere(self, tensor: str, phase: int) -> bool:
        return any(p.phase != phase and any(u.tensor == tensor for u in p.einsum.reads) for p in self.plan.placements)


def _around(outer: Storage, inner: Storage) -> bool:
    return inner.loops[: len(outer.loops)] == outer.loops


def _where(condition: Any, extent: Extent) -> Extent:
    """The extent where a condition holds, else 1."""
    if np.ndim(condition) == 0 and np.ndim(extent) == 0:
        return extent if condition else 1
    return np.where(condition, extent, 1)


def _either(condition: Any, yes: Extent, no: Extent) -> Extent:
    """One of two extents, at each point; numbers stay what they are."""
    if np.ndim(condition) == 0 and np.ndim(yes) == 0 and np.ndim(no) == 0:
        return yes if condition else no
    return np.where(condition, yes, no)


def _is_zero(share: Any) -> bool:
    return isinstance(share, int | float) and share == 0
