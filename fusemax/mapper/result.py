"""The result of a search: mappings with their costs, statistics of the search, and reasons why no mapping is better."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar, assert_never

import numpy as np

from fusemax.ir.arch import Arch
from fusemax.ir.checked import Checked
from fusemax.ir.mapping import Mapping as MappingFile
from fusemax.mapper.objective import Objective
from fusemax.mapper.search.search import SAME, Search
from fusemax.model.estimate import Estimate
from fusemax.model.tables import one
from fusemax.sim.trace import Trace
from fusemax.units import readable_bytes
from fusemax.view import Json, Record, Result, Table


@dataclass(frozen=True)
class Found:
    """A mapping, its estimate, and its value of the objective."""

    mapping: MappingFile
    estimate: Estimate
    value: float


@dataclass(frozen=True)
class Statistics:
    """The numbers of layouts listed, of trees and of candidates costed, of candidates that fit, and of trees refused, by
    reason. `proven`: no mapping of the space is better."""

    strategy: str
    considered: int
    trees: int
    costed: int
    fitting: int
    refused: tuple[tuple[str, int], ...]
    proven: bool
    interrupted: bool
    seconds: float


@dataclass(frozen=True)
class MapResult(Result):
    """The best mappings, best first; the objective, `least`, the lower bound of its value in the space, and the space in
    words: `among ...`. `model` and `seq` say where the sizes are from, if they are from a workload; `against` is another
    mapping to compare with, `simulation` the run of the best one, if there are any."""

    first_column: ClassVar[str] = "place"
    cascade: str
    arch: str
    objective: str
    shapes: dict[str, int]
    best: tuple[Found, ...]
    least: float
    reasons: tuple[str, ...]
    statistics: Statistics
    space: str
    checked: Checked = field(repr=False, compare=False)
    machine: Arch = field(repr=False, compare=False)
    model: str | None = None
    seq: int | None = None
    against: Estimate | None = None
    simulation: Trace | None = None

    @staticmethod
    def of(checked: Checked, arch: Arch, search: Search, seconds: float, found: tuple[Found, ...]) -> MapResult:
        """The result of a search that has ended."""
        space = search.space
        proven = search.proven and not search.interrupted and (search.whole or _reached(search))
        statistics = Statistics(
            search.options.strategy, space.considered, search.trees, search.costed, search.fitting,
            tuple(search.refused.most_common()), proven, search.interrupted, seconds,
        )  # fmt: skip
        least = search.least
        reasons = tuple(_reasons(arch, search, found[0], proven)) if found else ()
        return MapResult(
            checked.cascade.name,
            arch.name,
            search.objective.value,
            dict(space.shapes),
            found,
            least,
            reasons,
            statistics,
            space.title,
            checked,
            arch,
        )

    @property
    def wrong(self) -> bool:
        """Whether the numbers of the best mapping were checked, and are not those of its cascade."""
        return self.simulation is not None and self.simulation.wrong

    def winner(self) -> Found:
        """The best mapping of a search that came to its end. Raises `KeyboardInterrupt` if it was stopped."""
        if self.statistics.interrupted:
            raise KeyboardInterrupt
        return self.best[0]

    def tables(self) -> Iterator[Table]:
        """The best mappings and what was searched; the changes to another mapping; the run of the best one."""
        from fusemax.mapper.tables import result_tables

        return result_tables(self)

    def annex(self, width: int | None) -> Iterator[str]:
        """The best mapping as a file has it."""
        if self.best:
            yield str(self.best[0].mapping).rstrip()

    def records(self) -> list[Record]:
        """The cost of each mapping found, as plain data."""
        return [
            {
                "place": place,
                "latency_s": float(each.estimate.latency_s),
                "cycles": float(each.estimate.cycles),
                "energy_j": float(each.estimate.energy_j),
                "dram_bytes": float(each.estimate.dram_bytes),
                **{f"utilization_{unit}": float(share) for unit, share in each.estimate.utilization.items()},
                "bound": str(each.estimate.bound),
            }
            for place, each in enumerate(self.best, 1)
        ]

    def to_json(self) -> Json:
        """The result as JSON data (docs/json.md)."""
        from fusemax.mapper.tables import ratios

        s = self.statistics
        found = {
            "cascade": self.cascade,
            "arch": self.arch,
            "objective": self.objective,
            "shapes": self.shapes,
            "least": self.least if np.isfinite(self.least) else None,
            "proven": s.proven,
            "space": self.space,
            "best": [{**row, "mapping": str(f.mapping)} for row, f in zip(self.records(), self.best, strict=True)],
            "reasons": list(self.reasons),
            "search": {
                "strategy": s.strategy, "considered": s.considered, "trees": s.trees, "costed": s.costed,
                "fitting": s.fitting, "refused": dict(s.refused), "interrupted": s.interrupted, "seconds": s.seconds,
            },
        }  # fmt: skip
        if self.against is not None and self.best:
            found["against"] = {"mapping": self.against.mapping, **ratios(self.best[0].estimate, self.against)}
        if self.simulation is not None:
            found["simulation"] = self.simulation.to_json()
        return found


def _reached(search: Search) -> bool:
    """Whether the best value is the lower bound of the space."""
    return search.value() <= search.least * (1 + SAME)


def _reasons(arch: Arch, search: Search, found: Found, proven: bool) -> Iterator[str]:
    """The bottleneck, and the bound of other mappings."""
    estimate = found.estimate
    bound = str(estimate.bound)
    busy: dict[str, float] = {}
    for einsum in estimate.einsums:
        busy[einsum.unit] = busy.get(einsum.unit, 0.0) + one(einsum.cycles)
    if bound in busy:
        mine = [e for e in estimate.einsums if e.unit == bound]
        longest = sorted(mine, key=lambda e: -one(e.cycles))
        each = ", ".join(f"{e.einsum} {one(e.cycles) / busy[bound]:.0%}" for e in longest[:4])
        yield f"'{bound}' binds: it is busy for {busy[bound] / float(estimate.cycles):.1%} of the time, {each}"
    else:
        yield f"'{bound}' binds: {readable_bytes(float(estimate.dram_bytes))} are moved"
    for unit in arch.units:
        if unit.name != bound and unit.name in busy:
            yield f"'{unit.name}' is busy for {busy[unit.name] / float(estimate.cycles):.1%} of the time"
    floor = search.space.least_bytes
    if floor:
        yield f"DRAM traffic is {float(estimate.dram_bytes) / floor:.3g} times that of inputs and outputs"
    if _reached(search):
        yield f"no mapping can be better: {_meaning(search.objective)}"
    elif proven:
        yield "no mapping of the space is better: all that could be were costed"


def _meaning(objective: Objective) -> str:
    """The meaning of the bound of an objective."""
    match objective:
        case Objective.LATENCY:
            return (
                "no assignment of the Einsums to units takes fewer cycles, nor do inputs and outputs come in less time"
            )
        case Objective.DRAM:
            return "every input is read once, and every output is written once"
        case Objective.ENERGY | Objective.EDP:
            return "the bound of the space is reached"
    assert_never(objective)
