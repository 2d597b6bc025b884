"""Lower and upper bounds of runs on small machines, and their changes when a machine gets better."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from math import prod
from typing import Any

import pytest
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st

from fusemax import FusemaxError, check, load_cascade, load_mapping
from fusemax.bind.bind import BoundMapping, bind
from fusemax.bind.extents import single
from fusemax.ir.arch import Arch
from fusemax.model.energy import Accounting
from fusemax.model.estimate import Estimate, estimate
from fusemax.sim.program.program import Clock
from fusemax.sim.simulate import run
from fusemax.sim.trace import Trace
from tests.sim.machines import small

pytestmark = pytest.mark.slow

WHOLE = (0.0, 1e9)
CLOSE = 1e-9

shapes = st.fixed_dictionaries({
    "B": st.integers(1, 2), "H": st.integers(1, 3), "E": st.sampled_from([1, 2, 4]), "F": st.sampled_from([1, 3, 4]),
    "M": st.sampled_from([4, 8, 16]), "P": st.sampled_from([4, 8, 24]),
})  # fmt: skip
mappings = st.sampled_from(["unfused", "flat", "fusemax-cascade", "fusemax-architecture", "fusemax-binding"])
machines = st.fixed_dictionaries({
    "name": st.just("fusemax-cloud"), "lengths": st.sampled_from([2, 4]), "entries": st.sampled_from([3, 10, None]),
    "buffer": st.sampled_from([None, 4000, 1200]), "bandwidth": st.sampled_from([None, 1e10, 3e9]),
})  # fmt: skip
parameters = st.fixed_dictionaries({
    "rows": st.sampled_from([None, 4, 8]), "kept": st.sampled_from(["QK A", "Q AV", "QK A K V", ""]),
    "qk": st.sampled_from(["output", "weight"]), "av": st.sampled_from(["output", "weight"]),
})  # fmt: skip


def bound(name: str, arch: Arch, sizes: dict[str, int], chosen: dict[str, Any]) -> BoundMapping:
    """A mapping on a machine; examples that do not fit are passed over."""
    mapping = load_mapping(name)
    values = {key: value for key, value in chosen.items() if value is not None} if name == "flat" else {}
    try:
        return bind(check(load_cascade(mapping.cascade)), arch, mapping, sizes, values)
    except FusemaxError as error:
        assert any(word in str(error) for word in ("less than", "divide", "points, but")), str(error)
        assume(False)
        raise


def lower(made: BoundMapping, trace: Trace) -> dict[str, float]:
    """Seconds that a run takes at least, by who needs them: each unit, and the channel for its bytes."""
    found = {unit.name: trace.server(unit.name).busy / made.arch.clock_hz for unit in made.arch.units}
    bandwidth = made.arch.outermost.bandwidth_bytes_s
    assert bandwidth is not None
    return {**found, made.arch.outermost.name: trace.dram_bytes / bandwidth}


def costed(made: BoundMapping) -> Estimate:
    """The cost model's counts."""
    return estimate(made, Accounting.FULL)


@settings(max_examples=25, deadline=None, phases=[Phase.generate])
@given(mappings, machines, shapes, parameters)
def test_work_is_conserved(name: str, machine: dict[str, Any], sizes: dict[str, int], chosen: dict[str, Any]) -> None:
    """Every Einsum has each tile of its iteration space once, for as many cycles as its operations and edges need."""
    made = bound(name, small(**machine), sizes, chosen)
    trace, cost = run(made, WHOLE), costed(made)
    spent: defaultdict[str, float] = defaultdict(float)
    places: dict[str, set[tuple[int, ...]]] = {}
    for task in trace.slices:
        spent[task.name] += task.end - task.start
        places.setdefault(task.name, set()).add(tuple(task.coordinates.values()))
    tasks = {series.name: series.tasks for series in trace.series}
    for placement, share in zip(made.plan.placements, cost.einsums, strict=True):
        assert tasks[placement.name] == len(places[placement.name])
        used = {part for v in placement.einsum.variables for part in made.nest.splits.get(v, (v,))}
        around = {loop.variable for loop in placement.loops}
        assert tasks[placement.name] == prod(int(made.nest.extents[v]) for v in used & around)
        assert share.slot_cycles <= spent[placement.name] * (1 + CLOSE)
        assert (
            spent[placement.name] <= share.slot_cycles + share.edge_cycles + tasks[placement.name] * tick(made) + CLOSE
        )
        if not share.edge_cycles:
            assert spent[placement.name] == pytest.approx(share.slot_cycles, rel=CLOSE)
    for server in trace.servers:
        mine = {series.name for series in trace.series if series.server == server.name}
        assert sum(spent[one] for one in mine) == pytest.approx(server.busy, rel=CLOSE)
        assert (
            sum(tasks[one] for one in mine) <= server.tasks == sum(task.server == server.name for task in trace.slices)
        )


@settings(max_examples=25, deadline=None, phases=[Phase.generate])
@given(mappings, machines, shapes, parameters)
def test_bytes_are_the_models(
    name: str, machine: dict[str, Any], sizes: dict[str, int], chosen: dict[str, Any]
) -> None:
    """The words of each tensor that are loaded and stored equal the counts of the model at the outermost memory."""
    made = bound(name, small(**machine), sizes, chosen)
    trace, cost = run(made), costed(made)
    moved: defaultdict[str, float] = defaultdict(float)
    for series in trace.series:
        if series.bytes:
            assert series.server == made.arch.outermost.name
            moved[series.name.split(" for ")[0]] += series.bytes
    counted: defaultdict[str, float] = defaultdict(float)
    for count in cost.counts:
        if count.memory == made.arch.outermost.name and count.words:
            counted[f"{'load' if count.reads else 'store'} {count.tensor}"] += (
                single(count.words) * made.arch.word_bits / 8
            )
    assert dict(moved) == pytest.approx(dict(counted), rel=1e-12)
    assert trace.dram_bytes == pytest.approx(float(cost.dram_bytes), rel=1e-12)


@settings(max_examples=25, deadline=None, phases=[Phase.generate])
@given(mappings, machines, shapes, parameters, st.booleans())
def test_a_run_takes_as_long_as_its_bounds(
    name: str, machine: dict[str, Any], sizes: dict[str, int], chosen: dict[str, Any], latencies: bool
) -> None:
    """At least the work of each unit, all bytes, and the tasks of the critical path; at most all one by one and drained."""
    made = bound(name, small(**machine), sizes, chosen)
    trace = run(made, WHOLE, latencies=latencies)
    for seconds in lower(made, trace).values():
        assert seconds <= trace.latency_s * (1 + CLOSE)
    assert sum(task.end - task.start for task in trace.critical_path()) <= trace.makespan * (1 + CLOSE)
    drains = machine["lengths"] * trace.tasks if latencies else 0
    assert trace.makespan <= (sum(server.busy for server in trace.servers) + 2 * drains) * (1 + CLOSE)


def tick(made: BoundMapping) -> float:
    """The cycles to whose multiples tasks are rounded up."""
    assert made.arch.outermost.bandwidth_bytes_s is not None
    return 1 / Clock.of(made.arch.clock_hz, made.arch.outermost.bandwidth_bytes_s).cycle


def fall(before: BoundMapping, first: Trace, after: BoundMapping, second: Trace) -> None:
    """No bound is larger than before, but for the ticks to which tasks are rounded."""
    old, new = lower(before, first), lower(after, second)
    assert old.keys() == new.keys()
    for who, seconds in new.items():
        rounded = second.tasks * tick(after) / after.arch.clock_hz
        assert seconds <= old[who] * (1 + CLOSE) + (0 if who == after.arch.outermost.name else rounded), who


@settings(max_examples=25, deadline=None, phases=[Phase.generate])
@given(mappings, machines, shapes, parameters, st.sampled_from([1.5, 2.0, 16.0]))
def test_more_bandwidth(
    name: str, machine: dict[str, Any], sizes: dict[str, int], chosen: dict[str, Any], times: float
) -> None:
    """The channel needs less time by as much, and the units as much as before."""
    arch = small(**machine)
    assert arch.outermost.bandwidth_bytes_s is not None
    wide = replace(arch.outermost, bandwidth_bytes_s=arch.outermost.bandwidth_bytes_s * times)
    before = bound(name, arch, sizes, chosen)
    after = bound(name, replace(arch, memories=(wide, *arch.memories[1:])), sizes, chosen)
    first, second = run(before), run(after)
    fall(before, first, after, second)
    assert first.dram_bytes == second.dram_bytes
    assert second.server("dram").busy * times == pytest.approx(first.server("dram").busy, rel=1e-6)


@settings(max_examples=25, deadline=None, phases=[Phase.generate])
@given(mappings, machines, shapes, parameters, st.sampled_from([1.5, 2.0, 16.0]))
def test_a_faster_clock(
    name: str, machine: dict[str, Any], sizes: dict[str, int], chosen: dict[str, Any], times: float
) -> None:
    """The units take as many cycles, and so less time; the channel as long as before."""
    arch = small(**machine)
    before = bound(name, arch, sizes, chosen)
    after = bound(name, replace(arch, clock_hz=arch.clock_hz * times), sizes, chosen)
    first, second = run(before), run(after)
    fall(before, first, after, second)
    for unit in arch.units:
        rounded = (first.tasks + second.tasks) * max(tick(before), tick(after))
        assert second.server(unit.name).busy == pytest.approx(first.server(unit.name).busy, abs=rounded)
    assert lower(after, second)["dram"] == lower(before, first)["dram"]


@settings(max_examples=25, deadline=None, phases=[Phase.generate])
@given(mappings, machines, shapes, parameters, st.sampled_from([1.5, 2.0, 16.0, 1000.0]))
def test_a_larger_buffer(
    name: str, machine: dict[str, Any], sizes: dict[str, int], chosen: dict[str, Any], times: float
) -> None:
    """With the same parameters no unit and not the channel has more to do."""
    arch = small(**{**machine, "buffer": machine["buffer"] or 2500})
    larger = [replace(memory, size_bytes=int((memory.size_bytes or 0) * times)) for memory in arch.memories[1:]]
    before = bound(name, arch, sizes, chosen)
    after = bound(name, replace(arch, memories=(arch.outermost, *larger)), sizes, chosen)
    fall(before, run(before), after, run(after))


@pytest.mark.parametrize("name", ["fusemax-architecture", "fusemax-binding"])
def test_blocks_grow_with_the_buffer(name: str) -> None:
    """Where the mapping fits its blocks to the buffer, a larger one means fewer bytes, until each is loaded once."""
    sizes = {"B": 1, "H": 2, "E": 4, "F": 4, "M": 32, "P": 256}
    found = []
    for size in (2500, 4000, 8000, 10**6):
        made = bound(name, small(load_mapping(name).arch, buffer=size), sizes, {})
        found.append(run(made).dram_bytes)
    assert found == sorted(found, reverse=True)
    assert found[0] > found[-1] == 2 * 2 * (2 * 4 * 32 + 2 * 4 * 256)
