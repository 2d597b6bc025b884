"""Comparisons as tables."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from fusemax.model.estimate import SYNCHRONIZATION
from fusemax.model.tables import percent
from fusemax.units import readable_bytes, readable_length, readable_seconds
from fusemax.view import Table

if TYPE_CHECKING:
    from fusemax.study.compare import Comparison, Row

PUBLISHED = "published accounting has no register files and no drains, as the published numbers have none"
WORTH_A_NOTE = 0.01
"""A ratio that changes by more than this between accountings is worth a note."""


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
        told = (PUBLISHED,) if accounting_notes(comparison) else ()
        yield Table("Notes", below=(*comparison.notes, *told))


def _legend(comparison: Comparison) -> tuple[str, ...]:
    limited = any(row.bound == SYNCHRONIZATION for row in comparison.rows)
    return (f"{SYNCHRONIZATION}: no unit is busy all the time, stages wait for each other",) if limited else ()


def _cells(row: Row, units: Sequence[str], at: bool, ratios: bool) -> tuple[str, ...]:
    speedup = (f"{row.speedup:.4g}x" if row.speedup is not None else "-",) if ratios else ()
    energy = (f"{row.energy_ratio:.4g}" if row.energy_ratio is not None else "-",) if ratios else ()
    place = (row.model or "-", "-" if row.seq is None else readable_length(row.seq)) if at else ()
    return (
        row.mapping, *place, readable_seconds(row.latency_s), *speedup, f"{row.energy_j:.4g} J", *energy,
        readable_bytes(row.dram_bytes), *(percent(row.utilization.get(unit)) for unit in units), row.bound,
    )  # fmt: skip


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
    """A note for each mapping whose energy ratio depends on the accounting, with both ratios."""
    found = []
    for mapping in comparison.mappings if comparison.others else ():
        mine = _means(comparison.of(mapping))[2]
        other = _means([row for row in comparison.others if row.mapping == mapping])[2]
        if abs(other / mine - 1) > WORTH_A_NOTE:
            name = "full" if comparison.accounting == "published" else "published"
            found.append(
                f"energy of {mapping} over {comparison.baseline}'s: {mine:.4g} under {comparison.accounting} accounting, "
                f"{other:.4g} under {name} ({other / mine - 1:+.1%})"
            )
    return tuple(found)
