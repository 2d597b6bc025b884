"""Queues between units that have a limit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fusemax import FusemaxError, check, execute, load_arch, load_cascade, load_mapping, simulate
from fusemax.bind.bind import bind
from fusemax.reference import random_inputs
from fusemax.sim.simulate import run
from tests.sim.machines import small

pytestmark = pytest.mark.slow

FUSEMAX = check(load_cascade("attention-1pass"))
BINDING = load_mapping("fusemax-binding")

many = st.fixed_dictionaries({
    "B": st.just(1), "H": st.sampled_from([1, 2, 7]), "E": st.sampled_from([1, 2, 4]), "F": st.sampled_from([1, 3, 4]),
    "M": st.sampled_from([4, 16, 64]), "P": st.sampled_from([4, 24, 32, 128]),
})  # fmt: skip


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(4, 12), st.sampled_from([3, 4, 10, None]), st.sampled_from([None, 2e10, 5e9]), many)
def test_no_queue_is_longer(queue: int, entries: int | None, bandwidth: float | None, sizes: dict[str, int]) -> None:
    """No queue is longer than its limit; what repeats is jumped over to the tick; a limit never makes less work."""
    arch = small(entries=entries, bandwidth=bandwidth, queue=queue)
    bound = bind(FUSEMAX, arch, BINDING, sizes, {})
    jumped, unrolled = run(bound), run(bound, steady=False)
    assert (jumped.makespan, jumped.servers, jumped.series) == (unrolled.makespan, unrolled.servers, unrolled.series)
    assert max(unrolled.queues.values()) <= queue
    free = simulate(FUSEMAX, small(entries=entries, bandwidth=bandwidth), BINDING, sizes)
    assert [server.busy for server in jumped.servers] == [server.busy for server in free.servers]


def test_a_queue_with_a_limit_holds_an_array_back() -> None:
    """With queues of two tiles FuseMax's 2D array waits for room in them, and takes longer for it."""
    arch = load_arch("fusemax-cloud")
    limited = replace(arch, units=tuple(replace(unit, queue_words=128) for unit in arch.units))
    sizes = {"B": 64, "H": 12, "E": 64, "F": 64, "M": 1024, "P": 1024}
    two, free = simulate(FUSEMAX, limited, BINDING, sizes), simulate(FUSEMAX, arch, BINDING, sizes)
    assert two.queues["SLNV"] == 128 < free.queues["SLNV"]
    assert two.makespan > 1.02 * free.makespan
    stalls = two.server("array2d").stalls
    assert str(max(stalls, key=lambda why: stalls[why])) == "room in the queue of array1d"


def test_numbers_with_short_queues() -> None:
    """A queue of one tile changes no number."""
    sizes = {"B": 1, "H": 2, "E": 4, "F": 4, "M": 64, "P": 64}
    full = {**sizes, "M0": 4, "M1": 16}
    inputs = random_inputs(FUSEMAX, full)
    trace = simulate(FUSEMAX, small(queue=4), BINDING, sizes, inputs=inputs)
    assert trace.outputs is not None
    np.testing.assert_allclose(trace.outputs["AV"], execute(FUSEMAX, inputs, full)["AV"], rtol=1e-9)


def test_a_queue_without_room_for_a_tile() -> None:
    """A tile that its reader's queue cannot take is refused, with both sizes."""
    sizes: dict[str, Any] = {"B": 1, "H": 2, "E": 4, "F": 4, "M": 64, "P": 64}
    with pytest.raises(
        FusemaxError, match="a tile of 'SLNV' has 4 words for each element of 'array1d', and its queue 3"
    ):
        simulate(FUSEMAX, small(queue=3), BINDING, sizes)
