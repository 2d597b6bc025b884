"""Fronts: mappings, or machines with their mappings, that no other dominates in all axes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Unpack

import numpy as np

from fusemax.errors import FusemaxError, did_you_mean, listed
from fusemax.ir.arch import Arch
from fusemax.ir.cascade import Cascade
from fusemax.ir.checked import Checked
from fusemax.ir.mapping import Mapping as MappingFile
from fusemax.mapper import map_cascade, space_of
from fusemax.mapper.arrays import Floats
from fusemax.mapper.cost.batch import BatchTally, all_combinations
from fusemax.mapper.cost.candidates import Candidates, Costs, exact
from fusemax.mapper.infeasible import nothing_fits
from fusemax.mapper.objective import Objective, rounded, undominated
from fusemax.mapper.options import SearchKeywords, SearchOptions
from fusemax.mapper.scaling import scaled
from fusemax.mapper.search.exhaustive import exhaustive, promising
from fusemax.mapper.search.search import Search, priced
from fusemax.mapper.space.protocol import AnySpace, Cutoff, Trees
from fusemax.model import evaluate, loaded
from fusemax.model.energy import Accounting, accounting_of, area_m2
from fusemax.model.estimate import Estimate
from fusemax.model.tables import one
from fusemax.syntax.load import load_mapping
from fusemax.view import Json, Record, Result, Table

FRONT_AXES = ("latency", "energy", "area", "buffer")
MOST_EXPLORED = 3000
"""Trees that are costed for a front: half of them all over the space, a quarter by a search for the best of each axis."""


@dataclass(frozen=True, slots=True)
class FrontPoint:
    """A mapping on a machine: seconds, joules, square metres if they are known, and bytes of the innermost memory."""

    title: str
    latency_s: float
    energy_j: float
    area_m2: float | None
    buffer_bytes: float
    mapping: MappingFile
    best: bool

    def value(self, axis: str) -> float:
        """Its value on an axis."""
        found = {"latency": self.latency_s, "energy": self.energy_j, "area": self.area_m2, "buffer": self.buffer_bytes}
        value = found[axis]
        assert value is not None, "the area is known if it is an axis"
        return value

    def to_json(self) -> Json:
        """The point as JSON data."""
        return {name: getattr(self, name) for name in self.__slots__ if name != "mapping"} | {
            "mapping": str(self.mapping)
        }


@dataclass(frozen=True)
class Front(Result):
    """Points by two or three axes; those that no other dominates are `best`. `costed` is the number of candidates; it is
    `whole` if these are all. A search that the user has `interrupted` has the points found until then."""

    first_column: ClassVar[str] = "title"
    cascade: str
    arch: str
    axes: tuple[str, ...]
    shapes: dict[str, int]
    points: tuple[FrontPoint, ...]
    costed: int
    whole: bool
    interrupted: bool = False

    def tables(self) -> Iterator[Table]:
        """A row for each point."""
        from fusemax.mapper.tables import front_table

        yield front_table(self)

    def records(self) -> list[Record]:
        """A row for each point."""
        return [{k: v for k, v in point.to_json().items() if k != "mapping"} for point in self.points]

    def to_json(self) -> Json:
        """The front as JSON data (docs/json.md)."""
        return {
            "cascade": self.cascade, "arch": self.arch, "axes": list(self.axes), "shapes": self.shapes,
            "points": [point.to_json() for point in self.points], "costed": self.costed, "whole": self.whole,
            "interrupted": self.interrupted,
        }  # fmt: skip


def pareto(
    cascade: str | Cascade | Checked,
    arch: str | Arch,
    shapes: Mapping[str, int],
    options: SearchOptions | None = None,
    *,
    of: Sequence[str] = (),
    mapping: str | MappingFile | None = None,
    parameters: Mapping[str, Any] | None = None,
    dims: Sequence[int] = (),
    **keywords: Unpack[SearchKeywords],
) -> Front:
    """The front of a cascade on an architecture, each as data or by its name, by two or three axes.

    The axes are `latency` (seconds), `energy` (joules), `area` (square metres) and `buffer` (bytes).
    With `dims` there is a point for each size of the machine (all axes of so many elements; buffer, registers and areas
    as the architecture's table of sizes has them), with `mapping` at `parameters`, or with the quickest mapping that is
    found. Without `dims` the points are mappings of the space of `map_cascade`, and `buffer` is the bytes that they use of
    the innermost memory; Ctrl-C ends with those found so far. The options of the search are an object, or keyword
    arguments named as its fields: `template`, `fix`, `keep`, `accounting`, `limit` (trees to cost of each space), `even`
    and `progress`; the others are those of `map_cascade` alone. Raises `FusemaxError` for axes without data, and if
    nothing fits. Source: FuseMax (Nayak et al., MICRO 2024), section VI, Figure 12, for latency against area.

    >>> shapes = {"B": 64, "H": 12, "E": 64, "F": 64, "M": 262144, "P": 262144}
    >>> found = pareto("attention-1pass", "fusemax-cloud", shapes, mapping="fusemax-binding", dims=[16, 512])
    >>> [round(point.latency_s, 3) for point in found.points]
    [30266.669, 29.583]
    """
    options = (options or SearchOptions()).with_keywords(**keywords)
    checked, machine = loaded(cascade, arch)
    given = load_mapping(mapping) if isinstance(mapping, str) else mapping
    _check_asked(given, options, bool(dims))
    axes = _axes(of or (("latency", "area") if dims else ("latency", "energy")), bool(dims))
    if dims:
        machines = {n: scaled(machine, n, shapes) for n in dims}
        titled = [
            (f"{n} x {n}", *_sized(checked, sized, shapes, given, parameters, options, axes))
            for n, sized in machines.items()
        ]
        return Front(checked.cascade.name, machine.name, axes, dict(shapes), _marked(titled, axes), len(titled), True)
    space = space_of(checked, machine, shapes, options, options.loaded_template())
    collector = _Collector(space, axes, options)
    whole = collector.collect()
    if not collector.members and not collector.interrupted:
        raise nothing_fits(Search(space, options, trees=collector.costings, refused=collector.refused))
    titled = [(str(i), *point) for i, point in enumerate(collector.points(), 1)]
    points = _marked(titled, axes)
    name = checked.cascade.name
    return Front(name, machine.name, axes, dict(shapes), points, collector.costed, whole, collector.interrupted)


def _check_asked(mapping: MappingFile | None, options: SearchOptions, sized: bool) -> None:
    """Refuse options that would be ignored: with a mapping there is no search, and a mapping alone is one point."""
    if mapping is None:
        return
    if options.template is not None:
        raise FusemaxError("a mapping, and a template to find one", "leave --mapping or --template out")
    if not sized:
        message = f"'{mapping.name}' is one mapping, and one machine gives one point"
        hint = f"add --dims for machines of other sizes, or search its open choices: --template {mapping.name}"
        raise FusemaxError(message, hint)
    if options.fix or options.keep or options.limit is not None:
        raise FusemaxError(f"'{mapping.name}' leaves no choice open for a search",
                           "leave --fix, --keep and --limit out, or give a cascade and no mapping")  # fmt: skip


def _axes(wanted: Sequence[str], sized: bool) -> tuple[str, ...]:
    """The axes, checked."""
    for name in wanted:
        if name not in FRONT_AXES:
            raise FusemaxError(
                f"no axis '{name}'", did_you_mean(name, FRONT_AXES) or f"choose {listed(FRONT_AXES, word='or')}"
            )
    axes = tuple(dict.fromkeys(wanted))
    if not 2 <= len(axes) <= 3:
        raise FusemaxError(f"a front has two or three axes, not {len(axes)}", "write `--of latency,energy`")
    if "area" in axes and not sized:
        raise FusemaxError(
            "all mappings of one machine have the same area", "add --dims 64,128,256, or leave `area` out"
        )
    return axes


def _sized(
    checked: Checked, arch: Arch, shapes: Mapping[str, int], mapping: MappingFile | None,
    parameters: Mapping[str, Any] | None, options: SearchOptions, axes: tuple[str, ...],
) -> tuple[Estimate, float | None, float, MappingFile]:  # fmt: skip
    """The estimate on a machine of one size, its area, its buffer, and the mapping."""
    area = area_m2(arch) if "area" in axes else None
    buffer = float(arch.innermost().size_bytes or 0)
    if mapping is not None:
        found = evaluate(checked, arch, mapping, shapes, parameters=parameters, accounting=options.accounting)
        return found, area, buffer, mapping
    options = replace(options, objective="latency", strategy="exhaustive", top=1, progress=None)
    best = map_cascade(checked, arch, shapes, options).winner()
    return best.estimate, area, buffer, best.mapping


def _marked(
    found: Sequence[tuple[str, Estimate, float | None, float, MappingFile]], axes: tuple[str, ...]
) -> tuple[FrontPoint, ...]:
    """Points with a mark for those that are not dominated."""
    points = [
        FrontPoint(title, one(e.latency_s), one(e.energy_j), area, buffer, mapping, True)
        for title, e, area, buffer, mapping in found
    ]
    values = np.array([[point.value(axis) for axis in axes] for point in points]).reshape(len(points), len(axes))
    best = undominated(values)
    return tuple(
        FrontPoint(p.title, p.latency_s, p.energy_j, p.area_m2, p.buffer_bytes, p.mapping, bool(b))
        for p, b in zip(points, best, strict=True)
    )


@dataclass
class _Collector:
    """Costs trees, and keeps the candidates that no other dominates; `values` has a row each, a column an axis."""

    space: AnySpace
    axes: tuple[str, ...]
    options: SearchOptions
    accounting: Accounting = field(init=False)
    values: Floats = field(init=False)
    members: list[tuple[Candidates, int, float | None]] = field(default_factory=list)
    costings: int = 0
    costed: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    cut_off: bool = False
    interrupted: bool = False

    def __post_init__(self) -> None:
        self.accounting = accounting_of(self.options.accounting)
        self.values = np.empty((0, len(self.axes)))

    def collect(self) -> bool:
        """Cost trees all over the space, the best by each axis, and more trees; whether these were all."""
        limit = MOST_EXPLORED if self.options.limit is None else self.options.limit
        trees = _listed(self.space)
        try:
            self.explore(trees, limit // 2)
            for axis in self.axes if self.costings >= limit // 2 else ():
                if axis in [objective.value for objective in Objective]:
                    self.seek(axis, max(1, limit // 4))
            self.explore(trees, limit)
            return next(trees, None) is None and not self.cut_off
        except KeyboardInterrupt:
            self.interrupted = True
            return False

    def explore(self, trees: Iterator[Trees | Cutoff], limit: int) -> None:
        """Cost trees up to a limit."""
        while self.costings < limit and (batch := next(trees, None)) is not None:
            if isinstance(batch, Cutoff):
                self.cut_off = True
            else:
                self.costings += batch.costings
                self.price(batch)

    def seek(self, axis: str, limit: int) -> None:
        """Include the best mappings that a search by an axis finds."""
        options = replace(self.options, objective=axis, top=5, limit=limit, jobs=1, progress=None)
        search = Search(self.space, options)
        exhaustive(search)
        self.costings += search.costings
        self.costed += search.costed
        for entry in search.best:
            self.price(entry.candidates)
        if search.interrupted:
            raise KeyboardInterrupt

    def price(self, trees: Trees) -> None:
        """Cost trees and include their candidates."""
        tally = BatchTally()
        try:
            if isinstance(trees, Candidates):
                self.record(trees, [], priced(self.space, trees, self.accounting))
            else:
                for picks, costs in all_combinations(trees, self.accounting, tally):
                    self.record(trees, picks, costs)
        except FusemaxError as error:
            tally.refused[error.problems[0].message] += trees.trees
        self.refused.update(tally.refused)
        self.cut_off |= not tally.whole
        if self.options.progress is not None and self.members:
            self.options.progress(self.costings, float(self.values[:, 0].min()))

    def record(self, trees: Trees, picks: Sequence[tuple[int, ...]], costs: Costs) -> None:
        """Include the candidates of a tree, or of the combinations `picks` of a batch, one row each."""
        self.costed += costs.latency_s.size
        columns = {"latency": costs.latency_s, "energy": costs.energy_j, "buffer": costs.buffer_bytes}
        table = np.column_stack([np.ravel(rounded(columns[axis])) for axis in self.axes])
        fits = np.flatnonzero(np.ravel(costs.feasible))
        mine = fits[undominated(table[fits])]
        fresh = [divmod(int(at), costs.latency_s.shape[-1]) for at in mine]
        every = np.concatenate([self.values, table[mine]])
        kept = undominated(every)
        old = len(self.members)
        self.members = [member for member, keep in zip(self.members, kept[:old], strict=True) if keep]
        for (row, at), keep in zip(fresh, kept[old:], strict=True):
            if keep:
                candidates = trees if isinstance(trees, Candidates) else trees.candidates(picks[row])
                self.members.append((candidates, at, None if costs.share is None else float(costs.share[at])))
        self.values = every[kept]

    def points(self) -> Iterator[tuple[Estimate, float | None, float, MappingFile]]:
        """The candidates that are left, by their first axis."""
        for at in np.lexsort(self.values.T[::-1]).tolist():
            candidates, number, share = self.members[at]
            mapping, found = exact(
                self.space.checked, self.space.arch, candidates, number, self.space.shapes, self.accounting, share
            )
            buffer = float(self.values[at][self.axes.index("buffer")]) if "buffer" in self.axes else float(
                self.space.arch.innermost().size_bytes or 0)  # fmt: skip
            yield found, None, buffer, mapping


def _listed(space: AnySpace) -> Iterator[Trees | Cutoff]:
    """The trees of all structures, the most promising first, and the parts that are left out."""
    for structure in promising(space):
        if isinstance(structure, Cutoff):
            yield structure
        else:
            yield from space.batches(structure)
