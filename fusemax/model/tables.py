"""Estimates as tables."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from fusemax.bind.extents import Amount
from fusemax.bind.parameters import ParameterValue
from fusemax.units import readable_bytes, readable_number, readable_seconds
from fusemax.view import Table, model_line

if TYPE_CHECKING:
    from fusemax.model.estimate import Estimate


def percent(share: float | None) -> str:
    """A share as a text, in percent.

    >>> percent(0.88961), percent(None)
    ('89.0%', '-')
    """
    return "-" if share is None else f"{share:.1%}"


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
        *model_line(estimate.model, estimate.seq),
        *_parameters(estimate),
        *(f"note: {note}" for note in estimate.notes),
    )
    yield Table(f"{estimate.mapping}: {estimate.cascade} on {estimate.arch}", below=below)
    units = tuple(
        (unit, percent(one(share)), _joules(unit_j(estimate, unit))) for unit, share in estimate.utilization.items()
    )
    yield Table("Units", ("unit", "utilization", "energy"), units, right=(1, 2))
    memories = tuple(
        (
            memory,
            readable_number(one(reads)),
            readable_number(one(writes)),
            _joules(one(estimate.memory_j[memory])),
        )
        for memory, (reads, writes) in estimate.words.items()
    )
    yield Table("Memories, in words", ("memory", "reads", "writes", "energy"), memories, right=(1, 2, 3))
    if len(estimate.phases) > 1:
        yield _phases(estimate)
    yield _einsums(estimate)
    headers = ("memory", "tensor", "for", "kind", "words")
    yield Table("Traffic by tensor, in words", headers, tuple(_traffic(estimate)), right=(4,))


def _parameters(estimate: Estimate) -> Iterator[str]:
    """The parameters that are not at their defaults, in one line."""
    set_ = [f"{name} = {_shown(value)}" for name, value in estimate.parameters.items()]
    if set_:
        yield f"parameters {', '.join(set_)}"


def _shown(value: ParameterValue) -> str:
    return (" ".join(value) or "()") if isinstance(value, tuple) else str(value)


def unit_j(estimate: Estimate, unit: str) -> float:
    """Joules of all Einsums of a unit."""
    return math.fsum(one(einsum.energy_j) for einsum in estimate.einsums if einsum.unit == unit)


def _joules(joules: float) -> str:
    return f"{joules:.4g} J"


def _phases(estimate: Estimate) -> Table:
    """The phases; each takes as long as the slower of its units and its traffic."""
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


def one(value: Amount) -> float:
    """The value at the first point."""
    return float(np.ravel(np.asarray(value))[0])
