"""Estimates and comparisons as tables for a person."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fusemax.tables import Table
from fusemax.units import readable_bytes, readable_number

if TYPE_CHECKING:
    from fusemax.model.compare import Comparison, Row
    from fusemax.model.estimate import Estimate


def readable_seconds(seconds: float) -> str:
    """Seconds as a person reads them.

    >>> readable_seconds(0.00201314), readable_seconds(118.2793)
    ('2.013 ms', '118.3 s')
    """
    for factor, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"), (1e-9, "ns")):
        if seconds >= factor or unit == "ns":
            return f"{seconds / factor:.4g} {unit}"
    raise AssertionError


def readable_length(length: int) -> str:
    """A sequence length as papers write it.

    >>> readable_length(65536), readable_length(1000), readable_length(1048576)
    ('64K', '1000', '1M')
    """
    for factor, unit in ((2**20, "M"), (2**10, "K")):
        if length % factor == 0:
            return f"{length // factor}{unit}"
    return str(length)


def comparison_text(comparison: Comparison) -> str:
    """All tables of a comparison."""
    return "\n\n".join(table.text() for table in comparison_tables(comparison))


def comparison_tables(comparison: Comparison) -> Iterator[Table]:
    """One table of all rows, and, with a baseline and several points, one of averages."""
    units = list(dict.fromkeys(unit for row in comparison.rows for unit in row.utilization))
    ratios = ("speed-up", "energy ratio") if comparison.baseline else ()
    headers = ("mapping", "model", "seq", "latency", *ratios[:1], "energy", *ratios[1:], "DRAM", *units, "limited by")
    rows = tuple(_cells(row, units, comparison.baseline is not None) for row in comparison.rows)
    against = f", against {comparison.baseline}" if comparison.baseline else ""
    yield Table(f"Mappings (energy accounting: {comparison.accounting}{against})", headers, rows, _legend(comparison))
    points = {(row.model, row.seq) for row in comparison.rows}
    if comparison.baseline and len(points) > 1:
        yield _averages(comparison)


def _legend(comparison: Comparison) -> tuple[str, ...]:
    told = {"waits": "waits: no unit is busy all the time, stages wait for each other"}
    return tuple(text for word, text in told.items() if any(row.bound == word for row in comparison.rows))


def _cells(row: Row, units: Sequence[str], ratios: bool) -> tuple[str, ...]:
    speedup = (f"{row.speedup:.4g}x" if row.speedup else "-",) if ratios else ()
    energy = (f"{row.energy_ratio:.4g}" if row.energy_ratio else "-",) if ratios else ()
    return (
        row.mapping, row.model, readable_length(row.seq), readable_seconds(row.latency_s), *speedup,
        f"{row.energy_j:.4g} J", *energy, readable_bytes(row.dram_bytes),
        *(f"{row.utilization[unit]:.1%}" if unit in row.utilization else "-" for unit in units), row.bound,
    )  # fmt: skip


def averages(comparison: Comparison) -> dict[str, tuple[float, float, float]]:
    """For each mapping the arithmetic and geometric mean of its speed-ups, and the mean of its energy ratios."""
    found = {}
    for mapping in comparison.mappings:
        rows = [row for row in comparison.of(mapping) if row.speedup is not None and row.energy_ratio is not None]
        speedups = [row.speedup or 0.0 for row in rows]
        found[mapping] = (
            sum(speedups) / len(rows),
            math.exp(sum(map(math.log, speedups)) / len(rows)),
            sum(row.energy_ratio or 0.0 for row in rows) / len(rows),
        )
    return found


def _averages(comparison: Comparison) -> Table:
    rows = tuple(
        (mapping, f"{arithmetic:.5g}x", f"{geometric:.5g}x", f"{energy:.4g}")
        for mapping, (arithmetic, geometric, energy) in averages(comparison).items()
    )
    headers = ("mapping", "mean speed-up", "geometric mean", "mean energy ratio")
    points = len({(row.model, row.seq) for row in comparison.rows})
    return Table(f"Over {points} points, against {comparison.baseline}", headers, rows)


def estimate_text(estimate: Estimate) -> str:
    """One estimate: the totals, then memories, units, and every Einsum."""
    return "\n\n".join(table.text() for table in estimate_tables(estimate))


def estimate_tables(estimate: Estimate) -> Iterator[Table]:
    """One estimate as tables."""
    sizes = ", ".join(f"{rank}={size}" for rank, size in estimate.shapes.items())
    below = [
        f"latency {readable_seconds(_one(estimate.latency_s))}, {readable_number(round(_one(estimate.cycles)))} cycles, "
        f"limited by {estimate.bound}",
        f"energy {_one(estimate.energy_j):.5g} J (accounting: {estimate.accounting})",
        f"DRAM traffic {readable_bytes(_one(estimate.dram_bytes))}",
    ]
    yield Table(f"{estimate.mapping} on {estimate.arch}: {estimate.cascade} with {sizes}", (), (), tuple(below))
    yield Table("Units", ("unit", "utilization"), tuple((u, f"{_one(v):.2%}") for u, v in estimate.utilization.items()))
    memories = tuple(
        (memory, readable_number(_one(reads)), readable_number(_one(writes)), f"{_one(estimate.memory_j[memory]):.4g} J")
        for memory, (reads, writes) in estimate.words.items()
    )
    yield Table("Memories, in words", ("memory", "reads", "writes", "energy"), memories)
    rows = tuple(
        (e.einsum, e.unit, readable_number(_one(e.slot_cycles)), readable_number(_one(e.edge_cycles)),
         ", ".join(f"{readable_number(_one(n))} {kind}" for kind, n in e.operations.items()), f"{_one(e.energy_j):.4g} J")
        for e in estimate.einsums
    )  # fmt: skip
    yield Table("Einsums, cycles over the run", ("Einsum", "unit", "operations need", "edges need", "operations", "energy"), rows)
    traffic = _traffic(estimate)
    yield Table("Traffic by tensor, in words", ("memory", "tensor", "Einsum", "what", "words"), traffic)


def _traffic(estimate: Estimate) -> tuple[tuple[str, ...], ...]:
    return tuple(
        (c.memory, c.tensor, c.einsum if c.einsum != c.tensor else "-", c.kind.value, readable_number(_one(c.words)))
        for c in estimate.counts
        if _one(c.words)
    )


def _one(value: Any) -> float:
    """The value at the first point."""
    return float(np.ravel(np.asarray(value))[0])
