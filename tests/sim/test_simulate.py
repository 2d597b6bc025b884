"""The simulator against the cost model, the interpreter, and itself without jumps."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fusemax import FusemaxError, check, evaluate, execute, load_arch, load_cascade, load_mapping, simulate
from fusemax.bind.bind import bind
from fusemax.ir.arch import Arch
from fusemax.ir.checked import Checked
from fusemax.ir.mapping import Mapping
from fusemax.reference import random_inputs
from fusemax.sim.machine import Machine
from fusemax.sim.program.build import programs_of
from fusemax.sim.stall import Stall, StallKind
from fusemax.sim.stream import StreamState
from fusemax.sim.trace import Trace
from fusemax.sim.values import ValueTracker
from tests.sim.machines import small, with_dependence

pytestmark = pytest.mark.slow

DESIGNS = ("unfused", "flat", "fusemax-cascade", "fusemax-architecture", "fusemax-binding")
PIPELINES = ("flat", "fusemax-cascade", "fusemax-binding")


def loaded(name: str) -> tuple[Checked, Mapping]:
    """A shipped mapping and its cascade."""
    mapping = load_mapping(name)
    return check(load_cascade(mapping.cascade)), mapping


shapes = st.fixed_dictionaries({
    "B": st.integers(1, 2), "H": st.integers(1, 8), "E": st.sampled_from([1, 2, 4]), "F": st.sampled_from([1, 3, 4]),
    "M": st.sampled_from([4, 8, 32]), "P": st.sampled_from([4, 8, 24, 32]),
})  # fmt: skip
machines = st.builds(
    small, st.sampled_from(["fusemax-cloud", "flat-cloud"]), entries=st.sampled_from([3, 4, 10, None]),
    buffer=st.sampled_from([None, 4000, 700]), bandwidth=st.sampled_from([None, 1e10, 4e9]),
)  # fmt: skip


def suited(name: str, arch: Arch, sizes: dict[str, int], **options: Any) -> Trace | None:
    """The trace of a design on a machine; none if it does not fit, or the machine lacks an operation."""
    checked, mapping = loaded(name)
    try:
        return simulate(checked, arch, mapping, sizes, **options)
    except FusemaxError as error:
        text = str(error)
        assert any(word in text for word in ("less than", "has no 'exp'", "only", "has no 'max'")), text
        return None


@settings(max_examples=40, suppress_health_check=[HealthCheck.filter_too_much])
@given(st.sampled_from(DESIGNS), machines, shapes, st.booleans())
def test_jumps_change_nothing(name: str, arch: Arch, sizes: dict[str, int], latencies: bool) -> None:
    """Steady states jumped over end at the same tick, with the same work and the same stalls, as every task run."""
    jumped = suited(name, arch, sizes, latencies=latencies)
    if jumped is not None:
        unrolled = suited(name, arch, sizes, latencies=latencies, steady=False)
        assert unrolled is not None
        assert unrolled.simulated == unrolled.tasks
        assert (jumped.makespan, jumped.servers, jumped.series) == (
            unrolled.makespan,
            unrolled.servers,
            unrolled.series,
        )
        assert jumped.slices == unrolled.slices


@settings(max_examples=40, suppress_health_check=[HealthCheck.filter_too_much])
@given(st.sampled_from(DESIGNS), machines, shapes, st.booleans())
def test_bounds(name: str, arch: Arch, sizes: dict[str, int], latencies: bool) -> None:
    """A run takes at least the work of every unit and of the channel, and at most everything one after the other."""
    trace = suited(name, arch, sizes, latencies=latencies)
    if trace is None:
        return
    checked, mapping = loaded(name)
    cost = evaluate(checked, arch, mapping, sizes)
    assert trace.dram_bytes == pytest.approx(float(cost.dram_bytes), rel=1e-12)
    for unit in arch.units:
        slots = sum(e.slot_cycles for e in cost.einsums if e.unit == unit.name)
        longer = sum(e.slot_cycles + e.edge_cycles for e in cost.einsums if e.unit == unit.name)
        assert slots <= trace.server(unit.name).busy * (1 + 1e-9)
        assert trace.server(unit.name).busy <= longer * (1 + 1e-6) + trace.tasks * 1e-6
    drains = 4 * trace.tasks
    assert max(server.busy for server in trace.servers) <= trace.makespan * (1 + 1e-12)
    assert trace.makespan <= sum(server.busy for server in trace.servers) + 2 * drains
    bandwidth = arch.outermost.bandwidth_bytes_s
    assert bandwidth is not None
    assert trace.makespan / arch.clock_hz >= trace.dram_bytes / bandwidth * (1 - 1e-6)


@settings(max_examples=25, suppress_health_check=[HealthCheck.filter_too_much])
@given(st.sampled_from(DESIGNS), machines, shapes)
def test_the_window_is_consistent(name: str, arch: Arch, sizes: dict[str, int]) -> None:
    """No server runs two tasks at once, every Einsum's tasks begin in order, and all idle time has a reason."""
    trace = suited(name, arch, sizes, window=(0, 1e9))
    if trace is None:
        return
    assert len(trace.slices) == trace.tasks
    assert Counter(task.name for task in trace.slices) == Counter({s.name: s.tasks for s in trace.series})
    for server in trace.servers:
        mine = [task for task in trace.slices if task.server == server.name]
        for before, after in pairwise(mine):
            assert before.end <= after.since <= after.start
        assert sum(task.end - task.start for task in mine) == pytest.approx(server.busy)
        assert sum(task.waited for task in mine) == pytest.approx(sum(server.stalls.values()))
    path = trace.critical_path()
    for before, after in pairwise(path):
        assert before.start <= after.start
    assert path[-1].end <= trace.makespan
    for memory, tiles in trace.reserved.items():
        assert np.max(trace.occupancy(memory)[1]) <= sum(tiles.values()) + 1e-6


@pytest.mark.parametrize("name", DESIGNS)
@pytest.mark.parametrize("arch", ["own", "tight"])
def test_numbers_are_the_interpreters(name: str, arch: str) -> None:
    """Every task on its tile, in the order of the schedule, computes what the interpreter computes."""
    checked, mapping = loaded(name)
    machine = small(mapping.arch, entries=3, buffer=None if arch == "own" else 1200)
    sizes = {"B": 2, "H": 2, "E": 3, "F": 4, "M": 16, "P": 24}
    parameters: dict[str, Any] = {"rows": 8, "kept": ("Q", "AV")} if name == "flat" and arch == "tight" else {}
    whole = {**sizes, "M0": 4, "M1": 4}
    inputs = random_inputs(checked, {rank: whole[rank] for rank in checked.ranks}, 3)
    found = simulate(checked, machine, mapping, sizes, parameters=parameters, inputs=inputs).outputs
    assert found is not None
    expected = execute(checked, inputs, {"M0": 4} if "M0" in checked.ranks else None)
    assert np.abs(found["AV"] - expected["AV"]).max() < 1e-12


def test_numbers_of_one_head_of_bert() -> None:
    """BERT 1K, one head, on the full arrays: the schedule's numbers are the interpreter's."""
    checked, mapping = loaded("fusemax-binding")
    sizes = {"B": 1, "H": 1, "E": 64, "F": 64, "M": 1024, "P": 1024}
    inputs = random_inputs(checked, {**sizes, "M0": 256, "M1": 4})
    found = simulate(checked, load_arch(mapping.arch), mapping, sizes, inputs=inputs).outputs
    assert found is not None
    assert np.abs(found["AV"] - execute(checked, inputs, {"M0": 256})["AV"]).max() < 1e-12


@pytest.mark.parametrize(("stream", "tensor"), [("SLN", "RM"), ("RNV", "SLNV"), ("RD", "SLD"), ("RM", "LM")])
def test_a_dropped_dependence_gives_wrong_numbers(stream: str, tensor: str) -> None:
    """A schedule in which one Einsum does not wait for one operand computes something else."""
    checked, mapping = loaded("fusemax-binding")
    sizes = {"B": 1, "H": 2, "E": 3, "F": 4, "M": 16, "P": 24}
    inputs = random_inputs(checked, {**sizes, "M0": 4, "M1": 4})
    expected = execute(checked, inputs, {"M0": 4})["AV"]
    outputs = []
    for drop in (False, True):
        bound = bind(checked, small(bandwidth=1e9), mapping, sizes, {})
        values = ValueTracker(bound, inputs)

        def record(task: StreamState, number: int, since: int, start: int, end: int, to: ValueTracker = values) -> None:
            to.begin(task.stream, number, start, end)

        (program,) = programs_of(bound)
        left = tuple(d for d in program.dependences if (d.stream.name, d.source.name) != (stream, tensor))
        assert len(left) < len(program.dependences)
        machine = Machine(replace(program, dependences=left) if drop else program, record)
        machine.start()
        values.settle(machine.finish() + 1)
        outputs.append(values.outputs()["AV"])
    assert np.abs(outputs[0] - expected).max() < 1e-12
    assert not np.abs(outputs[1] - expected).max() < 1e-3


@pytest.mark.parametrize("name", DESIGNS)
def test_closed_forms_without_latencies(name: str) -> None:
    """At BERT 1K, without latencies, a run exceeds the closed form by less than 0.1 %, ramps included."""
    checked, mapping = loaded(name)
    sizes = {"B": 64, "H": 12, "E": 64, "F": 64, "M": 1024, "P": 1024}
    trace = simulate(checked, load_arch(mapping.arch), mapping, sizes, latencies=False)
    assert 1 <= trace.makespan / trace.closed_form < 1.001


@pytest.mark.parametrize(("length", "most"), [(1024, 1.01), (4096, 1.001), (16384, 1.001), (2**20, 1.001)])
def test_binding_hides_its_latencies(length: int, most: float) -> None:
    """With drains of 256 cycles and 8 tiles in flight +Binding is close to the closed form."""
    checked, mapping = loaded("fusemax-binding")
    sizes = {"B": 64, "H": 12, "E": 64, "F": 64, "M": length, "P": length}
    trace = simulate(checked, load_arch(mapping.arch), mapping, sizes)
    assert 1 <= trace.makespan / trace.closed_form < most
    assert Stall(StallKind.DRAIN, "LM") not in trace.server("array1d").stalls


def test_architecture_stalls() -> None:
    """+Architecture waits 256 cycles a tile for LM, and as long again for SLNV, which the closed form leaves out."""
    checked, mapping = loaded("fusemax-architecture")
    sizes = {"B": 64, "H": 12, "E": 64, "F": 64, "M": 1024, "P": 1024}
    trace = simulate(checked, load_arch(mapping.arch), mapping, sizes)
    tiles = 64 * 12 * 4 * 4
    stalls = trace.server("array1d").stalls
    assert stalls[Stall(StallKind.OPERAND, "SLNV")] / tiles == 256
    assert 256 <= stalls[Stall(StallKind.DRAIN, "LM")] / tiles <= 320
    assert 650 <= trace.makespan / tiles <= 715
    assert trace.closed_form / tiles == 458


@pytest.mark.parametrize(("batch", "length"), [(64, 1024), (1, 16384)])
def test_fewer_tiles_in_flight_cost_time(batch: int, length: int) -> None:
    """With 4 tiles in flight +Binding is 16 to 22 % slower than the closed form."""
    checked, mapping = loaded("fusemax-binding")
    arch = load_arch(mapping.arch)
    registers = [u.registers and replace(u.registers, entries=u.registers.entries and 6) for u in arch.units]
    units = tuple(replace(unit, registers=mine) for unit, mine in zip(arch.units, registers, strict=True))
    sizes = {"B": batch, "H": 12, "E": 64, "F": 64, "M": length, "P": length}
    trace = simulate(checked, replace(arch, units=units), mapping, sizes)
    assert 1.16 < trace.makespan / trace.closed_form < 1.22


def test_a_circle_of_waits_is_told() -> None:
    """Tasks that wait for each other for ever are an error that names the circle."""
    checked, mapping = loaded("fusemax-binding")
    bound = bind(checked, small(), mapping, {"B": 1, "H": 1, "E": 2, "F": 2, "M": 8, "P": 8}, {})
    (program,) = programs_of(bound)
    machine = Machine(with_dependence(program, "BQK", "AV", lambda task: task // 2))
    machine.start()
    with pytest.raises(FusemaxError, match=r"nothing can go on: .*which waits for.*AV"):
        machine.finish()


@pytest.mark.parametrize("window", [(5.0, 5.0), (-1.0, 3.0), (4.0, 2.0)])
def test_windows_that_are_none(window: tuple[float, float]) -> None:
    """A window must end after it begins."""
    checked, mapping = loaded("fusemax-binding")
    with pytest.raises(FusemaxError, match="is not a window"):
        simulate(checked, small(), mapping, {"B": 1, "H": 1, "E": 2, "F": 2, "M": 8, "P": 8}, window=window)
