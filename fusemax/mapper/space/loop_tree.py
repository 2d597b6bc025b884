"""From a layout and an order of loops to a mapping: splits, loops, holds and blocks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import prod
from typing import NamedTuple

from fusemax.ir.arch import Arch
from fusemax.ir.checked import Checked, CheckedEinsum
from fusemax.ir.expr import Name, Number, rank_of
from fusemax.ir.mapping import For, Hold, Length, Node, Overlap, Parameter, Part, PlacedEinsum, Split, UnitBlock
from fusemax.ir.mapping import Mapping as MappingFile
from fusemax.mapper.space.bounds import crossings, entering_cycles
from fusemax.mapper.space.layouts import BodyLayout, even_variables, tile_length
from fusemax.mapper.space.nests import NestShape, shares


@dataclass(frozen=True, slots=True)
class VariableParts:
    """The parts of a variable: the loop outside of all bodies, the loop in a body, the loop inside of an array, and the
    part spread over an axis of `length` points; None for parts that it lacks. `open` names the parameter that is the
    extent of `sized`."""

    variable: str
    outer: str | None = None
    inner: str | None = None
    inside: str | None = None
    spread: str | None = None
    length: int = 1
    open: str | None = None

    @property
    def sized(self) -> str | None:
        """The part whose length is open: the loop in a block, or the chunk inside of an array."""
        return self.inner if self.outer is not None else self.inside

    @property
    def all(self) -> tuple[str, ...]:
        """The parts that it has, outermost first."""
        return tuple(part for part in (self.outer, self.inner, self.inside, self.spread) if part is not None)


class HeldTensor(NamedTuple):
    """A tensor held at a level, in a body (None: around all bodies), inside of the first `depth` loops of the chain."""

    tensor: str
    level: str
    body: int | None
    depth: int


@dataclass(frozen=True, slots=True)
class LoopTree:
    """A nest with a layout for each body, the order of blocks outside and of loops inside, and the holds."""

    nest: NestShape
    layouts: tuple[BodyLayout, ...]
    outer: tuple[str, ...]
    inner: tuple[str, ...]
    holds: tuple[HeldTensor, ...] = ()


class MappingWriter:
    """Writes mappings of one nest with its layouts; loops may come in different orders, holds at different depths."""

    def __init__(
        self, checked: Checked, arch: Arch, nest: NestShape, layouts: Sequence[BodyLayout], sizes: Mapping[str, int],
        own: Mapping[str, int], even: bool = False,
    ) -> None:  # fmt: skip
        self.checked, self.arch, self.nest, self.layouts, self.sizes, self.own = (
            checked,
            arch,
            nest,
            layouts,
            sizes,
            own,
        )
        self.taken = {v for einsum in checked.einsums for v in einsum.variables}
        self.even = even_variables(checked, even)
        self.spread: dict[str, int] = {}
        for layout in layouts:
            for unit, spread in layout.spreads:
                for axis, variable in spread:
                    length = arch.unit(unit).lengths[axis]
                    self.spread[variable] = min(length, self.spread.get(variable, length))
        variables = dict.fromkeys(v for body in nest.bodies for v in body.variables)
        self.parts = {variable: self.parted(variable) for variable in variables}
        self.variable_of = {part: v for v, parts in self.parts.items() for part in parts.all}

    def extent(self, variable: str) -> int:
        """The points of a variable."""
        return int(self.sizes[rank_of(variable)])

    def parted(self, variable: str) -> VariableParts:
        """The parts of a variable, by where it is looped over and whether it is spread."""
        length = self.spread.get(variable)
        if length is not None:
            length = tile_length(self.extent(variable), length, variable in self.even)
        low = None if length is None else self.name(variable, "0")
        if variable in self.nest.blocked:
            outer, inner = self.name(variable, "2"), self.name(variable, "1")
            return VariableParts(variable, outer, inner, None, low, length or 1, f"{inner}_extent")
        if variable in self.nest.looped and not shares(
            [e for body in self.nest.bodies for e in body.einsums], variable
        ):
            inside = self.name(variable, "0" if low is None else "1")
            return VariableParts(
                variable,
                None,
                self.name(variable, "1" if low is None else "2"),
                inside,
                low,
                length or 1,
                f"{inside}_extent",
            )
        if variable in self.nest.batch or variable in self.nest.looped:
            at = variable if low is None else self.name(variable, "1")
            if variable in self.nest.batch:
                return VariableParts(variable, at, None, None, low, length or 1)
            return VariableParts(variable, None, at, None, low, length or 1)
        if length == self.extent(variable):
            return VariableParts(variable, spread=variable, length=length)
        return VariableParts(
            variable, inside=variable if low is None else self.name(variable, "1"), spread=low, length=length or 1
        )

    def name(self, variable: str, suffix: str) -> str:
        """A name for a part that no variable has."""
        found = variable + suffix
        while found in self.taken:
            found += "_"
        return found

    # ------------------------------------------------------------------------------------------------------- the chain

    def chain(self, tree: LoopTree, body: int | None) -> list[tuple[str, str]]:
        """The loops around a body, outermost first: each part with its variable."""
        found = [(self.parts[v].outer, v) for v in (*self.nest.batch, *tree.outer)]
        if body is not None:
            mine = {*self.nest.blocked, *self.nest.bodies[body].looped}
            found += [(self.parts[v].inner, v) for v in tree.inner if v in mine]
        return [(part, v) for part, v in found if part is not None]

    def over(self, einsum: CheckedEinsum, body: int, unit: str) -> tuple[str, ...]:
        """The loops of an Einsum inside of its array, outermost first: variables of its result, then those that it reduces."""
        spread = {v for _, v in self.layouts[body].spread(unit)}
        found: list[str] = []
        for variable in (*einsum.kept, *einsum.reduced):
            parts = self.parts[variable]
            if parts.inside is not None:
                found.append(parts.inside)
            if parts.spread is not None and variable not in spread:
                found.append(parts.spread)
        return tuple(found)

    def tiles(self, variable: str) -> int:
        """The tiles of a variable that are spread over an axis one after the other."""
        return -(-self.extent(variable) // self.parts[variable].length)

    def inside(self, einsum: CheckedEinsum, body: int, unit: str) -> list[tuple[str, float]]:
        """The loops inside of an array, as `over` lists them: variables with their iterations there."""
        found: list[tuple[str, float]] = []
        for part in self.over(einsum, body, unit):
            variable = self.variable_of[part]
            parts = self.parts[variable]
            tiles = 1 if parts.open is not None else self.tiles(variable)
            found.append((variable, self.extent(variable) / self.tiles(variable) if part == parts.spread else tiles))
        return found

    def least_cycles(self, slots: Mapping[str, Mapping[str, float]]) -> float:
        """The lower bound of the cycles: of the busiest unit, by slots or by the words that must cross its edges.

        `slots` are those of each Einsum on each unit over the run, all elements together.
        """
        units = {unit.name: unit for unit in self.arch.units}
        busy = dict.fromkeys(units, 0.0)
        for i, (body, layout) in enumerate(zip(self.nest.bodies, self.layouts, strict=True)):
            on = dict(zip(body.names, layout.units, strict=True))
            for einsum in body.einsums:
                unit, spread = units[on[einsum.name]], layout.spread(on[einsum.name])
                fitted_ = {v: self.extent(v) / self.tiles(v) for _, v in spread}
                parallel = prod(fitted_[v] for _, v in spread if v in einsum.variables)
                least = slots[einsum.name][unit.name] / parallel
                inside = self.inside(einsum, i, unit.name)
                for use, maker in crossings(body, einsum):
                    if maker is None or on[maker] != unit.name:
                        least = max(least, entering_cycles(einsum, use, unit, spread, fitted_, inside, self.sizes))
                busy[unit.name] += least
        return max(busy.values())

    # ---------------------------------------------------------------------------------------------------------- writing

    def mapping(self, tree: LoopTree) -> MappingFile:
        """The mapping, with a parameter for each open extent."""
        splits = [*self.own_splits(), *(split for v in self.parts if (split := self.split(v)) is not None)]
        parameters = tuple(Parameter(p.open, Number(1)) for p in self.parts.values() if p.open is not None)
        body = self.around(tree, 0, self.chain(tree, None))
        return MappingFile(
            "found", parameters, self.checked.cascade.name, self.arch.name, None, tuple(splits), None, body
        )

    def own_splits(self) -> Iterator[Split]:
        """Splits that the cascade makes itself and leaves open."""
        for rank in self.checked.ranks.values():
            for parts in rank.splits:
                chosen = [part for part in parts if part in self.own]
                if chosen:
                    yield Split(rank.name.lower(), tuple(self.own_part(part, part in chosen) for part in parts))

    def own_part(self, rank: str, chosen: bool) -> Part:
        """A part of such a split."""
        return Part(rank.lower(), Length(Number(self.own[rank])) if chosen else None)

    def split(self, variable: str) -> Split | None:
        """The split of a variable, if it has parts."""
        parts = self.parts[variable]
        if parts.all == (variable,):
            return None
        made = []
        for part in parts.all:
            if part == parts.spread:
                made.append(Part(part, Length(Number(parts.length))))
            elif part == parts.sized and parts.open is not None:
                made.append(Part(part, Length(Name(parts.open))))
            else:
                made.append(Part(part))
        uneven = variable not in self.even and made[0].extent is None
        return Split(
            variable, tuple(made), uneven and (parts.open is not None or self.extent(variable) % parts.length != 0)
        )

    def around(self, tree: LoopTree, depth: int, chain: list[tuple[str, str]]) -> tuple[Node, ...]:
        """The loops around all bodies from a depth on: one line up to the next hold."""
        holds = [h for h in tree.holds if h.body is None and h.depth == depth]
        nodes: list[Node] = list(_held(holds))
        if depth == len(chain):
            return (*nodes, *(node for body in range(len(self.nest.bodies)) for node in self.body(tree, body, depth)))
        stops = [h.depth for h in tree.holds if h.body is None and h.depth > depth]
        stop = min([len(chain), *stops])
        overlap = Overlap.PIPELINE if depth == 0 else Overlap.FOR
        inner = self.around(tree, stop, chain)
        return (*nodes, For(overlap, tuple(part for part, _ in chain[depth:stop]), inner))

    def body(self, tree: LoopTree, body: int, around: int) -> tuple[Node, ...]:
        """The loops and blocks of one body."""
        chain = self.chain(tree, body)
        return self.within(tree, body, around, chain, around == 0)

    def within(
        self, tree: LoopTree, body: int, depth: int, chain: list[tuple[str, str]], first: bool
    ) -> tuple[Node, ...]:
        """The loops of a body from a depth on."""
        holds = [h for h in tree.holds if h.body == body and h.depth == depth]
        if depth == len(chain):
            return (*_held(holds), *(self.one_by_one(body) if not chain else self.blocks(body)))
        stop = min([len(chain), *(h.depth for h in tree.holds if h.body == body and h.depth > depth)])
        overlap = Overlap.PIPELINE if first else Overlap.FOR
        inner = self.within(tree, body, stop, chain, False)
        return (*_held(holds), For(overlap, tuple(part for part, _ in chain[depth:stop]), inner))

    def one_by_one(self, body: int) -> Iterator[UnitBlock]:
        """The Einsums of a body without any loop, where nothing overlaps: in their order, each unit as often as it takes."""
        members = list(zip(self.nest.bodies[body].einsums, self.layouts[body].units, strict=True))
        for unit, mine in groupby(members, key=lambda member: member[1]):
            yield self.block(body, unit, [einsum for einsum, _ in mine])

    def blocks(self, body: int) -> Iterator[UnitBlock]:
        """The Einsums of a body, unit by unit."""
        layout = self.layouts[body]
        members = list(zip(self.nest.bodies[body].einsums, layout.units, strict=True))
        for unit in self.arch.units:
            mine = [einsum for einsum, on in members if on == unit.name]
            if mine:
                yield self.block(body, unit.name, mine)

    def block(self, body: int, unit: str, einsums: Sequence[CheckedEinsum]) -> UnitBlock:
        """Einsums on a unit."""
        axes = dict(self.layouts[body].spread(unit))
        spread = tuple((axis, self.low(axes[axis])) for axis, _ in self.arch.unit(unit).axes if axis in axes)
        return UnitBlock(
            unit, spread, tuple(PlacedEinsum(einsum.name, self.over(einsum, body, unit)) for einsum in einsums)
        )

    def low(self, variable: str) -> str:
        """The part of a variable that is spread over an axis."""
        part = self.parts[variable].spread
        assert part is not None, f"{variable} is spread over an axis"
        return part


def _held(holds: Sequence[HeldTensor]) -> Iterator[Hold]:
    """A line for each level."""
    for level in dict.fromkeys(held.level for held in holds):
        yield Hold(tuple(held.tensor for held in holds if held.level == level), level)
