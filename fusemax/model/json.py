"""The JSON of an estimate, documented in docs/json.md, and its points as rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fusemax.bind.extents import Amount
from fusemax.bind.parameters import ParameterValue
from fusemax.view import Json, Record

if TYPE_CHECKING:
    from fusemax.model.estimate import Estimate

JsonNumber = int | float | list[int | float] | list[float]


def estimate_json(found: Estimate) -> Json:
    """The estimate as JSON data."""
    return {
        "mapping": found.mapping,
        "cascade": found.cascade,
        "arch": found.arch,
        "model": found.model,
        "seq": found.seq,
        "shapes": {rank: number(size) for rank, size in found.shapes.items()},
        "parameters": {name: plain_value(value) for name, value in found.parameters.items()},
        "accounting": found.accounting,
        "latency_s": real(found.latency_s),
        "cycles": real(found.cycles),
        "energy_j": real(found.energy_j),
        "dram_bytes": real(found.dram_bytes),
        "utilization": {unit: real(share) for unit, share in found.utilization.items()},
        "bound": plain_value(found.bound),
        "operations": {kind: number(count) for kind, count in found.operations.items()},
        "memories": {
            memory: {"reads": number(reads), "writes": number(writes), "energy_j": real(found.memory_j[memory])}
            for memory, (reads, writes) in found.words.items()
        },
        "einsums": [
            {
                "einsum": einsum.einsum,
                "unit": einsum.unit,
                "slot_cycles": real(einsum.slot_cycles),
                "edge_cycles": real(einsum.edge_cycles),
                "utilization": real(einsum.utilization),
                "operations": {kind: number(count) for kind, count in einsum.operations.items()},
                "energy_j": real(einsum.energy_j),
            }
            for einsum in found.einsums
        ],
        "phases": [
            {"cycles": real(phase.cycles), "dram_bytes": real(phase.dram_bytes), "latency_s": real(phase.seconds)}
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
            if np.any(count.words)
        ],
        "notes": list(found.notes),
    }


def point_records(found: Estimate) -> list[Record]:
    """A row for each point: sizes, latency, cycles, energy, traffic, utilization of each unit, and the limiting resource."""
    columns: dict[str, Amount | str | NDArray[np.str_]] = {
        **found.shapes,
        "latency_s": found.latency_s,
        "cycles": found.cycles,
        "energy_j": found.energy_j,
    }
    columns |= {"dram_bytes": found.dram_bytes, "bound": found.bound}
    columns |= {f"utilization_{unit}": share for unit, share in found.utilization.items()}
    rows = np.broadcast_shapes(*(np.shape(column) for column in columns.values()), (1,))
    listed = [np.broadcast_to(np.asarray(column), rows).tolist() for column in columns.values()]
    return [dict(zip(columns, values, strict=True)) for values in zip(*listed, strict=True)]


def number(value: Amount) -> JsonNumber:
    """A count as JSON has it: an integer if it is one; of a grid, a list of them.

    >>> number(3), number(2.5), number(2.0**60), number(np.array([1.0, 1.5]))
    (3, 2.5, 1152921504606846976, [1, 1.5])
    """
    if isinstance(value, np.ndarray) and value.ndim:
        return [_whole(each) for each in value.tolist()]
    return _whole(value.item() if isinstance(value, np.ndarray | np.generic) else value)


def _whole(value: float) -> int | float:
    return int(value) if value == int(value) else float(value)


def real(value: Amount) -> JsonNumber:
    """A quantity as JSON has it: a float; of a grid, a list of them.

    >>> real(3), real(np.array([3, 4]))
    (3.0, [3.0, 4.0])
    """
    return [float(each) for each in value] if isinstance(value, np.ndarray) and value.ndim else float(value)


def plain_value(value: ParameterValue | NDArray[np.str_]) -> JsonNumber | str | list[str]:
    """A value without NumPy and tuples: a number, a text, or a list of them."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, np.ndarray | np.generic):
        found: JsonNumber | list[str] = value.tolist()
        return found
    return value if isinstance(value, int | float) else list(value)
