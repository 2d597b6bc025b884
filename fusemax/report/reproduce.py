"""A published study, evaluated again: its figures as tables and pictures, and the differences to its values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from fusemax.bind.parameters import chosen_for
from fusemax.errors import FusemaxError
from fusemax.ir.arch import Arch
from fusemax.ir.study import Figure, Published, Shows, Study
from fusemax.model import Estimate, evaluate
from fusemax.model.tables import one, percent
from fusemax.report.plots import Chart, Stack, StackedChart, chart_of
from fusemax.study.compare import Comparison, Row, compare
from fusemax.study.encoder_layer import end_to_end
from fusemax.study.tables import averages
from fusemax.syntax.load import arch_of, cascade_of, load_mapping, load_workload
from fusemax.units import readable_length
from fusemax.validate import check
from fusemax.validate.shapes import shape_names
from fusemax.view import Json, Record, Result, Table

EXACT = 1e-6
"""Published values without a tolerance of their own are reproduced to this, relative."""

RowValue = Callable[[Row], float | None]
Key = tuple[str, str | None, int | None]


@dataclass(frozen=True, slots=True)
class Difference:
    """A quantity of one run: the value of the model, the published value, and the relative tolerance."""

    quantity: str
    mapping: str
    model: str
    seq: int
    value: float
    published: float
    tolerance: float

    @property
    def relative(self) -> float:
        """The difference, relative to the published value."""
        return self.value / self.published - 1

    @property
    def within(self) -> bool:
        """Whether it is within the tolerance."""
        return abs(self.relative) <= self.tolerance

    @property
    def place(self) -> str:
        """The run in words: mapping, model and length."""
        return f"{self.mapping}, {self.model} {readable_length(self.seq)}"

    def to_json(self) -> Json:
        """The difference as JSON data."""
        return {name: getattr(self, name) for name in (*self.__slots__, "relative", "within")}


@dataclass(frozen=True, slots=True)
class Average:
    """A published average of ratios to a mapping, and the value of the model."""

    quantity: str
    mapping: str
    over: str
    value: float
    published: float

    def to_json(self) -> Json:
        """The average as JSON data."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True)
class Reproduction(Result):
    """A study evaluated again. `breakdowns` are utilizations by Einsum, for each figure, mapping and length."""

    first_column: ClassVar[str] = "mapping"
    study: Study
    comparison: Comparison
    differences: tuple[Difference, ...]
    averages: tuple[Average, ...]
    breakdowns: Mapping[str, tuple[Stack, ...]]

    @property
    def largest(self) -> tuple[Difference, ...]:
        """The largest difference of each quantity; differences outside of their tolerance come before others."""
        found: dict[str, Difference] = {}
        for difference in self.differences:
            before = found.get(difference.quantity)
            if before is None or _far(difference) > _far(before):
                found[difference.quantity] = difference
        return tuple(found.values())

    def charts(self) -> Iterator[tuple[Figure, Chart | StackedChart]]:
        """The study's figures."""
        for figure in self.study.figures:
            yield figure, self._chart(figure)

    def _chart(self, figure: Figure) -> Chart | StackedChart:
        title = f"Figure {figure.number}: {figure.title[:1].lower()}{figure.title[1:]}"
        if figure.shows is Shows.BREAKDOWN:
            return StackedChart(title, "utilization", self.breakdowns[figure.number])
        ours, theirs = _values(figure), _published_values(self.study, figure)
        relative = figure.shows in (Shows.SPEEDUP, Shows.ENERGY)
        axis = f"relative to {self.study.mappings[self.study.baseline]}" if relative else "utilization"
        return chart_of(
            self.comparison, title, axis, ours, labels=self.study.mappings, published=theirs,
            one=1.0 if relative else None, percent=not relative,
        )  # fmt: skip

    def tables(self) -> Iterator[Table]:
        """Every figure as a table, then averages and differences."""
        for figure, chart in self.charts():
            match chart:
                case Chart():
                    yield _figure_table(chart)
                case StackedChart():
                    yield _breakdown_table(figure, chart)
        yield self._averages_table()
        yield self._differences_table()
        yield self._largest_table()

    def records(self) -> list[Record]:
        """All rows: the model's values and, where there are any, the published ones."""
        published = {(p.mapping, p.model, p.seq): p for p in self.study.values}
        return [
            _record(row, published.get((row.mapping, row.model or "", row.seq or 0))) for row in self.comparison.rows
        ]

    def to_json(self) -> Json:
        """The reproduction as JSON data (docs/json.md)."""
        return {
            "study": self.study.name,
            "source": self.study.source,
            "accounting": self.study.accounting,
            "baseline": self.study.baseline,
            "rows": [row.to_json() for row in self.comparison.rows],
            "breakdowns": {
                number: [
                    {
                        "mapping": stack.label,
                        "model": stack.place[0],
                        "seq": stack.place[1],
                        "einsums": dict(stack.parts),
                    }
                    for stack in stacks
                ]
                for number, stacks in self.breakdowns.items()
            },
            "averages": [average.to_json() for average in self.averages],
            "differences": [difference.to_json() for difference in self.differences],
            "largest": {difference.quantity: difference.to_json() for difference in self.largest},
        }

    def _averages_table(self) -> Table:
        rows = tuple(
            (a.quantity, f"{self.study.mappings[a.mapping]} over {self.study.mappings[a.over]}", f"{a.value:.4f}", f"{a.published:.4g}")
            for a in self.averages
        )  # fmt: skip
        title = f"Averages over {len(self.comparison.points)} models and lengths"
        return Table(title, ("average", "of", "model", "published"), rows, right=(2, 3))

    def _differences_table(self) -> Table:
        """A row for each published run, with the difference of each quantity."""
        quantities = list(dict.fromkeys(difference.quantity for difference in self.differences))
        runs: dict[Key, dict[str, str]] = {}
        for d in self.differences:
            cells = runs.setdefault((d.mapping, d.model, d.seq), {})
            cells[d.quantity] = _difference(d.relative) + ("" if d.within else " !")
        rows = tuple(
            (
                self.study.mappings[mapping],
                str(model),
                readable_length(seq or 0),
                *(cells.get(q, "-") for q in quantities),
            )
            for (mapping, model, seq), cells in runs.items()
        )
        title = f"Differences to the published values (accounting: {self.study.accounting})"
        return Table(title, ("mapping", "model", "seq", *quantities), rows, right=tuple(range(2, 3 + len(quantities))))

    def _largest_table(self) -> Table:
        rows = tuple(
            (d.quantity, _difference(d.relative), d.place, f"{d.value:.6g}", f"{d.published:.6g}", f"{d.tolerance:g}")
            for d in self.largest
        )
        outside = sum(not difference.within for difference in self.differences)
        number = len(self.differences)
        told = (
            f"{outside} of {number} are outside (marked !)" if outside else f"all {number} are within their tolerances"
        )
        headers = ("quantity", "largest difference", "at", "model", "published", "tolerance")
        return Table("Largest differences", headers, rows, (told,), right=(1, 3, 4, 5))


def reproduce(study: Study) -> Reproduction:
    """Evaluate a study's mappings at all of its models and lengths, under its accounting.

    >>> from fusemax.syntax.load import load_study
    >>> found = reproduce(load_study("attention"))
    >>> all(difference.within for difference in found.differences)
    True
    """
    evaluate_all = end_to_end if study.end_to_end else compare
    comparison = evaluate_all(
        list(study.mappings), study.models, study.lengths, baseline=study.baseline, accounting=study.accounting
    )
    breakdowns = {
        figure.number: tuple(_stacks(study, figure)) for figure in study.figures if figure.shows is Shows.BREAKDOWN
    }
    return Reproduction(
        study, comparison, tuple(_differences(study, comparison)), tuple(_averages(study, comparison)), breakdowns
    )


def _record(row: Row, published: Published | None) -> Record:
    record = row.to_record()
    if published is not None:
        record |= {
            "published_latency_s": published.latency_s,
            "published_dram_bytes": published.dram_bytes,
            "published_energy_j": published.energy_j,
        }
        record |= {f"published_utilization_{unit}": share for unit, share in published.utilization.items()}
    return record


# --------------------------------------------------------------------------------------------------------- differences


def _differences(study: Study, comparison: Comparison) -> Iterator[Difference]:
    """Every quantity of every published run, measured or shown in figures."""
    rows = {(row.mapping, row.model, row.seq): row for row in comparison.rows}
    base = {(p.model, p.seq): p for p in study.values if p.mapping == study.baseline}
    for p in study.values:
        row = rows[p.mapping, p.model, p.seq]
        compared: list[tuple[str, float, float, float]] = [
            ("latency", row.latency_s, p.latency_s, p.latency_tolerance),
            ("DRAM traffic", row.dram_bytes, p.dram_bytes, EXACT),
            ("energy", row.energy_j, p.energy_j, p.energy_tolerance),
            *((f"utilization of {u}", row.utilization[u], share, p.latency_tolerance) for u, share in p.utilization.items()),
        ]  # fmt: skip
        other = base.get((p.model, p.seq))
        if other is not None and row.speedup is not None and row.energy_ratio is not None:
            loose = p.latency_tolerance + other.latency_tolerance
            compared.append(("speed-up", row.speedup, other.latency_s / p.latency_s, loose))
            ratio = p.energy_j / other.energy_j
            compared.append(("energy ratio", row.energy_ratio, ratio, p.energy_tolerance + other.energy_tolerance))
        for quantity, value, published, tolerance in compared:
            yield Difference(quantity, p.mapping, p.model, p.seq, value, published, tolerance)


def _far(difference: Difference) -> tuple[bool, float]:
    return not difference.within, abs(difference.relative)


def _averages(study: Study, comparison: Comparison) -> Iterator[Average]:
    """Published averages, and the values of the model."""
    over = study.averages.over
    means = averages(comparison.against(over)) if over else {}
    for mapping, published in study.averages.speedup.items():
        yield Average("speed-up", mapping, over, means[mapping][0], published)
    for mapping, published in study.averages.energy.items():
        yield Average("energy ratio", mapping, over, means[mapping][2], published)


# ------------------------------------------------------------------------------------------------------------- figures


def _values(figure: Figure) -> RowValue:
    """The quantity of a row that a figure shows."""
    match figure.shows:
        case Shows.SPEEDUP:
            return lambda row: row.speedup
        case Shows.ENERGY:
            return lambda row: row.energy_ratio
    return lambda row: row.utilization.get(figure.unit or "")


def _published_values(study: Study, figure: Figure) -> RowValue:
    """The published values of the quantity that a figure shows."""
    values = {(p.mapping, p.model, p.seq): p for p in study.values}

    def published(row: Row) -> float | None:
        mine = values.get((row.mapping, row.model or "", row.seq or 0))
        base = values.get((study.baseline, row.model or "", row.seq or 0))
        return None if mine is None or base is None else _shown(figure, mine, base)

    return published


def _shown(figure: Figure, mine: Published, base: Published) -> float | None:
    match figure.shows:
        case Shows.SPEEDUP:
            return base.latency_s / mine.latency_s
        case Shows.ENERGY:
            return mine.energy_j / base.energy_j
    return mine.utilization.get(figure.unit or "")


def _stacks(study: Study, figure: Figure) -> Iterator[Stack]:
    """The utilization of one unit by Einsum, at every length of one model, for each mapping."""
    assert figure.model is not None and figure.unit is not None, "a breakdown is of one model and unit"
    workload = load_workload(figure.model)
    mappings = [load_mapping(name) for name in study.mappings]
    cascades = [check(cascade_of(mapping)) for mapping in mappings]
    machines = [arch_of(mapping) for mapping in mappings]
    for length in study.lengths:
        for mapping, checked, arch in zip(mappings, cascades, machines, strict=True):
            chosen = chosen_for(mapping, workload.name, length).values
            found = evaluate(checked, arch, mapping, workload.at(length, shape_names(checked)), parameters=chosen)
            parts = utilization_by_einsum(found, arch, figure.unit)
            yield Stack((workload.name, length), study.mappings[mapping.name], parts)


def utilization_by_einsum(estimate: Estimate, arch: Arch, unit: str) -> dict[str, float]:
    """The share of a unit's operation slots that each Einsum uses; chained operators count as if they were not.

    Raises `FusemaxError` for a unit that the architecture lacks.
    """
    found = next((candidate for candidate in arch.units if candidate.name == unit), None)
    if found is None:
        raise FusemaxError(f"'{arch.name}' has no unit '{unit}'", "`fusemax show` shows its units")
    slots = one(estimate.cycles) * found.elements
    used: dict[str, float] = {}
    for einsum in estimate.einsums:
        if einsum.unit == unit:
            taken = sum(one(number) * (found.slots(kind) or 0) for kind, number in einsum.operations.items())
            used[einsum.einsum] = used.get(einsum.einsum, 0.0) + taken / slots
    return used


# -------------------------------------------------------------------------------------------------------------- tables


def _figure_table(chart: Chart) -> Table:
    """A row for each model and length, a column for each mapping; published values in brackets."""
    rows = []
    for i, (model, seq) in enumerate(chart.places):
        cells = [_cell(s.values[i], s.published[i] if s.published else None, chart.percent) for s in chart.series]
        rows.append((str(model), readable_length(seq or 0), *cells))
    headers = ("model", "seq", *(series.label for series in chart.series))
    below = ("in brackets what was published",)
    relative = "" if chart.percent else f", {chart.axis}"
    return Table(f"{chart.title}{relative}", headers, tuple(rows), below, right=tuple(range(1, len(headers))))


def _cell(value: float | None, published: float | None, as_percent: bool) -> str:
    def number(x: float | None) -> str:
        return percent(x) if as_percent else "-" if x is None else f"{x:.3f}"

    return number(value) if published is None else f"{number(value)} ({number(published)})"


def _breakdown_table(figure: Figure, chart: StackedChart) -> Table:
    parts = list(dict.fromkeys(part for stack in chart.stacks for part in stack.parts))
    rows = tuple(
        (readable_length(stack.place[1] or 0), stack.label, *(percent(stack.parts.get(part)) for part in parts))
        for stack in chart.stacks
    )
    return Table(
        f"{chart.title}, {figure.model}", ("seq", "mapping", *parts), rows, right=(0, *range(2, 2 + len(parts)))
    )


def _difference(relative: float) -> str:
    """A relative difference in a few characters."""
    return "0" if abs(relative) < 1e-12 else f"{relative:+.1%}" if abs(relative) >= 1e-3 else f"{relative:+.0e}"
