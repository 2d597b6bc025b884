"""Fronts: mappings, or machines with their mappings, of which none is better than another in everything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import isinf
from typing import Any, ClassVar

import numpy as np

from fusemax.errors import FusemaxError, did_you_mean, listed
from fusemax.ir.arch import Arch
from fusemax.ir.cascade import Cascade
from fusemax.ir.checked import Checked
from fusemax.ir.mapping import Mapping as MappingFile
from fusemax.mapper import map_cascade, space_of
from fusemax.mapper.constraints import fixed_of
from fusemax.mapper.cost.batch import Tally, combined
from fusemax.mapper.cost.candidates import Costs, Family, exact
from fusemax.mapper.infeasible import relaxed
from fusemax.mapper.objective import OBJECTIVES, objective_of, rounded, undominated
from fusemax.mapper.scaling import scaled
from fusemax.mapper.search.search import MOST_TREES, Search, Space, Work, exhaustive, priced, promising
from fusemax.model import evaluate, loaded
from fusemax.model.energy import Accounting, accounting_of, area_m2
from fusemax.model.estimate import Estimate
from fusemax.model.tables import one
from fusemax.syntax.mapping.parser import load_mapping
from fusemax.view import Json, Record, Result, Table

AXES = ("latency", "energy", "area", "buffer")
MOST_EXPLORED = 3000
"""Trees that are costed for a front: half of them all over the space, a quarter in search of the best of an axis."""


@dataclass(frozen=True, slots=True)
class Point:
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
        assert value is not None, "areas that are asked for are known"
        return value

    def to_json(self) -> Json:
        """The point as JSON data."""
        return {name: getattr(self, name) for name in self.__slots__ if name != "mapping"} | {
            "mapping": str(self.mapping)
        }


@dataclass(frozen=True)
class Front(Result):
    """Points by two or three axes; `best` of them are not dominated. `costed` candidates were looked at; it is `whole` if
    these were all, and has what was found until then if the user has `interrupted` it."""

    first_column: ClassVar[str] = "title"
    cascade: str
    arch: str
    axes: tuple[str, ...]
    shapes: dict[str, int]
    points: tuple[Point, ...]
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
    *,
    of: Sequence[str] = (),
    mapping: str | MappingFile | None = None,
    template: str | MappingFile | None = None,
    parameters: Mapping[str, Any] | None = None,
    dims: Sequence[int] = (),
    fix: Sequence[str] = (),
    keep: Sequence[str] = (),
    accounting: str = "full",
    limit: int | None = None,
    progress: Callable[[int, float], None] | None = None,
) -> Front:
    """The front of a cascade on an architecture, each as data or by its name, by two or three axes.

    The axes are `latency` (seconds), `energy` (joules), `area` (square metres) and `buffer` (bytes).
    With `dims` there is a point for each size of the machine (all axes of so many elements; buffer, registers and areas
    as the architecture's table of sizes has them), with `mapping`, or with the quickest that is found. Without `dims`
    the points are mappings of the space of `map_cascade`, and `buffer` is what they use of it; Ctrl-C ends with those
    found so far. Of each space at most `limit` trees are costed. Raises `FusemaxError` for axes without data, and
    if nothing fits. Source: FuseMax (Nayak et al., MICRO
    2024), section VI, Figure 12, for latency against area.

    >>> shapes = {"B": 64, "H": 12, "E": 64, "F": 64, "M": 262144, "P": 262144}
    >>> found = pareto("attention-1pass", "fusemax-cloud", shapes, mapping="fusemax-binding", dims=[16, 512])
    >>> [round(point.latency_s, 3) for point in found.points]
    [30266.669, 29.583]
    """
    checked, machine = loaded(cascade, arch)
    given, tree = (load_mapping(file) if isinstance(file, str) else file for file in (mapping, template))
    _check_asked(given, tree, bool(dims), (*fix, *keep), limit)
    axes = _axes(of or (("latency", "area") if dims else ("latency", "energy")), bool(dims), machine)
    if dims:
        machines = {n: scaled(machine, n, shapes) for n in dims}
        titled = [
            (
                f"{n} x {n}",
                *_sized(checked, sized, shapes, given, tree, parameters, fix, keep, accounting, axes, limit),
            )
            for n, sized in machines.items()
        ]
        return Front(checked.cascade.name, machine.name, axes, dict(shapes), _marked(titled, axes), len(titled), True)
    fixed = fixed_of(fix, keep, checked, machine, tree)
    charged = accounting_of(accounting)
    space = space_of(checked, machine, shapes, fixed, tree)
    collector = _Collector(space, axes, charged, machine, limit or MOST_EXPLORED, progress)
    whole = collector.collect()
    if not collector.members and not collector.interrupted:
        raise relaxed(
            Search(space, objective_of("latency"), charged, 1, trees=collector.costings, refused=collector.refused)
        )
    titled = [(str(i), *point) for i, point in enumerate(collector.points(), 1)]
    points = _marked(titled, axes)
    name = checked.cascade.name
    return Front(name, machine.name, axes, dict(shapes), points, collector.costed, whole, collector.interrupted)


def _check_asked(
    mapping: MappingFile | None, template: MappingFile | None, sized: bool, decided: Sequence[str], limit: int | None
) -> None:
    """Refuse what would be ignored: there is nothing to search with a mapping, and a mapping alone is one point."""
    if mapping is None:
        return
    if template is not None:
        raise FusemaxError("a mapping, and a template to find one", "leave --mapping or --template out")
    if not sized:
        message = f"'{mapping.name}' is one mapping, and one machine gives one point"
        hint = f"add --dims for machines of other sizes, or search what it leaves open: --template {mapping.name}"
        raise FusemaxError(message, hint)
    if decided or limit is not None:
        raise FusemaxError(f"'{mapping.name}' decides all, and nothing is searched",
                           "leave --fix, --keep and --limit out, or give a cascade and no mapping")  # fmt: skip


def _axes(wanted: Sequence[str], sized: bool, arch: Arch) -> tuple[str, ...]:
    """The axes, checked."""
    for name in wanted:
        if name not in AXES:
            raise FusemaxError(f"no axis '{name}'", did_you_mean(name, AXES) or f"choose {listed(AXES, word='or')}")
    axes = tuple(dict.fromkeys(wanted))
    if not 2 <= len(axes) <= 3:
        raise FusemaxError(f"a front has two or three axes, not {len(axes)}", "write `--of latency,energy`")
    if "area" in axes and not sized:
        raise FusemaxError(
            "all mappings of one machine have the same area", "add --dims 64,128,256, or leave `area` out"
        )
    return axes


def _sized(
    checked: Checked, arch: Arch, shapes: Mapping[str, int], mapping: MappingFile | None, template: MappingFile | None,
    parameters: Mapping[str, Any] | None, fix: Sequence[str], keep: Sequence[str], accounting: str, axes: tuple[str, ...],
    limit: int | None,
) -> tuple[Estimate, float | None, float, MappingFile]:  # fmt: skip
    """The estimate on a machine of one size, its area, its buffer, and the mapping."""
    area = area_m2(arch) if "area" in axes else None
    buffer = float(arch.memories[-1].size_bytes or 0)
    if mapping is not None:
        return (
            evaluate(checked, arch, mapping, shapes, parameters=parameters, accounting=accounting),
            area,
            buffer,
            mapping,
        )
    best = map_cascade(checked, arch, shapes, template=template, fix=fix, keep=keep, top=1, accounting=accounting,
                       limit=limit or MOST_TREES).winner()  # fmt: skip
    return best.estimate, area, buffer, best.mapping


def _marked(
    found: Sequence[tuple[str, Estimate, float | None, float, MappingFile]], axes: tuple[str, ...]
) -> tuple[Point, ...]:
    """Points with a mark for those that are not dominated."""
    points = [
        Point(title, one(e.latency_s), one(e.energy_j), area, buffer, mapping, True)
        for title, e, area, buffer, mapping in found
    ]
    values = np.array([[point.value(axis) for axis in axes] for point in points]).reshape(len(points), len(axes))
    best = undominated(values)
    return tuple(
        Point(p.title, p.latency_s, p.energy_j, p.area_m2, p.buffer_bytes, p.mapping, bool(b))
        for p, b in zip(points, best, strict=True)
    )


@dataclass
class _Collector:
    """Costs trees, and keeps the candidates that no other dominates."""

    space: Space
    axes: tuple[str, ...]
    accounting: Accounting
    arch: Arch
    limit: int
    progress: Callable[[int, float], None] | None = None
    values: Any = None
    members: list[tuple[Family, int, float | None]] = field(default_factory=list)
    costings: int = 0
    costed: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    partial: bool = False
    interrupted: bool = False

    def collect(self) -> bool:
        """Cost trees all over the space, the best by each axis, and more trees; whether these were all."""
        trees = (work for structure in promising(self.space) for work in self.space.batches(structure))
        try:
            self.explore(trees, self.limit // 2)
            for axis in self.axes if self.costings >= self.limit // 2 else ():
                if axis in OBJECTIVES:
                    self.seek(axis)
            self.explore(trees, self.limit)
            rest = next(trees, None)
            return rest is None and not self.partial and not self.space.partial and isinf(self.space.unlisted[0])
        except KeyboardInterrupt:
            self.interrupted = True
            return False

    def explore(self, trees: Iterator[Work], limit: int) -> None:
        """Cost trees up to a limit."""
        while self.costings < limit and (work := next(trees, None)) is not None:
            self.costings += work.costings
            self.price(work)

    def seek(self, axis: str) -> None:
        """Take in the best that a search by an axis finds."""
        search = Search(self.space, objective_of(axis), self.accounting, top=5, limit=max(1, self.limit // 4))
        exhaustive(search)
        self.costings += search.costings
        self.costed += search.costed
        for entry in search.best:
            self.price(entry.family)
        if search.interrupted:
            raise KeyboardInterrupt

    def price(self, work: Work) -> None:
        """Cost trees and take their candidates in."""
        tally = Tally()
        try:
            if isinstance(work, Family):
                self.take(work, [], priced(self.space, work, self.accounting))
            else:
                for picks, costs in combined(work, self.accounting, tally):
                    self.take(work, picks, costs)
        except FusemaxError as error:
            tally.refused[error.problems[0].message] += work.trees
        self.refused.update(tally.refused)
        self.partial |= not tally.whole
        if self.progress is not None and self.members:
            self.progress(self.costings, float(self.values[:, 0].min()))

    def take(self, work: Work, picks: Sequence[tuple[int, ...]], costs: Costs) -> None:
        """Take in the candidates of a tree, or of those that `picks` make of a batch, one row each."""
        self.costed += costs.latency_s.size
        columns = {"latency": costs.latency_s, "energy": costs.energy_j, "buffer": costs.buffer_bytes}
        table = np.column_stack([np.ravel(rounded(columns[axis])) for axis in self.axes])
        fits = np.flatnonzero(np.ravel(costs.feasible))
        mine = fits[undominated(table[fits])]
        fresh = [divmod(int(at), costs.latency_s.shape[-1]) for at in mine]
        every = table[mine] if self.values is None else np.concatenate([self.values, table[mine]])
        kept = undominated(every)
        old = len(self.members)
        self.members = [member for member, keep in zip(self.members, kept[:old], strict=True) if keep]
        for (row, at), keep in zip(fresh, kept[old:], strict=True):
            if keep:
                family = work if isinstance(work, Family) else work.family(picks[row])
                self.members.append((family, at, None if costs.share is None else float(costs.share[at])))
        self.values = every[kept]

    def points(self) -> Iterator[tuple[Estimate, float | None, float, MappingFile]]:
        """The candidates that are left, by their first axis."""
        order: Any = np.lexsort(self.values.T[::-1]) if self.members else []
        for at in order:
            family, number, share = self.members[int(at)]
            mapping, found = exact(
                self.space.checked, self.space.arch, family, number, self.space.shapes, self.accounting, share
            )
            buffer = float(self.values[at][self.axes.index("buffer")]) if "buffer" in self.axes else float(
                self.arch.memories[-1].size_bytes or 0)  # fmt: skip
            yield found, None, buffer, mapping
