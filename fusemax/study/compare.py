"""Mappings beside each other, over models and sequence lengths: rows of frozen results, ratios to a baseline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np

from fusemax import resources
from fusemax.bind.bind import bind
from fusemax.bind.extents import Amount
from fusemax.bind.parameters import Chosen, ParameterValue, chosen_for
from fusemax.errors import FusemaxError, did_you_mean, listed
from fusemax.ir.arch import Arch
from fusemax.ir.checked import Checked
from fusemax.ir.mapping import Mapping as MappingFile
from fusemax.ir.workload import Workload
from fusemax.model.energy import Accounting, accounting_of
from fusemax.model.estimate import Estimate, estimate
from fusemax.syntax.load import arch_of, cascade_of, load_arch, load_mapping, load_workload
from fusemax.validate import check
from fusemax.validate.shapes import shape_names
from fusemax.view import Json, Record, Result, Table


@dataclass(frozen=True, slots=True)
class Row:
    """One mapping at one model and length, or, with both None, at given shapes alone.

    `speedup` and `energy_ratio` are to the baseline, if there is one.
    """

    mapping: str
    model: str | None
    seq: int | None
    arch: str
    latency_s: float
    cycles: float
    energy_j: float
    dram_bytes: float
    utilization: Mapping[str, float]
    bound: str
    speedup: float | None = None
    energy_ratio: float | None = None

    def to_json(self) -> Json:
        """The row as JSON data."""
        return {name: getattr(self, name) for name in self.__slots__} | {"utilization": dict(self.utilization)}

    def to_record(self) -> Json:
        """The row as columns of a table, one a unit for utilization."""
        record = self.to_json()
        record.update({f"utilization_{unit}": value for unit, value in record.pop("utilization").items()})
        return record


@dataclass(frozen=True)
class Comparison(Result):
    """The rows of a comparison, mapping by mapping; prints itself as a table.

    `others` are the same rows under the other accounting, if there is a baseline; `remarks` are assumptions, in words.
    """

    rows: tuple[Row, ...]
    baseline: str | None
    accounting: str
    others: tuple[Row, ...] = ()
    remarks: tuple[str, ...] = ()

    def against(self, baseline: str | None) -> Comparison:
        """The same rows with their ratios to another baseline. Raises `FusemaxError` for one that is not among them."""
        _check_baseline(baseline, self.mappings)
        others = tuple(against(self.others, baseline)) if baseline else ()
        return replace(self, rows=tuple(against(self.rows, baseline)), baseline=baseline, others=others)

    def of(self, mapping: str) -> tuple[Row, ...]:
        """The rows of one mapping."""
        return tuple(row for row in self.rows if row.mapping == mapping)

    @property
    def mappings(self) -> tuple[str, ...]:
        """The mappings, in order."""
        return tuple(dict.fromkeys(row.mapping for row in self.rows))

    @property
    def points(self) -> tuple[tuple[str | None, int | None], ...]:
        """The models and lengths, in order."""
        return tuple(dict.fromkeys((row.model, row.seq) for row in self.rows))

    @property
    def units(self) -> tuple[str, ...]:
        """The units of all architectures, in order."""
        return tuple(dict.fromkeys(unit for row in self.rows for unit in row.utilization))

    @property
    def notes(self) -> tuple[str, ...]:
        """Assumptions, and the ratios that change with the accounting."""
        from fusemax.study.tables import accounting_notes

        return (*self.remarks, *accounting_notes(self))

    def tables(self) -> Iterator[Table]:
        """All rows, averages if there is a baseline and several points, and notes."""
        from fusemax.study.tables import comparison_tables

        return comparison_tables(self)

    def records(self) -> list[Record]:
        """The rows, with a column a unit for utilization."""
        return [row.to_record() for row in self.rows]

    def to_json(self) -> Json:
        """The comparison as JSON data (docs/json.md)."""
        from fusemax.study.tables import averages

        means = averages(self) if self.baseline else {}
        names = ("speedup", "speedup_geometric", "energy_ratio")
        return {
            "baseline": self.baseline,
            "accounting": self.accounting,
            "rows": [row.to_json() for row in self.rows],
            "averages": {mapping: dict(zip(names, values, strict=True)) for mapping, values in means.items()},
            "notes": list(self.notes),
        }


@dataclass(frozen=True, slots=True)
class Point:
    """A point of a comparison: a model at a length, or, with both None, given shapes alone."""

    model: str | None
    seq: int | None
    shapes: Mapping[str, int]

    @property
    def title(self) -> str:
        """The point in words.

        >>> Point("bert", 65536, {}).title
        'bert 64K'
        """
        from fusemax.units import readable_length

        seq = "" if self.seq is None else f" {readable_length(self.seq)}"
        return f"{self.model}{seq}" if self.model else "given shapes"


def compare(
    mappings: str | MappingFile | Sequence[str | MappingFile],
    models: str | Workload | Sequence[str | Workload] = (),
    lengths: int | Sequence[int] = (),
    *,
    baseline: str | None = None,
    arch: str | Arch | None = None,
    shapes: Mapping[str, int] | None = None,
    accounting: str = "full",
) -> Comparison:
    """Cost mappings, by name or as data, for every model and sequence length (elements); one of them needs no list.

    Each mapping runs its own cascade on its own architecture, or on `arch`; `shapes` overrule sizes of the models; without
    models they are the only point. Without lengths the models keep their own.
    Raises `FusemaxError` as `evaluate` does, and for a baseline that is not among the mappings.

    >>> rows = compare(["flat", "fusemax-binding"], ["bert"], [1024], baseline="flat").of("fusemax-binding")
    >>> round(rows[0].speedup, 3)
    6.649
    """
    charged = accounting_of(accounting)
    wanted_mappings = [mappings] if isinstance(mappings, str | MappingFile) else mappings
    files = [load_mapping(mapping) if isinstance(mapping, str) else mapping for mapping in wanted_mappings]
    _check_names([file.name for file in files], baseline)
    machine = load_arch(arch) if isinstance(arch, str) else arch
    points = points_of(
        [models] if isinstance(models, str | Workload) else models,
        [lengths] if isinstance(lengths, int) else lengths,
        shapes or {},
    )
    cascades = [check(cascade_of(file)) for file in files]
    _check_ranks(shapes or {}, [rank for cascade in cascades for rank in shape_names(cascade)])
    wanted = [charged, *(a for a in Accounting if baseline and a is not charged)]
    rows: dict[Accounting, list[Row]] = {accounting: [] for accounting in wanted}
    remarks: list[str] = []
    for file, checked in zip(files, cascades, strict=True):
        on = machine or arch_of(file)
        with _naming(file.name if len(files) > 1 else None):
            found = evaluate_points(file, checked, on, points, wanted, remarks)
        for accounting_ in wanted:
            rows[accounting_] += found[accounting_]
    mine, *others = (tuple(against(found, baseline)) for found in rows.values())
    return Comparison(mine, baseline, charged.value, others[0] if others else (), tuple(remarks))


@contextmanager
def _naming(mapping: str | None) -> Iterator[None]:
    """Prefix the errors inside that have no place with the name of their mapping, unless they name it."""
    try:
        yield
    except FusemaxError as error:
        if mapping is None:
            raise
        raise FusemaxError(
            p if p.span or f"'{mapping}'" in p.message else replace(p, message=f"'{mapping}': {p.message}")
            for p in error.problems
        ) from None


def points_of(models: Sequence[str | Workload], lengths: Sequence[int], shapes: Mapping[str, int]) -> list[Point]:
    """Every model at every length, each once. Raises `FusemaxError` if there is neither a model nor a shape."""
    if not models and lengths:
        raise FusemaxError("a sequence length without a model", "add --model, or give --shape M=1024 P=1024")
    if not models and not shapes:
        example = resources.names("cascades/workloads", ".yaml")[0]
        raise FusemaxError("no model and no shapes", f"add --model {example} --seq 1K, or give --shape for every rank")
    points: dict[tuple[str | None, int | None], Point] = {}
    if not models:
        points[None, None] = Point(None, None, shapes)
    for model in models:
        workload = load_workload(model) if isinstance(model, str) else model
        for length in lengths or (None,):
            sizes = {**workload.at(length, workload.shapes), **shapes}
            each = [sizes[rank] for rank in workload.sequence]
            seq = each[0] if len(set(each)) == 1 else length
            points[workload.name, seq] = Point(workload.name, seq, sizes)
    return list(points.values())


def _check_names(names: Sequence[str], baseline: str | None) -> None:
    """Refuse no mappings, two of one name, and a baseline that is none of them."""
    if not names:
        raise FusemaxError("no mapping to compare", "name at least one")
    for i, name in enumerate(names):
        if name in names[:i]:
            raise FusemaxError(f"two mappings are named '{name}'", "give each a name of its own")
    _check_baseline(baseline, names)


def _check_baseline(baseline: str | None, names: Sequence[str]) -> None:
    if baseline is not None and baseline not in names:
        hint = did_you_mean(baseline, names) or f"compared are {listed(names)}"
        raise FusemaxError(f"the baseline '{baseline}' is not among the mappings", hint)


def _check_ranks(shapes: Mapping[str, int], ranks: Sequence[str]) -> None:
    for rank in shapes:
        if rank not in ranks:
            hint = did_you_mean(rank, ranks) or f"ranks are {listed(dict.fromkeys(ranks), 20)}"
            raise FusemaxError(f"a size for '{rank}', which is no rank of the mappings' cascades", hint)


def evaluate_points(
    mapping: MappingFile,
    checked: Checked,
    arch: Arch,
    points: Sequence[Point],
    accountings: Sequence[Accounting],
    remarks: list[str],
) -> dict[Accounting, list[Row]]:
    """One mapping at many points: those with the same words for its parameters are costed at once."""
    wanted = set(shape_names(checked))
    sizes = [{rank: size for rank, size in point.shapes.items() if rank in wanted} for point in points]
    chosen = [chosen_for(mapping, point.model, point.seq) for point in points]
    remarks += dict.fromkeys(choice.remark for choice in chosen if choice.remark)
    rows: dict[Accounting, dict[int, Row]] = {accounting: {} for accounting in accountings}
    for members in _alike([choice.values for choice in chosen], sizes):
        grid = {rank: _array([sizes[i][rank] for i in members]) for rank in sizes[members[0]]}
        parameters = {name: _joined([chosen[i].values[name] for i in members]) for name in chosen[members[0]].values}
        with next((chosen[i] for i in members if chosen[i].remark), Chosen({})).explained():
            bound = bind(checked, arch, mapping, grid, parameters)
        for accounting in accountings:
            fresh = replace(bound, nest=bound.nest.with_extents(bound.nest.extents))  # a mover counts once
            found = estimate(fresh, accounting)
            for position, i in enumerate(members):
                rows[accounting][i] = _row(found, points[i], position, len(members))
    return {accounting: [found[i] for i in range(len(points))] for accounting, found in rows.items()}


def _alike(chosen: Sequence[Mapping[str, ParameterValue]], sizes: Sequence[Mapping[str, int]]) -> Iterator[list[int]]:
    """Points of the same ranks, whose parameters differ in numbers only."""
    groups: dict[object, list[int]] = {}
    for i, parameters in enumerate(chosen):
        words = tuple((name, value if isinstance(value, tuple) else None) for name, value in parameters.items())
        groups.setdefault((words, tuple(sizes[i])), []).append(i)
    yield from groups.values()


def _array(values: list[int]) -> Amount:
    return values[0] if len(values) == 1 else np.array(values, dtype=np.int64)


def _joined(values: list[ParameterValue]) -> ParameterValue:
    return values[0] if isinstance(values[0], tuple) or len(values) == 1 else np.array(values)


def _row(found: Estimate, point: Point, position: int, count: int) -> Row:
    def at(value: Amount) -> float:
        return float(np.broadcast_to(np.asarray(value), (count,))[position])

    bound = str(np.broadcast_to(np.asarray(found.bound), (count,))[position])
    return Row(
        found.mapping, point.model, point.seq, found.arch, at(found.latency_s), at(found.cycles), at(found.energy_j),
        at(found.dram_bytes), {unit: at(value) for unit, value in found.utilization.items()}, bound,
    )  # fmt: skip


def against(rows: Sequence[Row], baseline: str | None) -> Iterator[Row]:
    """The rows with their ratios to the baseline at the same model and length."""
    base = {(row.model, row.seq): row for row in rows if row.mapping == baseline}
    for row in rows:
        other = base.get((row.model, row.seq))
        speedup = None if other is None else other.latency_s / row.latency_s
        yield replace(row, speedup=speedup, energy_ratio=None if other is None else row.energy_j / other.energy_j)
