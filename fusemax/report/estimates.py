"""What `fusemax evaluate` found: one estimate with where and with which parameters it was made; its JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fusemax.model.estimate import Estimate
from fusemax.model.tables import estimate_tables, one
from fusemax.units import readable_length
from fusemax.view import Table


@dataclass(frozen=True)
class EvaluationReport:
    """An estimate at one point; `parameters` are those that are not at their defaults, `notes` what was assumed."""

    estimate: Estimate
    model: str | None
    seq: int | None
    parameters: Mapping[str, Any]
    notes: tuple[str, ...] = ()

    def tables(self) -> Iterator[Table]:
        """The estimate as tables, the first with its model and parameters."""
        head, *rest = estimate_tables(self.estimate)
        model = (
            [f"model {self.model}{'' if self.seq is None else f' at {readable_length(self.seq)}'}"]
            if self.model
            else []
        )
        set_ = ", ".join(f"{name} = {_shown(value)}" for name, value in self.parameters.items())
        below = (
            *head.below,
            *model,
            *([f"parameters {set_}"] if set_ else []),
            *(f"note: {note}" for note in self.notes),
        )
        yield Table(head.title, below=below)
        yield from rest

    def text(self, width: int | None = None) -> str:
        """All tables."""
        return "\n\n".join(table.text(width) for table in self.tables())

    def __str__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        return "".join(table.html() for table in self.tables())

    def to_json(self) -> dict[str, Any]:
        """The report as JSON data (docs/json.md)."""
        found = self.estimate
        parameters = {
            name: list(value) if isinstance(value, tuple) else value for name, value in self.parameters.items()
        }
        return {
            "mapping": found.mapping,
            "cascade": found.cascade,
            "arch": found.arch,
            "model": self.model,
            "seq": self.seq,
            "shapes": {rank: number(size) for rank, size in found.shapes.items()},
            "parameters": parameters,
            "accounting": found.accounting,
            "latency_s": one(found.latency_s),
            "cycles": one(found.cycles),
            "energy_j": one(found.energy_j),
            "dram_bytes": one(found.dram_bytes),
            "utilization": {unit: one(share) for unit, share in found.utilization.items()},
            "bound": str(found.bound),
            "operations": {kind: number(count) for kind, count in found.operations.items()},
            "memories": {
                memory: {"reads": number(reads), "writes": number(writes), "energy_j": one(found.memory_j[memory])}
                for memory, (reads, writes) in found.words.items()
            },
            "einsums": [
                {
                    "einsum": einsum.einsum,
                    "unit": einsum.unit,
                    "slot_cycles": one(einsum.slot_cycles),
                    "edge_cycles": one(einsum.edge_cycles),
                    "utilization": one(einsum.utilization),
                    "operations": {kind: number(count) for kind, count in einsum.operations.items()},
                    "energy_j": one(einsum.energy_j),
                }
                for einsum in found.einsums
            ],
            "phases": [
                {"cycles": one(phase.cycles), "dram_bytes": one(phase.dram_bytes), "latency_s": one(phase.seconds)}
                for phase in found.phases
            ],
            "traffic": [
                {
                    "memory": count.memory,
                    "tensor": count.tensor,
                    "einsum": None if count.einsum == count.tensor else count.einsum,
                    "kind": count.kind.value,
                    "reads": count.reads,
                    "words": number(count.words),
                }
                for count in found.counts
                if one(count.words)
            ],
            "notes": list(self.notes),
        }


def number(value: Any) -> int | float:
    """A count as JSON has it: an integer if it is one.

    >>> number(3), number(2.5), number(2.0**60)
    (3, 2.5, 1152921504606846976)
    """
    if isinstance(value, int):
        return value
    found = one(value)
    return int(found) if found == int(found) else found


def _shown(value: Any) -> str:
    return (" ".join(value) or "()") if isinstance(value, tuple) else str(value)
