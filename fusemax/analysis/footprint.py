"""Live footprints: the elements that must stay on chip between the passes of a rank group, under every mapping.

Einsums of different passes cannot be fused on the group's ranks, so a tensor that lives across a boundary needs one
whole fiber on chip, or traffic proportional to it (FuseMax, section III; docs/passes.md, rules P11 to P14).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fusemax.analysis.counting import symbol
from fusemax.analysis.passes import GroupPasses
from fusemax.analysis.rank_groups import Group, View, group_of
from fusemax.analysis.work import elements
from fusemax.ir.cascade import Role
from fusemax.ir.checked import Checked, Tensor
from fusemax.ir.expr import rank_of

if TYPE_CHECKING:
    import sympy


@dataclass(frozen=True, slots=True)
class LiveSet:
    """Tensors that live on chip together: elements of the inputs among them and of the others, in one fiber.

    `fibers` is the number of such fibers: the tiles of all tiled ranks together.
    """

    tensors: tuple[str, ...]
    inputs: sympy.Expr
    others: sympy.Expr
    fibers: sympy.Expr

    @property
    def elements(self) -> sympy.Expr:
        """All elements of one fiber."""
        return self.inputs + self.others


@dataclass(frozen=True, slots=True)
class Recompute:
    """The alternative to keeping tensors: keep the inputs in their lineage, and compute them again from these.

    `elements` is the footprint of `keep`, `loaded` all elements of these inputs.
    """

    keep: tuple[str, ...]
    instead_of: tuple[str, ...]
    elements: sympy.Expr
    loaded: sympy.Expr


@dataclass(frozen=True, slots=True)
class BoundaryFootprint:
    """The tensors that live across the boundary after a pass, and the alternative, unless it is never smaller."""

    after: int
    kept: LiveSet
    recompute: Recompute | None


@dataclass(frozen=True, slots=True)
class Footprint:
    """The least number of elements on chip for one group, and its parts: running state and boundaries."""

    elements: sympy.Expr
    grows_with_rank: bool
    running: LiveSet
    boundaries: tuple[BoundaryFootprint, ...]


def footprints(
    checked: Checked, views: Sequence[View], passes: Sequence[GroupPasses], tiles: Mapping[str, int]
) -> dict[str, Footprint]:
    """The footprint of every group; `tiles` are the tiles of other ranks, 1 where a rank has no entry."""
    keeper = FootprintCounter(checked, views, tiles)
    own = {p.group.name: keeper.footprint(p) for p in passes}
    return {name: keeper.with_parts(name, own) for name in own}


class FootprintCounter:
    """The footprints of one cascade."""

    def __init__(self, checked: Checked, views: Sequence[View], tiles: Mapping[str, int]) -> None:
        self.checked, self.tiles = checked, tiles
        self.symbols = {rank: symbol(rank) for rank in checked.ranks}
        self.families = {rank: group_of(checked.ranks[rank], checked.ranks) for rank in checked.ranks}
        self.iterative = [tensor for tensor in checked.tensors.values() if tensor.iterative is not None]
        self.touching: dict[str, list[View]] = {}
        self.indexed: dict[tuple[str, int], set[str]] = {}
        for view in views:
            for use in (view.einsum.target, *view.einsum.reads):
                self.touching.setdefault(use.tensor, []).append(view)
                for i, index in enumerate(use.indices):
                    self.indexed.setdefault((use.tensor, i), set()).update(map(rank_of, index.variables))

    def footprint(self, passes: GroupPasses) -> Footprint:
        """The footprint of one group without its parts."""
        import sympy

        group = passes.group
        running = self.kept(group, self.running(group))
        boundaries = tuple(self.boundary(passes, after) for after in passes.live)
        sums = [boundary.kept.elements + running.elements for boundary in boundaries]
        needed = sympy.Max(*sums) if sums else running.elements
        return Footprint(needed, self.grows(needed, group.name), running, boundaries)

    def with_parts(self, name: str, own: Mapping[str, Footprint]) -> Footprint:
        """A family without a boundary of its own needs the footprints of its parts, one chunk of each (rule P13).

        Where the family has a boundary, the chunk at work is a part of the fibers kept, and counts only there.
        """
        import sympy

        parts = dict.fromkeys(part for split in self.checked.ranks[name].splits for part in split if part in own)
        if not parts or own[name].boundaries:
            return own[name]
        needed = sympy.Add(*(self.with_parts(part, own).elements for part in parts))
        return replace(own[name], elements=needed, grows_with_rank=self.grows(needed, name))

    def grows(self, needed: sympy.Expr, name: str) -> bool:
        """Whether a footprint grows with a rank while the sizes of inner tiles stay."""
        splits = self.checked.ranks[name].splits
        return symbol(name) in needed.free_symbols or any(self.grows(needed, split[0]) for split in splits)

    def running(self, group: Group) -> tuple[str, ...]:
        """The running state: iterative tensors over a rank of the group."""
        return tuple(t.name for t in self.iterative if t.iterative_rank in group.ranks)

    def boundary(self, passes: GroupPasses, after: int) -> BoundaryFootprint:
        """The footprint of one boundary."""
        live = passes.live[after]
        kept = self.kept(passes.group, live)
        return BoundaryFootprint(after, kept, self.recompute(passes, live, kept))

    def kept(self, group: Group, names: tuple[str, ...], also: Iterable[str] = ()) -> LiveSet:
        """The elements of tensors over one fiber of the group (rule P12); `also` are tensors that are computed meanwhile."""
        import sympy

        touching = [view for name in sorted({*names, *also}) for view in self.touching.get(name, ())]
        tensors = [self.checked.tensors[name] for name in names]
        sizes = {t.name: self.size(group, t, touching) for t in tensors}
        inputs = sympy.Add(*(sizes[t.name] for t in tensors if t.role is Role.INPUT))
        others = sympy.Add(*(sizes[t.name] for t in tensors if t.role is not Role.INPUT))
        tiled = {rank for t in tensors for rank in self.places(group, t)[1] if self.is_tiled(rank, touching)}
        fibers = math.prod((symbol(rank) / self.tiles.get(rank, 1) for rank in sorted(tiled)), start=sympy.Integer(1))
        return LiveSet(names, inputs, others, fibers)

    def size(self, group: Group, tensor: Tensor, touching: Sequence[View]) -> sympy.Expr:
        """The group's ranks in full, times every other rank: as its tile, if all `touching` Einsums iterate over it; else in full."""
        import sympy

        mine, others = self.places(group, tensor)
        whole = symbol(group.name) if group.within(set(mine)) else sympy.Mul(*map(symbol, mine))
        tiles = (self.tiles.get(r, 1) if self.is_tiled(r, touching) else symbol(r) for r in others)
        return sympy.Mul(whole, *tiles)

    def places(self, group: Group, tensor: Tensor) -> tuple[list[str], list[str]]:
        """The ranks of a tensor that are of the group, and the others; not the one along which it is iterated.

        A place is also of the group if some Einsum indexes it with the group's variable (`X[P: m]`). The joined rank
        of a split of which the group is a part counts as its parts.
        """
        mine: list[str] = []
        others: list[str] = []
        for i, rank in enumerate(tensor.ranks):
            if i == tensor.iterative:
                continue
            family = self.families[rank]
            if rank not in group.ranks and group.ranks <= set(family.parts):
                mine += [part for part in family.parts if part in group.ranks]
                others += [part for part in family.parts if part not in group.ranks]
            elif rank in group.ranks or not group.ranks.isdisjoint(self.indexed.get((tensor.name, i), ())):
                mine.append(rank)
            else:
                others.append(rank)
        return mine, others

    def is_tiled(self, rank: str, touching: Sequence[View]) -> bool:
        """Whether all Einsums that read or write the living tensors iterate over the rank, or over all its parts."""
        return all(self.families[rank].within(view.ranks) for view in touching)

    def recompute(self, passes: GroupPasses, live: tuple[str, ...], kept: LiveSet) -> Recompute | None:
        """The inputs from which the living tensors are computed, kept instead, unless they are never smaller (rule P14)."""
        import sympy

        lineage = {name for tensor in live for name in passes.lineage.get(tensor, frozenset({tensor}))}
        keep = tuple(t.name for t in self.checked.tensors.values() if t.name in lineage and t.role is Role.INPUT)
        instead = tuple(name for name in live if name not in keep)
        if not keep or not instead:
            return None
        alternative = self.kept(passes.group, keep, lineage)
        ratio = sympy.cancel(alternative.elements * alternative.fibers / (kept.elements * kept.fibers))
        if (ratio - 1).is_nonnegative or (ratio.is_number and ratio >= 1) or ratio.as_numer_denom()[1].is_number:
            return None
        loaded = sympy.Add(*(elements(self.checked.tensors[name], self.symbols) for name in keep))
        return Recompute(keep, instead, alternative.elements, loaded)
