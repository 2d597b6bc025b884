"""Fronts: against brute force over all candidates, what searches prove, and what was published of machines of other sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from math import ceil, log2
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusemax import FusemaxError, check, evaluate, load_arch, load_cascade, load_mapping, parse, resources
from fusemax.ir.arch import Arch
from fusemax.mapper import map_cascade
from fusemax.mapper.objective import DIGITS, undominated
from fusemax.mapper.pareto import Front, FrontPoint, _Collector, pareto
from fusemax.mapper.scaling import scaled
from tests.mapper.test_optimal import SMALL, Case, everything
from tests.model.test_published import at
from tests.sim.machines import small

pytestmark = pytest.mark.slow

SIZES = (16, 32, 64, 128, 256, 512)
LONG = 262144


def sized(model: str, dims: Sequence[int], **options: object) -> Front:
    """The published binding at 256K on machines of several sizes."""
    checked, mapping = check(load_cascade("attention-1pass")), load_mapping("fusemax-binding")
    return pareto(checked, load_arch(mapping.arch), at(model, LONG), mapping=mapping, dims=dims, **options)  # type: ignore[arg-type]


def of(cascade: str, arch: str, shapes: dict[str, int], **options: object) -> Front:
    """The front of a shipped cascade on a shipped machine."""
    return pareto(check(load_cascade(cascade)), load_arch(arch), shapes, **options)  # type: ignore[arg-type]


# ---------------------------------------------------------------------------------------------------------- domination


def left(rows: Sequence[Sequence[float]]) -> list[bool]:
    """Which rows no other is at least as good as in everything, by its meaning; of equal rows the first."""
    return [
        not any(
            all(a <= b for a, b in zip(other, row, strict=True)) and (tuple(other) != tuple(row) or j < i)
            for j, other in enumerate(rows)
            if j != i
        )
        for i, row in enumerate(rows)
    ]


@given(st.integers(1, 4).flatmap(lambda n: st.lists(st.lists(st.integers(0, 4), min_size=n, max_size=n), max_size=12)))
def test_undominated(rows: list[list[int]]) -> None:
    """The rows left are those of a comparison of every two."""
    values = np.array(rows, float).reshape(len(rows), len(rows[0]) if rows else 2)
    assert undominated(values).tolist() == left(rows)


# ------------------------------------------------------------------------------------------------ fronts of small spaces

CASES = {
    "matmul": Case(SMALL["matmul"], small("flat-cloud", 2, bandwidth=1e10, buffer=8), {"M": 2, "N": 1, "K": 2}),
    "matmul-uneven": Case(SMALL["matmul"], small("flat-cloud", 4, buffer=8), {"M": 1, "N": 3, "K": 4}),
    "matmul-artifact": Case(
        SMALL["matmul"], small("flat-cloud", 2, bandwidth=1e9, buffer=8), {"M": 4, "N": 4, "K": 1}, "published"
    ),
    "chain": Case(SMALL["chain"], small(lengths=2, bandwidth=1e9), {"M": 6, "K": 4}),
    "two": Case(SMALL["two"], small("flat-cloud", 4, buffer=8), {"M": 4, "K": 4}),
    "softmax-rows": Case(SMALL["softmax-rows"], small(lengths=4, buffer=4), {"M": 6, "P": 4}),
}


def front_of(case: Case, of: Sequence[str]) -> Front:
    """The front of a small space."""
    return pareto(case.checked, case.arch, case.shapes, of=of, fix=case.fix, keep=case.keep, accounting=case.accounting)


def significant(value: float) -> float:
    """A value without the noise of floating point."""
    return float(f"{value:.{DIGITS - 1}e}")


@pytest.mark.parametrize("name", CASES)
def test_all_candidates(name: str) -> None:
    """The front of a small space is what is left of all of its mappings, each costed on its own."""
    case = CASES[name]
    every = [(significant(float(e.latency_s)), significant(float(e.energy_j))) for _, e in everything(case)]
    expected = sorted(row for row, kept in zip(every, left(every), strict=True) if kept)
    front = front_of(case, ("latency", "energy"))
    assert len(expected) > 1
    assert front.whole
    assert front.costed >= len(every)
    assert [(significant(p.latency_s), significant(p.energy_j)) for p in front.points] == expected
    assert all(point.best for point in front.points)


@pytest.mark.parametrize("name", CASES)
def test_points_are_mappings(name: str) -> None:
    """Every point of a front by three axes costs what its mapping costs, and fits a buffer of its bytes and no smaller one."""
    case = CASES[name]
    front = front_of(case, ("latency", "energy", "buffer"))
    rows = [[significant(point.value(axis)) for axis in front.axes] for point in front.points]
    assert left(rows) == [True] * len(front.points)
    assert rows == sorted(rows)
    for point in front.points:
        found = evaluate(case.checked, case.arch, point.mapping, case.shapes, accounting=case.accounting)
        assert (float(found.latency_s), float(found.energy_j)) == (point.latency_s, point.energy_j)
        evaluate(case.checked, with_buffer(case.arch, point.buffer_bytes), point.mapping, case.shapes)
        if point.buffer_bytes:
            with pytest.raises(FusemaxError):
                evaluate(case.checked, with_buffer(case.arch, point.buffer_bytes - 1), point.mapping, case.shapes)


def with_buffer(arch: Arch, size: float) -> Arch:
    """The machine with an innermost memory of so many bytes."""
    assert size == int(size)
    return replace(arch, memories=(*arch.memories[:-1], replace(arch.memories[-1], size_bytes=int(size))))


@pytest.mark.parametrize("limit", [1500, 400])
@pytest.mark.parametrize("axis", ["latency", "energy"])
def test_the_best_by_an_axis(axis: str, limit: int) -> None:
    """The end of a front is what a search by that axis proves, also if not all of the space is costed."""
    shapes = {"M": 64, "N": 64, "K": 32}
    proven = map_cascade("matmul", "flat-edge", shapes, objective=axis, top=1)
    front = of("matmul", "flat-edge", shapes, of=("energy", "latency", "buffer"), limit=limit)
    assert proven.statistics.proven
    assert front.whole == (limit > 1000)
    assert min(point.value(axis) for point in front.points) == pytest.approx(proven.best[0].value, rel=1e-8, abs=0)


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 8])
def test_few_trees(limit: int) -> None:
    """However few trees are costed, there are points of them, and they are not said to be all."""
    front = of("matmul", "flat-edge", {"M": 64, "N": 64, "K": 32}, limit=limit)
    assert front.points
    assert not front.whole


@pytest.mark.slow
def test_published_mappings_are_not_better() -> None:
    """A point of the front of the 1-pass cascade is at least as good as the published binding in time, energy and room."""
    shapes = at("bert", 4096)
    published = evaluate("attention-1pass", "fusemax-cloud", load_mapping("fusemax-binding"), shapes)
    front = of("attention-1pass", "fusemax-cloud", shapes, of=("latency", "energy", "buffer"), limit=500)
    assert any(
        point.latency_s <= published.latency_s and point.energy_j <= published.energy_j for point in front.points
    )
    proven = map_cascade("attention-1pass", "fusemax-cloud", shapes, top=1)
    assert proven.statistics.proven
    assert front.points[0].latency_s == pytest.approx(proven.best[0].value, rel=1e-8, abs=0)


@pytest.mark.parametrize("after", [1, 7])
def test_interrupted(after: int) -> None:
    """Ctrl-C leaves the front of what was costed until then, which says so."""
    calls: list[float] = []

    def interrupt(trees: int, value: float) -> None:
        calls.append(value)
        if len(calls) == after:
            raise KeyboardInterrupt

    shapes = {"M": 64, "N": 64, "K": 32}
    front = of("matmul", "flat-edge", shapes, progress=interrupt)
    assert (front.interrupted, front.whole, len(calls)) == (True, False, after)
    assert front.points[0].latency_s == pytest.approx(min(calls), rel=1e-8, abs=0)
    assert float(evaluate("matmul", "flat-edge", front.points[0].mapping, shapes).energy_j) == front.points[0].energy_j
    assert str(front).endswith("interrupted: this is the front so far")


def test_a_template() -> None:
    """With a template the points are of what it leaves open, and the first is what a search of it finds."""
    shapes = {"B": 1, "H": 1, "E": 64, "F": 64, "M": 4096, "P": 4096}
    template = load_mapping("flat")
    front = of("attention-3pass", "flat-cloud", shapes, template=template, of=("latency", "buffer"))
    best = map_cascade("attention-3pass", "flat-cloud", shapes, template=template, top=1).best[0]
    assert front.whole
    assert front.points[0].latency_s == pytest.approx(best.value, rel=1e-8, abs=0)
    assert len(front.points) > 3


# ---------------------------------------------------------------------------------------------- machines of other sizes


def test_published_seconds() -> None:
    """FuseMax, Figure 12: BERT at 256K takes 30266.7 s at 16 x 16 and 29.583 s at 512 x 512, in between four times less each."""
    points = sized("bert", SIZES).points
    assert [point.title for point in points] == [f"{n} x {n}" for n in SIZES]
    assert points[0].latency_s == pytest.approx(30266.7, abs=0.05)
    assert points[-1].latency_s == pytest.approx(29.583, abs=5e-4)
    for smaller, larger in pairwise(points):
        assert smaller.latency_s / larger.latency_s == pytest.approx(4, rel=0.01)
    assert all(point.best for point in points)


BUFFER_UM2 = {
    "bert": (53846.2, 115584.7, 268848.7, 710760.7, 2141034.7, 28616328.8),
    "xlm": (103511.3, 222100.3, 438223.3, 1042496.3, 2797486.3, 22647128.0),
}
"""Areas of the buffers of FuseMax's artifact, for heads of 64 and 128."""
MAC_UM2, MAX_UM2, DIV_UM2 = 1545, 49.28944, 23740.94


def register_um2(depth: int) -> float:
    """The area of a register file, as FuseMax's artifact extrapolates it."""
    return 16791.04 + 11.63484 * ceil(log2(depth))


@pytest.mark.parametrize("model", ["bert", "xlm"])
def test_published_areas(model: str) -> None:
    """Areas are what the published rule gives: two tiles in the registers, the published buffers, and the operators."""
    head = at(model, LONG)["E"]
    for n, point, buffer in zip(SIZES, sized(model, SIZES).points, BUFFER_UM2[model], strict=True):
        tiles = 2 * max(1, n // head)
        each2d = register_um2(2 * tiles) + MAC_UM2 + MAX_UM2
        each1d = register_um2(8 * tiles) + MAC_UM2 + MAX_UM2 + DIV_UM2
        assert point.area_m2 == pytest.approx((n * n * each2d + n * each1d + buffer) * 1e-12, rel=1e-6)
        least = n * max(1, tiles * n // 2**18) * head * 16
        assert point.buffer_bytes == least * (2 if n == 512 else 1)  # there DRAM would take longer than the 1D array


@pytest.mark.parametrize("model", ["bert", "xlm"])
def test_published_registers(model: str) -> None:
    """Two tiles wait in the registers of the 2D array; all axes have as many elements."""
    for n in SIZES:
        shapes = at(model, LONG)
        arch = scaled(load_arch("fusemax-cloud"), n, shapes)
        entries = {unit.name: unit.registers and unit.registers.entries for unit in arch.units}
        assert entries["array2d"] == 4 * max(1, n // shapes["E"])
        assert [length for unit in arch.units for _, length in unit.axes] == [n, n, n]


def test_dominated_machines() -> None:
    """By time and energy the largest machine beats all others, which are marked."""
    front = sized("bert", (512, 16, 512, 64), of=("latency", "energy"))
    assert [(point.title, point.best) for point in front.points] == [
        ("512 x 512", True), ("16 x 16", False), ("64 x 64", False),
    ]  # fmt: skip
    assert all(point.area_m2 is None for point in front.points)


def test_found_for_each_size() -> None:
    """Without a mapping each machine gets one that is no slower than the published."""
    found = of("attention-1pass", "fusemax-cloud", at("bert", LONG), dims=[64], of=("latency", "area")).points[0]
    assert found.latency_s <= sized("bert", [64]).points[0].latency_s
    assert found.area_m2 == sized("bert", [64]).points[0].area_m2


# ------------------------------------------------------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"of": ["latency", "enrgy"]}, "no axis 'enrgy'\nhint: did you mean 'energy'?"),
        ({"of": ["latency", "x"]}, "no axis 'x'\nhint: choose 'latency', 'energy', 'area' or 'buffer'"),
        ({"of": ["latency"]}, "a front has two or three axes, not 1\nhint: write `--of latency,energy`"),
        ({"of": ["latency", "latency"]}, "a front has two or three axes, not 1\nhint: write `--of latency,energy`"),
        ({"of": ["latency", "energy", "area", "buffer"], "dims": [16]},
         "a front has two or three axes, not 4\nhint: write `--of latency,energy`"),
        ({"of": ["latency", "area"]},
         "all mappings of one machine have the same area\nhint: add --dims 64,128,256, or leave `area` out"),
        ({"dims": [16, 100]},
         "'fusemax-cloud' has no size with 100 elements an axis\nhint: it has 16, 32, 64, 128, 256, 512"),
        ({"mapping": load_mapping("fusemax-binding")},
         "'fusemax-binding' is one mapping, and one machine gives one point\n"
         "hint: add --dims for machines of other sizes, or search its open choices: --template fusemax-binding"),
        ({"fix": ["AV=array3d"]}, "'fusemax-cloud' has no unit 'array3d'\nhint: did you mean 'array2d'?"),
        ({"fix": ["AV=array2d"]},
         "no assignment of the Einsums of 'attention-1pass' to the units of 'fusemax-cloud' is left\n"
         "hint: fix less; registers may be too small for the tiles that wait in them"),
    ],
)  # fmt: skip
def test_mistakes(options: dict[str, object], message: str) -> None:
    """A front that cannot be is refused, with the alternatives."""
    with pytest.raises(FusemaxError) as caught:
        of("attention-1pass", "fusemax-cloud", at("bert", 1024), **options)
    assert str(caught.value) == message


def test_machines_without_what_is_asked_for() -> None:
    """A machine without a table of sizes, a model that its table is not for, and memories and registers without an area."""
    cases = [
        (load_arch("flat-cloud"), at("bert", 1024),
         "'flat-cloud' tells no other sizes\nhint: give its file a table: `scaling: FILE.csv`"),
        (load_arch("fusemax-cloud"), {**at("bert", 1024), "E": 32},
         "'fusemax-cloud' tells other sizes for E=64 or E=128 only\nhint: add rows to its table"),
        (without_areas(load_arch("fusemax-cloud")), at("bert", 1024),
         "'fusemax-cloud, 64 elements an axis' states no area for the registers of 'array2d'\n"
         "hint: write `area: 1545 um^2` there"),
    ]  # fmt: skip
    checked, mapping = check(load_cascade("attention-1pass")), load_mapping("fusemax-binding")
    for arch, shapes, message in cases:
        with pytest.raises(FusemaxError) as caught:
            pareto(checked, arch, shapes, mapping=mapping, dims=[64])
        assert str(caught.value) == message


def without_areas(arch: Arch) -> Arch:
    """The machine with registers of unknown area, also in its other sizes."""
    units = tuple(
        replace(unit, registers=unit.registers and replace(unit.registers, area_m2=None)) for unit in arch.units
    )
    return replace(arch, units=units, scales=tuple(replace(scale, registers=()) for scale in arch.scales))


TABLE = (
    "dims,E,buffer_bytes,buffer_um2,array2d_entries,array2d_um2\n16,64,16384,53846.2,4,16814.3\n64,64,65536,2e5,4,1e4\n"
)
NUMBERS = "does not hold positive numbers\nhint: write numbers there"
CELLS = "has more or fewer cells than the first\nhint: write one for each column"
COLUMNS = "hint: its columns are 'dims', 'buffer_bytes' and 'buffer_um2', and registers"


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("buffer_um2", "area", f"'t.csv' has no column 'buffer_um2'\n{COLUMNS}"),
        (TABLE, "", f"'t.csv' has no column 'dims', 'buffer_bytes' and 'buffer_um2'\n{COLUMNS}"),
        (TABLE.partition("\n")[2], "", "'t.csv' has no rows\nhint: give it one for each size"),
        ("65536", "64K", f"line 3 of 't.csv' {NUMBERS}"),
        ("16384", "0", f"line 2 of 't.csv' {NUMBERS}"),
        ("16,64", "16.5,64", f"line 2 of 't.csv' {NUMBERS}"),
        ("64,64", "64,many", f"line 3 of 't.csv' {NUMBERS}"),
        ("53846.2", "-1", f"line 2 of 't.csv' {NUMBERS}"),
        ("53846.2", "nan", f"line 2 of 't.csv' {NUMBERS}"),
        ("2e5,4", "2e5,", f"line 3 of 't.csv' {NUMBERS}"),
        ("4,1e4", "4,inf", f"line 3 of 't.csv' {NUMBERS}"),
        ("array2d_um2", "array2d", f"line 2 of 't.csv' {NUMBERS}"),
        ("array2d", "array3d", "'t.csv' has registers of 'array3d', which is no unit\nhint: did you mean 'array2d'?"),
        (",1e4", "", f"line 3 of 't.csv' {CELLS}"),
        (",16814.3", ",16814.3,1", f"line 2 of 't.csv' {CELLS}"),
    ],
)
def test_tables_of_sizes(before: str, after: str, message: str, tmp_path: Path) -> None:
    """A table of sizes that cannot be used is told with its name and line, at the place that names it."""
    machine = (resources.directory("arch") / "fusemax-cloud.yaml").read_text(encoding="utf-8")
    path = tmp_path / "m.yaml"
    path.write_text(machine.replace("fusemax-scaling.csv", "t.csv"), encoding="utf-8")
    (tmp_path / "t.csv").write_text(TABLE, encoding="utf-8")
    assert [scale.dims for scale in load_arch(path).scales] == [16, 64]
    assert before in TABLE
    (tmp_path / "t.csv").write_text(TABLE.replace(before, after), encoding="utf-8")
    place, told, hint = refused(path)
    assert f"{told}\n{hint}" == message
    (tmp_path / "t.csv").unlink()
    assert refused(path) == (
        place,
        f"'{tmp_path / 't.csv'}' cannot be read: no such file or directory",
        "hint: check the path",
    )


def refused(path: Path) -> tuple[str, str, str]:
    """Where a file is refused, why, and what to do."""
    with pytest.raises(FusemaxError) as caught:
        load_arch(path)
    first, line, mark, hint = str(caught.value).splitlines()
    assert line.lstrip().startswith("scaling: t.csv")
    assert mark.strip() == "^^^^^"
    place, _, told = first.partition(": ")
    return place, told, hint


def test_points_have_what_is_asked_for() -> None:
    """A point's values by the names of the axes."""
    point = FrontPoint("a", 1.0, 2.0, 3.0, 4.0, load_mapping("flat"), True)
    assert [point.value(axis) for axis in ("latency", "energy", "area", "buffer")] == [1.0, 2.0, 3.0, 4.0]


def test_layouts_that_are_not_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A front of a space of which not all layouts are listed is not whole, though all that are listed is costed."""
    checked = check(parse("input A[M, P], B[M]\noutput Z[P], Y[M]\nZ[p] = A[m, p] * B[m]\nY[m] = B[m] * 2"))
    shapes = {"M": 4, "P": 3}
    assert pareto(checked, small(), shapes, limit=10**6).whole
    monkeypatch.setattr("fusemax.mapper.space.layout_product.MOST_JOINED", 3)
    assert not pareto(checked, small(), shapes, limit=10**6).whole


def test_the_best_by_an_axis_is_sought(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the limit cuts the space off, a search by each axis adds its best."""
    sought: list[str] = []
    seek = _Collector.seek

    def record(self: _Collector, axis: str, limit: int) -> None:
        sought.append(axis)
        seek(self, axis, limit)

    monkeypatch.setattr(_Collector, "seek", record)
    pareto(check(load_cascade("matmul")), small(), {"M": 64, "N": 48, "K": 6}, of=("latency", "energy"), limit=100)
    assert sought == ["latency", "energy"]
