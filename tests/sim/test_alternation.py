"""Einsums that alternate on their unit, cycle by cycle (`A | B`)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fusemax import FusemaxError, check, evaluate, execute, load_arch, load_cascade, load_mapping, parse, simulate
from fusemax.bind.bind import bind
from fusemax.ir.mapping import Mapping
from fusemax.reference import random_inputs
from fusemax.sim.simulate import run
from fusemax.syntax.mapping.parser import parse_mapping
from tests.sim.machines import small

pytestmark = pytest.mark.slow

FUSEMAX = check(load_cascade("attention-1pass"))
ONE_BY_ONE = "BQK over e; LM; SLN; SLD; SLNV over f"


def binding(listed: str) -> Mapping:
    """+Binding with another list of Einsums on its 2D array."""
    text = str(load_mapping("fusemax-binding"))
    lines = [line.strip() for line in text.splitlines()]
    assert ONE_BY_ONE in lines
    return parse_mapping(text.replace(ONE_BY_ONE, listed), "alternating.mapping")


ALTERNATING = [
    "BQK over e | SLNV over f; LM; SLN; SLD",
    "BQK over e | SLN | SLNV over f; LM; SLD",
    "BQK over e; LM | SLD; SLN; SLNV over f",
]

many = st.fixed_dictionaries({
    "B": st.just(1), "H": st.sampled_from([1, 2, 7]), "E": st.sampled_from([1, 2, 4]), "F": st.sampled_from([1, 3, 4]),
    "M": st.sampled_from([4, 16, 64]), "P": st.sampled_from([4, 24, 32, 128]),
})  # fmt: skip
machines = st.builds(
    small, entries=st.sampled_from([3, 4, 10, None]), bandwidth=st.sampled_from([None, 2e10, 5e9]),
)  # fmt: skip


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(ALTERNATING), machines, many, st.sampled_from([(0.0, 1.0), (500.0, 600.0)]))
def test_jumps_change_nothing(listed: str, arch: Any, sizes: dict[str, int], window: tuple[float, float]) -> None:
    """Repeated states are fast-forwarded to the tick, and every unit does the same work as one by one."""
    bound = bind(FUSEMAX, arch, binding(listed), sizes, {})
    jumped, unrolled = run(bound, window), run(bound, window, steady=False)
    assert (jumped.makespan, jumped.servers, jumped.series) == (unrolled.makespan, unrolled.servers, unrolled.series)
    assert jumped.slices == unrolled.slices
    plain = simulate(FUSEMAX, arch, binding(ONE_BY_ONE), sizes)
    assert [(s.busy, s.tasks) for s in jumped.servers] == [(s.busy, s.tasks) for s in plain.servers]
    assert all(jumped.makespan >= server.busy for server in jumped.servers)


@pytest.mark.parametrize("listed", ALTERNATING)
def test_numbers(listed: str) -> None:
    """Alternating Einsums compute the numbers of the interpreter."""
    sizes = {"B": 1, "H": 2, "E": 4, "F": 4, "M": 32, "P": 24, "M0": 4, "M1": 8}
    inputs = random_inputs(FUSEMAX, sizes)
    trace = simulate(
        FUSEMAX, small(), binding(listed), {k: v for k, v in sizes.items() if k[-1] not in "01"}, inputs=inputs
    )
    assert trace.outputs is not None
    np.testing.assert_allclose(trace.outputs["AV"], execute(FUSEMAX, inputs, sizes)["AV"], rtol=1e-9)


TWO = check(parse("cascade two\ninput A[M, K]\noutput Y[M], Z[M]\nY[m] = A[m, k]\nZ[m] = A[m, k] * A[m, k] + A[m, k]"))


def test_two_sums_by_hand() -> None:
    """Of two tasks that are ready together the shorter ends at twice its length, the longer at the sum."""
    found = {}
    for sign in (";", "|"):
        text = f"mapping two\ncascade two\narch flat-cloud\non array1d: Y over m, k {sign} Z over m, k"
        trace = simulate(
            TWO, load_arch("flat-cloud"), parse_mapping(text, "two.mapping"), {"M": 4, "K": 50}, window=(0, 1e6)
        )
        found[sign] = {task.name: task for task in trace.slices if task.server == "array1d"}
        busy = trace.busy_over_time("array1d", 1)[0] * trace.window[1]
        assert busy == pytest.approx(trace.server("array1d").busy)
        assert [task.name for task in trace.critical_path() if task.server == "array1d"][-1] == "Z"
    lengths = [task.end - task.start for task in found[";"].values()]
    assert lengths[0] < lengths[1]
    first, second = found["|"]["Y"], found["|"]["Z"]
    assert first.start == second.start
    assert first.end == pytest.approx(first.start + 2 * lengths[0])
    assert second.end == pytest.approx(first.start + sum(lengths))


def test_the_closed_form_is_the_same() -> None:
    """An alternation changes when tiles run, not their cycles."""
    arch, sizes = load_arch("fusemax-cloud"), {"B": 1, "H": 1, "E": 64, "F": 64, "M": 1024, "P": 1024}
    plain, shared = (evaluate(FUSEMAX, arch, binding(listed), sizes) for listed in (ONE_BY_ONE, ALTERNATING[0]))
    assert (plain.cycles, plain.energy_j, plain.dram_bytes) == (shared.cycles, shared.energy_j, shared.dram_bytes)


def test_the_first_of_an_alternation_stands_where_it_is_listed() -> None:
    """Only an Einsum that alternates with one before it may be listed before its operands."""
    arch, sizes = load_arch("fusemax-cloud"), {"B": 1, "H": 1, "E": 64, "F": 64, "M": 1024, "P": 1024}
    with pytest.raises(FusemaxError, match="'SLNV' stands before 'SLN'"):
        evaluate(FUSEMAX, arch, binding("SLNV over f | BQK over e; LM; SLN; SLD"), sizes)
