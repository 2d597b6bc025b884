"""Every mapping that a cascade and a machine allow: nests, layouts, orders of loops, holds and tile sizes.

Structures come with a lower bound of their time, from their operation slots and from the words that they must move; a
search takes the structure with the least bound first, and stops when no structure that is left can be better.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice, permutations, product
from math import inf, prod
from random import Random
from typing import NamedTuple

import numpy as np

from fusemax.bind.splits import balanced, divisors
from fusemax.errors import FusemaxError, Problem, listed
from fusemax.ir.arch import Arch
from fusemax.ir.checked import Checked
from fusemax.ir.expr import Number, rank_of
from fusemax.mapper.arrays import Integers
from fusemax.mapper.constraints import Fixed
from fusemax.mapper.cost.batch import Batch
from fusemax.mapper.objective import significant
from fusemax.mapper.space.bounds import compulsory_words
from fusemax.mapper.space.layout_product import LayoutProduct, min_cycles
from fusemax.mapper.space.layouts import BodyLayout, Chooser
from fusemax.mapper.space.loop_tree import HeldTensor, LoopTree, MappingWriter, VariableParts
from fusemax.mapper.space.nests import NestShape, nests, placed, shares
from fusemax.mapper.space.protocol import Cutoff
from fusemax.mapper.space.storage_options import hold_options
from fusemax.validate import solve_shapes

OPERATOR = "give a unit the operator in the architecture's file, or write the Einsum with others"
REORDERS, LEAPS, STRIDE = 0.5, 0.2, 20
"""A random walk takes another order that often, else another nest that often, and so many steps among its layouts in the
mean."""
MOST_REFINED = 10_000
"""Structures whose sharper bounds are found; those that come after them are left out."""
MOST_LAYOUTS = 20_000_000
"""Layouts that are listed; nests that come after them are left out."""
LONGEST_CHUNK = 8
"""The longest chunk in lengths of the longest axis: an element keeps so many points of it."""
MOST_GRID = 4096
"""Tile sizes of one tree that are costed at once."""


@dataclass(frozen=True)
class GeneratedStructure:
    """A nest with a layout for each of its bodies, lengths of the cascade's own splits, and lower bounds of the seconds
    and the joules of its mappings."""

    nest: NestShape
    layouts: tuple[BodyLayout, ...]
    own: Mapping[str, int]
    sizes: Mapping[str, int]
    least_s: float
    least_j: float


class QueueEntry(NamedTuple):
    """A structure in the queue: its bound, the number of loops around its arrays, its place in the order of its nest, the
    bound by the other order, the number of its nest, and, once its bound is the sharper one, the structure itself."""

    bound: float
    looped: int
    at: int
    second: float
    number: int
    structure: GeneratedStructure | None = None


class Listed(NamedTuple):
    """A nest with lengths of the cascade's own splits, the sizes that follow, and the layouts of its bodies."""

    nest: NestShape
    own: Mapping[str, int]
    sizes: Mapping[str, int]
    product: LayoutProduct


@dataclass(frozen=True, slots=True)
class State:
    """A state of a random walk: the numbers of a nest, of its combination of layouts, and of the order of its loops."""

    number: int
    at: int
    order: int


class Generated:
    """The space of a cascade on an architecture at given sizes."""

    def __init__(self, checked: Checked, arch: Arch, shapes: Mapping[str, int], fixed: Fixed) -> None:
        self.checked, self.arch, self.shapes, self.fixed = checked, arch, dict(shapes), fixed
        self.title = f"among pipelines{' of even tiles' if fixed.even else ''} that fill their axes"
        self.considered = 0
        self.counted = 0
        self.cutoff: Cutoff | None = None
        self.excluded: dict[str, None] = {}
        self._check_operators()
        self._check_fixed()

    def _check_operators(self) -> None:
        """Refuse a cascade with an operator that no unit has."""
        from fusemax.model.cycles import slots_of

        problems = []
        for einsum in placed(self.checked):
            lacking = {unit.name: slots_of(self.checked, einsum, unit)[1] for unit in self.arch.units}
            if all(lacking.values()):
                missing = "; ".join(f"'{unit}' lacks {listed(kinds)}" for unit, kinds in lacking.items())
                message = f"no unit of '{self.arch.name}' can run '{einsum.name}': {missing}"
                problems.append(Problem(message, einsum.source.span, OPERATOR))
        if problems:
            raise FusemaxError(problems)

    def _check_fixed(self) -> None:
        """Refuse fixed and kept choices that no mapping of the space can have."""
        for rank, size in self.shapes.items():
            number = self.fixed.numbers.get(rank.lower(), size)
            if number != size:
                raise FusemaxError(f"{rank} is fixed at {number}, and its size is given as {size}", "give one of them")
        known = dict.fromkeys(use.tensor for einsum in placed(self.checked) for use in (*einsum.reads, einsum.target))
        for tensor in self.fixed.levels:
            if tensor not in known:
                raise FusemaxError(
                    f"no Einsum that a unit runs reads or writes '{tensor}'", f"keep {listed(list(known), 20)}"
                )

    # ------------------------------------------------------------------------------------------------------ structures

    def own_lengths(self) -> Iterator[dict[str, int]]:
        """Lengths of the splits that the cascade makes itself and that the user leaves open, on and beyond an axis."""
        open_ = [
            e.left
            for e in self.checked.equations
            if e.default and e.left not in self.shapes and isinstance(e.right, Number)
        ]
        inner = [
            rank for rank in open_ if any(rank in parts for r in self.checked.ranks.values() for parts in r.splits)
        ]
        longest = max(length for unit in self.arch.units for _, length in unit.axes)
        choices = []
        for rank in inner:
            whole = next(r.name for r in self.checked.ranks.values() for parts in r.splits if rank in parts)
            number = self.fixed.numbers.get(rank.lower())
            size = self.shapes.get(whole)
            if number is not None and size is not None and size % number:
                raise FusemaxError(
                    f"{rank} is fixed at {number}, which does not divide {whole}={size}", "fix a divisor"
                )
            if number is not None or size is None:
                choices.append([number] if number is not None else [None])
            else:
                choices.append([d for d in divisors(size) if d <= LONGEST_CHUNK * longest])
        for lengths in product(*choices):
            yield {rank: length for rank, length in zip(inner, lengths, strict=True) if length is not None}

    @cached_property
    def listed(self) -> list[Listed]:
        """Every nest with all lengths of the cascade's own splits; `cutoff` stands for the layouts that are left out."""
        found: list[Listed] = []
        wrong: FusemaxError | None = None
        solved = False
        for nest in nests(self.checked):
            for own in self.own_lengths():
                try:
                    sizes = solve_shapes(self.checked, {**self.shapes, **own})
                except FusemaxError as error:
                    wrong = error
                    continue
                solved = True
                chunked = [v for v in nest.looped if not shares(placed(self.checked), v)]
                if any(sizes[rank_of(v)] == 1 for v in chunked):
                    continue  # the same as without a loop over it
                layouts = self.layouts(nest, sizes)
                if layouts is not None:
                    found.append(Listed(nest, own, sizes, layouts))
        if wrong is not None and not solved:  # whatever the cascade's own splits are
            raise wrong
        if not found and self.counted > MOST_LAYOUTS:
            message = f"'{self.checked.cascade.name}' has too many Einsums to be fused as a whole: {len(placed(self.checked))}"
            hint = "map its parts, as cascades of their own, or fix the units of most: `--fix NAME=UNIT`"
            raise FusemaxError(message, hint)
        return found

    def structures(self, by_energy: bool = False) -> Iterator[GeneratedStructure | Cutoff]:
        """All structures, those that may be best first; of equal ones those with fewer loops around the arrays.

        The bound of a structure is made sharper when its turn comes; it waits again if that puts it behind others.
        """
        queue = [self.entry(number, 0, by_energy) for number in range(len(self.listed))]
        if self.cutoff is not None:
            yield self.cutoff
        heapq.heapify(queue)
        refined = 0
        while queue:
            entry = heapq.heappop(queue)
            structure = entry.structure
            if structure is None:
                if entry.at + 1 < len(self.listed[entry.number].product.least):
                    heapq.heappush(queue, self.entry(entry.number, entry.at + 1, by_energy))
                structure = self.structure(entry.number, self.place(entry.number, entry.at, by_energy))
                refined += 1
                if refined > MOST_REFINED:
                    yield Cutoff(self.floor_s, entry.bound) if by_energy else Cutoff(entry.bound, self.least_j)
                    yield from (e.structure for e in sorted(queue, key=lambda e: e[:-1]) if e.structure is not None)
                    return
                sharper = significant(structure.least_s)
                if not by_energy and sharper > entry.bound:
                    heapq.heappush(queue, entry._replace(bound=sharper, structure=structure))
                    continue
            yield structure

    def entry(self, number: int, at: int, by_energy: bool) -> QueueEntry:
        """A combination of layouts of a nest, as it waits for its turn."""
        listed = self.listed[number]
        place = self.place(number, at, by_energy)
        bounds = max(self.floor_s, float(listed.product.least[place])), float(listed.product.joules[place])
        first, second = bounds[::-1] if by_energy else bounds
        return QueueEntry(significant(first), len(listed.nest.looped), at, second, number)

    def place(self, number: int, at: int, by_energy: bool) -> int:
        """The number of the combination that has a place in an order."""
        return int(self.listed[number].product.by_energy[at]) if by_energy else at

    def structure(self, number: int, at: int) -> GeneratedStructure:
        """One combination of layouts of a nest, with its sharper bound."""
        nest, own, sizes, combined = self.listed[number]
        layouts = combined.layouts(at)
        writer = MappingWriter(self.checked, self.arch, nest, layouts, sizes, own, self.fixed.even)
        cycles = writer.least_cycles(combined.slots)
        least = max(self.floor_s, float(combined.least[at]), cycles / self.arch.clock_hz)
        return GeneratedStructure(nest, layouts, own, sizes, least, float(combined.joules[at]))

    @cached_property
    def sizes(self) -> Mapping[str, int]:
        """The sizes of all ranks, with the first lengths of the cascade's own splits that suit; empty if none does."""
        for own in self.own_lengths():
            with suppress(FusemaxError):
                return solve_shapes(self.checked, {**self.shapes, **own})
        return {}

    @cached_property
    def floor_s(self) -> float:
        """The seconds of inputs and outputs over the outermost memory, each word once."""
        return self.least_bytes / (self.arch.outermost.bandwidth_bytes_s or float("inf"))

    @cached_property
    def least_j(self) -> float:
        """The joules of the operations in the structure in which they are fewest."""
        left_out = inf if self.cutoff is None else self.cutoff.least_j
        return min((float(listed.product.joules.min()) for listed in self.listed), default=left_out)

    def layouts(self, nest: NestShape, sizes: Mapping[str, int]) -> LayoutProduct | None:
        """The layouts of all bodies together, in order of their least time; None if a body has none."""
        chooser = Chooser(self.checked, self.arch, nest, sizes, self.fixed.units, self.fixed.even)
        self.counted += sum(map(chooser.count, nest.bodies))
        if self.counted > MOST_LAYOUTS:
            self.cutoff = Cutoff()
            return None
        each = [chooser.layouts(body) for body in nest.bodies]
        if not all(len(layouts.pairs) for layouts in each):
            return None
        found = LayoutProduct.of(each, self.arch.clock_hz, chooser.slots)
        self.considered += found.combinations
        if not all(map(chooser.lists_all, nest.bodies)):
            self.cutoff = Cutoff()
        elif found.combinations > len(found.least):
            least_s = max(self.floor_s, min_cycles(each) / self.arch.clock_hz)
            self.cutoff = Cutoff(least_s, sum(float(layouts.joules.min()) for layouts in each)).with_part(self.cutoff)
        return found

    @cached_property
    def least_bytes(self) -> float:
        """The bytes of all inputs and outputs; zero if filters leave out a part of them."""
        return compulsory_words(self.checked, self.sizes) * self.arch.word_bits / 8 if self.sizes else 0.0

    # ----------------------------------------------------------------------------------------------------------- trees

    def batches(self, structure: GeneratedStructure) -> Iterator[Batch | Cutoff]:
        """The trees of a structure, those together that differ only in their holds."""
        writer = self.writer(structure)
        grid, whole = self.grid(writer)
        if not whole:
            yield Cutoff(structure.least_s, structure.least_j)
        if any(len(values) == 0 for values in grid.values()):
            return
        for order in self.orders(structure.nest):
            batch = self.ordered(writer, structure, order, grid)
            if batch is not None:
                yield batch

    def ordered(
        self,
        writer: MappingWriter,
        structure: GeneratedStructure,
        order: tuple[tuple[str, ...], tuple[str, ...]],
        grid: dict[str, Integers],
    ) -> Batch | None:
        """The trees of one order; None if a choice of the user excludes all."""
        bare = LoopTree(structure.nest, structure.layouts, *order)
        options = tuple(self.options(writer, bare))
        return Batch(writer, bare, options, grid, self.shapes) if all(options) else None

    def writer(self, structure: GeneratedStructure) -> MappingWriter:
        """The writer of the mappings of a structure."""
        return MappingWriter(
            self.checked, self.arch, structure.nest, structure.layouts, structure.sizes, structure.own, self.fixed.even
        )

    def orders(self, nest: NestShape) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
        """The orders of blocks outside, and of loops inside."""
        return list(product(permutations(nest.blocked), permutations((*nest.looped, *nest.blocked))))

    # ----------------------------------------------------------------------------------------------------- random walks

    def start(self, source: Random) -> State:
        """The first structure, with an order at random."""
        return State(0, 0, source.randrange(1 << 16))

    def neighbour(self, state: State, source: Random) -> State:
        """A structure nearby, or another order."""
        if source.random() < REORDERS:
            return replace(state, order=source.randrange(1 << 16))
        number = source.randrange(len(self.listed)) if source.random() < LEAPS else state.number
        last = len(self.listed[number].product.least) - 1
        step = int(source.expovariate(1 / STRIDE)) * source.choice((-1, 1))
        return replace(state, number=number, at=min(max(state.at + step, 0), last))

    def batch(self, state: State) -> Batch | None:
        """The trees of a state; None if a choice of the user excludes all."""
        structure = self.structure(state.number, state.at)
        writer, orders = self.writer(structure), self.orders(structure.nest)
        grid, _ = self.grid(writer)
        fits = all(len(values) for values in grid.values())
        return self.ordered(writer, structure, orders[state.order % len(orders)], grid) if fits else None

    def options(self, writer: MappingWriter, bare: LoopTree) -> list[tuple[tuple[HeldTensor, ...], ...]]:
        """The options of the holds of each tensor; no option if it cannot be where the user keeps it.

        Tensors that no line holds are in the outermost memory."""
        every = hold_options(writer, bare, self.arch)
        found: dict[str | int, tuple[tuple[HeldTensor, ...], ...]] = {
            next((held.tensor for option in each for held in option), i): each for i, each in enumerate(every)
        }
        for tensor, level in self.fixed.levels.items():
            far = level == self.arch.outermost.name
            found[tensor] = tuple(
                option for option in found.get(tensor, ((),))
                if (option or far) and all(held.level == level for held in option)
            )  # fmt: skip
            if not found[tensor]:
                self.excluded[f"they have no place to hold '{tensor}' in '{level}'"] = None
        return list(found.values())

    def grid(self, writer: MappingWriter) -> tuple[dict[str, Integers], bool]:
        """The combinations of the open extents: balanced ones, or, if these are too many, divisors; and whether these are
        all."""
        blocked = {p.open: p for p in writer.parts.values() if p.open is not None}
        exact, short = ({name: self.lengths(writer, p, even) for name, p in blocked.items()} for even in (True, False))
        choices = short if prod(map(len, short.values())) <= MOST_GRID else exact
        rows = list(islice(product(*choices.values()), MOST_GRID))
        table = np.array(rows, np.int64).reshape(len(rows), len(choices))
        return {name: table[:, i] for i, name in enumerate(choices)}, prod(map(len, choices.values())) <= MOST_GRID

    def lengths(self, writer: MappingWriter, parts: VariableParts, even: bool) -> list[int]:
        """The lengths of a block in tiles: of its number of tiles the divisors, or all that are balanced."""
        wanted = self.fixed.numbers.get(parts.sized or "")
        tiles = writer.tiles(parts.variable)
        if wanted is not None:
            divides = tiles % wanted == 0 or (wanted < tiles and parts.variable not in writer.even)
            if not divides:
                relation = "does not divide" if parts.variable in writer.even else "is more than"
                told = f"'{parts.sized}' is fixed at {wanted}, which {relation} the {tiles} tiles of '{parts.variable}'"
                self.excluded[told] = None
            return [wanted] if divides else []
        return divisors(tiles) if even or parts.variable in writer.even else balanced(tiles)
