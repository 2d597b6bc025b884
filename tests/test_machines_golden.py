"""All numbers of small mappings on small machines, from before any change of the code: costs, schedules, and searches.

The texts in `golden/machines` are made here, of names and exact numbers, so that no report's wording is in them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from fusemax import (
    Estimate,
    MapResult,
    Trace,
    check,
    evaluate,
    load_arch,
    load_cascade,
    load_mapping,
    map_cascade,
    simulate,
)
from fusemax.ir.arch import Arch
from fusemax.ir.checked import Checked
from fusemax.ir.mapping import Mapping as MappingFile
from fusemax.mapper.pareto import Front, pareto
from tests.sim.machines import small
from tests.tiny import cascade, machine, mapped

pytestmark = pytest.mark.slow

Golden = Callable[[str, str], None]

ATTENTION = {"B": 1, "H": 2, "E": 4, "F": 4, "M": 32, "P": 32}
SHOWN = 40
"""Tasks of a critical path that are shown, from its end."""


@dataclass(frozen=True)
class Point:
    """A mapping of a cascade on a machine at some sizes; `window` in cycles, none if it is not simulated."""

    cascade: str | Checked
    arch: Arch
    mapping: str | MappingFile
    shapes: Mapping[str, Any]
    window: tuple[float, float] | None = (0, 400)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    accounting: str = "full"
    latencies: bool = True

    @property
    def checked(self) -> Checked:
        """Its cascade, checked."""
        return check(load_cascade(self.cascade)) if isinstance(self.cascade, str) else self.cascade


TURNS = mapped("""
split m: m1, m0 = array2d.rows
split p: p2, p1 = fit buffer, p0 = array2d.columns
pipeline b, h, p2:
  hold Q, RM, RD, RNV in buffer
  for m1:
    hold BK, BV in buffer
    for p1:
      on array2d (rows: m0, columns: p0): BQK over e | SLNV over f; LM; SLN; SLD
      on array1d (lanes: p0): RM; PRM; SPD; RD; SPNV over f; RNV over f
  for p1: on array1d (lanes: p0): AV over f
""")
MATMUL = "split m: m1, m0 = array2d.rows\nsplit n: n1, n0 = array2d.columns\nsplit k: k1, k0 = 4\n"
READ_BACK = mapped(
    MATMUL + "for k1:\n  hold A in buffer\n  for m1, n1: on array2d (rows: m0, columns: n0): Z over k0\n"
)
BETWEEN = mapped(
    MATMUL + "pipeline m1:\n  hold A, Z in middle\n  for k1:\n    hold B in middle\n    for n1:\n"
    "      hold B, Z in buffer\n      on array2d (rows: m0, columns: n0): Z over k0\n"
)
UNEVEN = """
split m uneven: m2, m1 = 2, m0 = {}
split n uneven: n1, n0 = {}
pipeline m2:
  hold A in buffer
  for n1:
    hold B in buffer
    for m1: on array2d (rows: m0, columns: n0): Z over k
"""
ONE_QUERY = mapped("""
split m: m1, m0 = array1d.lanes
pipeline b, h:
  hold QK in buffer
  for m1: on array2d (rows: e, columns: m0): QK over p
  for m1: on array1d (lanes: m0): GM over p
  for m1: on array1d (lanes: m0): SN over p; SD over p
  for m1: on array1d (lanes: m0): A over p
  hold SN, SD, GM, A in buffer
  for m1: on array2d (rows: m0, columns: f): AV over p
""")
CAUSAL = mapped("""
split m: m1, m0 = array2d.rows
split p: p1, p0 = array2d.columns
pipeline b, h, p1:
  hold Q, QK, GM, SN, SD, A in buffer
  for m1:
    hold K in buffer
    on array2d (rows: m0, columns: p0): QK over e
  for m1: on array1d (lanes: p0): GM over m0
  for m1: on array1d (lanes: p0): SN over m0; SD over m0
  for m1: on array1d (lanes: p0): A over m0
  for m1: on array2d (rows: m0, columns: p0): AV over f
""")
CONVOLUTION = cascade("input A[C, L], B[K, C]\noutput Z[M]\nshape L = M + K - 1\nZ[m] = A[c, m + k] * B[k, c]")
VIEW = cascade("input A[L]\noutput Z[M]\nshape L = 2 * M\nB[m] = A[2 * m]\nZ[m] = exp(B[m])")
RUNNING = cascade(
    "input A[I, P], B[I]\noutput Z[P]\ninit:\n  R[0, p] = 0\nloop i:\n  S[i, p] = A[i, p] * B[i]\n"
    "  R[i+1, p] = R[i, p] + S[i, p]\nstop: i >= I\nfinal:\n  Z[p] = exp(R[I, p])"
)
TWO_STEPS = cascade("input A[K, M], B[K]\noutput Z[M]\nY[m] = A[k, m] * B[k]\nZ[m] = exp(Y[m])")
STAGED = mapped("""
split m: m1, m0 = array2d.columns
stages m1:
  stage:
    on array2d (rows: k, columns: m0): Y
    wait Y
    previous: on array1d (lanes: m0): Z
""")
NORM = mapped("""
split p: p1, p0 = array1d.lanes
stages b, p1:
  hold X, SQ, R in buffer
  stage: on array1d (lanes: p0): SQ over d; R
  stage: on array1d (lanes: p0): Y over d
""")
TINY_FLAT = small("flat-cloud", 4)

POINTS = {
    "unfused": Point("attention-3pass", TINY_FLAT, "unfused", ATTENTION, (0, 500)),
    "flat": Point("attention-3pass", TINY_FLAT, "flat", ATTENTION, parameters={"rows": 8}),
    "flat-weights": Point(
        "attention-3pass", small("flat-cloud", 4, buffer=1200), "flat", {**ATTENTION, "P": 8}, (250, 651),
        parameters={"rows": 8, "kept": ("Q", "AV"), "qk": ("weight",), "av": ("weight",)},
    ),
    "flat-spilling": Point(
        "attention-3pass", small("flat-cloud", 4, buffer=900, bandwidth=4e9), "flat", {**ATTENTION, "P": 8},
        (700, 1200), {"rows": 8, "kept": ("QK", "A"), "share": 0.25},
    ),
    "cascade-artifact": Point(
        "attention-1pass", small("flat-cloud", 4, buffer=4000), "fusemax-cascade", ATTENTION, accounting="published",
        parameters={},
    ),
    "architecture": Point("attention-1pass", small(buffer=2500), "fusemax-architecture", ATTENTION),
    "binding-128x64": Point(
        "attention-1pass", machine(128, 64, 64, 64, 1 << 15), "fusemax-binding",
        {"B": 1, "H": 2, "E": 16, "F": 16, "M": 512, "P": 256}, (0, 600),
    ),
    "binding-8x4": Point("attention-1pass", machine(8, 4, buffer=1000), "fusemax-binding", ATTENTION, (1000, 1400)),
    "binding-queues": Point("attention-1pass", machine(queue=6, buffer=2000), "fusemax-binding", ATTENTION),
    "binding-few-registers": Point(
        "attention-1pass", machine(entries=4, buffer=900, bandwidth=1), "fusemax-binding", {**ATTENTION, "H": 7}
    ),
    "binding-unstated-registers": Point(
        "attention-1pass", machine(entries=None, buffer=1 << 12), "fusemax-binding", ATTENTION, latencies=False
    ),
    "turns": Point("attention-1pass", machine(buffer=2000), TURNS, ATTENTION),
    "two-pass": Point(
        "attention-2pass", machine(), mapped("""
split m: m1, m0 = array2d.rows
split p: p1, p0 = array2d.columns
phase:
  pipeline b, h, p1:
    hold Q, LM, SLD in buffer
    for m1: on array2d (rows: m0, columns: p0): BQK over e; LM; SLN; SLD
    for m1: on array1d (lanes: p0): GM
    for m1: on array1d (lanes: p0): PLM; SD
phase:
  pipeline b, h, p1:
    hold AV in buffer
    for m1:
      hold BV in buffer
      on array1d (lanes: p0): A over m0
      on array2d (rows: m0, columns: p0): AV over f
"""), ATTENTION),
    "linear-weights": Point("matmul", machine(bandwidth=2), "linear", {"M": 24, "N": 8, "K": 6}),
    "linear-inputs": Point(
        "matmul", machine(buffer=150), "linear", {"M": 24, "N": 8, "K": 6}, parameters={"kept": ("inputs",)}
    ),
    "read-back": Point("matmul", machine(bandwidth=3), READ_BACK, {"M": 8, "N": 12, "K": 20}),
    "between": Point("matmul", machine(middle=1 << 12), BETWEEN, {"M": 8, "N": 12, "K": 20}),
    "uneven-257": Point(
        "matmul", machine(128, 64, 64), mapped(UNEVEN.format(128, 64)), {"M": 255, "N": 257 + 63, "K": 33}, None
    ),
    "uneven-257-balanced": Point(
        "matmul", machine(128, 64, 64), mapped(UNEVEN.format(65, 52)), {"M": 257, "N": 257, "K": 33}, None
    ),
    "uneven-grid": Point(
        "matmul", machine(buffer=1 << 20), mapped(UNEVEN.format(4, 4)),
        {"M": np.array([8, 14, 15, 16]), "N": np.array([4, 7, 6, 15]), "K": 5}, None,
    ),
    "one-query": Point("attention-3pass", machine(), ONE_QUERY, {**ATTENTION, "P": 1}),
    "causal": Point("attention-causal", machine(), CAUSAL, {**ATTENTION, "M": 16, "P": 16}),
    "convolution": Point(
        CONVOLUTION, machine(), mapped(
            "split m: m1, m0 = array2d.columns\nhold B in buffer\nfor m1:\n"
            "  hold A in buffer\n  on array2d (rows: c, columns: m0): Z over k"
        ), {"M": 16, "K": 3, "C": 4},
    ),
    "view": Point(VIEW, machine(), mapped("split m: m1, m0 = 4\nfor m1: on array1d (lanes: m0): Z"), {"M": 64}),
    "running": Point(
        RUNNING, machine(), mapped(
            "split p: p1, p0 = 4\npipeline p1:\n  hold R in buffer\n"
            "  for i: on array1d (lanes: p0): S; R\n  on array1d (lanes: p0): Z"
        ), {"I": 9, "P": 8},
    ),
    "stages": Point(TWO_STEPS, machine(), STAGED, {"K": 4, "M": 32}),
    "norm": Point("rmsnorm", machine(bandwidth=4), NORM, {"B": 2, "P": 12, "D": 10}),
}  # fmt: skip


@dataclass(frozen=True)
class Hunt:
    """A search: what for, on what machine, at which sizes, and how."""

    cascade: str | Checked
    arch: Arch
    shapes: Mapping[str, int]
    options: Mapping[str, Any] = field(default_factory=dict)


OPEN = mapped("""
split m: m2, m1 = ?, m0 = 4
split n: n1, n0 = 4
pipeline m2, n1:
  hold B in buffer
  for m1: on array2d (rows: m0, columns: n0): Z over k
""")
OPEN_UNEVEN = mapped(UNEVEN.replace("m1 = 2", "m1 = ?").format(4, 4))
SMALL_MATMUL = {"M": 8, "N": 4, "K": 6}
TIGHT = {"B": 1, "H": 1, "E": 2, "F": 2, "M": 8, "P": 4}

HUNTS = {
    "matmul": Hunt("matmul", machine(), SMALL_MATMUL),
    "matmul-energy": Hunt("matmul", machine(buffer=60), {"M": 8, "N": 4, "K": 3}, {"objective": "energy"}),
    "matmul-edp": Hunt("matmul", machine(bandwidth=1, middle=600), {"M": 4, "N": 4, "K": 6}, {"objective": "edp", "limit": 300}),
    "matmul-dram": Hunt("matmul", machine(buffer=40), {"M": 8, "N": 4, "K": 3}, {"objective": "dram", "top": 3}),
    "matmul-257": Hunt("matmul", machine(128, 64, 64, 64), {"M": 257, "N": 257, "K": 12}, {"top": 2}),
    "matmul-257-even": Hunt("matmul", machine(128, 64, 64), {"M": 258, "N": 96, "K": 12}, {"top": 2, "even": True}),
    "matmul-annealed": Hunt("matmul", machine(), SMALL_MATMUL, {"strategy": "anneal", "seed": 7, "limit": 120}),
    "matmul-cut-off": Hunt("matmul", machine(buffer=60), SMALL_MATMUL, {"limit": 9, "objective": "energy"}),
    "open": Hunt("matmul", machine(), {"M": 48, "N": 8, "K": 6}, {"template": OPEN, "objective": "dram", "top": 9}),
    "open-uneven": Hunt("matmul", machine(), {"M": 34, "N": 8, "K": 6}, {"template": OPEN_UNEVEN, "top": 3}),
    "flat": Hunt(
        "attention-3pass", small("flat-cloud", 4, buffer=900), {**ATTENTION, "P": 8},
        {"template": "flat", "top": 2, "accounting": "published"},
    ),
    "one-pass": Hunt(
        "attention-1pass", small("fusemax-cloud", 2, buffer=80), {**TIGHT, "M0": 2, "P": 2},
        {"top": 2, "fix": ("BQK=array2d", "LM=array2d", "SLN=array2d", "SLNV=array2d"), "keep": ("Q=dram",)},
    ),
    "three-pass": Hunt("attention-3pass", machine(2, 2, 2, buffer=60), {**TIGHT, "M": 4, "P": 2}, {"keep": ("QK=buffer",), "top": 2}),
    "two-pass-one-query": Hunt("attention-2pass", machine(), {**TIGHT, "P": 1, "M0": 4}, {"limit": 30, "top": 2}),
    "two-steps": Hunt(TWO_STEPS, small("flat-cloud", 4), {"K": 64, "M": 64}, {"top": 3}),
    "convolution": Hunt(CONVOLUTION, machine(bandwidth=1), {"M": 8, "K": 3, "C": 4}, {"top": 2}),
    "running": Hunt(RUNNING, machine(buffer=40, entries=4), {"I": 6, "P": 8}, {"objective": "edp", "top": 3}),
}  # fmt: skip

FRONTS = {
    "matmul": Hunt("matmul", machine(buffer=80), {"M": 8, "N": 4, "K": 3}, {"limit": 60}),
    "matmul-room": Hunt(
        "matmul", machine(bandwidth=1), {"M": 4, "N": 4, "K": 3}, {"of": ("energy", "buffer"), "limit": 60}
    ),
    "two-steps": Hunt(TWO_STEPS, small("flat-cloud", 4, bandwidth=1e9), {"K": 16, "M": 12}, {"limit": 40}),
    "sizes": Hunt(
        "attention-1pass", load_arch("fusemax-cloud"), {"B": 1, "H": 1, "E": 64, "F": 64, "M": 4096, "P": 4096},
        {"mapping": load_mapping("fusemax-binding"), "dims": (16, 64, 256)},
    ),
}  # fmt: skip


# ------------------------------------------------------------------------------------------------------------- the texts


def number(value: Any) -> str:
    """A number to 13 digits, whatever its type: ticks of all runs here have fewer, and later ones depend on the Python."""
    if np.ndim(value):
        return "[" + " ".join(map(number, np.asarray(value).tolist())) + "]"
    return f"{float(value):.13g}" if isinstance(value, float | Fraction) else str(value)


WHY = (
    (r"(\w+) from \w+", r"load \1"), (r"room for (\w+)", r"room \1"), (r"(\w+) to leave", r"store \1"),
    (r"its use", "use"), (r"room in the queue of (\w+)", r"queue \1"), (r"(\w+) to drain", r"drain \1"),
    (r"the end of (\w+)", r"end \1"), (r"the start", "start"), (r"its turn", "turn"), (r"nothing to do", "nothing"),
    (r"registers", "registers"), (r"(\w+)", r"operand \1"),
)  # fmt: skip
"""The reasons for which a unit stands still, and how they are written here."""


def reason(why: Any) -> str:
    """Why a unit stood still: its kind, and what it is about."""
    return next((re.sub(pattern, word, str(why)) for pattern, word in WHY if re.fullmatch(pattern, str(why))), "-")


def limit(bound: Any) -> str:
    """The limit; none where no unit and no memory is busy all of the time."""
    each = np.atleast_1d(np.asarray(bound)).tolist()
    return " ".join("nothing" if word in ("waits", "synchronization") else word for word in each)


def estimate_lines(found: Estimate) -> Iterator[str]:
    """All numbers of an estimate."""
    yield f"cycles {number(found.cycles)}"
    yield f"seconds {number(found.latency_s)}"
    yield f"joules {number(found.energy_j)}"
    yield f"dram bytes {number(found.dram_bytes)}"
    yield f"limit {limit(found.bound)}"
    yield "sizes " + " ".join(f"{rank}={number(size)}" for rank, size in sorted(found.shapes.items()))
    for unit, share in found.utilization.items():
        yield f"utilization {unit} {number(share)}"
    for memory, (reads, writes) in found.words.items():
        yield f"words {memory} {number(reads)} {number(writes)} joules {number(found.memory_j[memory])}"
    for kind, times in sorted(found.operations.items()):
        yield f"operations {kind} {number(times)}"
    for einsum in found.einsums:
        yield (
            f"einsum {einsum.einsum} on {einsum.unit} slots {number(einsum.slot_cycles)} edges "
            f"{number(einsum.edge_cycles)} share {number(einsum.utilization)} joules {number(einsum.energy_j)} "
            + " ".join(f"{kind}={number(times)}" for kind, times in sorted(einsum.operations.items()))
        )
    for i, phase in enumerate(found.phases):
        yield f"phase {i} {number(phase.cycles)} cycles {number(phase.dram_bytes)} bytes {number(phase.seconds)} s"
    counts: dict[str, Any] = {}
    for count in found.counts:
        way = "from" if count.reads else "to"
        key = f"count {way} {count.memory} {count.kind.value} {count.tensor} for {count.einsum} in {count.phase}"
        counts[key] = counts.get(key, 0) + count.words
    yield from (f"{key}: {number(words)}" for key, words in sorted(counts.items()) if np.any(words != 0))


def trace_lines(found: Trace) -> Iterator[str]:
    """All totals of a run, and the window's tasks along its critical path."""
    yield f"makespan {number(found.makespan)} of {number(found.closed_form)}"
    yield f"tasks {found.tasks} run {found.simulated}"
    for server in found.servers:
        yield f"server {server.name} busy {number(server.busy)} tasks {server.tasks}"
        stalls = sorted((reason(why), cycles) for why, cycles in server.stalls.items())
        yield from (f"  stall {why} {number(cycles)}" for why, cycles in stalls)
    for series in found.series:
        yield f"series {series.name} on {series.server} tasks {series.tasks} bytes {number(series.bytes)}"
    for memory, tiles in found.reserved.items():
        yield from (f"reserved {memory} {tensor} {number(size)}" for tensor, size in sorted(tiles.items()))
    yield from (f"queue {tensor} {number(words)}" for tensor, words in sorted(found.queues.items()))
    starts = sum(Fraction(task.start) * (1 + place) for place, task in enumerate(found.slices))
    yield f"window {number(found.window[0])} {number(found.window[1])} tasks {len(found.slices)} sum {number(starts)}"
    for memory in found.reserved:
        times, used = found.occupancy(memory)
        yield f"in use {memory} at most {number(used.max())} changes {len(times)}"
    for task in found.critical_path()[-SHOWN:]:
        at = " ".join(f"{variable}={place}" for variable, place in task.coordinates.items())
        waited = f" {reason(task.why)} {number(task.waited)}" if task.waited else ""
        yield f"path {number(task.start)} {number(task.end)} {task.server} {task.name} {at}{waited}"


def search_lines(found: MapResult) -> Iterator[str]:
    """The mappings that a search found, with their figures, and its statistics."""
    did = found.statistics
    yield f"{found.objective} {did.strategy} least {number(found.least)} proven {did.proven}"
    yield f"considered {did.considered} trees {did.trees} costed {did.costed} fitting {did.fitting}"
    yield f"refused {sum(times for _, times in did.refused)} for {len(did.refused)} reasons"
    for each in found.best:
        estimate = each.estimate
        yield f"value {number(each.value)} limit {limit(estimate.bound)}"
        yield (
            f"cycles {number(estimate.cycles)} joules {number(estimate.energy_j)} bytes {number(estimate.dram_bytes)}"
        )
        yield from (f"  | {line}" for line in str(each.mapping).splitlines() if line.strip())


def front_lines(found: Front) -> Iterator[str]:
    """The points of a front, with their mappings."""
    yield f"{' '.join(found.axes)} costed {found.costed} whole {found.whole}"
    for point in found.points:
        values = " ".join(f"{axis} {number(point.value(axis))}" for axis in found.axes)
        yield f"{values} joules {number(point.energy_j)} best {point.best}"
        bare = re.sub(r" *#.*", "", str(point.mapping))
        yield from (f"  | {line}" for line in bare.splitlines() if line.strip())


def text(lines: Sequence[str]) -> str:
    """Lines without blanks at their ends, as a file has them."""
    return "\n".join(line.rstrip() for line in lines) + "\n"


@pytest.mark.parametrize("name", POINTS)
def test_numbers_of_a_mapping(name: str, golden: Golden) -> None:
    """The costs of a mapping in closed form, and its run tile by tile, stay the same."""
    point = POINTS[name]
    checked, tree = point.checked, point.mapping
    tree = load_mapping(tree) if isinstance(tree, str) else tree
    lines = [
        *estimate_lines(
            evaluate(checked, point.arch, tree, point.shapes, parameters=point.parameters, accounting=point.accounting)
        )
    ]
    if point.window is not None:
        lines += trace_lines(
            simulate(
                checked, point.arch, tree, point.shapes, parameters=point.parameters, window=point.window,
                latencies=point.latencies,
            )
        )  # fmt: skip
    golden(text(lines), f"machines/{name}.txt")


@pytest.mark.parametrize("name", HUNTS)
def test_results_of_a_search(name: str, golden: Golden) -> None:
    """The best mappings of a space, their figures, and how many were looked at are what they were."""
    hunt = HUNTS[name]
    golden(
        text([*search_lines(map_cascade(hunt.cascade, hunt.arch, hunt.shapes, **hunt.options))]),
        f"machines/search-{name}.txt",
    )


@pytest.mark.parametrize("name", FRONTS)
def test_points_of_a_front(name: str, golden: Golden) -> None:
    """The mappings, or machines, of which none is better than another in everything are what they were."""
    hunt = FRONTS[name]
    checked = check(load_cascade(hunt.cascade)) if isinstance(hunt.cascade, str) else hunt.cascade
    found = pareto(checked, hunt.arch, hunt.shapes, **hunt.options)
    golden(text([*front_lines(found)]), f"machines/front-{name}.txt")
