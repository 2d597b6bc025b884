"""Every mapping that a cascade and a machine allow: nests, layouts, orders of loops, holds and tile sizes.

Structures come with the time that none of their mappings undercuts, from their operation slots and from what must be
moved; a search takes the best first and stops when no structure left can be better.
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
from typing import Any

import numpy as np

from fusemax.bind.splits import balanced
from fusemax.bind.tensors import is_output, sources
from fusemax.errors import FusemaxError, Problem, listed
from fusemax.ir.arch import Arch
from fusemax.ir.checked import Checked, Use
from fusemax.ir.expr import Number, rank_of
from fusemax.mapper.constraints import Fixed
from fusemax.mapper.cost.batch import Batch
from fusemax.mapper.cost.candidates import Family, divisors
from fusemax.mapper.objective import rounded
from fusemax.mapper.space.layout_product import Joined, least_cycles
from fusemax.mapper.space.layouts import Chooser, Layout
from fusemax.mapper.space.loop_tree import Builder, Choice, Parts
from fusemax.mapper.space.nests import Nest, nests, placed, shares
from fusemax.mapper.space.storage_options import hold_options
from fusemax.validate import solve_shapes

OPERATOR = "give a unit the operator in the architecture's file, or write the Einsum with others"
REORDERS, LEAPS, STRIDE = 0.5, 0.2, 20
"""A random walk takes another order that often, else another nest that often, and so many steps among its layouts in the
mean."""
MOST_REFINED = 10_000
"""Structures whose sharper bounds are found; a search that needs more is no longer whole."""
MOST_LAYOUTS = 20_000_000
"""Layouts that are looked at; nests that come after them are left out."""
LONGEST_CHUNK = 8
"""So many times the longest axis a chunk is long at most: an element keeps a point of it for each time."""
MOST_GRID = 4096
"""Tile sizes of one tree that are costed at once."""


@dataclass(frozen=True)
class Structure:
    """A nest with a layout for each of its bodies, lengths of the cascade's own splits, and seconds and joules that
    none of its mappings undercuts."""

    nest: Nest
    layouts: tuple[Layout, ...]
    own: Mapping[str, int]
    sizes: Mapping[str, int]
    least_s: float
    least_j: float


Waiting = tuple[float, int, int, float, int, Structure | None]
"""What waits for its turn: its bound, the loops around its arrays, its place in its nest's order, the second bound, the
number of its nest, and, once its bound is the sharper one, the structure itself."""


@dataclass(frozen=True, slots=True)
class State:
    """A tree as a random walk sees it: the nest, its combination of layouts, and the order of its loops."""

    number: int
    at: int
    order: int


class Generated:
    """The space of a cascade on an architecture at given sizes."""

    def __init__(self, checked: Checked, arch: Arch, shapes: Mapping[str, int], fixed: Fixed) -> None:
        self.checked, self.arch, self.shapes, self.fixed = checked, arch, dict(shapes), fixed
        self.title = f"among pipelines{' of even tiles' if fixed.even else ''} that fill their axes"
        self.considered = 0
        self.partial = False
        self.unlisted = inf, inf
        self.looked_at = 0
        self.barred: dict[str, None] = {}
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
        """Refuse what no mapping of the space can have."""
        for rank, size in self.shapes.items():
            number = self.fixed.numbers.get(rank.lower(), size)
            if number != size:
                raise FusemaxError(f"{rank} is fixed at {number}, and its size is given as {size}", "give one of them")
        known = {use.tensor for einsum in placed(self.checked) for use in (*einsum.reads, einsum.target)}
        for tensor in self.fixed.levels:
            if tensor not in known:
                raise FusemaxError(
                    f"no Einsum that a unit runs reads or writes '{tensor}'", f"keep {listed(known, 20)}"
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
    def nests(self) -> list[tuple[Nest, Mapping[str, int], Mapping[str, int], Joined]]:
        """Every nest with lengths of the cascade's own splits, the sizes that follow, and the layouts of its bodies."""
        found: list[tuple[Nest, Mapping[str, int], Mapping[str, int], Joined]] = []
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
                joined = self.joined(nest, sizes)
                if joined is not None:
                    found.append((nest, own, sizes, joined))
        if wrong is not None and not solved:  # whatever the cascade's own splits are
            raise wrong
        if not found and self.looked_at > MOST_LAYOUTS:
            message = f"'{self.checked.cascade.name}' has too many Einsums to be fused as a whole: {len(placed(self.checked))}"
            hint = "map its parts, as cascades of their own, or fix the units of most: `--fix NAME=UNIT`"
            raise FusemaxError(message, hint)
        return found

    def structures(self, by_energy: bool = False) -> Iterator[Structure]:
        """All structures, those that may be best first; of equal ones those with fewer loops around the arrays.

        The bound of a structure is made sharper when its turn comes, and it waits again if that puts it behind others.
        """
        queue = [self.entry(number, 0, by_energy) for number in range(len(self.nests))]
        heapq.heapify(queue)
        refined = 0
        while queue:
            bound, looped, at, second, number, structure = heapq.heappop(queue)
            if structure is None:
                if at + 1 < len(self.nests[number][3].least):
                    heapq.heappush(queue, self.entry(number, at + 1, by_energy))
                structure = self.structure(number, self.place(number, at, by_energy))
                refined += 1
                if refined > MOST_REFINED:
                    self.partial = True
                    yield from (waiting for *_, waiting in sorted(queue, key=lambda e: e[:-1]) if waiting is not None)
                    return
                sharper = float(rounded(structure.least_s))
                if not by_energy and sharper > bound:
                    heapq.heappush(queue, (sharper, looped, at, second, number, structure))
                    continue
            yield structure

    def entry(self, number: int, at: int, by_energy: bool) -> Waiting:
        """A combination of layouts of a nest, as it waits for its turn."""
        nest, _, _, joined = self.nests[number]
        place = self.place(number, at, by_energy)
        bounds = max(self.floor_s, float(joined.least[place])), float(joined.joules[place])
        first, second = bounds[::-1] if by_energy else bounds
        return float(rounded(first)), len(nest.looped), at, second, number, None

    def place(self, number: int, at: int, by_energy: bool) -> int:
        """Which combination is next in the order that is asked for."""
        return int(self.nests[number][3].by_energy[at]) if by_energy else at

    def structure(self, number: int, at: int) -> Structure:
        """One combination of layouts of a nest, with its sharper bound."""
        nest, own, sizes, joined = self.nests[number]
        layouts = joined.layouts(at)
        cycles = Builder(self.checked, self.arch, nest, layouts, sizes, own, self.fixed.even).least_cycles(joined.slots)
        least = max(self.floor_s, float(joined.least[at]), cycles / self.arch.clock_hz)
        return Structure(nest, layouts, own, sizes, least, float(joined.joules[at]))

    @cached_property
    def sizes(self) -> Mapping[str, int]:
        """The sizes of all ranks, with the first lengths of the cascade's own splits that suit; empty if none does."""
        for own in self.own_lengths():
            with suppress(FusemaxError):
                return solve_shapes(self.checked, {**self.shapes, **own})
        return {}

    @cached_property
    def floor_s(self) -> float:
        """Seconds that inputs and outputs take over the outermost memory, each word once."""
        return self.least_bytes / (self.arch.outermost.bandwidth_bytes_s or float("inf"))

    @cached_property
    def least_j(self) -> float:
        """Joules that the operations take in the structure in which they take the fewest."""
        return min((float(joined.joules.min()) for _, _, _, joined in self.nests), default=self.unlisted[1])

    def joined(self, nest: Nest, sizes: Mapping[str, int]) -> Joined | None:
        """The layouts of all bodies together, in order of their least time; None if a body has none."""
        chooser = Chooser(self.checked, self.arch, nest, sizes, self.fixed.units, self.fixed.even)
        self.looked_at += sum(map(chooser.count, nest.bodies))
        if self.looked_at > MOST_LAYOUTS:
            self.unlisted = 0.0, 0.0
            return None
        each = [chooser.layouts(body) for body in nest.bodies]
        if not all(len(layouts.pairs) for layouts in each):
            return None
        joined = Joined.of(each, self.arch.clock_hz, chooser.slots)
        self.considered += joined.combinations
        if chooser.cut:
            self.unlisted = 0.0, 0.0
        elif joined.combinations > len(joined.least):
            least_s = max(self.floor_s, least_cycles(each) / self.arch.clock_hz)
            least_j = sum(float(layouts.joules.min()) for layouts in each)
            self.unlisted = min(self.unlisted[0], least_s), min(self.unlisted[1], least_j)
        return joined

    @cached_property
    def least_bytes(self) -> float:
        """The bytes of all inputs and outputs; none are counted on if filters leave out a part of them."""
        if any(einsum.constraints for einsum in self.checked.einsums):
            return 0.0
        views = sources(self.checked).keys() - {t.name for t in self.checked.inputs}
        uses = [use for e in self.checked.einsums if e.name not in views for use in e.reads]
        uses += [e.target for e in self.checked.einsums if is_output(self.checked.tensors[e.name])]
        words: dict[str, int] = {}
        for use in uses if self.sizes else ():
            if use.tensor in sources(self.checked) or is_output(self.checked.tensors[use.tensor]):
                words[use.tensor] = max(self.distinct(use), words.get(use.tensor, 0))
        return sum(words.values()) * self.arch.word_bits / 8

    def distinct(self, use: Use) -> int:
        """The elements that an access names at least: of an index such as `2*m + k` as many as its longest variable has."""
        iterative = self.checked.tensors[use.tensor].iterative
        lengths = [
            max((self.sizes[rank_of(v)] for v in index.variables), default=1)
            for i, index in enumerate(use.indices)
            if i != iterative
        ]
        return prod(map(int, lengths))

    # -------------------------------------------------------------------------------------------------------- families

    def batches(self, structure: Structure) -> Iterator[Batch]:
        """The trees of a structure, those together that differ only in what is held where."""
        builder = self.builder(structure)
        grid = self.grid(builder)
        if any(len(values) == 0 for values in grid.values()):
            return
        for order in self.orders(structure.nest):
            batch = self.ordered(builder, structure, order, grid)
            if batch is not None:
                yield batch

    def ordered(
        self,
        builder: Builder,
        structure: Structure,
        order: tuple[tuple[str, ...], tuple[str, ...]],
        grid: dict[str, Any],
    ) -> Batch | None:
        """The trees of one order; None if a user wants none of them."""
        bare = Choice(structure.nest, structure.layouts, *order)
        options = tuple(self.options(builder, bare))
        return Batch(builder, bare, options, grid, self.shapes) if all(options) else None

    def families(self, structure: Structure) -> Iterator[Family]:
        """All trees of a structure, each with all of its tile sizes."""
        for batch in self.batches(structure):
            yield from map(batch.family, product(*(range(len(options)) for options in batch.options)))

    def builder(self, structure: Structure) -> Builder:
        """Who writes the mappings of a structure."""
        return Builder(
            self.checked, self.arch, structure.nest, structure.layouts, structure.sizes, structure.own, self.fixed.even
        )

    def orders(self, nest: Nest) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
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
        number = source.randrange(len(self.nests)) if source.random() < LEAPS else state.number
        last = len(self.nests[number][3].least) - 1
        step = int(source.expovariate(1 / STRIDE)) * source.choice((-1, 1))
        return replace(state, number=number, at=min(max(state.at + step, 0), last))

    def batch(self, state: State) -> Batch | None:
        """The trees that a state means; None if a user wants none of them."""
        structure = self.structure(state.number, state.at)
        builder, orders = self.builder(structure), self.orders(structure.nest)
        grid = self.grid(builder)
        fits = all(len(values) for values in grid.values())
        return self.ordered(builder, structure, orders[state.order % len(orders)], grid) if fits else None

    def options(self, builder: Builder, bare: Choice) -> list[tuple[Any, ...]]:
        """The holds of each tensor to choose from; none at all if a user wants it where nothing holds it.

        In the outermost memory is also what no line holds."""
        every = hold_options(builder, bare, self.arch)
        found: dict[str | int, tuple[Any, ...]] = {
            next((held.tensor for option in each for held in option), i): each for i, each in enumerate(every)
        }
        for tensor, level in self.fixed.levels.items():
            far = level == self.arch.outermost.name
            found[tensor] = tuple(
                option for option in found.get(tensor, ((),))
                if (option or far) and all(held.level == level for held in option)
            )  # fmt: skip
            if not found[tensor]:
                self.barred[f"they have no place to hold '{tensor}' in '{level}'"] = None
        return list(found.values())

    def grid(self, builder: Builder) -> dict[str, Any]:
        """All combinations of the open extents: balanced ones, or, if these are too many, divisors."""
        blocked = {p.open: p for p in builder.parts.values() if p.open is not None}
        exact, short = ({name: self.lengths(builder, p, even) for name, p in blocked.items()} for even in (True, False))
        choices = short if prod(map(len, short.values())) <= MOST_GRID else exact
        self.partial |= prod(map(len, choices.values())) > MOST_GRID
        rows = list(islice(product(*choices.values()), MOST_GRID))
        table = np.array(rows, np.int64).reshape(len(rows), len(choices))
        return {name: table[:, i] for i, name in enumerate(choices)}

    def lengths(self, builder: Builder, parts: Parts, even: bool) -> list[int]:
        """The lengths of a block in tiles: of its number of tiles the divisors, or all that are balanced."""
        wanted = self.fixed.numbers.get(parts.sized or "")
        tiles = builder.tiles(parts.variable)
        if wanted is not None:
            divides = tiles % wanted == 0 or (wanted < tiles and parts.variable not in builder.even)
            if not divides:
                what = "does not divide" if parts.variable in builder.even else "is more than"
                told = f"'{parts.sized}' is fixed at {wanted}, which {what} the {tiles} tiles of '{parts.variable}'"
                self.barred[told] = None
            return [wanted] if divides else []
        return divisors(tiles) if even or parts.variable in builder.even else balanced(tiles)
