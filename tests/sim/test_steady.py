"""Steady states jumped over end as if every task had been run, for all variants of FLAT's mapping and many iterations."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fusemax import FusemaxError, check, load_cascade, load_mapping
from fusemax.bind.bind import BoundMapping, bind
from fusemax.sim.simulate import run, task_count
from fusemax.sim.trace import Trace
from tests.sim.machines import small

pytestmark = pytest.mark.slow

MOST = 30_000
TENSORS = ("Q", "K", "V", "QK", "A", "AV")

variants = st.fixed_dictionaries({
    "rows": st.sampled_from([4, 8, 16, 32]), "kept": st.sets(st.sampled_from(TENSORS)).map(sorted),
    "qk": st.sampled_from(["output", "weight"]), "av": st.sampled_from(["output", "weight"]),
    "share": st.sampled_from([0, 0.01, 0.1, 0.6]),
})  # fmt: skip
many = st.fixed_dictionaries({
    "B": st.just(1), "H": st.sampled_from([1, 2, 7]), "E": st.sampled_from([1, 2, 4]), "F": st.sampled_from([1, 3, 4]),
    "M": st.sampled_from([16, 32, 64, 128]), "P": st.sampled_from([32, 64, 96, 128]),
})  # fmt: skip
machines = st.builds(
    small, st.just("flat-cloud"), entries=st.sampled_from([3, 4, 10, None]),
    buffer=st.sampled_from([None, 4000, 20000]), bandwidth=st.sampled_from([None, 2e10, 5e9]),
)  # fmt: skip


def flat(arch: Any, sizes: dict[str, int], chosen: dict[str, Any]) -> BoundMapping:
    """A variant of FLAT's mapping on a machine."""
    mapping = load_mapping("flat")
    return bind(check(load_cascade(mapping.cascade)), arch, mapping, sizes, chosen)


def both(bound: BoundMapping, window: tuple[float, float]) -> Trace:
    """The trace with jumps, which is like the one of every task run."""
    jumped, unrolled = run(bound, window), run(bound, window, steady=False)
    assert unrolled.simulated == unrolled.tasks
    assert (jumped.makespan, jumped.servers, jumped.series) == (unrolled.makespan, unrolled.servers, unrolled.series)
    assert jumped.slices == unrolled.slices
    return jumped


@settings(max_examples=40, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(machines, many, variants, st.sampled_from([(0.0, 1.0), (500.0, 600.0)]))
def test_variants_of_flat(
    arch: Any, sizes: dict[str, int], chosen: dict[str, Any], window: tuple[float, float]
) -> None:
    """With any tensors kept, spilled and stationary, fast-forwarding changes no tick, no stall and no task of the window."""
    try:
        bound = flat(arch, sizes, chosen)
        if task_count(bound) < MOST:
            both(bound, window)
    except FusemaxError as error:
        assert any(word in str(error) for word in ("less than", "does not divide")), error


@pytest.mark.parametrize(
    ("bandwidth", "sizes", "chosen"),
    [
        (
            5e9,
            {"B": 1, "H": 1, "E": 2, "F": 4, "M": 256, "P": 128},
            {"rows": 16, "kept": ("Q", "QK", "A"), "qk": "weight", "av": "output", "share": 0.6},
        ),
        (
            1e10,
            {"B": 1, "H": 3, "E": 4, "F": 1, "M": 256, "P": 32},
            {"rows": 32, "kept": ("V",), "qk": "output", "av": "weight", "share": 0.6},
        ),
    ],
)
def test_a_loop_may_run_into_a_wait(bandwidth: float, sizes: dict[str, int], chosen: dict[str, Any]) -> None:
    """A loop that repeats until it meets a task outside of it that is not done is jumped over only up to there."""
    arch = small("flat-cloud", entries=3, bandwidth=bandwidth)
    both(flat(arch, sizes, chosen), (0.0, 1.0))


@pytest.mark.parametrize(("length", "most"), [(128, 9_000), (512, 30_000)])
def test_fibers_are_jumped_over(length: int, most: int) -> None:
    """Of one fiber over m after the other only a few tasks each are run one by one."""
    sizes = {"B": 1, "H": 8, "E": 2, "F": 2, "M": length, "P": 64}
    arch = small("flat-cloud", entries=None)
    chosen = {"rows": 16, "kept": ("Q", "AV"), "qk": "weight", "av": "weight"}
    trace = both(flat(arch, sizes, chosen), (0.0, 1.0))
    assert trace.simulated < min(most, trace.tasks / 4)
