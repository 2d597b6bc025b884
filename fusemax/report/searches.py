"""What `fusemax map` found: the result, what changed to another mapping, and what the simulator says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from fusemax.mapper.result import MapResult
from fusemax.mapper.tables import result_tables
from fusemax.model.estimate import EinsumCost, Estimate
from fusemax.report.mapping_tree import ShownMapping
from fusemax.report.simulations import SimulationReport
from fusemax.units import readable_number
from fusemax.view import Table, csv_text


@dataclass(frozen=True)
class MapReport:
    """A result, with the estimate of another mapping and the run of the best one, if they were asked for, and the best one
    as it is shown."""

    result: MapResult
    against: Estimate | None = None
    run: SimulationReport | None = None
    shown: ShownMapping | None = None

    @property
    def wrong(self) -> bool:
        """Whether the best mapping computes something else than its cascade."""
        return self.run is not None and self.run.wrong

    def tables(self) -> Iterator[Table]:
        """The result, then what changed, then the run."""
        yield from result_tables(self.result)
        if self.against is not None and self.result.best:
            yield changes(self.result.best[0].estimate, self.against)
        if self.run is not None:
            yield from self.run.tables()

    def text(self, width: int | None = None) -> str:
        """All tables, then the best mapping as a file has it."""
        texts = [table.text(width) for table in self.tables()]
        if self.result.best:
            texts.append(str(self.result.best[0].mapping).rstrip())
        return "\n\n".join(texts)

    def to_json(self) -> dict[str, Any]:
        """The report as JSON data (docs/json.md)."""
        found = self.result.to_json()
        if self.against is not None and self.result.best:
            found["against"] = {"mapping": self.against.mapping, **ratios(self.result.best[0].estimate, self.against)}
        if self.run is not None:
            found["simulation"] = self.run.to_json()
        return found

    def to_csv(self) -> str:
        """A row for each mapping found."""
        return csv_text(self.result.rows(), "place")


def ratios(found: Estimate, other: Estimate) -> dict[str, float]:
    """Speed-up, and ratios of energy and traffic, of one mapping to another."""
    return {
        "speedup": float(other.latency_s) / float(found.latency_s),
        "energy_ratio": float(found.energy_j) / float(other.energy_j),
        "dram_ratio": float(found.dram_bytes) / float(other.dram_bytes),
    }


def changes(found: Estimate, other: Estimate) -> Table:
    """Where each Einsum runs and for how long, in both; and what that costs."""
    mine = {each.einsum: each for each in found.einsums}
    rows = [
        (name, _where(before), _where(mine.get(name)))
        for name, before in {each.einsum: each for each in other.einsums}.items()
        if _where(before) != _where(mine.get(name))
    ]
    ratio = ratios(found, other)
    below = (
        f"{ratio['speedup']:.4f}x as fast, {ratio['energy_ratio']:.4f} of the energy, {ratio['dram_ratio']:.4f} of the DRAM traffic",
        f"limited by {found.bound}, {other.mapping} by {other.bound}",
    )
    return Table(
        f"What changed to {other.mapping}, in cycles over the run",
        ("Einsum", "before", "now"),
        tuple(rows),
        below=below,
    )


def _where(cost: EinsumCost | None) -> str:
    """`array2d 86,016`"""
    if cost is None:
        return "-"
    return f"{cost.unit} {readable_number(round(float(np.max([cost.slot_cycles, cost.edge_cycles]))))}"
