"""Mappings beside each other, over models and sequence lengths: rows of frozen results, ratios to a baseline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fusemax.errors import FusemaxError, listed
from fusemax.ir.arch import Arch
from fusemax.ir.mapping import Mapping as MappingFile
from fusemax.ir.workload import Workload
from fusemax.model.bind import bind
from fusemax.model.energy import Accounting
from fusemax.model.estimate import Estimate, estimate
from fusemax.syntax.arch import load_arch
from fusemax.syntax.files import load_cascade
from fusemax.syntax.mapping import load_mapping
from fusemax.syntax.workload import load_workload
from fusemax.validate import check
from fusemax.validate.shapes import shape_names

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, slots=True)
class Row:
    """One mapping at one model and length; `speedup` and `energy_ratio` are to the baseline, if there is one."""

    mapping: str
    model: str
    seq: int
    arch: str
    latency_s: float
    cycles: float
    energy_j: float
    dram_bytes: float
    utilization: Mapping[str, float]
    bound: str
    speedup: float | None = None
    energy_ratio: float | None = None

    def to_json(self) -> dict[str, Any]:
        """The row as JSON data."""
        return {name: getattr(self, name) for name in self.__slots__} | {"utilization": dict(self.utilization)}


@dataclass(frozen=True)
class Comparison:
    """The rows of a comparison, mapping by mapping; prints itself as a table."""

    rows: tuple[Row, ...]
    baseline: str | None
    accounting: str

    def of(self, mapping: str) -> tuple[Row, ...]:
        """The rows of one mapping."""
        return tuple(row for row in self.rows if row.mapping == mapping)

    @property
    def mappings(self) -> tuple[str, ...]:
        """The mappings, in order."""
        return tuple(dict.fromkeys(row.mapping for row in self.rows))

    def to_pandas(self) -> pandas.DataFrame:
        """The rows as a data frame, a column a unit for utilization. Raises `FusemaxError` without pandas."""
        try:
            import pandas
        except ImportError:
            raise FusemaxError("data frames need pandas, which is not installed", "pip install 'fusemax[pandas]'") from None
        records = [row.to_json() for row in self.rows]
        for record in records:
            record.update({f"utilization_{unit}": value for unit, value in record.pop("utilization").items()})
        return pandas.DataFrame.from_records(records)

    def __str__(self) -> str:
        from fusemax.model.text import comparison_text

        return comparison_text(self)

    def _repr_html_(self) -> str:
        from fusemax.model.text import comparison_tables

        return "".join(table.html() for table in comparison_tables(self))


def compare(
    mappings: Sequence[str | MappingFile],
    models: Sequence[str | Workload],
    lengths: Sequence[int],
    *,
    baseline: str | None = None,
    arch: str | Arch | None = None,
    shapes: Mapping[str, int] | None = None,
    accounting: str = "full",
) -> Comparison:
    """Cost mappings, by name or as data, for every model and sequence length (elements).

    Each mapping runs its own cascade on its own architecture, or on `arch`; `shapes` overrule sizes of the models.
    Raises `FusemaxError` as `evaluate` does, and for a baseline that is not among the mappings.

    >>> rows = compare(["flat", "fusemax-binding"], ["bert"], [1024], baseline="flat").of("fusemax-binding")
    >>> round(rows[0].speedup, 3)
    6.649
    """
    files = [load_mapping(mapping) if isinstance(mapping, str) else mapping for mapping in mappings]
    known = [file.name for file in files]
    if baseline is not None and baseline not in known:
        raise FusemaxError(f"baseline '{baseline}' is not compared", f"compared are {listed(known)}")
    workloads = [load_workload(model) if isinstance(model, str) else model for model in models]
    machine = load_arch(arch) if isinstance(arch, str) else arch
    points = [(workload, length) for workload in workloads for length in lengths]
    rows: list[Row] = []
    for file in files:
        rows += evaluate_points(file, points, machine, shapes or {}, accounting)
    return Comparison(tuple(_against(rows, baseline)), baseline, accounting)


def evaluate_points(
    mapping: MappingFile,
    points: Sequence[tuple[Workload, int]],
    arch: Arch | None,
    shapes: Mapping[str, int],
    accounting: str,
) -> list[Row]:
    """One mapping at many points: those with the same words for its parameters are costed at once."""
    checked = check(load_cascade(mapping.cascade))
    machine = arch or load_arch(mapping.arch)
    wanted = shape_names(checked)
    sizes = [{**workload.at(length, wanted), **shapes} for workload, length in points]
    chosen = [parameters_at(mapping, workload.name, length) for workload, length in points]
    rows: dict[int, Row] = {}
    for members in _alike(chosen):
        grid = {rank: _array([sizes[i][rank] for i in members]) for rank in sizes[members[0]]}
        parameters = {name: _joined([chosen[i][name] for i in members]) for name in chosen[members[0]]}
        found = estimate(bind(checked, machine, mapping, grid, parameters), Accounting(accounting))
        for position, i in enumerate(members):
            rows[i] = _row(found, points[i], position, len(members))
    return [rows[i] for i in range(len(points))]


def parameters_at(mapping: MappingFile, model: str, length: int) -> dict[str, Any]:
    """The parameters that the mapping's table says for a model and length; none if it has no table or no such row."""
    if mapping.choose is None:
        return {}
    keys = {"model": model.lower(), "seq": str(length)}
    for row in mapping.table:
        record = dict(row)
        if all(record[key].lower() == keys[key] for key in mapping.choose.by if key in keys):
            return {name: _parameter(text) for name, text in record.items() if name not in mapping.choose.by}
    return {}


def _parameter(text: str) -> Any:
    """A cell of a table: an integer, a number, or words."""
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            continue
    return tuple(text.split())


def _alike(chosen: Sequence[Mapping[str, Any]]) -> Iterator[list[int]]:
    """Points whose parameters differ in numbers only."""
    groups: dict[Any, list[int]] = {}
    for i, parameters in enumerate(chosen):
        key = tuple((name, value if isinstance(value, tuple) else None) for name, value in parameters.items())
        groups.setdefault(key, []).append(i)
    yield from groups.values()


def _array(values: list[int]) -> Any:
    return values[0] if len(values) == 1 else np.array(values, dtype=np.int64)


def _joined(values: list[Any]) -> Any:
    return values[0] if isinstance(values[0], tuple) or len(values) == 1 else np.array(values)


def _row(found: Estimate, point: tuple[Workload, int], position: int, count: int) -> Row:
    def at(value: Any) -> float:
        return float(np.broadcast_to(np.asarray(value), (count,))[position])

    workload, length = point
    bound = str(np.broadcast_to(np.asarray(found.bound), (count,))[position])
    return Row(
        found.mapping, workload.name, length, found.arch, at(found.latency_s), at(found.cycles), at(found.energy_j),
        at(found.dram_bytes), {unit: at(value) for unit, value in found.utilization.items()}, bound,
    )  # fmt: skip


def _against(rows: Sequence[Row], baseline: str | None) -> Iterator[Row]:
    """The rows with their ratios to the baseline at the same model and length."""
    from dataclasses import replace

    base = {(row.model, row.seq): row for row in rows if row.mapping == baseline}
    for row in rows:
        other = base.get((row.model, row.seq))
        if other is None:
            yield row
        else:
            yield replace(row, speedup=other.latency_s / row.latency_s, energy_ratio=row.energy_j / other.energy_j)
