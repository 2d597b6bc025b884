"""A published study of machines of several sizes, evaluated again: latency over area, and areas of whole chips."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from fusemax.ir.study import SizesStudy
from fusemax.mapper.pareto import Front, pareto
from fusemax.mapper.tables import front_table
from fusemax.model.energy import area_m2
from fusemax.syntax.load import arch_of, cascade_of, load_arch, load_mapping, load_workload
from fusemax.units import readable_seconds
from fusemax.validate import check
from fusemax.validate.shapes import shape_names
from fusemax.view import Json, Record, Result, Table

MM2 = 1e6
"""Square millimetres of a square metre."""


@dataclass(frozen=True)
class SizesReproduction(Result):
    """A study of sizes evaluated again: a point for each size, and the areas of chips in square metres."""

    first_column: ClassVar[str] = "title"
    study: SizesStudy
    front: Front
    areas_m2: dict[str, float]

    def tables(self) -> Iterator[Table]:
        """The figure as a table, then the areas."""
        table = front_table(self.front)
        published = {f"{n} x {n}": seconds for n, seconds in self.study.seconds.items()}
        rows = tuple(
            (*row[:-1], readable_seconds(published[row[0]]) if row[0] in published else "") for row in table.rows
        )
        title = f"Figure {self.study.figure}: {self.study.title}, {self.study.model}"
        yield Table(title, ("elements", *table.headers[1:-1], "published"), rows, table.below, table.right)
        areas = tuple(
            (name, f"{area * MM2:.1f} mm^2", f"{self.study.areas_mm2[name]:g} mm^2")
            for name, area in self.areas_m2.items()
        )
        yield Table("Areas of whole chips", ("architecture", "model", "published"), areas, right=(1, 2))

    def records(self) -> list[Record]:
        """A row for each size."""
        return self.front.records()

    def to_json(self) -> Json:
        """The reproduction as JSON data (docs/json.md)."""
        return {
            "study": self.study.name, "source": self.study.source, **self.front.to_json(),
            "published_seconds": {str(n): seconds for n, seconds in self.study.seconds.items()},
            "areas_m2": self.areas_m2, "published_areas_mm2": dict(self.study.areas_mm2),
        }  # fmt: skip


def reproduce_sizes(study: SizesStudy) -> SizesReproduction:
    """Evaluate a study's mapping on machines of all of its sizes.

    >>> from fusemax.syntax.load import load_sizes_study
    >>> found = reproduce_sizes(load_sizes_study("chip-area"))
    >>> round(found.front.points[0].latency_s, 1), round(found.areas_m2["fusemax-cloud"] * 1e6, 1)
    (30266.7, 1303.0)
    """
    mapping = load_mapping(study.mapping)
    checked = check(cascade_of(mapping))
    shapes = load_workload(study.model).at(study.length, shape_names(checked))
    front = pareto(checked, arch_of(mapping), shapes, mapping=mapping, dims=study.dims)
    return SizesReproduction(study, front, {name: area_m2(load_arch(name)) for name in study.areas_mm2})
