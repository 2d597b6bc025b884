"""How ties are broken, to which digits values are compared, and the smallest share that spills: worked out by hand."""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np
import pytest

from fusemax import FusemaxError, MapResult, evaluate, map_cascade
from fusemax.ir.checked import Checked
from fusemax.mapper.constraints import Fixed
from fusemax.mapper.cost.candidates import Costs
from fusemax.mapper.objective import Objective, rounded
from fusemax.mapper.space.generated import Generated
from tests.tiny import cascade, machine, mapped

PRODUCTS = cascade("input A[B, K, M], W[B, K, N]\noutput Z[B, M, N]\nZ[b, m, n] = A[b, k, m] * W[b, k, n]")
EXPONENTIALS = cascade(
    "input A[B, K, M], W[B, K, N]\noutput Z[B, M, N]\nS[b, m, n] = A[b, k, m] * W[b, k, n]\nZ[b, m, n] = exp(S[b, m, n])"
)
SIZES = {"B": 4, "K": 4, "M": 4, "N": 4}


@pytest.mark.parametrize("objective", Objective)
def test_what_breaks_ties(objective: Objective) -> None:
    """Of two candidates that cost the same the one with even tiles is better, and then the one that needs less room."""

    def first(uneven: tuple[float, float], room: tuple[float, float]) -> int:
        same = np.ones(2)
        costs = Costs(same, same, same, buffer_bytes=np.array(room), uneven=np.array(uneven))
        return int(np.lexsort(objective.keys(costs)[::-1])[0])

    assert first((1.0, 0.0), (10.0, 20.0)) == 1
    assert first((0.0, 0.0), (20.0, 10.0)) == 1
    assert first((0.0, 0.0), (10.0, 10.0)) == 0


@pytest.mark.parametrize(
    ("value", "compared"),
    [
        (1.0000000049, 1.0), (1.0000000051, 1.00000001), (123456789.4, 123456789.0), (9.8765432149e-7, 9.87654321e-7),
        (0.0, 0.0), (float("inf"), float("inf")),
    ],
)  # fmt: skip
def test_nine_digits_are_compared(value: float, compared: float) -> None:
    """Values that agree to nine significant digits are the same."""
    assert rounded(np.array([value])).tolist() == pytest.approx([compared], rel=1e-14)


@pytest.mark.parametrize("checked", [PRODUCTS, EXPONENTIALS])
def test_the_order_of_layouts_that_take_as_long(checked: Checked) -> None:
    """Layouts come by their least time; of equal ones with few variables on axes first, then such as every tensor has."""
    space = Generated(checked, machine(lanes=4), SIZES, Fixed())
    compared = 0
    for nest, _, _, joined in space.listed:
        assert nest.batch == ("b",)
        keys = []
        for number in range(len(joined.least)):
            penalty = 0  # each variable once a body, and two for each axis over which the batch is spread
            for layout in joined.layouts(number):
                variables = [v for _, spread in layout.spreads for _, v in spread]
                penalty += len(set(variables)) + 2 * variables.count("b")
            keys.append((float(rounded(joined.least[number])), penalty, joined.joules[number]))
        assert keys == sorted(keys)
        compared += sum(a[0] == b[0] and a[1] < b[1] for a, b in pairwise(keys))
    assert compared > 0


CHUNKED = cascade(
    "input A[M]\noutput Z\nshape M0 = 4, M1 = M / M0\nB[m1, m0] = A[m1*M0 + m0]\nL[m1] = B[m1, m0]\nZ = L[m1]"
)


def test_chunks_are_at_most_eight_axes_long() -> None:
    """A chunk that the cascade leaves open has as many points as divide its rank, up to eight for each element of an axis."""
    space = Generated(CHUNKED, machine(4, 4, 3), {"M": 192}, Fixed())
    divisors = [d for d in range(1, 193) if 192 % d == 0]
    assert [own["M0"] for own in space.own_lengths()] == [d for d in divisors if d <= 8 * 4] == divisors[:10]


@pytest.mark.parametrize(("bandwidth", "seconds"), [(0.01, 384 / 1e7), (1000, 16e-9)])
def test_the_bound_of_layouts_that_are_not_listed(
    bandwidth: float, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of layouts that are too many to list none is quicker than the slower of operations and of inputs and outputs."""
    # 192 words are 384 bytes. 256 products of 5 pJ each; the 2D array does 16 a cycle.
    monkeypatch.setattr("fusemax.mapper.space.layout_product.MOST_JOINED", 2)
    space = Generated(PRODUCTS, machine(bandwidth=bandwidth), SIZES, Fixed())
    assert list(space.structures())
    assert space.cutoff is not None
    assert space.cutoff.least_s == pytest.approx(seconds)
    assert space.cutoff.least_j == pytest.approx(256 * 5e-12)


def found(**options: object) -> MapResult:
    """A search for the products of a batch of matrices."""
    return map_cascade(PRODUCTS, machine(), SIZES, **options)  # type: ignore[arg-type]


def test_the_best_come_by_their_value() -> None:
    """Results come by value, those of equal value by what breaks ties, and no two cost the same in all of it."""
    for objective, order in (
        ("latency", ("latency_s", "dram_bytes", "energy_j")), ("energy", ("energy_j", "latency_s", "dram_bytes")),
        ("dram", ("dram_bytes", "latency_s", "energy_j")),
    ):  # fmt: skip
        best = found(objective=objective, top=4, limit=120).best
        keys = [tuple(float(f"{float(getattr(each.estimate, name)):.8e}") for name in order) for each in best]
        assert len(keys) == 4
        assert keys == sorted(keys)


SPILLING = cascade("input A[M]\noutput Z[M]\nY[m] = A[m] * 2\nZ[m] = exp(Y[m])")
SHARE = """split m: m1, m0 = 4
hold Y in buffer spill share
for m1: on array1d (lanes: m0): Y
for m1: on array1d (lanes: m0): Z
"""


@pytest.mark.parametrize(
    ("buffer", "share"),
    [(600, 0), (598, 0.003333334), (400, 0.333333334), (200, 0.666666667), (300, 0.5), (2, 0.996666667)],
)
def test_the_smallest_share_in_steps_of_a_billionth(buffer: int, share: float) -> None:
    """The share that spills is what does not fit, rounded up to the next billionth."""
    # Y has 300 words, 600 bytes; with room for 200 words 1/3 spills.
    template = mapped(SHARE, "own(share = 0)")
    result = map_cascade(SPILLING, machine(buffer=buffer), {"M": 300}, template=template, top=1)
    (spilled,) = re.findall(r"spill (\S+)", str(result.best[0].mapping))
    assert float(spilled) == pytest.approx(share, rel=0, abs=1e-13)
    if share not in (0, 0.5):
        less = share - 1e-9
        with pytest.raises(FusemaxError, match="less than the tiles held at once"):
            evaluate(SPILLING, machine(buffer=buffer), template, {"M": 300}, parameters={"share": less})
