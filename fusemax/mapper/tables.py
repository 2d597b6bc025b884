"""Tables of search results: the best mappings, the best one in full, and the reasons."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fusemax.mapper.objective import Objective
from fusemax.mapper.result import MapResult
from fusemax.units import readable_bytes, readable_number, readable_seconds
from fusemax.view import Table

if TYPE_CHECKING:
    from fusemax.mapper.pareto import Front


CUT_OFF = "the search was cut off before all mappings that could be better were costed"


def result_text(result: MapResult, width: int | None = None) -> str:
    """The tables, then the best mapping as a file would have it."""
    texts = [table.text(width) for table in result_tables(result)]
    if result.best:
        texts.append(str(result.best[0].mapping).rstrip())
    return "\n\n".join(texts)


def result_tables(result: MapResult) -> Iterator[Table]:
    """The best mappings, then the statistics of the search."""
    rows = tuple(
        (
            str(row["place"]),
            readable_seconds(row["latency_s"]),
            f"{row['energy_j']:.4g} J",
            readable_bytes(row["dram_bytes"]),
            *(f"{row[name]:.1%}" for name in row if name.startswith("utilization_")),
            row["bound"],
        )
        for row in result.rows()
    )
    units = [
        name.removeprefix("utilization_") for name in (result.rows() or [{}])[0] if name.startswith("utilization_")
    ]
    columns = ("", "latency", "energy", "DRAM traffic", *units, "limited by")
    title = f"Mappings of {result.cascade} on {result.arch}, by {result.objective}"
    right = tuple(range(1, 4 + len(units)))
    yield Table(title, columns, rows, right=right, below=tuple(_below(result)))


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
        yield f"not proven: {CUT_OFF if s.strategy == 'exhaustive' else 'this strategy proves nothing'}{bound}"
    yield from (f"why: {reason}" for reason in result.reasons)


def front_text(front: Front, width: int | None = None) -> str:
    """The front as a table."""
    return front_table(front).text(width)


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
