"""Tables of search results: the best mappings, the best one in full, and the reasons."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fusemax.mapper.objective import Objective
from fusemax.mapper.result import MapResult
from fusemax.mapper.search.search import strategy_of
from fusemax.model.estimate import EinsumCost, Estimate
from fusemax.model.tables import one
from fusemax.sim.tables import trace_tables
from fusemax.units import readable_bytes, readable_number, readable_seconds
from fusemax.view import Table

if TYPE_CHECKING:
    from fusemax.mapper.pareto import Front


CUT_OFF = "the search was cut off before all mappings that could be better were costed"


def result_tables(result: MapResult) -> Iterator[Table]:
    """The best mappings, with what was searched; the changes to another mapping; the run of the best one."""
    yield _best(result)
    if result.against is not None and result.best:
        yield changes(result.best[0].estimate, result.against)
    if result.simulation is not None:
        yield from trace_tables(result.simulation)


def _best(result: MapResult) -> Table:
    """The best mappings, with what was searched below."""
    found = [each.estimate for each in result.best]
    rows = tuple(
        (
            str(place),
            readable_seconds(float(each.latency_s)),
            f"{float(each.energy_j):.4g} J",
            readable_bytes(float(each.dram_bytes)),
            *(f"{float(share):.1%}" for share in each.utilization.values()),
            str(each.bound),
        )
        for place, each in enumerate(found, 1)
    )
    units = list(found[0].utilization) if found else []
    columns = ("", "latency", "energy", "DRAM traffic", *units, "limited by")
    title = f"Mappings of {result.cascade} on {result.arch}, by {result.objective}"
    right = tuple(range(1, 4 + len(units)))
    return Table(title, columns, rows, right=right, below=tuple(_below(result)))


def _below(result: MapResult) -> Iterator[str]:
    s = result.statistics
    yield f"sizes {', '.join(f'{rank}={size}' for rank, size in result.shapes.items())}"
    refused = sum(times for _, times in s.refused)
    trees = f"{readable_number(s.trees)} trees and {readable_number(s.costed)} candidates costed"
    kept = f"{readable_number(s.fitting)} fit, {readable_number(refused)} trees refused"
    yield f"{s.strategy}: {readable_number(s.considered)} layouts considered, {trees}, {kept}, {s.seconds:.1f} s"
    for reason, times in s.refused[:3]:
        yield f"  {readable_number(times)} refused: {reason}"
    known = 0 < result.least < float("inf")
    bound = f"; lower bound {Objective(result.objective).readable(result.least)}" if known else ""
    if s.interrupted:
        yield "interrupted: this is the best so far" if result.best else "interrupted: no mapping was found so far"
    elif s.proven:
        yield f"optimal {result.space}{bound}"
    else:
        yield f"not proven: {CUT_OFF if strategy_of(s.strategy).proves else 'this strategy proves nothing'}{bound}"
    yield from (f"why: {reason}" for reason in result.reasons)


def ratios(found: Estimate, other: Estimate) -> dict[str, float]:
    """Speed-up, and ratios of energy and traffic, of one mapping to another."""
    return {
        "speedup": float(other.latency_s) / float(found.latency_s),
        "energy_ratio": float(found.energy_j) / float(other.energy_j),
        "dram_ratio": float(found.dram_bytes) / float(other.dram_bytes),
    }


def changes(found: Estimate, other: Estimate) -> Table:
    """The unit and the cycles of each Einsum in both mappings, where they differ, and the ratios of their costs."""
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
    title = f"What changed to {other.mapping}, in cycles over the run"
    return Table(title, ("Einsum", "before", "now"), tuple(rows), below)


def _where(cost: EinsumCost | None) -> str:
    """`array2d 86,016`"""
    if cost is None:
        return "-"
    return f"{cost.unit} {readable_number(round(one(cost.cycles)))}"


def front_table(front: Front) -> Table:
    """A row for each point, with a mark if another point dominates it."""
    areas = any(point.area_m2 is not None for point in front.points)
    rows = tuple(
        (
            point.title,
            readable_seconds(point.latency_s),
            f"{point.energy_j:.6g} J",
            readable_bytes(point.buffer_bytes),
            *([] if not areas else [f"{(point.area_m2 or 0) * 1e6:.4g} mm^2"]),
            "" if point.best else "dominated",
        )
        for point in front.points
    )
    headers = ("", "latency", "energy", "buffer", *(["area"] if areas else []), "")
    told = "" if front.whole or front.interrupted else "; the search was cut off: there may be better ones"
    below = (
        f"sizes {', '.join(f'{rank}={size}' for rank, size in front.shapes.items())}",
        f"{readable_number(front.costed)} candidates costed{told}",
        *(["interrupted: this is the front so far"] if front.interrupted else []),
    )
    title = f"{front.cascade} on {front.arch}, by {' and '.join(front.axes)}"
    return Table(title, headers, rows, right=(1, 2, 3, 4) if areas else (1, 2, 3), below=below)
