"""The values of a schedule: every task computes its tile from the arrays as they are when it begins."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fusemax.bind.bind import BoundMapping
from fusemax.bind.tensors import parts_of, views_of
from fusemax.errors import FusemaxError
from fusemax.ir.checked import CheckedEinsum
from fusemax.ir.expr import rank_of
from fusemax.ir.operators import REDUCERS
from fusemax.reference import UFUNCS, Run, Space, arrays_of, keeps_old
from fusemax.sim.program.program import TaskStream

Array = NDArray[np.float64]
Written = NDArray[np.bool_] | bool
Range = tuple[int, int]


@dataclass(frozen=True, slots=True, order=True)
class Pending:
    """The result of a task, written at tick `end`: its values over the kept variables, and where there are any."""

    end: int
    number: int
    space: Space = field(compare=False)
    values: Array = field(compare=False)
    written: Written = field(compare=False)


class ValueTracker:
    """The arrays of a run. Values that are not computed yet are NaN, so that a schedule that reads too early shows."""

    def __init__(self, bound: BoundMapping, inputs: Mapping[str, ArrayLike]) -> None:
        checked = bound.checked
        self.bound = bound
        self.sizes = {rank: int(size) for rank, size in bound.sizes.items()}
        self.run = Run(checked, self.sizes, arrays_of(checked, inputs))
        known = {tensor.name for tensor in checked.inputs}
        filtered = {einsum.name for einsum in checked.einsums if einsum.constraints}
        for einsum in checked.einsums:
            if einsum.name not in known | filtered:
                self.run.arrays[einsum.name][...] = np.nan
        views = views_of(checked)
        for einsum in checked.einsums:
            if einsum.name in views or einsum.initial:
                _check_initial(einsum, known)
                with np.errstate(all="ignore"):
                    self.run.compute(Space(einsum, self._everything(einsum), self.sizes))
                known.add(einsum.name)
        self.visited = {e.name: np.zeros(self.run.arrays[e.name].shape, bool) for e in checked.einsums if e.reductions}
        self.pending: list[Pending] = []
        self.count = 0

    def _everything(self, einsum: CheckedEinsum) -> dict[str, Range]:
        return {v: (0, self.sizes[rank_of(v)]) for v in einsum.variables}

    def begin(self, stream: TaskStream, number: int, start: int, end: int) -> None:
        """Compute a task's tile from the arrays as they are at its start; the result is there at its end."""
        self.settle(start)
        if stream.placement is None:
            return
        einsum = self.bound.plan.placements[stream.placement].einsum
        for ranges in self.boxes(einsum, stream.loops.coordinates(number)):
            space = Space(einsum, ranges, self.sizes)
            if keeps_old(einsum):
                self.run.keep_old(space)
            with np.errstate(all="ignore"):
                values, written = self.run.reduced(space)
            self.count += 1
            heappush(self.pending, Pending(end, self.count, space, values, written))

    def boxes(self, einsum: CheckedEinsum, at: Mapping[str, int]) -> Iterator[dict[str, Range]]:
        """The parts of the iteration space that a task computes: boxes in the cascade's own variables."""
        extents, splits = self.bound.nest.extents, self.bound.nest.splits
        choices = []
        for variable in einsum.variables:
            parts = parts_of((variable,), splits)
            ranges: list[Range] = [(0, 1)]
            for part in parts:
                extent = int(extents[part])
                inner = [(at[part], at[part] + 1)] if part in at else [(0, extent)]
                if part not in at and any(later in at for later in parts[parts.index(part) + 1 :]):
                    inner = [(i, i + 1) for i in range(extent)]
                ranges = [(low * extent + a, (high - 1) * extent + b) for low, high in ranges for a, b in inner]
            choices.append([(variable, found) for found in ranges])
        for box in product(*choices):
            yield dict(box)

    def settle(self, now: int) -> None:
        """Write the results that are finished by a time."""
        while self.pending and self.pending[0].end <= now:
            result = heappop(self.pending)
            self.write(result.space, result.values, result.written)

    def write(self, space: Space, values: Array, written: Written) -> None:
        """Write a part of a tensor; parts of a reduction are combined."""
        name = space.einsum.name
        array = self.run.arrays[name]
        at = space.written_places(array.shape)
        if space.einsum.reductions:
            seen = self.visited[name]
            reducer = space.einsum.reductions[-1].reducer
            before = np.where(seen[at], array[at], REDUCERS[reducer].identity)
            values = UFUNCS[reducer](before, np.where(written, values, REDUCERS[reducer].identity))
            written = seen[at] | written
            seen[at] = written
        array[at] = np.where(written, values, array[at])

    def outputs(self) -> dict[str, Array]:
        """The outputs, when all tasks have ended."""
        self.settle(max((result.end for result in self.pending), default=0))
        return {tensor.name: self.run.arrays[tensor.name] for tensor in self.bound.checked.outputs}


def _check_initial(einsum: CheckedEinsum, known: set[str]) -> None:
    missing = [use.tensor for use in einsum.reads if use.tensor not in known]
    if missing:
        raise FusemaxError(
            f"the initial value of '{einsum.name}' is computed from {missing[0]}, which the schedule computes",
            "simulate without numbers",
        )
