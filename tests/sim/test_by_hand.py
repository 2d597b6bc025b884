"""The constants of the simulated machine, each in a run that is short enough to be worked out on paper.

Words have 2 bytes, and `bandwidth` is bytes a cycle. Times in comments are cycles, `[0, 4]` is a task from 0 to 4.
"""

from __future__ import annotations

import numpy as np
import pytest

from fusemax import Trace, simulate
from fusemax.ir.arch import Arch
from fusemax.sim.stall import Stall, StallKind
from tests.tiny import cascade, machine, mapped

SUMS = cascade("input A[I, K, P]\noutput Z[I, P]\nZ[i, p] = A[i, k, p]")
HELD_SUMS = "pipeline i:\n  hold A in buffer\n  on array1d (lanes: p): Z over k"
"""A tile has K x 4 words; a task adds K words in each of four lanes, in K cycles."""


def run(text: object, arch: Arch, body: str, sizes: dict[str, int]) -> Trace:
    """All tasks of a run."""
    return simulate(text, arch, mapped(body), sizes, window=(0, 1e9))  # type: ignore[arg-type]


def times(trace: Trace, name: str) -> list[tuple[float, float]]:
    """When the tasks of an Einsum, or of a transfer, begin and end."""
    return [(task.start, task.end) for task in trace.slices if task.name == name]


def starts(trace: Trace, name: str) -> list[float]:
    """When they begin."""
    return [start for start, _ in times(trace, name)]


# ------------------------------------------------------------------------------------------------------------- buffers


def test_two_copies_of_a_tile() -> None:
    """With room for more than two tiles the third load still waits until the first tile is done with."""
    # A tile of 24 words is 48 bytes, 3 cycles; a task takes 6.
    # load 0 [0, 3], load 1 [3, 6]; Z 0 [3, 9]; load 2 when Z 0 ends [9, 12]; Z 1 [9, 15]; load 3 when Z 1 ends [15, 18];
    # Z 2 [15, 21]; Z 3 [21, 27]. Results of all four steps are 32 bytes, one store of 2 cycles [27, 29].
    trace = run(SUMS, machine(bandwidth=16), HELD_SUMS, {"I": 4, "K": 6, "P": 4})
    assert starts(trace, "load A") == [0, 3, 9, 15]
    assert starts(trace, "Z") == [3, 9, 15, 21]
    assert times(trace, "store Z") == [(27, 29)]
    assert trace.makespan == 29
    assert trace.reserved == {"buffer": {"A": 96}}
    assert trace.server("dram").stalls[Stall(StallKind.CAPACITY, "A")] == 3 + 3


@pytest.mark.parametrize(("buffer", "loads", "makespan"), [(96, [0, 3, 9, 15], 29), (95, [0, 9, 18, 27], 38)])
def test_one_copy_of_a_tile(buffer: int, loads: list[float], makespan: float) -> None:
    """A second copy needs room for a whole tile more: with one byte less a load waits for the end of the task before."""
    # With one copy, load and task take turns, 3 + 6 cycles each; then the store of 2: 4 * 9 + 2.
    trace = run(SUMS, machine(bandwidth=16, buffer=buffer), HELD_SUMS, {"I": 4, "K": 6, "P": 4})
    assert starts(trace, "load A") == loads
    assert trace.makespan == makespan


TWO_INPUTS = cascade("input A[I, K, P], B[I, P]\noutput Z[I, P]\nZ[i, p] = A[i, k, p] * B[i, p]")


@pytest.mark.parametrize(
    ("buffer", "reserved"), [(56, (48, 8)), (64, (48, 16)), (104, (48, 16)), (111, (48, 16)), (112, (96, 16))]
)
def test_the_smallest_tiles_are_doubled_first(buffer: int, reserved: tuple[float, float]) -> None:
    """What is left of a buffer goes to second copies, first of the smallest tiles; each has room for one in any case."""
    # A tile of A is 48 bytes, one of B is 8: 56 for both; 8 more double B, and 48 more A.
    body = "pipeline i:\n  hold A, B in buffer\n  on array1d (lanes: p): Z over k"
    trace = run(TWO_INPUTS, machine(buffer=buffer), body, {"I": 4, "K": 6, "P": 4})
    assert (trace.reserved["buffer"]["A"], trace.reserved["buffer"]["B"]) == reserved


IN_PLACES = cascade(
    "input A[I, J, K, P], B[I, J, K, P]\noutput Y[I, J, P], Z[I, J, P]\nY[i, j, p] = A[i, j, k, p]\nZ[i, j, p] = B[i, j, k, p]"
)


@pytest.mark.parametrize(
    ("buffer", "first", "second"), [(48, [0, 9, 36, 45], [18, 27, 54, 63]), (96, [0, 9, 18, 27], [3, 12, 21, 30])]
)
def test_tiles_that_share_a_place(buffer: int, first: list[float], second: list[float]) -> None:
    """Tiles that are never held at once, and have no room beside each other, come when the other is done with."""
    # A tile takes 3 to come and 6 to be added up. With room for one tile all are one after the other, 9 each: two of A,
    # two of B, and again. With room for one of A and one of B, the two units work at once, and only loads of A wait for
    # A, of B for B.
    body = (
        "pipeline i:\n  for j:\n    hold A in buffer\n    on array1d (lanes: p): Y over k\n"
        "  for j:\n    hold B in buffer\n    on array2d (columns: p): Z over k"
    )
    trace = run(IN_PLACES, machine(bandwidth=16, buffer=buffer), body, {"I": 2, "J": 2, "K": 6, "P": 4})
    assert starts(trace, "load A") == first
    assert starts(trace, "load B") == second


# ----------------------------------------------------------------------------------------------------------- transfers

DOUBLE = cascade("input A[I, P]\noutput Z[I, P]\nZ[i, p] = A[i, p] * 2")


def test_short_transfers_are_grouped() -> None:
    """Transfers of 15 cycles are put together over the innermost loop; those of 16 are not."""
    # 15 words are 30 bytes, 15 cycles at 2 bytes a cycle. All three at once: load [0, 45], Z at 45, 46, 47,
    # store [48, 93].
    short = run(DOUBLE, machine(lanes=15, bandwidth=2), "pipeline i: on array1d (lanes: p): Z", {"I": 3, "P": 15})
    assert times(short, "load A for Z") == [(0, 45)]
    assert starts(short, "Z") == [45, 46, 47]
    assert times(short, "store Z") == [(48, 93)]
    # 16 words are 16 cycles. Loads go before stores: loads [0, 16], [16, 32], [32, 48]; Z at 16, 32, 48; then stores.
    long = run(DOUBLE, machine(lanes=16, bandwidth=2), "pipeline i: on array1d (lanes: p): Z", {"I": 3, "P": 16})
    assert times(long, "load A for Z") == [(0, 16), (16, 32), (32, 48)]
    assert starts(long, "Z") == [16, 32, 48]
    assert times(long, "store Z") == [(48, 64), (64, 80), (80, 96)]


def test_transfers_run_ahead_as_unstated_registers_allow() -> None:
    """A unit whose registers are not stated counts as one of ten entries: its loads run eight tiles ahead."""
    # A load takes 16 cycles, a task 200: Z 0 [16, 216]. Loads 0 to 7 begin every 16 cycles; load 8 waits until task 0
    # ends at 216, load 9 until task 1 ends at 416.
    exp = cascade("input A[I, P]\noutput Z[I, P]\nZ[i, p] = exp(A[i, p])")
    arch = machine(lanes=16, bandwidth=2, exp=200)
    trace = run(exp, arch, "pipeline i: on array1d (lanes: p): Z", {"I": 10, "P": 16})
    assert starts(trace, "load A for Z") == [0, 16, 32, 48, 64, 80, 96, 112, 216, 416]
    assert starts(trace, "Z") == [16 + 200 * i for i in range(10)]


def test_a_result_must_have_left() -> None:
    """A task waits for the store of the tile that was begun as many tiles before as registers hold."""
    # Each store takes 100 cycles (16 words at 0.32 bytes a cycle), each task 1; A is there after 1 (25 * 16 words would
    # be 2500, so A is a single word for each lane: it is read once for all i).
    one = cascade("input A[P], B[I]\noutput Z[I, P]\nZ[i, p] = A[p] * B[i]")
    body = "hold A, B in buffer\npipeline i: on array1d (lanes: p): Z"
    trace = run(one, machine(lanes=16, bandwidth=0.32), body, {"I": 12, "P": 16})
    # B: 24 bytes, 75 cycles; A: 32 bytes, 100 cycles. Z 0 to 7 begin at 175 to 182. Store 0 is [176, 276]: Z 8 begins
    # at 276, Z 9 at 376, and so on.
    assert starts(trace, "Z") == [*range(175, 183), 276, 376, 476, 576]


# ----------------------------------------------------------------------------------------------------------- registers

THERE_AND_BACK = cascade(
    "input A[I, P]\noutput Z[I, P]\nS[i, p] = A[i, p] * 2\nT[i, p] = exp(S[i, p])\nZ[i, p] = T[i, p] + S[i, p]"
)
TWO_UNITS = "pipeline i:\n  on array2d (columns: p): S; Z\n  on array1d (lanes: p): T"


@pytest.mark.parametrize(("entries", "ninth"), [(10, 23), (11, 9), (9, 43)])
def test_tiles_in_flight(entries: int, ninth: float) -> None:
    """An array begins as many tiles as it has entries beyond two for operands; the next waits until the oldest is read."""
    # All of A comes in one transfer [0, 1]. S n begins at n + 1. T takes 20: T 0 [2, 22], Z 0 [22, 23], T 1 [22, 42],
    # Z 1 [42, 43]. With 10 entries 8 tiles are in flight, and S 8 begins behind Z 0, at 23. With 11 S 8 follows S 7 at 9.
    # With 9 it is S 7 that begins at 23, and S 8 behind Z 1 at 43.
    arch = machine(entries=entries, bandwidth=1000, exp=20)
    trace = run(THERE_AND_BACK, arch, TWO_UNITS, {"I": 12, "P": 4})
    loaded = trace.slices[0].end
    assert loaded < 1
    assert [start - loaded + 1 for start in starts(trace, "S")][:9] == pytest.approx(
        [1, 2, 3, 4, 5, 6, 7, *((8,) if entries > 9 else (23,)), ninth]
    )


@pytest.mark.parametrize("limit", [2, 3])
def test_a_queue_with_a_limit(limit: int) -> None:
    """With room for so many tiles in a queue, a tile is made when the reader has begun the one that many before."""
    # S 0 at 1, S 1 at 2; T 0 [2, 22], T 1 [22, 42]. S n waits until T (n - limit) has begun: S (limit) may follow S
    # (limit - 1) at once, for T 0 began at 2, and S (limit + 1) begins with T 1, at 22. Z 0 stands before it there.
    arch = machine(bandwidth=1000, exp=20, queue=limit, entries=100)
    trace = run(THERE_AND_BACK, arch, TWO_UNITS, {"I": 6, "P": 4})
    loaded = trace.slices[0].end
    found = [start - loaded + 1 for start in starts(trace, "S")]
    assert found[: limit + 1] == pytest.approx([1 + i for i in range(limit + 1)])
    assert found[limit + 1] == pytest.approx(23)
    assert trace.queues["S"] == limit


# -------------------------------------------------------------------------------------------------------------- drains


@pytest.mark.parametrize(("rows", "lanes"), [(4, 7), (9, 7)])
def test_a_reduction_drains_a_cycle_a_row(rows: int, lanes: int) -> None:
    """A sum over the rows of an array arrives elsewhere one cycle later for each row; a sum inside of an element does not."""
    # A and B are there at 1 and 2 (or sooner). The task ends, and its reader on the other unit begins `rows` later.
    text = cascade("input A[K, P]\noutput Z[P]\nY[p] = A[k, p]\nZ[p] = exp(Y[p])")
    arch = machine(rows=rows, lanes=lanes, columns=4, bandwidth=1000)
    across = run(text, arch, "on array2d (rows: k, columns: p): Y\non array1d (lanes: p): Z", {"K": rows, "P": 4})
    inside = run(text, arch, "on array2d (columns: p): Y over k\non array1d (lanes: p): Z", {"K": rows, "P": 4})
    assert starts(across, "Z")[0] - times(across, "Y")[0][1] == rows
    assert starts(inside, "Z")[0] - times(inside, "Y")[0][1] == 0


def test_a_reduction_is_read_at_once_in_its_array() -> None:
    """An Einsum on the same array reads a sum over its rows as the wave passes."""
    text = cascade("input A[K, P]\noutput Z[K, P]\nY[p] = A[k, p]\nZ[k, p] = A[k, p] + Y[p]")
    trace = run(text, machine(bandwidth=1000), "on array2d (rows: k, columns: p): Y; Z", {"K": 4, "P": 4})
    assert starts(trace, "Z")[0] == times(trace, "Y")[0][1]


# -------------------------------------------------------------------------------------------------------------- spills


def test_what_is_spilled_goes_out_and_comes_back() -> None:
    """Of a tile with a quarter spilled, a quarter of every write and read is a transfer, and three quarters are room."""
    text = cascade("input A[M]\noutput Z[M]\nY[m] = A[m] * 2\nZ[m] = exp(Y[m])")
    body = "split m: m1, m0 = 4\nhold Y in buffer spill 0.25\nfor m1: on array1d (lanes: m0): Y\nfor m1: on array1d (lanes: m0): Z"
    trace = run(text, machine(), body, {"M": 64})
    # 64 words of Y are 128 bytes: 96 in the buffer, where there is room for two copies, and 32 out and back.
    assert trace.reserved["buffer"]["Y"] == 2 * 96
    moved = {series.name: series.bytes for series in trace.series if series.server == "dram"}
    assert moved == {"load A for Y": 128, "store Y": 32, "load Y for Z": 32, "store Z": 128}


# --------------------------------------------------------------------------------------------------------------- order

TWO_STEPS = cascade("input A[I, P]\noutput Z[I, P]\nY[i, p] = A[i, p] * 2\nZ[i, p] = exp(Y[i, p])")
Y, Z = "on array2d (columns: p): Y", "on array1d (lanes: p): Z"


@pytest.mark.parametrize(
    ("body", "first", "second"),
    [
        # Y takes 1, Z 20. In a pipeline Y runs ahead; Z follows.
        (f"pipeline i:\n  {Y}\n  {Z}", [0, 1, 2], [1, 21, 41]),
        # In a plain loop each waits for the end of the other: 21 an iteration.
        (f"for i:\n  {Y}\n  {Z}", [0, 21, 42], [1, 22, 43]),
        (f"stages i:\n  stage: {Y}\n  stage: {Z}", [0, 21, 42], [1, 22, 43]),
        # In one stage Z begins when Y has ended, and the next stage when Z has.
        (f"stages i:\n  stage:\n    {Y}\n    {Z}", [0, 21, 42], [1, 22, 43]),
        # For the tile before, Z runs beside the next Y: one stage more, of 20 from the second on.
        (f"stages i:\n  stage:\n    {Y}\n    previous: {Z}", [0, 1, 21], [1, 21, 41]),
    ],
)
def test_who_waits_for_whom(body: str, first: list[float], second: list[float]) -> None:
    """Pipelines overlap, statements of a plain loop and stages do not, and `previous` is one stage behind."""
    trace = run(TWO_STEPS, machine(bandwidth=1000, exp=20), body, {"I": 3, "P": 4})
    loaded = trace.slices[0].end
    assert [start - loaded for start in starts(trace, "Y")] == pytest.approx(first)
    assert [start - loaded for start in starts(trace, "Z")] == pytest.approx(second)


def test_a_stage_waits_for_a_drain() -> None:
    """A stage that waits for a sum over the rows ends one cycle later for each row of the array."""
    text = cascade("input B[J, K], C[P]\noutput Y[P]\nY[p] = B[j, k] * C[p]")
    body = "split p: p1, p0 = 4\nhold B, C in buffer\nstages p1:\n  stage:\n    on array2d (rows: j, columns: p0): Y over k\n    wait Y"
    trace = run(text, machine(rows=7, bandwidth=1000), body, {"J": 3, "K": 20, "P": 12})
    first = starts(trace, "Y")[0]
    assert [start - first for start in starts(trace, "Y")] == pytest.approx([0, 27, 54])


def test_filters_leave_time_steps_out() -> None:
    """A task takes the time steps in which its filter leaves a point, and none if it leaves no point."""
    text = cascade("input A[M, Q], W[P]\noutput Z[P, Q]\nZ[p, q] = A[m: m <= p, q] * W[p]")
    whole = run(
        text, machine(), "hold A, W in buffer\nfor p: on array1d (lanes: q): Z over m", {"M": 4, "P": 4, "Q": 4}
    )
    assert [end - start for start, end in times(whole, "Z")] == [1, 2, 3, 4]
    body = "split m: m1, m0 = 2\nhold A, W, Z in buffer\nfor p, m1: on array1d (lanes: q): Z over m0"
    halves = run(text, machine(), body, {"M": 4, "P": 4, "Q": 4})
    # p = 0 and 1: keys 0 and 0 to 1 in the first half, none in the second.
    assert [end - start for start, end in times(halves, "Z")] == [1, 0, 2, 0, 2, 1, 2, 2]


def test_words_over_the_edges_take_time() -> None:
    """A task takes as long as its words over the edges if these take longer than its operations."""
    text = cascade("input A[M, N], B[M, N]\noutput Z[M, N]\nZ[m, n] = A[m, n] * B[m, n]")
    trace = run(text, machine(columns=3), "on array2d (rows: m, columns: n): Z", {"M": 4, "N": 3})
    # 24 words enter by 4 + 3 a cycle, 12 leave by 3.
    ((start, end),) = times(trace, "Z")
    assert end - start == pytest.approx(12 / 3)
    assert trace.server("array2d").busy == pytest.approx(4)


# ------------------------------------------------------------------------------------------------------------ the run


def test_the_window_that_is_kept_if_none_is_asked_for() -> None:
    """The first 4,000 cycles."""
    body = mapped("pipeline i: on array1d (lanes: p): Z")
    long = simulate(DOUBLE, machine(), body, {"I": 6000, "P": 4})
    assert max(task.start for task in long.slices) < 4000 < long.makespan
    assert long.window == (0, 4000)


def test_every_task_is_run_if_nothing_is_jumped_over() -> None:
    """Without steady states all tasks are run one by one; with them fewer, and all totals are the same."""
    body = mapped("pipeline i: on array1d (lanes: p): Z")
    jumped, unrolled = (
        simulate(DOUBLE, machine(), body, {"I": 600, "P": 4}, window=(0, 1), steady=steady) for steady in (True, False)
    )
    assert unrolled.simulated == unrolled.tasks == jumped.tasks > jumped.simulated
    assert (jumped.makespan, jumped.servers, jumped.series) == (unrolled.makespan, unrolled.servers, unrolled.series)


@pytest.mark.parametrize(
    "body", ["for m0: on array1d (lanes: p): Z over m1", "for m1: on array1d (lanes: p): Z over m0"]
)
def test_numbers_of_tiles_that_interleave(body: str) -> None:
    """A task on every third row computes these rows, and one on rows that are neighbours those."""
    text = cascade("input A[M, P]\noutput Z[M, P]\nZ[m, p] = A[m, p] * 2")
    values = np.arange(24.0).reshape(6, 4)
    tree = mapped(f"split m: m1, m0 = 3\n{body}")
    found = simulate(text, machine(), tree, {"M": 6, "P": 4}, inputs={"A": values}).outputs
    assert found is not None
    np.testing.assert_array_equal(found["Z"], 2 * values)
