"""The constants of the closed form, each in a mapping that is small enough to be worked out on paper.

The machine has round numbers: a register read takes 1 pJ, a write 2, and a word of 16 bit that arrives is a write.
"""

from __future__ import annotations

import pytest

from fusemax import Estimate, FusemaxError, evaluate
from fusemax.ir.arch import Arch
from tests.tiny import cascade, machine, mapped

PJ = 1e-12
READ, WRITE = 1, 2
"""Picojoules of a word of a register file."""


def cost(
    text: str, body: str, sizes: dict[str, int], arch: Arch | None = None, accounting: str = "full", title: str = "own"
) -> Estimate:
    """The cost of a mapping that is a body only."""
    return evaluate(cascade(text), arch or machine(), mapped(body, title), sizes, accounting=accounting)


# ---------------------------------------------------------------------------------------------------------- operations


@pytest.mark.parametrize(
    ("expression", "kind", "energy", "operands", "inputs"),
    [
        ("A[m] + B[m]", "add", 3, 2, 2),
        ("A[m] - B[m]", "add", 3, 2, 2),
        ("A[m] * B[m]", "mac", 5, 2, 2),
        ("A[m] / B[m]", "div", 7, 2, 2),
        ("max(A[m], B[m])", "max", 1, 2, 2),
        ("exp(A[m])", "exp", 9, 1, 1),
        ("log(A[m])", "log", 4, 1, 1),
        ("sqrt(A[m])", "sqrt", 4, 1, 1),
        ("rsqrt(A[m])", "rsqrt", 8, 1, 1),
        ("-A[m]", "neg", 4, 1, 1),
        ("abs(A[m])", "abs", 4, 1, 1),
        ("where(A[m], B[m], C[m])", "select", 2, 3, 3),
    ],
)
def test_register_words_of_an_operation(expression: str, kind: str, energy: int, operands: int, inputs: int) -> None:
    """An operation reads one word for each operand and writes one; a product is done as a mac, a difference as an add."""
    names = ", ".join(f"{name}[M]" for name in "ABC"[:inputs])
    found = cost(f"input {names}\noutput Z[M]\nZ[m] = {expression}", "on array1d (lanes: m): Z", {"M": 4})
    each = energy + operands * READ + WRITE + inputs * WRITE  # for each of four points
    assert found.operations == {kind: 4}
    assert found.einsums[0].energy_j == pytest.approx(4 * each * PJ, rel=1e-12)


def test_register_words_of_an_operation_that_is_several() -> None:
    """An exponential that is six multiply-adds reads twelve words and writes six, and takes six cycles."""
    found = cost("input A[M]\noutput Z[M]\nZ[m] = exp(A[m])", "on array2d (columns: m): Z", {"M": 4})
    assert found.operations == {"mac": 24}
    assert found.einsums[0].slot_cycles == 6
    assert found.einsums[0].energy_j == pytest.approx(4 * (6 * 5 + 12 * READ + 6 * WRITE + WRITE) * PJ, rel=1e-12)


def test_register_words_of_a_reduction() -> None:
    """A sum of six reads its accumulator five times, on top of the operands of its six additions."""
    found = cost("input A[K, P]\noutput Z[P]\nZ[p] = A[k, p]", "on array1d (lanes: p): Z over k", {"K": 6, "P": 4})
    points = 6 * 4
    assert found.operations == {"add": points}
    reads, writes, arrivals = 2 * points + 5 * 4, points, points
    expected = points * 3 + reads * READ + (writes + arrivals) * WRITE
    assert found.einsums[0].energy_j == pytest.approx(expected * PJ, rel=1e-12)


def test_a_word_that_is_multicast_is_written_everywhere() -> None:
    """An operand that does not vary along an axis arrives in each of its elements, and crosses the edge once."""
    found = cost("input A[M], B[P]\noutput Z[M, P]\nZ[m, p] = A[m] + B[p]",
                 "on array2d (rows: m, columns: p): Z", {"M": 4, "P": 3})  # fmt: skip
    # 4 words of A to 3 columns each, 3 words of B to 4 rows each.
    arrivals = 4 * 3 + 3 * 4
    assert found.einsums[0].energy_j == pytest.approx(
        (12 * 3 + 24 * READ + 12 * WRITE + arrivals * WRITE) * PJ, rel=1e-12
    )
    assert found.words["dram"] == (7, 12)
    # 7 words enter by 4 + 4 a cycle, and by 4 along each axis: 1 cycle. 12 leave by 4 a cycle: 3.
    assert found.einsums[0].edge_cycles == 3


def test_the_published_accounting() -> None:
    """It charges neither registers, nor the words that leave a buffer to be stored, nor what a mapping names."""
    text = "input A[M]\noutput Z[M]\nZ[m] = exp(A[m]) + A[m]"
    body = "published uncounted exp\nsplit m: m1, m0 = 4\nhold A, Z in buffer\nfor m1: on array1d (lanes: m0): Z"
    full, published = (cost(text, body, {"M": 8}, accounting=accounting) for accounting in ("full", "published"))
    # 8 words. dram: 8 read, 8 written, in accesses of four words: 2 * 100 + 2 * 120. Buffer, two words an access: A comes
    # and Z is made, 16 written; A is read, and under `full` also Z, to be stored.
    dram = 2 * 100 + 2 * 120
    assert published.memory_j["dram"] == pytest.approx(dram * PJ, rel=1e-12)
    assert published.memory_j["buffer"] == pytest.approx((8 * 12 + 4 * 10) * PJ, rel=1e-12)
    assert full.memory_j["buffer"] == pytest.approx((8 * 12 + 8 * 10) * PJ, rel=1e-12)
    assert published.einsums[0].energy_j == pytest.approx(8 * 3 * PJ, rel=1e-12)
    # exp reads 1 and add 2, both write 1; A arrives once.
    assert full.einsums[0].energy_j == pytest.approx(8 * (9 + 3 + 3 * READ + 3 * WRITE) * PJ, rel=1e-12)
    assert full.energy_j == pytest.approx(sum(full.memory_j.values()) + full.einsums[0].energy_j, rel=1e-12)


# -------------------------------------------------------------------------------------------------------------- cycles

OUTER = "input A[M], B[N]\noutput Z[M, N]\nZ[m, n] = A[m] * B[n]"
EACH = "input A[M, N], B[M, N]\noutput Z[M, N]\nZ[m, n] = A[m, n] * B[m, n]"


@pytest.mark.parametrize(
    ("text", "edges", "cycles"),
    [
        (OUTER, "north: columns, west: rows, south: columns", 20 / 5),  # 4 words of A and 5 of B enter at once
        (OUTER, "north: columns, east: columns, south: columns", 20 / 5),
        (EACH, "north: columns, west: rows, south: columns", 40 / 9),  # by whichever edge there is room at
        (EACH, "west: rows, south: columns", 40 / 4),
        (EACH, "north: columns, south: columns", 40 / 5),
        (EACH, "west: rows, east: rows, south: columns", 40 / 8),  # two edges along one axis add up
        (EACH, "north: columns, west: rows, east: rows, south: columns", 20 / 5),
    ],
)
def test_what_leaves_and_what_enters(text: str, edges: str, cycles: float) -> None:
    """Results leave by the south edge alone; operands enter by all others, along their axis or split between all."""
    arch = machine(rows=4, columns=5, edges=edges)
    found = cost(text, "on array2d (rows: m, columns: n): Z", {"M": 4, "N": 5}, arch)
    assert found.einsums[0].edge_cycles == pytest.approx(cycles, rel=1e-12)
    assert found.einsums[0].slot_cycles == 1


@pytest.mark.parametrize("edges", ["north: columns, west: rows", "north: columns, west: rows, south: rows"])
def test_no_way_out(edges: str) -> None:
    """A result that varies along an axis needs an edge along it by which it can leave."""
    text = "input A[N], B[N]\noutput Z[N]\nZ[n] = A[n] * B[n]"
    with pytest.raises(FusemaxError, match="'Z' varies along columns only, where 'array2d' has no edge to leave by"):
        cost(text, "on array2d (columns: n): Z", {"N": 5}, machine(columns=5, edges=edges))


SUM = "input B[J, K], C[P]\noutput Y[P]\nY[p] = B[j, k] * C[p]"
STAGE = "split p: p1, p0 = 4\nstages p1:\n  stage:\n    on array2d (rows: j, columns: p0): Y over k\n    wait Y"


def test_a_wait_takes_a_cycle_a_row() -> None:
    """A stage that waits for a sum over the rows takes as many cycles more as the array has rows, for each tile."""
    found = cost(SUM, STAGE, {"J": 3, "K": 20, "P": 12}, machine(rows=7))
    # 20 products for each of 3 tiles. The array has 7 rows, though only 3 are used.
    assert found.phases[0].cycles == 3 * (20 + 7)


@pytest.mark.parametrize(("length", "limit"), [(3990, False), (3995, False), (3997, True), (4000, True)])
def test_what_limits_is_busy_for_999_of_1000_cycles(length: int, limit: bool) -> None:
    """A unit limits a mapping that takes 0.1 % longer than the unit is busy, and not one that takes more."""
    # K cycles, and 4 to drain: K / (K + 4) is 0.99900 for K = 3996.
    found = cost(SUM, STAGE, {"J": 4, "K": length, "P": 4}, machine(bandwidth=1000))
    assert found.cycles == pytest.approx(length + 4)
    assert (found.bound == "array2d") is limit
    assert found.bound != "dram"


CHAIN = "input A[M]\noutput Z[M]\nY[m] = A[m] * 2\nZ[m] = exp(Y[m])"


@pytest.mark.parametrize(
    ("body", "cycles"),
    [
        ("pipeline m1:\n  on array2d (columns: m0): Y\n  on array1d (lanes: m0): Z", 8 * 4),
        ("for m1:\n  on array2d (columns: m0): Y\n  on array1d (lanes: m0): Z", 8 * (1 + 4)),
        ("stages m1:\n  stage:\n    on array2d (columns: m0): Y\n    on array1d (lanes: m0): Z", 8 * 4),
        ("stages m1:\n  stage: on array2d (columns: m0): Y\n  stage: on array1d (lanes: m0): Z", 8 * (1 + 4)),
        ("pipeline m1: on array1d (lanes: m0): Y; Z", 8 * (1 + 4)),
    ],
)
def test_units_overlap_below_pipelines_and_within_stages(body: str, cycles: int) -> None:
    """Units take turns in a plain loop and from stage to stage; elsewhere the slower one counts."""
    found = cost(CHAIN, f"split m: m1, m0 = 4\n{body}", {"M": 32}, machine(bandwidth=1000))
    assert found.phases[0].cycles == cycles


def test_chained_operators_take_one_cycle() -> None:
    """An exponential of a difference takes one cycle for the sum of both if it is chained, and five if it is not."""
    text = "input A[M], B[M]\noutput Z[M]\nZ[m] = exp(A[m] - B[m])"
    plain, chained = (cost(text, f"on array1d (lanes: m): Z{word}", {"M": 4}) for word in ("", " chained"))
    assert plain.einsums[0].slot_cycles == 1 + 4
    assert chained.einsums[0].slot_cycles == 1
    assert chained.operations == plain.operations == {"add": 4, "exp": 4}


def test_the_slower_of_compute_and_traffic() -> None:
    """A phase takes the cycles of its units or the time of its bytes, whichever is longer; phases add up."""
    body = "phase: on array1d (lanes: m): Y\nphase: on array1d (lanes: m): Z"
    text = CHAIN.replace("exp(Y[m])", "exp(exp(exp(Y[m])))")
    found = cost(text, body, {"M": 4}, machine(bandwidth=4))
    # Y: one cycle, 4 words in and 4 out, 16 bytes at 4 a cycle. Z: 3 * 4 cycles, and as many bytes.
    assert [(phase.cycles, phase.dram_bytes) for phase in found.phases] == [(1, 16), (12, 16)]
    assert found.cycles == pytest.approx(4 + 12)
    assert found.bound == "array1d"
    assert found.utilization["array1d"] == pytest.approx(13 / 16)
    assert found.utilization["array2d"] == 0


# ------------------------------------------------------------------------------------------------------------- memories


@pytest.mark.parametrize(("buffer", "fits"), [(96, True), (95, False)])
def test_a_buffer_that_is_just_full(buffer: int, fits: bool) -> None:
    """All that is held at once may fill a buffer to its last byte, and not beyond."""
    # A tile of 24 words and one of 24 words, of 2 bytes.
    text = "input A[I, P], B[I, P]\noutput Z[I, P]\nZ[i, p] = A[i, p] * B[i, p]"
    body = "pipeline i:\n  hold A, B in buffer\n  for p: on array1d: Z"
    if not fits:
        with pytest.raises(FusemaxError, match="'buffer' has 95 B, 1 B less than the tiles held at once"):
            cost(text, body, {"I": 3, "P": 24}, machine(buffer=buffer))
        return
    assert cost(text, body, {"I": 3, "P": 24}, machine(buffer=buffer)).words["buffer"] == (144, 144)


def test_a_quarter_that_spills() -> None:
    """Of what is held with a share to spill, that share of all reads and writes goes to the outermost memory too."""
    text = "input A[M]\noutput Z[M]\nY[m] = A[m] * 2\nZ[m] = exp(Y[m])"
    body = "split m: m1, m0 = 4\nhold Y in buffer spill 0.25\nfor m1: on array1d (lanes: m0): Y\nfor m1: on array1d (lanes: m0): Z"
    found = cost(text, body, {"M": 64}, machine(buffer=96))
    assert found.words["buffer"] == (64, 64)
    assert found.words["dram"] == (64 + 16, 64 + 16)
    with pytest.raises(FusemaxError, match="less than the tiles held at once"):
        cost(text, body, {"M": 64}, machine(buffer=95))


def test_an_input_that_spills() -> None:
    """Of an input, the share that spills is not loaded into its tile, and is read past it each time."""
    text = "input A[I, P], B[I, J]\noutput Z[I, J, P]\nZ[i, j, p] = A[i, p] * B[i, j]"
    body = "split p: q, r = 4\npipeline i:\n  hold A in buffer spill 0.5\n  for j, q: on array1d (lanes: r): Z"
    found = cost(text, body, {"I": 2, "P": 8, "J": 3}, machine())
    # A has 16 words. The tile of each i has 8, of which 4 are loaded. Every j reads all 8: 2 * 3 * 8 words, and half of
    # them come from dram.
    words = {
        (count.memory, count.tensor, count.kind.value): count.words for count in found.counts if count.tensor == "A"
    }
    assert words == {
        ("dram", "A", "fill"): 8,
        ("buffer", "A", "fill"): 16,
        ("buffer", "A", "read"): 48,
        ("dram", "A", "read"): 24,
    }


@pytest.mark.parametrize(
    ("buffer", "extent"), [(8 * 2, 1), (8 * 2 * 3 - 1, 2), (8 * 2 * 3, 3), (8 * 2 * 5, 4), (1 << 16, 12)]
)
def test_as_much_as_fits(buffer: int, extent: int) -> None:
    """`fit` takes the largest divisor with which all that is held at once fits, one copy of each."""
    # A tile has `extent` times 8 words of A, of one byte: 12 tiles in all.
    text = "input A[P, K]\noutput Z[P]\nZ[p] = A[p, k]"
    body = "split p: p1, p0 = fit buffer\npipeline p1:\n  hold A in buffer\n  for p0: on array1d (lanes: k): Z"
    found = cost(text, body, {"P": 12, "K": 8}, machine(lanes=8, buffer=buffer))
    trips = 12 // extent
    assert found.words["dram"][0] == 96
    reads = [count.words for count in found.counts if count.kind.value == "fill" and count.memory == "dram"]
    assert reads == [96]
    assert trips * extent == 12
