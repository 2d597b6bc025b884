"""The layouts of a body of Einsums: their units, the variables that are spread over the axes, and the slots of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations, permutations, product
from math import prod

import numpy as np

from fusemax.analysis.counting import points
from fusemax.bind.registers import iterative_variables, tiles_in_flight, waiting
from fusemax.bind.splits import divisors
from fusemax.bind.tensors import is_output
from fusemax.ir.arch import Arch, Unit
from fusemax.ir.checked import Checked, CheckedEinsum
from fusemax.ir.expr import rank_of
from fusemax.mapper.arrays import Floats, Integers, Truths
from fusemax.mapper.space.bounds import Spread, crossings, entering_cycles, leaves_array, leaving_cycles
from fusemax.mapper.space.nests import NestBody, NestShape
from fusemax.model.cycles import slots_of
from fusemax.model.energy import as_done
from fusemax.model.filters import point_count
from fusemax.model.operations import operations_on

MOST_ASSIGNMENTS = 1 << 16
"""Assignments of a body's Einsums to units that are listed; beyond, each Einsum is on the first unit that can run it."""
LEAST_IN_FLIGHT = 2
"""The fewest tiles in flight: with a single one, every reduction of an array drains before the next begins."""


@dataclass(frozen=True, slots=True)
class BodyLayout:
    """One layout of a body: the unit of each of its Einsums, and the variables that are spread over the axes of each unit."""

    units: tuple[str, ...]
    spreads: tuple[tuple[str, Spread], ...]

    def spread(self, unit: str) -> Spread:
        """The variables that are spread over the axes of a unit."""
        return dict(self.spreads).get(unit, ())


@dataclass(frozen=True)
class BodyLayouts:
    """All layouts of a body: `cycles` has lower bounds over the run, a row a layout, a column a unit, `joules` the energy of
    the operations, and `penalty` the rank of each among equals.

    A layout is an element of `spreads` with a row of `assignments`, which has the number of a unit for each Einsum;
    `pairs` has the numbers of both.
    """

    arch: Arch
    spreads: tuple[tuple[Spread, ...], ...]
    assignments: Integers
    pairs: Integers
    cycles: Floats
    joules: Floats
    penalty: Integers

    def layout(self, number: int) -> BodyLayout:
        """One layout."""
        spreads, units = self.spreads[self.pairs[number, 0]], self.assignments[self.pairs[number, 1]]
        names = [unit.name for unit in self.arch.units]
        used = tuple((names[u], spreads[u]) for u in sorted(set(units.tolist())) if spreads[u])
        return BodyLayout(tuple(names[u] for u in units), used)


@cache
def tile_length(extent: int, length: int, even: bool) -> int:
    """The points of a variable that are spread over an axis: the largest divisor that is not longer, or, if that makes
    fewer tiles, the longest tiles of which the last is shorter, but no single point; not if tiles must be `even`.

    >>> [tile_length(extent, 256, False) for extent in (1000, 64, 257)], tile_length(257, 256, True)
    ([250, 64, 129], 1)
    """
    divisor = max(d for d in divisors(extent) if d <= length)
    if even or divisor == min(extent, length):
        return divisor
    for tiles in range(-(-extent // length), extent // divisor):
        balanced = -(-extent // tiles)
        if extent % balanced != 1:
            return balanced
    return divisor


def even_variables(checked: Checked, every: bool) -> frozenset[str]:
    """Variables whose tiles must be even: filters ask for them, or the cascade splits them itself; or `every` one."""
    if every:
        return frozenset(v for einsum in checked.einsums for v in einsum.variables)
    filtered = {v for einsum in checked.einsums for c in einsum.constraints for v in c.form.variables}
    own = {rank.name.lower() for rank in checked.ranks.values() if rank.splits}
    return frozenset(filtered | own)


class Chooser:
    """Lists the layouts of the bodies of a nest at given sizes."""

    def __init__(
        self,
        checked: Checked,
        arch: Arch,
        nest: NestShape,
        sizes: Mapping[str, int],
        fixed: Mapping[str, str],
        even: bool = False,
    ) -> None:
        self.checked, self.arch, self.nest, self.sizes, self.fixed = checked, arch, nest, sizes, fixed
        self.even = even_variables(checked, even)
        iterative = iterative_variables(checked.tensors)
        self.steps = set(iterative.values())
        einsums = [e for body in nest.bodies for e in body.einsums]
        self.waiting = waiting(einsums, iterative)
        self.slots = {e.name: {unit.name: self.work(e, unit) for unit in arch.units} for e in einsums}
        self.joules = {e.name: [self.energy(e, unit) for unit in arch.units] for e in einsums}
        self.known: dict[tuple[tuple[str, ...], str, str, Spread], tuple[float, tuple[tuple[int, float], ...]]] = {}
        self.read_by = {
            e.name: [r.name for r in einsums if any(use.tensor == e.name for use in r.reads)] for e in einsums
        }

    def extent(self, variable: str) -> int:
        """The points of a variable."""
        return int(self.sizes[rank_of(variable)])

    def work(self, einsum: CheckedEinsum, unit: Unit) -> float:
        """The slots of an Einsum over the run, all elements together."""
        slots, missing = slots_of(self.checked, einsum, unit)
        space = points(einsum.variables, einsum.constraints, self.checked.ranks)
        return 0.0 if missing else float(slots * point_count(space, self.sizes))

    def energy(self, einsum: CheckedEinsum, unit: Unit) -> float:
        """The joules of the operations of an Einsum over the run, without registers."""
        joules = 0.0
        each = {op.name: op.energy_j or 0.0 for op in unit.ops}
        for kind, counts in operations_on(self.checked, einsum, unit).items():
            name, times = as_done(kind, unit)
            number = sum(float(n * point_count(at, self.sizes)) for at, n in counts.items())
            joules += number * times * each.get(name, 0.0)
        return joules

    def count(self, body: NestBody) -> int:
        """The number of layouts of a body, before its registers are checked."""
        capable = [self.capable_units(einsum) for einsum in body.einsums]
        spreads = prod(sum(1 for _ in self.spreads(unit, body, capable)) for unit in self.arch.units)
        return spreads * min(prod(len(units) for units in capable), MOST_ASSIGNMENTS)

    def lists_all(self, body: NestBody) -> bool:
        """Whether all assignments of a body's Einsums to units are listed."""
        return prod(len(self.capable_units(einsum)) for einsum in body.einsums) <= MOST_ASSIGNMENTS

    def layouts(self, body: NestBody) -> BodyLayouts:
        """All layouts of a body that the operators of the units and their registers allow."""
        capable = [self.capable_units(einsum) for einsum in body.einsums]
        every = tuple(product(*(tuple(self.spreads(unit, body, capable)) for unit in self.arch.units)))
        first = every[0]
        assignments = self.assignments(capable)
        on = [assignments == n for n in range(len(self.arch.units))]
        joules = sum(on[n] @ np.array([self.joules[e.name][n] for e in body.einsums]) for n in range(len(on)))
        pairs, rows = [np.empty((0, 2), int)], [np.empty((0, len(on)))]
        feasible = {spreads: self.feasible(body, assignments, on, spreads, first) for spreads in every}
        for number, spreads in enumerate(every):
            fuller = [feasible[other] for other in self.extended(spreads) if other in feasible]
            chosen = np.flatnonzero(feasible[spreads] & ~np.any([np.zeros(len(assignments), bool), *fuller], axis=0))
            pairs.append(np.column_stack([np.full(len(chosen), number), chosen]))
            rows.append(self.loads(body, assignments[chosen], spreads))
        chosen = np.concatenate(pairs)
        penalty = np.array([self.tie_break_penalty(spreads) for spreads in every])
        return BodyLayouts(
            self.arch,
            every,
            assignments,
            chosen,
            np.concatenate(rows),
            np.asarray(joules)[chosen[:, 1]],
            penalty[chosen[:, 0]],
        )

    def extended(self, spreads: tuple[Spread, ...]) -> Iterator[tuple[Spread, ...]]:
        """The spreads that use one more axis: an axis over which a variable can be spread is not left empty."""
        variables = dict.fromkeys(v for body in self.nest.bodies for v in body.variables)
        for n, (unit, spread) in enumerate(zip(self.arch.units, spreads, strict=True)):
            used = dict(spread)
            for axis, _ in unit.axes:
                for variable in variables if axis not in used else ():
                    if variable not in used.values():
                        yield (*spreads[:n], tuple(sorted((*spread, (axis, variable)))), *spreads[n + 1 :])

    def tie_break_penalty(self, spreads: Sequence[Spread]) -> int:
        """The rank of spreads among equals: variables of every tensor bring no reuse, and many different ones fit no loops."""
        variables = [v for spread in spreads for _, v in spread]
        return len(set(variables)) + 2 * sum(v in self.nest.batch for v in variables)

    def loads(self, body: NestBody, assignments: Integers, spreads: Sequence[Spread]) -> Floats:
        """The least cycles of each unit, a row an assignment: those of the slots of its Einsums, or of the words that must
        cross its edges, whichever are more."""
        found = np.zeros((len(assignments), len(spreads)))
        for i, einsum in enumerate(body.einsums):
            for n, (unit, spread) in enumerate(zip(self.arch.units, spreads, strict=True)):
                least, by_maker = self.least(body, einsum, unit, spread)
                taken = np.full(len(assignments), least)
                for maker, cycles in by_maker:
                    taken = np.where(assignments[:, maker] == n, taken, np.maximum(taken, cycles))
                found[:, n] += np.where(assignments[:, i] == n, taken, 0.0)
        return found

    def least(
        self, body: NestBody, einsum: CheckedEinsum, unit: Unit, spread: Spread
    ) -> tuple[float, tuple[tuple[int, float], ...]]:
        """The least cycles of an Einsum on a unit; and by the number of another Einsum, those if that one is on another
        unit."""
        key = (body.names, einsum.name, unit.name, spread)
        if key not in self.known:
            lengths = unit.lengths
            points_ = {v: self.mean(v, lengths[axis]) for axis, v in spread}
            looped = {*self.nest.batch, *self.nest.blocked, *body.looped}
            inside = [(v, self.extent(v) / points_.get(v, 1)) for v in einsum.reduced if v not in looped]
            least = self.cycles(einsum, unit, spread)
            if leaves_array(self.checked, body, einsum, self.read_by[einsum.name]):
                least = max(least, leaving_cycles(einsum, unit, self.sizes))
            by_maker = []
            for use, maker in crossings(body, einsum):
                cycles = entering_cycles(einsum, use, unit, spread, points_, inside, self.sizes)
                if maker is None:
                    least = max(least, cycles)
                else:
                    by_maker.append((body.names.index(maker), cycles))
            self.known[key] = least, tuple(by_maker)
        return self.known[key]

    def feasible(
        self,
        body: NestBody,
        assignments: Integers,
        on: Sequence[Truths],
        spreads: Sequence[Spread],
        first: Sequence[Spread],
    ) -> Truths:
        """Whether each assignment uses every axis, and has registers for the tiles that wait there; idle units count
        once."""
        found = np.ones(len(assignments), bool)
        for n, spread in enumerate(spreads):
            works = on[n].any(axis=1)
            for _, variable in spread:
                users = [i for i, einsum in enumerate(body.einsums) if variable in einsum.variables]
                found &= on[n][:, users].any(axis=1) | ~works
            if spread != first[n]:
                found &= works
        for reader, n in self.register_overflows(body, spreads):
            found &= ~on[n][:, reader]
        for maker, readers, n in self.results_without_exit(body, spreads):
            found &= ~on[n][:, maker] if readers is None else ~on[n][:, maker] | on[n][:, readers].all(axis=1)
        return found

    def capable_units(self, einsum: CheckedEinsum) -> tuple[int, ...]:
        """The numbers of the units that have all operators of an Einsum, or of the one that the user fixed."""
        wanted = self.fixed.get(einsum.name)
        return tuple(
            i for i, unit in enumerate(self.arch.units)
            if not slots_of(self.checked, einsum, unit)[1] and wanted in (None, unit.name)
        )  # fmt: skip

    def spreads(self, unit: Unit, body: NestBody, capable: Sequence[tuple[int, ...]]) -> Iterator[Spread]:
        """The spreads over the axes of a unit, the empty one first: of variables of Einsums that it can run, with more than
        one point."""
        number = self.arch.units.index(unit)
        mine = dict.fromkeys(
            v for e, units in zip(body.einsums, capable, strict=True) if number in units for v in e.variables
        )
        variables = [v for v in mine if v not in self.steps and self.extent(v) > 1]
        axes = [axis for axis, _ in unit.axes]
        for used in range(min(len(axes), len(variables)) + 1):
            for places in combinations(axes, used):
                for chosen in permutations(variables, used):
                    yield tuple(sorted(zip(places, chosen, strict=True)))

    def cycles(self, einsum: CheckedEinsum, unit: Unit, spread: Spread) -> float:
        """The slots of an Einsum on a unit over the run; zero if the unit lacks an operator: it is never there."""
        slots = self.slots[einsum.name][unit.name]
        lengths = unit.lengths
        parallel = prod(self.mean(v, lengths[axis]) for axis, v in spread if v in einsum.variables)
        return slots / parallel

    def mean(self, variable: str, length: int) -> float:
        """The points of a variable that are spread over an axis of a length, in the mean of all tiles."""
        extent = self.extent(variable)
        return extent / -(-extent // tile_length(extent, length, variable in self.even))

    def assignments(self, capable: Sequence[tuple[int, ...]]) -> Integers:
        """Every assignment of Einsums to units that have their operators: a row each."""
        if prod(len(units) for units in capable) > MOST_ASSIGNMENTS:
            capable = [units[:1] for units in capable]
        return np.array(list(product(*capable)), int).reshape(-1, len(capable))

    def register_overflows(self, body: NestBody, spreads: Sequence[Spread]) -> Iterator[tuple[int, int]]:
        """Readers, by number, that cannot be on a unit: its registers cannot keep a tile for which they wait as a whole."""
        names = body.names
        outside = {*self.nest.batch, *self.nest.blocked, *body.looped}
        for (tensor, reader), kept in self.waiting.items():
            if tensor not in names or reader not in names:
                continue
            for n, unit in enumerate(self.arch.units):
                words = 1
                for variable in sorted(kept - outside):
                    axis = next((axis for axis, v in spreads[n] if v == variable), None)
                    mean = 1 if axis is None else self.mean(variable, unit.lengths[axis])
                    words *= round(self.extent(variable) / mean)
                entries = unit.registers.entries if unit.registers else None
                if words > 1 and tiles_in_flight(entries, words) < LEAST_IN_FLIGHT:
                    yield names.index(reader), n

    def results_without_exit(
        self, body: NestBody, spreads: Sequence[Spread]
    ) -> Iterator[tuple[int, list[int] | None, int]]:
        """Einsums whose result varies only along axes without an edge by which it could leave a unit, with the Einsums that
        must be there too; None if an Einsum of another body reads it, or it is an output."""
        for n, unit in enumerate(self.arch.units):
            if not unit.leaving:
                continue
            for i, einsum in enumerate(body.einsums):
                along = {axis for axis, v in spreads[n] if v in einsum.kept}
                if not unit.can_leave(along):
                    tensor = self.checked.tensors[einsum.name]
                    readers = [name for name in self.read_by[einsum.name] if name != einsum.name]
                    kept = is_output(tensor) or any(name not in body.names for name in readers)
                    yield i, None if kept else [body.names.index(name) for name in readers], n
