"""The loop nest of a bound mapping: every geometric rule, once, as a function of extents (docs/model.md, rules 5, 9 to 14).

Extents are integers, or arrays with one element a shape point. A tile of an operand in an array is the set of its words
that the axes hold at one iteration of the loops around them and of those inside of the array.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property

import numpy as np

from fusemax.bind.extents import Condition, Extent, where
from fusemax.bind.plan import LoopRef, Operand, Placement, Plan, Storage, completed_in
from fusemax.bind.tensors import Splits, is_output, rank_variables, running, sources, tile_variables
from fusemax.ir.arch import Arch
from fusemax.ir.checked import Checked, Tensor, When


@dataclass(frozen=True)
class LoopNest:
    """The loops and tiles of a plan with their extents.

    Parts of uneven splits have their mean extents in `extents`, so that products are totals, and the extents of all tiles
    but the last in `longest`.
    """

    checked: Checked
    arch: Arch
    plan: Plan
    extents: Mapping[str, Extent]
    splits: Splits
    longest: Mapping[str, Extent] = field(default_factory=dict)

    @cached_property
    def makers(self) -> Mapping[str, Placement]:
        """The placement that makes each tensor."""
        return {placement.name: placement for placement in self.plan.placements}

    @cached_property
    def sources(self) -> Mapping[str, Tensor]:
        """The tensors that the outermost memory has from the start."""
        return sources(self.checked)

    def with_extents(self, extents: Mapping[str, Extent]) -> LoopNest:
        """The same plan with other extents."""
        return replace(self, extents=extents)

    # -------------------------------------------------------------------------------------------------------- extents

    def product(self, variables: Sequence[str]) -> Extent:
        """The product of extents."""
        result: Extent = 1
        for variable in variables:
            result = result * self.extents[variable]
        return result

    def whole(self, total: Extent) -> Extent:
        """A total as the integer that it is: means of uneven tiles are fractions, or rounded in a grid."""
        if not self.longest:
            return total
        exact: object = total
        if isinstance(exact, Fraction):
            return exact.numerator if exact.denominator == 1 else total
        return np.rint(total) if np.asarray(total).dtype.kind == "f" else total

    def longest_extent(self, variable: str) -> Extent:
        """The extent of a variable in its longest tile."""
        return self.longest.get(variable, self.extents[variable])

    def points(self, placement: Placement) -> Extent:
        """The points of an iteration space, without its filters."""
        return self.whole(self.product(placement.variables))

    # ---------------------------------------------------------------------------------------------------------- loops

    def loops_around(self, placement: Placement) -> tuple[LoopRef, ...]:
        """The loops around an Einsum whose variables it uses, outermost first."""
        return tuple(loop for loop in placement.loops if loop.variable in placement.variables)

    def sequence(self, placement: Placement) -> list[str]:
        """The loops of an Einsum, outermost first: those around it whose variables it uses, and those inside of the array."""
        return [*(loop.variable for loop in self.loops_around(placement)), *placement.inner_loops]

    def fixed_iteration(self, placement: Placement, loop: LoopRef) -> Extent:
        """The iteration of a loop around an Einsum that does not use it (docs/model.md, rule 5): the last if the Einsum itself
        reads the result of an Einsum that uses the loop, else the first."""
        return self.extents[loop.variable] - 1 if completed_in(self.plan, placement, loop) else 0

    def advances(self, loops: Sequence[str], depends: Collection[str]) -> list[Condition]:
        """For each loop, outermost first, whether the tile changes as the loop advances: see `advances`."""
        return advances([(self.extents[loop], loop in depends) for loop in loops])

    def tile_changes(self, loops: Sequence[str], depends: Collection[str]) -> Extent:
        """The number of tiles while loops run, outermost first: the product of the extents of the loops that change the tile."""
        result: Extent = 1
        for loop, changing in zip(loops, self.advances(loops, depends), strict=True):
            result = result * where(changing, self.extents[loop], 1)
        return result

    # ------------------------------------------------------------------------------------------------------- operands

    def visits(self, placement: Placement, operand: Operand) -> Extent:
        """The words of an operand that enter an array, or of a result that leave it, each counted once however widely
        multicast (rules 10 and 11)."""
        axes = [variable for _, variable in placement.spread if variable in operand.depends]
        return self.whole(self.tile_changes(self.sequence(placement), operand.depends) * self.product(axes))

    def distinct(self, operand: Operand) -> Extent:
        """The different words of an operand over the run."""
        return self.whole(self.product(sorted(operand.depends)))

    def varying(self, placement: Placement, operand: Operand) -> frozenset[str]:
        """The axes of the unit along which an operand varies."""
        return frozenset(axis for axis, variable in placement.axes if variable in operand.depends)

    def copies(self, placement: Placement, operand: Operand) -> Extent:
        """The elements that receive each word of an operand: those along the axes on which it does not depend."""
        axes = self.varying(placement, operand)
        others = [variable for axis, variable in placement.spread if axis not in axes]
        return self.elements(placement, others, operand.depends)

    def elements(self, placement: Placement, variables: Sequence[str], depends: Collection[str]) -> Extent:
        """The elements, over axes of an array, that receive each new tile: the mean over uneven tiles, if the tile changes
        with each of them, else those of the first, which has the longest extent."""
        result: Extent = 1
        for variable in variables:
            mean = self.extents[variable]
            if variable in self.longest:
                mean = where(self._alternates(placement, variable, depends), mean, self.longest[variable])
            result = result * mean
        return result

    def _alternates(self, placement: Placement, variable: str, depends: Collection[str]) -> Condition:
        """Whether a tile changes in every iteration of the loops over the other parts of a variable."""
        parts = next(parts for parts in self.splits.values() if variable in parts)
        loops = self.sequence(placement)
        found: Condition = True
        for loop, changing in zip(loops, self.advances(loops, depends), strict=True):
            if loop in parts:
                found = found & (changing | (self.extents[loop] <= 1))
        return found

    def fetched(self) -> Iterator[tuple[int, Operand]]:
        """The operands that enter an array, each with the number of its placement (docs/model.md, rule 13).

        Within a body a unit fetches an operand once for all of its Einsums, and no tensor that it makes there itself. Limit:
        operands of the same tensor and step are one, also with other subscripts or loops.
        """
        seen: set[tuple[int, str, str, When | None]] = set()
        for number, placement in enumerate(self.plan.placements):
            for operand in placement.operands:
                key = (placement.body, placement.unit, operand.tensor, operand.when)
                if key not in seen and not self.made_beside(placement, operand):
                    seen.add(key)
                    yield number, operand

    def made_beside(self, placement: Placement, operand: Operand) -> bool:
        """Whether an operand is made on the same unit in the same body, so that it crosses no edge (docs/model.md, rule 13)."""
        maker = self.makers.get(operand.tensor)
        beside = maker is not None and maker.unit == placement.unit and maker.body == placement.body
        return beside and made_in_body(operand.when)

    def linked(self, placement: Placement, operand: Operand) -> bool:
        """Whether the new step of a running tensor reaches a reader of the same iteration through links (docs/model.md, rule 12)."""
        maker = self.makers.get(operand.tensor)
        return operand.when is When.NEW and maker is not None and maker.body == placement.body

    def drain(self, placement: Placement) -> int:
        """Cycles in which a spatial reduction leaves its array: one for each element along the axis (docs/model.md, rule 3)."""
        lengths = self.arch.unit(placement.unit).lengths
        return max((lengths[axis] for axis in placement.reduced_axes), default=0)

    # ------------------------------------------------------------------------------------------------------- storage

    def holder(self, placement: Placement, tensor: str) -> Storage | None:
        """The innermost storage of a tensor around a placement."""
        return next((hold for hold in reversed(placement.holds) if hold.tensor == tensor), None)

    def home(self, placement: Placement, tensor: str) -> str | None:
        """The memory from or to which a placement moves a tensor; None for tensors that pass through links (docs/model.md, rule 9)."""
        hold = self.holder(placement, tensor)
        if hold is not None:
            return hold.level
        maker = self.makers.get(tensor)
        crosses = maker is not None and maker.phase != placement.phase
        return self.arch.outermost.name if tensor in self.sources or crosses else None

    def written_home(self, placement: Placement) -> str | None:
        """The memory to which a placement writes its result; None if it stays in registers and links."""
        home = self.home(placement, placement.name)
        if home is not None:
            return home
        leaves = is_output(self.checked.tensors[placement.name]) or self.read_elsewhere(placement.name, placement.phase)
        return self.arch.outermost.name if leaves else None

    def leaves_array(self, placement: Placement) -> bool:
        """Whether an Einsum on another unit, or in another body, reads the result."""
        return any(
            (p.unit, p.body) != (placement.unit, placement.body)
            and any(operand.tensor == placement.name for operand in p.operands)
            for p in self.plan.placements
        )

    def read_elsewhere(self, tensor: str, phase: int) -> bool:
        """Whether an Einsum of another phase reads a tensor."""
        others = (p for p in self.plan.placements if p.phase != phase)
        return any(operand.tensor == tensor for p in others for operand in p.operands)

    def ranks(self, tensor: str) -> tuple[str, ...]:
        """The variables, split, of a tensor's ranks without its iterative rank."""
        return rank_variables(self.checked.tensors[tensor], self.splits)

    def tile(self, hold: Storage) -> Extent:
        """The mean elements of the tile of a storage: over the variables of the tensor's ranks without the loops outside."""
        return self.product(self._inside(hold))

    def max_tile_elements(self, hold: Storage) -> Extent:
        """The elements of the largest tile of a storage."""
        result: Extent = 1
        for variable in self._inside(hold):
            result = result * self.longest_extent(variable)
        return result

    def _inside(self, hold: Storage) -> tuple[str, ...]:
        outside = {loop.variable for loop in hold.loops}
        return tile_variables(self.checked.tensors[hold.tensor], self.splits, outside)

    def refill_loops(self, hold: Storage) -> tuple[LoopRef, ...]:
        """The loops at whose iterations a storage is filled anew, at one shape point (docs/model.md, rule 9)."""
        return self.advancing(hold.loops, self.ranks(hold.tensor))

    def advancing(self, loops: Sequence[LoopRef], depends: Collection[str]) -> tuple[LoopRef, ...]:
        """The loops that change a tile, outermost first, at one shape point; the loops after them reuse it."""
        advances = self.advances([loop.variable for loop in loops], depends)
        return tuple(loop for loop, changing in zip(loops, advances, strict=True) if changing)

    def fills(self, hold: Storage) -> Extent:
        """The words that fill a storage over the run."""
        loops = [loop.variable for loop in hold.loops]
        return self.whole(self.tile_changes(loops, self.ranks(hold.tensor)) * self.tile(hold))

    def backing(self, hold: Storage) -> str | None:
        """The memory behind a storage: that of a storage further out, else the outermost for tensors that come from there
        or go there; None for the others, and for running tensors, which are never filled nor drained (docs/model.md, rule 12)."""
        tensor = self.checked.tensors[hold.tensor]
        outermost = self.arch.outermost.name
        if hold.level == outermost or running(tensor):
            return None
        outer = [h for h in self.plan.holds if h.tensor == hold.tensor and h.order < hold.order and _around(h, hold)]
        if outer:
            return outer[-1].level
        maker = self.makers.get(hold.tensor)
        phase = self.phase(hold)
        crosses = maker is not None and (maker.phase != phase or self.read_elsewhere(hold.tensor, phase))
        return outermost if hold.tensor in self.sources or is_output(tensor) or crosses else None

    def phase(self, hold: Storage) -> int:
        """The phase in which a storage stands."""
        return next((placement.phase for placement in self.plan.placements if hold in placement.holds), 0)

    def made_inside(self, hold: Storage) -> bool:
        """Whether the tensor of a storage is made inside of its hold."""
        maker = self.makers.get(hold.tensor)
        return maker is not None and hold in maker.holds


def advances(loops: Sequence[tuple[Extent, bool]]) -> list[Condition]:
    """The reuse rule (docs/model.md, rules 9 and 10): for each loop, outermost first, whether the tile changes as
    the loop advances. A loop is its extent, and whether the tile depends on it.

    The tile changes if the loop, or one further in, has several iterations and the tile depends on it: only the innermost
    loops on which it does not depend reuse a tile. An element is a truth value, or an array with one for each shape point.

    >>> advances([(4, False), (8, True), (1, True), (2, False)])
    [True, True, False, False]
    """
    found: list[Condition] = []
    changing: Condition = False
    for extent, depends in reversed(loops):
        if depends:
            changing = changing | (extent > 1)
        found.append(changing)
    return found[::-1]


def made_in_body(when: When | None) -> bool:
    """Whether an operand that an Einsum of the same body makes belongs to the same iteration, so that it crosses no edge
    of the unit (docs/model.md, rule 13): the step before and the final step come from other iterations."""
    return when not in (When.OLD, When.FINAL)


def _around(outer: Storage, inner: Storage) -> bool:
    return inner.loops[: len(outer.loops)] == outer.loops
