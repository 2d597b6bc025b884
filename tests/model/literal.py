"""A literal walk of a bound mapping: every loop of every Einsum and of every hold, one iteration after the other.

It follows rules 9 to 15 of docs/model.md word by word and multiplies nothing: an array keeps the tile that it
fetched last and fetches when the next one is another; a hold is filled when its tile is another than the one it has.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import product

from fusemax.bind.bind import BoundMapping
from fusemax.bind.plan import Placement, Storage
from fusemax.bind.tensors import views_of
from fusemax.ir.cascade import Role
from fusemax.ir.checked import Use, When
from fusemax.ir.mapping import Split
from tests.loop_nest import counted

Coordinates = dict[str, int]
Key = tuple[str, str, str, str]
"""Memory, kind of count, tensor, and the Einsum or, for fills and drains, the tensor again."""


@dataclass
class Walked:
    """The counts: words by key, words over edges, words into registers, and first visits of accumulators."""

    words: Counter[Key] = field(default_factory=Counter)
    edges: Counter[tuple[int, str, str]] = field(default_factory=Counter)
    delivered: Counter[int] = field(default_factory=Counter)
    fresh: Counter[int] = field(default_factory=Counter)
    operations: dict[int, dict[str, int]] = field(default_factory=dict)


class Walk:
    """Walks one mapping at one point."""

    def __init__(self, bound: BoundMapping) -> None:
        self.bound, self.plan, self.checked = bound, bound.plan, bound.checked
        self.extents = {v: int(e) for v, e in {**bound.nest.extents, **bound.nest.longest}.items()}
        self.uneven = [s for s in bound.mapping.splits if s.uneven]
        self.splits = bound.nest.splits
        self.dram = bound.arch.outermost.name
        self.found = Walked()
        self.makers = {p.name: p for p in self.plan.placements}
        self.inputs = {tensor.name for tensor in self.checked.inputs}
        self.inputs |= set(views_of(self.checked))

    def walk(self) -> Walked:
        """Everything."""
        sizes = {rank: int(size) for rank, size in self.bound.sizes.items()}
        for number, placement in enumerate(self.plan.placements):
            self.reads(number, placement)
            self.writes(number, placement)
            self.found.operations[number] = counted(placement.einsum, sizes)
        for hold in self.plan.holds:
            self.fills(hold)
        return self.found

    def parts(self, variables: Iterable[str]) -> list[str]:
        """Variables with those that are split replaced by their parts."""
        return [part for v in variables for part in self.splits.get(v, (v,))]

    def points(self, variables: Iterable[str], fixed: Coordinates | None = None) -> Iterator[Coordinates]:
        """All coordinates of loops, the last running fastest; with those that are fixed, none behind the end of a rank."""
        names = list(variables)
        for values in product(*(range(self.extents[v]) for v in names)):
            at = dict(zip(names, values, strict=True))
            if all(self.within(split, {**(fixed or {}), **at}) for split in self.uneven):
                yield at

    def within(self, split: Split, at: Coordinates) -> bool:
        """Whether the first point of a tile of an uneven split is one of its rank."""
        coordinate = 0
        for part in split.parts:
            coordinate = coordinate * self.extents[part.variable] + at.get(part.variable, 0)
        return coordinate < int(self.bound.sizes[split.variable.upper()])

    def steps(self, placement: Placement) -> Iterator[Coordinates]:
        """The time steps of an Einsum: the loops around it that it uses, then those inside of the array."""
        mine = self.parts(placement.einsum.variables)
        yield from self.points(
            [*(loop.variable for loop in placement.loops if loop.variable in mine), *placement.inner_loops]
        )

    def elements(self, placement: Placement, step: Coordinates) -> list[Coordinates]:
        """The elements of the array that have work at a time step: the coordinates spread over the axes."""
        mine = self.parts(placement.einsum.variables)
        return list(self.points([v for _, v in placement.axes if v in mine], step))

    def tile(self, placement: Placement, use: Use, step: Coordinates) -> frozenset[tuple[int, ...]]:
        """The elements of a tensor that the array needs at a time step."""
        names = self.parts(use.variables)
        return frozenset(tuple({**step, **at}[v] for v in names) for at in self.elements(placement, step))

    def visits(self, placement: Placement, use: Use) -> Iterator[tuple[frozenset[tuple[int, ...]], Coordinates]]:
        """The tiles that come one after the other, each as long as it stays, and when they come."""
        resident: frozenset[tuple[int, ...]] | None = None
        for step in self.steps(placement):
            tile = self.tile(placement, use, step)
            if tile != resident:
                yield tile, step
            resident = tile

    # ------------------------------------------------------------------------------------------------- reads and writes

    def holder(self, placement: Placement, tensor: str) -> Storage | None:
        """The innermost hold of a tensor around a placement."""
        found = [hold for hold in placement.holds if hold.tensor == tensor]
        return found[-1] if found else None

    def count(self, hold: Storage | None, memory: str, kind: str, tensor: str, einsum: str, words: float) -> None:
        """Words at a memory; of a spilled hold, a share of them at the outermost memory too."""
        self.found.words[memory, kind, tensor, einsum] += words  # type: ignore[assignment]
        if hold is not None and memory != self.dram and hold.spill:
            self.found.words[self.dram, kind, tensor, einsum] += words * hold.spill  # type: ignore[assignment]

    def reads(self, number: int, placement: Placement) -> None:
        """The operands that an Einsum fetches: not made in this body, and not fetched there before for its unit."""
        for i, use in enumerate(placement.einsum.reads):
            maker = self.makers.get(use.tensor)
            together = maker is not None and (maker.unit, maker.body) == (placement.unit, placement.body)
            if together and use.when not in (When.OLD, When.FINAL):
                continue
            before = [
                (other.tensor, other.when)
                for p in self.plan.placements[:number]
                if (p.unit, p.body) == (placement.unit, placement.body)
                for other in p.einsum.reads
            ] + [(other.tensor, other.when) for other in placement.einsum.reads[:i]]
            if (use.tensor, use.when) in before:
                continue
            linked = use.when is When.NEW and maker is not None and maker.body == placement.body
            self.fetch(number, placement, use, None if linked else self.source(placement, use.tensor))

    def fetch(self, number: int, placement: Placement, use: Use, memory: str | None) -> None:
        """Fetch tile after tile."""
        for tile, step in self.visits(placement, use):
            if memory is not None:
                self.count(self.holder(placement, use.tensor), memory, "read", use.tensor, placement.name, len(tile))
            self.found.edges[number, "in", use.tensor] += len(tile)
            self.found.delivered[number] += len(self.elements(placement, step))

    def source(self, placement: Placement, tensor: str) -> str | None:
        """The memory from which a tensor comes; none if it comes over links."""
        hold = self.holder(placement, tensor)
        if hold is not None:
            return hold.level
        maker = self.makers.get(tensor)
        return self.dram if tensor in self.inputs or (maker is not None and maker.phase != placement.phase) else None

    def readers(self, tensor: str) -> list[Placement]:
        """Everyone who reads a tensor."""
        return [p for p in self.plan.placements if any(use.tensor == tensor for use in p.einsum.reads)]

    def writes(self, number: int, placement: Placement) -> None:
        """Results, tile after tile; a tile that was here before is read back first."""
        use, name = placement.einsum.target, placement.name
        hold = self.holder(placement, name)
        output = self.checked.tensors[name].role is Role.OUTPUT
        elsewhere = any(reader.phase != placement.phase for reader in self.readers(name))
        memory = hold.level if hold is not None else self.dram if output or elsewhere else None
        leaves = any((r.unit, r.body) != (placement.unit, placement.body) for r in self.readers(name))
        seen: set[tuple[int, ...]] = set()
        for tile, step in self.visits(placement, use):
            self.found.fresh[number] += len(self.elements(placement, step))
            if memory is not None:
                self.count(hold, memory, "write", name, name, len(tile))
                self.count(hold, memory, "read back", name, name, len(tile & seen))
            if memory is not None or leaves:
                self.found.edges[number, "out", name] += len(tile)
            seen |= tile

    # ------------------------------------------------------------------------------------------------- fills and drains

    def fills(self, hold: Storage) -> None:
        """The tiles of a hold, one after the other."""
        tensor = self.checked.tensors[hold.tensor]
        if hold.level == self.dram or tensor.iterative is not None:
            return
        phases = {p.phase for p in self.plan.placements if hold in p.holds}
        maker = self.makers.get(hold.tensor)
        outer = [h for h in self.plan.holds if h.tensor == hold.tensor and h.order < hold.order and _around(h, hold)]
        crosses = maker is not None and (
            maker.phase not in phases or any(reader.phase not in phases for reader in self.readers(hold.tensor))
        )
        lasting = hold.tensor in self.inputs or tensor.role is Role.OUTPUT or crosses
        parent = outer[-1].level if outer else self.dram if lasting else None
        if parent is None:
            return
        made = maker is not None and hold in maker.holds
        names = self.parts(rank.lower() for rank in tensor.ranks)
        around = [loop.variable for loop in hold.loops]
        resident: tuple[int, ...] | None = None
        seen: set[tuple[int, ...]] = set()
        for at in self.points(around):
            tile = tuple(at[v] for v in around if v in names)
            if tile == resident:
                continue
            resident = tile
            words = sum(1 for _ in self.points([v for v in names if v not in around], at))
            if not made or tile in seen:
                self.transfer(hold, parent, "fill", words)
            if made:
                self.transfer(hold, parent, "drain", words)
            seen.add(tile)

    def transfer(self, hold: Storage, parent: str, kind: str, words: int) -> None:
        """Words between a hold and the memory behind it; a spilled share stays out."""
        share = 1 - hold.spill if parent == self.dram else 1
        self.found.words[parent, kind, hold.tensor, hold.tensor] += words * share  # type: ignore[assignment]
        self.found.words[hold.level, kind, hold.tensor, hold.tensor] += words


def _around(outer: Storage, inner: Storage) -> bool:
    return inner.loops[: len(outer.loops)] == outer.loops
