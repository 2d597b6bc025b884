"""Schedules looked at task by task, by rules that are written down here once more."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fusemax import FusemaxError, check, load_cascade, load_mapping, parse, simulate
from fusemax.bind.bind import bind
from fusemax.ir.arch import Arch
from fusemax.ir.checked import Checked
from fusemax.ir.mapping import Mapping
from fusemax.sim.machine import Machine
from fusemax.sim.program.build import programs_of
from fusemax.sim.simulate import run
from fusemax.sim.trace import Slice, Trace
from fusemax.syntax.mapping.parser import parse_mapping
from tests.sim.machines import small, with_dependence

pytestmark = pytest.mark.slow

DESIGNS = ("unfused", "flat", "fusemax-cascade", "fusemax-architecture", "fusemax-binding")
CLOSE = 1e-6

shapes = st.fixed_dictionaries({
    "B": st.just(1), "H": st.integers(1, 3), "E": st.sampled_from([1, 2, 4]), "F": st.sampled_from([1, 3, 4]),
    "M": st.sampled_from([4, 8, 32]), "P": st.sampled_from([4, 8, 24]),
})  # fmt: skip
machines = st.builds(
    small, st.sampled_from(["fusemax-cloud", "flat-cloud"]), entries=st.sampled_from([3, 4, 10, None]),
    buffer=st.sampled_from([None, 4000, 700]), bandwidth=st.sampled_from([None, 1e10, 4e9]),
)  # fmt: skip


def whole(name: str, arch: Arch, sizes: dict[str, int]) -> Trace | None:
    """All tasks of a shipped design on a machine, if it fits there."""
    mapping = load_mapping(name)
    try:
        return simulate(load_cascade(mapping.cascade), arch, mapping, sizes, window=(0.0, float("inf")))
    except FusemaxError as error:
        assert any(word in str(error) for word in ("less than", "has no 'exp'", "only", "has no 'max'")), error
        return None


def meets(one: Slice, other: Slice) -> bool:
    """Whether two tasks have the same coordinates in the loops that both have."""
    return all(other.coordinates.get(v, at) == at for v, at in one.coordinates.items())


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(st.sampled_from(DESIGNS), machines, shapes)
def test_what_is_read_has_come_and_what_leaves_is_made(name: str, arch: Arch, sizes: dict[str, int]) -> None:
    """A task begins after the loads of its tiles, and a tile is stored after the tasks that made it."""
    trace = whole(name, arch, sizes)
    if trace is None:
        return
    checked = check(load_cascade(load_mapping(name).cascade))
    reads = {e.name: {use.tensor for use in e.reads} for e in checked.einsums}
    made = set(reads)
    loads = [task for task in trace.slices if task.name.startswith("load ")]
    for task in trace.slices:
        if task.name in reads:
            for load in loads:
                tensor, _, reader = load.name.removeprefix("load ").partition(" for ")
                mine = tensor in reads[task.name] - made and reader in ("", task.name)
                if mine and meets(load, task):
                    assert load.end <= task.start + CLOSE, (load, task)
        elif task.name.startswith("store "):
            tensor = task.name.removeprefix("store ")
            for maker in trace.slices:
                if maker.name == tensor and meets(task, maker) and set(task.coordinates) <= set(maker.coordinates):
                    assert maker.end <= task.start + CLOSE, (task, maker)


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(st.sampled_from(DESIGNS), machines, shapes)
def test_the_critical_path_has_no_gaps(name: str, arch: Arch, sizes: dict[str, int]) -> None:
    """From the last task back to the start, each begins when the one before ends, or a drain of four cycles later."""
    trace = whole(name, arch, sizes)
    if trace is None:
        return
    path = trace.critical_path()
    assert path[-1].end == max(task.end for task in trace.slices)
    assert path[0].start <= CLOSE
    for before, task in pairwise(path):
        assert before.start < task.start
        assert -CLOSE <= task.start - before.end <= 4 + CLOSE, (before, task)


def test_the_critical_path_of_tensors_that_move_twice() -> None:
    """A spilled result leaves as it is made and with its tile: the path tells both apart, and comes to an end."""
    arch = small("flat-cloud", entries=3, bandwidth=5e9)
    mapping = load_mapping("flat")
    sizes = {"B": 1, "H": 2, "E": 4, "F": 4, "M": 32, "P": 32}
    for kept in (("Q", "AV"), ("QK", "A", "AV"), ("K", "V", "AV")):
        chosen: dict[str, Any] = {"rows": 8, "kept": kept, "share": 0.3}
        trace = run(bind(check(load_cascade(mapping.cascade)), arch, mapping, sizes, chosen), (0.0, float("inf")))
        path = trace.critical_path()
        assert all(before.start < task.start for before, task in pairwise(path))
        assert sum(task.end - task.start for task in path) <= trace.makespan + CLOSE


ATTENTION = check(load_cascade("attention-1pass"))
PIPELINED = """\
mapping beside
cascade attention-1pass
arch fusemax-cloud
split m: m1, m0 = array2d.rows
split p: p2, p1 = fit buffer, p0 = array2d.columns
for b, h, p2:
  hold Q, RM, RD, RNV in buffer
  pipeline m1:
    hold BK, BV in buffer
    for p1:
      on array2d (rows: m0, columns: p0): BQK over e; LM; SLN; SLD; SLNV over f
      on array1d (lanes: p0): RM; PRM; SPD; RD; SPNV over f; RNV over f
  {} p1: on array1d (lanes: p0): AV over f
"""


def test_a_statement_of_its_own_leaves_a_pipeline_as_it_is() -> None:
    """An Einsum that runs strictly in order after a pipeline on the same unit does not make the pipeline run in order."""
    sizes = {"B": 1, "H": 4, "E": 4, "F": 4, "M": 128, "P": 64}
    found = [
        simulate(ATTENTION, small(), parse_mapping(PIPELINED.format(word), "beside.mapping"), sizes).makespan
        for word in ("for", "pipeline")
    ]
    assert found[0] == found[1]


def two_phases() -> tuple[Checked, Mapping]:
    """Two sums of the same input, each in a phase."""
    text = "cascade twice\ninput X[M, K]\noutput Y[M], Z[M]\nY[m] = X[m, k]\nZ[m] = X[m, k] * X[m, k]"
    lines = ["mapping phases", "cascade twice", "arch flat-cloud", "split m: m1, m0 = 4"]
    for name in ("Y", "Z"):
        lines += ["phase:", "  pipeline m1:", "    hold X in buffer", f"    on array1d (lanes: m0): {name} over k"]
    return check(parse(text)), parse_mapping("\n".join(lines), "phases.mapping")


def test_phases_load_the_same_tensor() -> None:
    """Two phases that load one tensor have loads of their own, and the path goes through both phases."""
    checked, mapping = two_phases()
    trace = simulate(checked, small("flat-cloud"), mapping, {"M": 16, "K": 8}, window=(0.0, float("inf")))
    assert len({task.series for task in trace.slices if task.name == "load X"}) == 2
    path = trace.critical_path()
    assert {task.name for task in path} >= {"Y", "Z"}
    assert [trace.series[task.series].name for task in trace.slices] == [task.name for task in trace.slices]


def test_what_is_held_does_not_depend_on_the_window() -> None:
    """A tile that is used in the window and came before it, or is used after it too, is held up to the window's ends."""
    mapping = load_mapping("fusemax-binding")
    sizes = {"B": 1, "H": 4, "E": 4, "F": 4, "M": 64, "P": 64}
    everything = simulate(ATTENTION, small(), mapping, sizes, window=(0.0, float("inf")))
    part = simulate(ATTENTION, small(), mapping, sizes, window=(1000.0, 5000.0))
    for at in (2000.0, 3000.0, 4000.0):
        found = []
        for trace in (everything, part):
            times, held = trace.occupancy("buffer")
            found.append(held[int(times.searchsorted(at, side="right")) - 1])
        assert found[0] == found[1] > 0


def test_questions_about_what_there_is_not() -> None:
    """A unit or a memory that the run has not is refused, with the nearest name."""
    mapping = load_mapping("fusemax-binding")
    trace = simulate(ATTENTION, small(), mapping, {"B": 1, "H": 1, "E": 4, "F": 4, "M": 8, "P": 8})
    for ask, message in (
        (lambda: trace.server("array3d"), "no unit 'array3d'\nhint: did you mean 'array2d'"),
        (lambda: trace.busy_over_time("aray1d"), "no unit 'aray1d'\nhint: did you mean 'array1d'"),
        (lambda: trace.occupancy("bufer"), "no tiles in a memory 'bufer'\nhint: did you mean 'buffer'"),
    ):
        with pytest.raises(FusemaxError) as refused:
            ask()
        assert str(refused.value).startswith(message)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"shapes": {"B": 1, "H": 1, "E": 4, "F": 4, "M": [8, 16], "P": 8}}, "the size of M is"),
        ({"window": (0,)}, r"\(0,\) is not a window"),
        ({"window": ("a", "b")}, "is not a window"),
        ({"window": (1e9, 2e9)}, "nothing happens from cycle 1,000,000,000 on"),
        ({"mapping": "fusemax-bindin"}, "no file and no shipped mapping"),
    ],
)
def test_mistakes_in_python(changed: dict[str, Any], message: str) -> None:
    """Names are enough, and what is wrong with the others is told."""
    given: dict[str, Any] = {
        "cascade": "attention-1pass", "arch": "fusemax-cloud", "mapping": "fusemax-binding",
        "shapes": {"B": 1, "H": 1, "E": 4, "F": 4, "M": 256, "P": 256},
    }  # fmt: skip
    assert simulate(**given).makespan > 0
    with pytest.raises(FusemaxError, match=message):
        simulate(**{**given, **changed})


def test_a_deadlock_behind_a_barrier_names_the_circle() -> None:
    """A task that waits for one of a later stage: the circle goes through the open segment."""
    mapping = load_mapping("fusemax-architecture")
    bound = bind(ATTENTION, small(), mapping, {"B": 1, "H": 1, "E": 2, "F": 2, "M": 8, "P": 8}, {})
    (program,) = programs_of(bound)
    machine = Machine(with_dependence(program, "BQK", "SLNV", lambda task: task))
    machine.start()
    with pytest.raises(FusemaxError) as stuck:
        machine.finish()
    assert str(stuck.value).splitlines()[0] == (
        "nothing can go on: BQK (task 1 of 4), which waits for SLNV (task 1 of 4), which waits for the end of BQK (task 1 of 4)"
    )
