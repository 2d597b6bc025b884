"""Who runs what, and what is spread over its axes: every choice for a body of Einsums, with the slots that it takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations, permutations, product
from math import prod
from typing import Any

import numpy as np

from fusemax.analysis.counting import points
from fusemax.bind.registers import iterative_variables, room, waiting
from fusemax.bind.tensors import is_output
from fusemax.ir.arch import Arch, Unit
from fusemax.ir.checked import Checked, CheckedEinsum
from fusemax.ir.expr import rank_of
from fusemax.mapper.cost.candidates import divisors
from fusemax.mapper.space.bounds import crossings, entering_cycles, leaves, leaving_cycles
from fusemax.mapper.space.nests import Body, Nest
from fusemax.model.cycles import slots_of
from fusemax.model.energy import as_done
from fusemax.model.filters import number_of
from fusemax.model.operations import operations_on

MOST_ASSIGNMENTS = 1 << 16
"""Assignments of a body's Einsums to units that are listed; beyond, an Einsum goes where it takes fewest slots."""
LEAST_IN_FLIGHT = 2
"""Tiles that an array works on at once at least: with one, all its reductions drain before the next begins."""

Spread = tuple[tuple[str, str], ...]
"""Axes of a unit, each with the variable that is spread over it."""


@dataclass(frozen=True, slots=True)
class Layout:
    """One choice for a body: the unit of each of its Einsums, and what is spread over the axes of each unit."""

    units: tuple[str, ...]
    spreads: tuple[tuple[str, Spread], ...]

    def spread(self, unit: str) -> Spread:
        """What is spread over the axes of a unit."""
        return dict(self.spreads).get(unit, ())


@dataclass(frozen=True)
class Layouts:
    """All choices for a body; `cycles` has what the units take at least over the run, a row a choice, a column a unit, and
    `joules` what the operations take.

    A choice is a row of `spreads` with a row of `assignments`; `pairs` has their numbers.
    """

    arch: Arch
    spreads: tuple[tuple[Spread, ...], ...]
    assignments: Any
    pairs: Any
    cycles: Any
    joules: Any
    odd: Any

    def layout(self, number: int) -> Layout:
        """One choice."""
        spreads, units = self.spreads[self.pairs[number, 0]], self.assignments[self.pairs[number, 1]]
        names = [unit.name for unit in self.arch.units]
        used = tuple((names[u], spreads[u]) for u in sorted(set(units.tolist())) if spreads[u])
        return Layout(tuple(names[u] for u in units), used)


@cache
def fitted(extent: int, length: int, even: bool) -> int:
    """The points of a variable that are spread over an axis: the largest divisor that is not longer, or, if that makes
    fewer tiles, the longest tiles of which the last is shorter, but no single point; not if tiles must be `even`.

    >>> fitted(1000, 256, False), fitted(64, 256, False), fitted(257, 256, False), fitted(257, 256, True)
    (250, 64, 129, 1)
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
    """Lists the layouts of the bodies of a nest, for sizes that are known."""

    def __init__(
        self,
        checked: Checked,
        arch: Arch,
        nest: Nest,
        sizes: Mapping[str, int],
        fixed: Mapping[str, str],
        even: bool = False,
    ) -> None:
        self.checked, self.arch, self.nest, self.sizes, self.fixed = checked, arch, nest, sizes, fixed
        self.even = even_variables(checked, even)
        self.cut = False
        iterative = iterative_variables(checked.tensors)
        self.steps = set(iterative.values())
        einsums = [e for body in nest.bodies for e in body.einsums]
        self.waiting = waiting(einsums, iterative)
        self.slots = {e.name: {unit.name: self.work(e, unit) for unit in arch.units} for e in einsums}
        self.joules = {e.name: [self.energy(e, unit) for unit in arch.units] for e in einsums}
        self.known: dict[Any, tuple[float, tuple[tuple[int, float], ...]]] = {}
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
        return 0.0 if missing else float(slots * number_of(space, self.sizes))

    def energy(self, einsum: CheckedEinsum, unit: Unit) -> float:
        """The joules of the operations of an Einsum over the run, without registers."""
        joules = 0.0
        each = {op.name: op.energy_j or 0.0 for op in unit.ops}
        for kind, counts in operations_on(self.checked, einsum, unit).items():
            name, times = as_done(kind, unit)
            number = sum(float(n * number_of(at, self.sizes)) for at, n in counts.items())
            joules += number * times * each.get(name, 0.0)
        return joules

    def count(self, body: Body) -> int:
        """How many choices for a body are looked at."""
        able = [self.able(einsum) for einsum in body.einsums]
        spreads = prod(sum(1 for _ in self.spreads(unit, body, able)) for unit in self.arch.units)
        return spreads * min(prod(len(units) for units in able), MOST_ASSIGNMENTS)

    def layouts(self, body: Body) -> Layouts:
        """All choices for a body that the operators of the units and their registers allow."""
        able = [self.able(einsum) for einsum in body.einsums]
        every = tuple(product(*(tuple(self.spreads(unit, body, able)) for unit in self.arch.units)))
        first = every[0]
        assignments = self.assignments(able)
        on = [assignments == n for n in range(len(self.arch.units))]
        joules = sum(on[n] @ np.array([self.joules[e.name][n] for e in body.einsums]) for n in range(len(on)))
        pairs, rows = [np.empty((0, 2), int)], [np.empty((0, len(on)))]
        good = {spreads: self.good(body, assignments, on, spreads, first) for spreads in every}
        for number, spreads in enumerate(every):
            fuller = [good[other] for other in self.extended(spreads) if other in good]
            chosen = np.flatnonzero(good[spreads] & ~np.any([np.zeros(len(assignments), bool), *fuller], axis=0))
            pairs.append(np.column_stack([np.full(len(chosen), number), chosen]))
            rows.append(self.loads(body, assignments[chosen], spreads))
        chosen = np.concatenate(pairs)
        odd = np.array([self.oddity(spreads) for spreads in every])
        return Layouts(
            self.arch,
            every,
            assignments,
            chosen,
            np.concatenate(rows),
            np.asarray(joules)[chosen[:, 1]],
            odd[chosen[:, 0]],
        )

    def extended(self, spreads: tuple[Spread, ...]) -> Iterator[tuple[Spread, ...]]:
        """The choices that use one more axis: whatever can be spread over it is."""
        variables = dict.fromkeys(v for body in self.nest.bodies for v in body.variables)
        for n, (unit, spread) in enumerate(zip(self.arch.units, spreads, strict=True)):
            used = dict(spread)
            for axis, _ in unit.axes:
                for variable in variables if axis not in used else ():
                    if variable not in used.values():
                        yield (*spreads[:n], tuple(sorted((*spread, (axis, variable)))), *spreads[n + 1 :])

    def oddity(self, spreads: Sequence[Spread]) -> int:
        """How unlikely a choice is: variables of every tensor bring no reuse, and many different ones fit no loops."""
        variables = [v for spread in spreads for _, v in spread]
        return len(set(variables)) + 2 * sum(v in self.nest.batch for v in variables)

    def loads(self, body: Body, assignments: Any, spreads: Sequence[Spread]) -> Any:
        """The cycles of each unit, a row an assignment: what its Einsums take by their slots or by what must cross its
        edges, whichever is more."""
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
        self, body: Body, einsum: CheckedEinsum, unit: Unit, spread: Spread
    ) -> tuple[float, tuple[tuple[int, float], ...]]:
        """The least cycles of an Einsum on a unit; and by the number of another Einsum, what it takes at least if that one
        is elsewhere."""
        key = (body.names, einsum.name, unit.name, spread)
        if key not in self.known:
            lengths = dict(unit.axes)
            points_ = {v: self.mean(v, lengths[axis]) for axis, v in spread}
            looped = {*self.nest.batch, *self.nest.blocked, *body.looped}
            inside = [(v, self.extent(v) / points_.get(v, 1)) for v in einsum.reduced if v not in looped]
            least = self.cycles(einsum, unit, spread)
            if leaves(self.checked, body, einsum, self.read_by[einsum.name]):
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

    def good(
        self, body: Body, assignments: Any, on: Sequence[Any], spreads: Sequence[Spread], first: Sequence[Spread]
    ) -> Any:
        """Which assignments use every axis, and find room in registers for what waits there; idle units count once."""
        good = np.ones(len(assignments), bool)
        for n, spread in enumerate(spreads):
            works = on[n].any(axis=1)
            for _, variable in spread:
                users = [i for i, einsum in enumerate(body.einsums) if variable in einsum.variables]
                good &= on[n][:, users].any(axis=1) | ~works
            if spread != first[n]:
                good &= works
        for reader, n in self.tight(body, spreads):
            good &= ~on[n][:, reader]
        for maker, readers, n in self.stuck(body, spreads):
            good &= ~on[n][:, maker] if readers is None else ~on[n][:, maker] | on[n][:, readers].all(axis=1)
        return good

    def able(self, einsum: CheckedEinsum) -> tuple[int, ...]:
        """The units that have all operators of an Einsum, or the one that a user wants it on."""
        wanted = self.fixed.get(einsum.name)
        return tuple(
            i for i, unit in enumerate(self.arch.units)
            if not slots_of(self.checked, einsum, unit)[1] and wanted in (None, unit.name)
        )  # fmt: skip

    def spreads(self, unit: Unit, body: Body, able: Sequence[tuple[int, ...]]) -> Iterator[Spread]:
        """What may be spread over the axes of a unit, at first nothing: variables of Einsums that it can run, with more
        than one point."""
        number = self.arch.units.index(unit)
        mine = dict.fromkeys(
            v for e, units in zip(body.einsums, able, strict=True) if number in units for v in e.variables
        )
        variables = [v for v in mine if v not in self.steps and self.extent(v) > 1]
        axes = [axis for axis, _ in unit.axes]
        for used in range(min(len(axes), len(variables)) + 1):
            for places in combinations(axes, used):
                for chosen in permutations(variables, used):
                    yield tuple(sorted(zip(places, chosen, strict=True)))

    def cycles(self, einsum: CheckedEinsum, unit: Unit, spread: Spread) -> float:
        """The slots that an Einsum takes on a unit over the run; none if the unit lacks an operator: it is not there."""
        slots = self.slots[einsum.name][unit.name]
        lengths = dict(unit.axes)
        parallel = prod(self.mean(v, lengths[axis]) for axis, v in spread if v in einsum.variables)
        return slots / parallel

    def mean(self, variable: str, length: int) -> float:
        """The points of a variable that are spread over an axis of a length, in the mean of all tiles."""
        extent = self.extent(variable)
        return extent / -(-extent // fitted(extent, length, variable in self.even))

    def assignments(self, able: Sequence[tuple[int, ...]]) -> Any:
        """Every assignment of Einsums to units that have their operators: a row each."""
        if prod(len(units) for units in able) > MOST_ASSIGNMENTS:
            able, self.cut = [units[:1] for units in able], True
        return np.array(list(product(*able)), int).reshape(-1, len(able))

    def tight(self, body: Body, spreads: Sequence[Spread]) -> Iterator[tuple[int, int]]:
        """Readers that cannot be on a unit: its registers cannot keep the tile for which they wait as a whole."""
        names = body.names
        outside = {*self.nest.batch, *self.nest.blocked, *body.looped}
        for (tensor, reader), kept in self.waiting.items():
            if tensor not in names or reader not in names:
                continue
            for n, unit in enumerate(self.arch.units):
                words = 1
                for variable in sorted(kept - outside):
                    axis = next((axis for axis, v in spreads[n] if v == variable), None)
                    mean = 1 if axis is None else self.mean(variable, dict(unit.axes)[axis])
                    words *= round(self.extent(variable) / mean)
                entries = unit.registers.entries if unit.registers else None
                if words > max(1, room(entries) // LEAST_IN_FLIGHT):
                    yield names.index(reader), n

    def stuck(self, body: Body, spreads: Sequence[Spread]) -> Iterator[tuple[int, list[int] | None, int]]:
        """Einsums whose result varies along axes only at which no edge lets it out of a unit, with the Einsums that must
        be there too; None if others than these need it."""
        for n, unit in enumerate(self.arch.units):
            exits = unit.leaving.keys()
            if not exits:
                continue
            for i, einsum in enumerate(body.einsums):
                along = {axis for axis, v in spreads[n] if v in einsum.kept}
                if along and not along & exits:
                    tensor = self.checked.tensors[einsum.name]
                    readers = [name for name in self.read_by[einsum.name] if name != einsum.name]
                    kept = is_output(tensor) or any(name not in body.names for name in readers)
                    yield i, None if kept else [body.names.index(name) for name in readers], n
