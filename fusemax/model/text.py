"""Estimates and comparisons as tables for a person."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fusemax.tables import Table
from fusemax.units import readable_bytes, readable_number, readable_seconds

if TYPE_CHECKING:
    from fusemax.model.compare import Comparison, Row
    from fusemax.model.estimate import Estimate

ARTIFACT = "artifact accounting has no register files and no drains, as the published numbers have none"
WORTH_A_NOTE = 0.01
"""A ratio that changes by more than this between accountings is worth a note."""


def readable_length(length: int) -> str:
    """A sequence length as papers write it.

    >>> readable_length(65536), readable_length(1000), readable_length(1048576)
    ('64K', '1000', '1M')
    """
    for factor, unit in ((2**20, "M"), (2**10, "K")):
        if length % factor == 0:
            return f"{length // factor}{unit}"
    return str(length)


# ---------------------------------------------------------------------------------------------------------- comparisons


def comparison_text(comparison: Comparison, width: int | None = None) -> str:
    """All tables of a comparison, in at most `width` columns, if that is possible."""
    return "\n\n".join(table.text(width) for table in comparison_tables(comparison))


def comparison_tables(comparison: Comparison) -> Iterator[Table]:
    """One table of all rows, one of averages if there is a baseline and several points, and notes."""
    units, ratios = comparison.units, comparison.baseline is not None
    at = ("model", "seq") if any(row.model for row in comparison.rows) else ()
    headers = (
        "mapping", *at, "latency", *(["speed-up"] if ratios else []), "energy", *(["energy ratio"] if ratios else []),
        "DRAM", *units, "limited by",
    )  # fmt: skip
    rows = tuple(_cells(row, units, bool(at), ratios) for row in comparison.rows)
    against = f", against {comparison.baseline}" if ratios else ""
    title = f"Mappings (energy accounting: {comparison.accounting}{against})"
    right = tuple(range(1 + (1 if at else 0), len(headers) - 1))
    yield Table(title, headers, rows, _legend(comparison), right)
    if ratios and len(comparison.points) > 1:
        yield _averages(comparison)
    if comparison.notes:
        told = (ARTIFACT,) if accounting_notes(comparison) else ()
        yield Table("Notes", below=(*comparison.notes, *told))


def _legend(comparison: Comparison) -> tuple[str, ...]:
    told = {"waits": "waits: no unit is busy all the time, stages wait for each other"}
    return tuple(text for word, text in told.items() if any(row.bound == word for row in comparison.rows))


def _cells(row: Row, units: Sequence[str], at: bool, ratios: bool) -> tuple[str, ...]:
    speedup = (f"{row.speedup:.4g}x" if row.speedup is not None else "-",) if ratios else ()
    energy = (f"{row.energy_ratio:.4g}" if row.energy_ratio is not None else "-",) if ratios else ()
    place = (row.model or "-", "-" if row.seq is None else readable_length(row.seq)) if at else ()
    return (
        row.mapping, *place, readable_seconds(row.latency_s), *speedup, f"{row.energy_j:.4g} J", *energy,
        readable_bytes(row.dram_bytes), *(percent(row.utilization.get(unit)) for unit in units), row.bound,
    )  # fmt: skip


def percent(share: float | None) -> str:
    """A share as a person reads it.

    >>> percent(0.88961), percent(None)
    ('89.0%', '-')
    """
    return "-" if share is None else f"{share:.1%}"


def averages(comparison: Comparison) -> dict[str, tuple[float, float, float]]:
    """For each mapping the arithmetic and geometric mean of its speed-ups, and the mean of its energy ratios."""
    return {mapping: _means(comparison.of(mapping)) for mapping in comparison.mappings}


def _means(rows: Sequence[Row]) -> tuple[float, float, float]:
    speedups = [row.speedup for row in rows if row.speedup is not None]
    energies = [row.energy_ratio for row in rows if row.energy_ratio is not None]
    geometric = math.exp(math.fsum(map(math.log, speedups)) / len(speedups))
    return math.fsum(speedups) / len(speedups), geometric, math.fsum(energies) / len(energies)


def _averages(comparison: Comparison) -> Table:
    rows = tuple(
        (mapping, f"{arithmetic:.5g}x", f"{geometric:.5g}x", f"{energy:.4g}")
        for mapping, (arithmetic, geometric, energy) in averages(comparison).items()
    )
    headers = ("mapping", "mean speed-up", "geometric mean", "mean energy ratio")
    title = f"Averages over {len(comparison.points)} points, against {comparison.baseline}"
    return Table(title, headers, rows, right=(1, 2, 3))


def accounting_notes(comparison: Comparison) -> tuple[str, ...]:
    """For each mapping whose energy ratio depends on the accounting, by how much it does."""
    found = []
    for mapping in comparison.mappings if comparison.others else ():
        mine = _means(comparison.of(mapping))[2]
        other = _means([row for row in comparison.others if row.mapping == mapping])[2]
        if abs(other / mine - 1) > WORTH_A_NOTE:
            name = "full" if comparison.accounting == "artifact" else "artifact"
            found.append(
                f"energy of {mapping} over {comparison.baseline}'s: {mine:.4g} under {comparison.accounting} accounting, "
                f"{other:.4g} under {name} ({other / mine - 1:+.1%})"
            )
    return tuple(found)


# ------------------------------------------------------------------------------------------------------------ estimates


def estimate_text(estimate: Estimate, width: int | None = None) -> str:
    """One estimate: the totals, then units, memories, phases, every Einsum, and traffic by tensor."""
    return "\n\n".join(table.text(width) for table in estimate_tables(estimate))


def estimate_tables(estimate: Estimate) -> Iterator[Table]:
    """One estimate as tables; of a grid of points, the first."""
    sizes = ", ".join(f"{rank}={one(size):.0f}" for rank, size in estimate.shapes.items())
    points = np.size(estimate.latency_s)
    below = (
        f"latency {readable_seconds(one(estimate.latency_s))}, {readable_number(round(one(estimate.cycles)))} cycles, "
        f"limited by {np.ravel(np.asarray(estimate.bound))[0]}",
        f"energy {one(estimate.energy_j):.5g} J (accounting: {estimate.accounting})",
        f"DRAM traffic {readable_bytes(one(estimate.dram_bytes))}",
        f"sizes {sizes}",
        *([f"the first of {points} points; `to_pandas()` has all"] if points > 1 else []),
    )
    yield Table(f"{estimate.mapping}: {estimate.cascade} on {estimate.arch}", below=below)
    units = tuple(
        (unit, percent(one(share)), _joules(_unit_j(estimate, unit))) for unit, share in estimate.utilization.items()
    )
    yield Table("Units", ("unit", "utilization", "energy"), units, right=(1, 2))
    memories = tuple(
        (memory, readable_number(one(reads)), readable_number(one(writes)), _joules(one(estimate.memory_j[memory])))
        for memory, (reads, writes) in estimate.words.items()
    )
    yield Table("Memories, in words", ("memory", "reads", "writes", "energy"), memories, right=(1, 2, 3))
    if len(estimate.phases) > 1:
        yield _phases(estimate)
    yield _einsums(estimate)
    headers = ("memory", "tensor", "for", "what", "words")
    yield Table("Traffic by tensor, in words", headers, tuple(_traffic(estimate)), right=(4,))


def _unit_j(estimate: Estimate, unit: str) -> float:
    return math.fsum(one(einsum.energy_j) for einsum in estimate.einsums if einsum.unit == unit)


def _joules(joules: float) -> str:
    return f"{joules:.4g} J"


def _phases(estimate: Estimate) -> Table:
    """The phases, of which each takes as long as the slower of its units and its traffic."""
    rows = tuple(
        (str(number), readable_number(round(one(p.cycles))), readable_bytes(one(p.dram_bytes)), readable_seconds(one(p.seconds)))
        for number, p in enumerate(estimate.phases, 1)
    )  # fmt: skip
    return Table("Phases", ("phase", "cycles", "DRAM", "latency"), rows, right=(1, 2, 3))


def _einsums(estimate: Estimate) -> Table:
    rows = tuple(
        (
            e.einsum, e.unit, readable_number(one(e.slot_cycles)), readable_number(one(e.edge_cycles)),
            percent(one(e.utilization)),
            ", ".join(f"{readable_number(one(n))} {kind}" for kind, n in e.operations.items()), _joules(one(e.energy_j)),
        )
        for e in estimate.einsums
    )  # fmt: skip
    headers = ("Einsum", "unit", "operations take", "edges take", "uses", "operations", "energy")
    return Table("Einsums, cycles over the run", headers, rows, right=(2, 3, 4, 6))


def _traffic(estimate: Estimate) -> Iterator[tuple[str, ...]]:
    for count in estimate.counts:
        if one(count.words):
            user = count.einsum if count.einsum != count.tensor else "-"
            yield count.memory, count.tensor, user, count.kind.value, readable_number(one(count.words))


def one(value: Any) -> float:
    """The value at the first point."""
    return float(np.ravel(np.asarray(value))[0])
