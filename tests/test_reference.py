"""The interpreter agrees with a brute-force one, refuses what it cannot run, and leaves its caller's data alone."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from numpy.typing import ArrayLike, NDArray

from fusemax import FusemaxError, analyze, check, execute, load_cascade, parse, reference
from fusemax.ir.cascade import Cascade
from fusemax.reference import random_inputs
from tests.brute import brute_force
from tests.generated import Generated, generated_cascades

pytestmark = pytest.mark.slow

Array = NDArray[np.float64]

FOLDER = Path(__file__).parents[1] / "cascades"
FILES = sorted(path.stem for path in FOLDER.glob("*.cascade"))
TINY = {"B": 1, "D": 3, "E": 2, "F": 3, "G": 2, "H": 2, "I": 4, "J": 1, "K": 3, "LKV": 2, "M": 4, "M0": 2, "M1": 2}
TINY |= {"N": 2, "P": 3, "S": 2, "T": 3, "V": 3, "W": 2}
SELF_ATTENTION = ("encoder-layer",)  # the keys are the positions of the queries, so M is P
VALUES = (-2.0, -1.0, -0.5, 0.0, 0.25, 1.0, 1.5, 3.0)


def inputs_of(cascade: Cascade, sizes: Mapping[str, int], values: tuple[float, ...] = VALUES) -> dict[str, Array]:
    """Random inputs with zeros, negative numbers and ties among them."""
    rng = np.random.default_rng(7)
    tensors = check(cascade).inputs
    return {t.name: rng.choice(values, size=[sizes[rank] for rank in t.ranks]) for t in tensors}


def agree(cascade: Cascade, sizes: Mapping[str, int], values: tuple[float, ...] = VALUES) -> dict[str, Array]:
    """Run a cascade in both ways, compare every tensor, and return what the interpreter gave."""
    inputs = inputs_of(cascade, sizes, values)
    known = check(cascade).ranks
    given = {rank: size for rank, size in sizes.items() if rank in known or rank in {d.rank for d in cascade.shapes}}
    actual = execute(cascade, inputs, given, intermediates=True)
    expected = brute_force(cascade, inputs, sizes) | inputs
    assert actual.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_allclose(actual[name], array, rtol=1e-12, atol=1e-12, err_msg=name)
        assert actual[name].shape == array.shape
    return actual


@pytest.mark.parametrize("name", FILES)
def test_shipped_cascades(name: str) -> None:
    """Every tensor of every shipped cascade, intermediate ones too, is that of the brute-force interpreter."""
    agree(load_cascade(FOLDER / f"{name}.cascade"), TINY | ({"M": TINY["P"]} if name in SELF_ATTENTION else {}))


CASES: dict[str, tuple[str, dict[str, int]]] = {
    "sum": ("Z[m] = A[k, m]", {"K": 3, "M": 2}),
    "sum of products": ("Z[m] = A[k, m] * B[k] * C[m]", {"K": 3, "M": 2}),
    "product without a sum": ("Z[m, n] = A[m] * B[n]", {"M": 3, "N": 2}),
    "sum over two": ("Z = A[k, m] * B[m, k]", {"K": 3, "M": 2}),
    "product": ("Z[m] = A[k, m] :: reduce[k] *", {"K": 3, "M": 2}),
    "maximum": ("Z[m] max= A[k, m]", {"K": 3, "M": 2}),
    "minimum": ("Z[m] = A[k, m] - B[k] :: reduce[k] min", {"K": 3, "M": 2}),
    "and": ("Z[m] = A[k, m] :: reduce[k] and", {"K": 2, "M": 5}),
    "and of one": ("Z[m] = A[k, m] :: reduce[k] and", {"K": 1, "M": 5}),
    "or": ("Z[m] = A[k, m] :: reduce[k] or", {"K": 2, "M": 5}),
    "sum of maxima": ("Z = A[k, m] :: reduce[k] max reduce[m] +", {"K": 3, "M": 4}),
    "maximum of sums": ("Z = A[k, m] :: reduce[m] + reduce[k] max", {"K": 3, "M": 4}),
    "three reducers": ("Z[p] = A[k, m, n, p] :: reduce[n] * reduce[k] min reduce[m] max", dict.fromkeys("KMNP", 3)),
    "sum of a sum of products": ("Z = A[k, m] * B[k] :: reduce[m] + reduce[k] +", {"K": 3, "M": 4}),
    "filter on the left": ("Z[m: m < 2, n] = A[m] * B[n]", {"M": 4, "N": 3}),
    "filter on the right": ("Z[n] = A[m: m > n] * B[n]", {"M": 4, "N": 3}),
    "filters on both": ("Z[n: n != 1] = A[m: m >= n, n: m + n < 4]", {"M": 4, "N": 3}),
    "a filter on a product": ("Z[p] = A[m: m <= p] * B[m, p] * 2", {"M": 4, "P": 3}),
    "an equality": ("Z[n] = A[m: m == 2*n] * B[n]", {"M": 4, "N": 3}),
    "two shapes in a filter": ("shape W = 2\nZ[p] = A[m: p - W < m <= p] * B[p]", {"M": 4, "P": 5, "W": 2}),
    "a shape times a variable": ("shape S = 2\nZ[p] = A[m: S*p <= m < S*p + S] * B[p]", {"M": 4, "P": 3, "S": 2}),
    "nothing passes": ("tensor Y[P] empty = 7\nY[p] = A[m: m > p + 9] * B[p]\nZ[p] = Y[p]", {"M": 3, "P": 3}),
    "nothing passes a maximum": ("Z[p] = A[m: m > p] * B[p] :: reduce[m] max", {"M": 3, "P": 4}),
    "an empty of minus infinity": (
        "tensor Y[P] empty = -inf\nY[p] = A[m: m > p] * B[p] :: reduce[m] max\nZ[p] = exp(Y[p])",
        {"M": 3, "P": 4},
    ),
    "an empty from shapes and parameters": (
        "param x = 2 * M\ntensor Y[P] empty = x + P\nY[p: p > 1] = B[p] * A[m]\nZ = Y[p]",
        {"M": 3, "P": 4},
    ),
    "fibers that a filter empties": ("Z = A[k, m: m > k] :: reduce[m] max reduce[k] +", {"K": 4, "M": 3}),
    "filter and product reduction": ("Z[k] = A[k, m: m > k] :: reduce[m] *", {"K": 4, "M": 3}),
    "a split": ("input A[M]\nshape M1 = M / M0\nZ[m1] = A[m1*M0 + m0]", {"M": 6, "M1": 2, "M0": 3}),
    "a split into three": (
        "input A[M]\nZ[c, b] = A[a*B*C + b*C + c] :: reduce[a] max",
        {"M": 12, "A": 2, "B": 3, "C": 2},
    ),
    "a join": ("output Z[M]\nZ[m1*M0 + m0] = A[m1, m0] - B[m0]", {"M": 6, "M1": 2, "M0": 3}),
    "a join and a filter": (
        "output Z[M] empty = -1\nZ[m1*M0 + m0: m0 != m1] = A[m1, m0]",
        {"M": 6, "M1": 2, "M0": 3},
    ),
    "a halo": ("input A[H], B[S]\nshape H = 2*Q + S - 2\nZ[q] = A[2*q + s] * B[s]", {"H": 8, "Q": 3, "S": 4}),
    "a halo of two filters": (
        "input A[H, W], F[R, S]\nshape P = H - R + 1, Q = W - S + 1\nZ[p, q] = A[p + r, q + s] * F[r, s]",
        {"H": 4, "W": 5, "R": 2, "S": 3, "P": 3, "Q": 3},
    ),
    "a halo that a filter keeps inside": (
        "input A[M], B[W]\nZ[m] = A[m + w - 1: 0 <= m + w - 1 < M] * B[w]",
        {"M": 4, "W": 3},
    ),
    "backwards": ("input A[M]\nZ[m] = A[M - m - 1]", {"M": 4}),
    "a constant": ("input A[M, N]\nZ[m] = A[m, 2] * A[0, 1]", {"M": 4, "N": 3}),
    "the diagonal": ("input A[M, M]\nZ = A[m, m]", {"M": 4}),
    "a product with the diagonal": ("input A[M, M], B[M]\nZ = A[m, m] * B[m]", {"M": 4}),
    "a diagonal that is written": ("input A[M]\noutput Z[M, M] empty = 5\nZ[m, m] = A[m]", {"M": 4}),
    "explicit places": (
        "input K[B, M], Q[P]\nZ[b, p] = K[B: b, M: p] * Q[p]",
        {"B": 2, "M": 3, "P": 3},
    ),
    "an alias": ("input A[M, M]\nZ[m, p] = A[m, M: p] - A[p, m]", {"M": 3, "P": 3}),
    "a square": ("input A[M]\nZ[m, n] = A[m] * A[n]", {"M": 3, "N": 3}),
    "scalars": ("input X, A[M]\nY = X * 2\nZ[m] = A[m] * Y[] + X", {"M": 3}),
    "a fill": ("input A[M, N]\nF[m] = 3\nZ = F[m] * A[m, n]", {"M": 3, "N": 2}),
    "a fill with values": ("input A[M, N]\nF[n, m] = 10 * m + n\nZ = F[n, m] * A[m, n]", {"M": 3, "N": 2}),
    "index values": ("Z[m] = A[m] * (m + 1)", {"M": 4}),
    "reduced index values": ("Z = A[m] * m * M", {"M": 4}),
    "parameters": ("param x = 1 / sqrt(M)\nparam y = x ^ 2 + M\nZ[m] = A[m] * x + y", {"M": 4}),
    "operators": (
        "param x = 3\nop f(a, b) = where(a > b, a - x, b * a)\nop g(a) = f(a, a + 1)\nZ[m] = g(A[m]) * f(A[m], B[m])",
        {"M": 5},
    ),
    "an operator that ignores an operand": ("op f(a, b) = a\nZ[m] = 2 * f(A[m], B[k])", {"K": 3, "M": 2}),
    "an undefined branch": ("Z[m] = where(A[m] == 0, 9, B[m] / A[m])", {"M": 9}),
    "take": ("Z[m] = take(A[m], B[m], 0) + 10 * take(A[m], B[m], 1)", {"M": 9}),
    "powers": ("Z[m] = A[m]^2^B[m] - (-A[m])^3 - A[m]^-1", {"M": 9}),
    "comparisons": (
        "Y[m] = (A[m] < B[m]) + 2*(A[m] <= B[m]) + 4*(A[m] > B[m])\n"
        "Z[m] = (A[m] >= B[m]) + 2*(A[m] == B[m]) + 4*(A[m] != B[m])",
        {"M": 20},
    ),
    "functions": (
        "Y[m] = exp(A[m]) + tanh(A[m]) + relu(A[m]) + floor(A[m])\n"
        "Z[m] = sigmoid(A[m]) + silu(A[m]) + gelu(A[m]) + abs(A[m])",
        {"M": 20},
    ),
    "roots and logarithms": ("Y[m] = log(A[m])\nX[m] = sqrt(A[m])\nZ[m] = rsqrt(A[m])", {"M": 20}),
    "division by zero": ("Z[m] = B[m] / A[m]", {"M": 30}),
    "maxima of many": ("Z[m] = max(A[m], B[m], 0.1) - min(A[m], B[m], m, 2)", {"M": 9}),
    "sums inside of a function": ("Z = exp(A[m] - B[m])", {"M": 4}),
    "a sum of two terms": ("Z = A[m] * B[m] + C[m]", {"M": 4}),
}
ITERATIONS: dict[str, tuple[str, dict[str, int]]] = {
    "a running sum": ("input A[I]\nS[0] = 0\nS[i+1] = S[i] + A[i]\nZ = S[I]", {"I": 4}),
    "the whole history": ("input A[I]\noutput S[I]\nS[0] = 1\nS[i+1] = S[i] * 2 + A[i]", {"I": 4}),
    "an initial value computed": ("input A[I, J]\nS[0, j] = A[i, j]\nS[i+1, j] = S[i, j] * A[i, j]", {"I": 3, "J": 2}),
    "a trip count": ("input A\nS[0] = 1\nS[i+1] = S[i] * 2 + A * i\nstop: i >= K\nshape K = 3", {"I": 3, "K": 3}),
    "the step that was just made": (
        "input A[I]\nS[0] = 0\nS[i+1] = max(S[i], A[i])\nT[i] = S[i+1] - S[i]\nZ = S[I] * T[i]",
        {"I": 5},
    ),
    "two that need each other": (
        "input A[I]\nF[0] = 1\nG[0] = 2\nF[i+1] = G[i] + A[i]\nG[i+1] = F[i] * F[i+1]\nZ = F[I] + G[I]",
        {"I": 4},
    ),
    "a filtered step": ("input A[I]\nS[0] = 5\nS[i+1: i != 1] = S[i] + A[i]\nZ = S[I]", {"I": 4}),
    "a filtered step without a way back": ("input A[I]\nS[0] = 5\nS[i+1: i != 1] = A[i]\nZ = S[I]", {"I": 4}),
    "a filtered step of a vector": (
        "input A[I, J]\nS[0, j] = j\nS[i+1, j: j != i] = S[i, j] + A[i, j]\nZ[j] = S[I, j]",
        {"I": 3, "J": 4},
    ),
    "a step that a filtered sum leaves out": (
        "input A[I, K], B[J]\nS[0, j] = 1\nS[i+1, j] = S[i, j] * A[i, k: k < i - j] * B[j]\nZ[j] = S[I, j]",
        {"I": 4, "J": 3, "K": 2},
    ),
    "a step of the diagonal": (
        "input A[I, J]\ntensor S[I, J, J]\n"
        "S[0, j, J: k] = 10*j + k\nS[i+1, j, j] = S[i, j, j] + A[i, j]\nZ = S[I, j, J: k]",
        {"I": 3, "J": 3, "K": 3},
    ),
    "an inner iteration": (
        "input A[I, J]\nS[0] = 1\nT[i, 0] = S[i]\nT[i, j+1] = T[i, j] + A[i, j]\nS[i+1] = T[i, J] * 0.5\nZ = S[I]",
        {"I": 3, "J": 4},
    ),
    "a filtered inner iteration": (
        "input A[I, J]\nS[0] = 1\nT[i, 0] = S[i]\n"
        "T[i, j+1: j != i] = T[i, j] + A[i, j]\nS[i+1] = T[i, J] - 1\nZ = S[I]",
        {"I": 3, "J": 4},
    ),
    "a filtered inner iteration without a way back": (
        "input A[I, J]\nS[0] = 1\nT[i, 0] = S[i]\nT[i, j+1: j != i] = A[i, j]\nS[i+1] = T[i, J] - S[i]\nZ = S[I]",
        {"I": 3, "J": 4},
    ),
    "two iterations": (
        "input A[I], B[J]\nS[0] = 1\nS[i+1] = S[i] + A[i]\nT[0] = S[I]\nT[j+1] = T[j] * B[j]\nZ = T[J] / S[I]",
        {"I": 3, "J": 4},
    ),
    "two iterations over one rank": (
        "input A[I]\nS[0] = 0\nS[i+1] = S[i] + A[i]\nT[0] = S[I]\nT[i+1] = T[i] * A[i] - S[I]\nZ = T[I]",
        {"I": 3},
    ),
    "an iteration over a split": (
        "input A[M]\nshape M1 = M / M0\nS[0] = 0\nL[m1] = A[m1*M0 + m0] :: reduce[m0] max\n"
        "S[m1+1] = max(S[m1], L[m1])\nZ = S[M1]",
        {"M": 6, "M1": 3, "M0": 2},
    ),
    "one element of the start": (
        "input A[I, J]\ntensor S[I, J] empty = 2\nS[0, 1] = 7\nS[i+1, j] = S[i, j] + A[i, j]",
        {"I": 3, "J": 3},
    ),
    "sections in any order": (
        "input A[I]\noutput Z\ninit:\nS[0] = 1\nfinal:\nZ = S[I] * 2\nloop i:\nS[i+1] = S[i] + A[i]",
        {"I": 3},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_small_cascades(case: str) -> None:
    """Reductions, filters, subscripts, names and functions are computed as the language defines, one at a time."""
    text, sizes = CASES[case]
    agree(parse(text), sizes)


@pytest.mark.parametrize("case", ITERATIONS)
def test_iterations(case: str) -> None:
    """Steps, initial values, histories and loops in loops are computed as the language defines, one at a time."""
    text, sizes = ITERATIONS[case]
    agree(parse(text), sizes)


@pytest.mark.parametrize("case", CASES)
def test_infinities(case: str) -> None:
    """Infinite inputs give what arithmetic says, and no element that a filter excludes leaks into a sum."""
    text, sizes = CASES[case]
    agree(parse(text), sizes, (np.inf, -np.inf, 0.0, 1.0, -2.0))


@pytest.mark.parametrize("case", [*CASES, *ITERATIONS])
def test_large_iteration_spaces_are_cut(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An iteration space that is computed in parts, here of at most three points, gives the same values."""
    monkeypatch.setattr(reference, "MOST_POINTS", 3)
    text, sizes = (CASES | ITERATIONS)[case]
    agree(parse(text), sizes)


@pytest.mark.parametrize("name", ["attention-causal-1pass", "attention-window-2pass"])
def test_shipped_cascades_in_parts(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for shipped cascades with filters, splits and an iteration."""
    monkeypatch.setattr(reference, "MOST_POINTS", 5)
    agree(load_cascade(FOLDER / f"{name}.cascade"), TINY)


@given(generated_cascades())
@settings(max_examples=300)
def test_generated_cascades(generated: Generated) -> None:
    """Both interpreters agree on all compositions of filters, splits, halos, aliases and reducers."""
    agree(parse(generated.text), generated.sizes)


def test_overflow_between_factors() -> None:
    """A sum of products is that of the definition even where another order of the factors would overflow."""
    inputs: dict[str, ArrayLike] = {"A": [1e200, 1.0], "B": [1e-200, 1.0], "C": [[1e200, 1.0], [1.0, 1.0]]}
    assert execute(parse("Z = A[k] * B[m] * C[k, m]"), inputs)["Z"] == pytest.approx(2e200)


def test_inputs_of_any_real_type() -> None:
    """Lists, integers, Booleans, single precision and arrays that are not contiguous are all computed in float64."""
    cascade = parse("input A[I], B[I], C[I], D[I], X\nZ[i] = A[i] + B[i] + C[i] + D[i] + X")
    inputs: dict[str, ArrayLike] = {
        "A": [1, 2.5],
        "B": np.array([True, False]),
        "C": np.array([0.5, 0.25], dtype=np.float32),
        "D": np.arange(4, dtype=np.uint8)[::2],
        "X": 10,
    }
    result = execute(cascade, inputs)["Z"]
    assert result.dtype == np.float64
    np.testing.assert_array_equal(result, [12.5, 14.75])


def test_the_callers_arrays_are_left_alone() -> None:
    """No input is modified, no result shares memory with one, and read-only inputs are fine."""
    array = np.arange(4.0)
    array.setflags(write=False)
    results = execute(
        parse("input A[I]\nS[0] = 0\nS[i+1] = S[i] + A[i]\nZ[i] = A[i]"), {"A": array}, intermediates=True
    )
    assert list(results) == ["A", "S", "Z"]
    for result in results.values():
        result += 1
    np.testing.assert_array_equal(array, [0, 1, 2, 3])


def test_outputs_only_unless_asked() -> None:
    """The result holds the outputs, in their order of declaration."""
    cascade = parse("input A[I]\noutput Z[I], Y\nX[i] = A[i] + 1\nY = X[i]\nZ[i] = X[i]")
    assert list(execute(cascade, {"A": [1.0]})) == ["Z", "Y"]


def test_no_warnings() -> None:
    """Division by zero, overflow and undefined functions give infinities and NaN in silence."""
    text = "param x = 1 / 0\nY[i] = A[i] / 0 + log(-1 - A[i]) * exp(1000 * A[i]) + gelu(x * A[i])\nZ = Y[i] * x"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = execute(parse(text), {"A": np.array([0.0, 1.0, np.inf], dtype=np.longdouble) * np.longdouble("1e400")})
    assert np.isnan(result["Z"])


def test_random_inputs() -> None:
    """Inputs drawn for given sizes fit the cascade and depend on the seed alone."""
    checked = check(parse("input A[K, M], B[K]\nZ[m] = A[k, m] * B[k]"))
    first, again, other = (random_inputs(checked, {"K": 3, "M": 2}, seed) for seed in (1, 1, 2))
    assert {name: array.shape for name, array in first.items()} == {"A": (3, 2), "B": (3,)}
    np.testing.assert_array_equal(first["A"], again["A"])
    assert not np.array_equal(first["A"], other["A"])
    assert execute(checked, first)["Z"].shape == (2,)


MATMUL = "input A[K, M], B[K]\nZ[m] = A[k, m] * B[k]"
SPLIT = "shape M0 = 4, M1 = M / M0\ninput A[M]\nZ[m1] = A[m1*M0 + m0]"
ONE = [[1.0]]
REFUSED: dict[str, tuple[str, dict[str, Any], dict[str, Any], str]] = {
    "missing": (
        MATMUL, {"A": ONE}, {},
        "<cascade>:1:16: no array for input 'B[K]'\n  input A[K, M], B[K]\n                 ^^^^\n"
        "hint: pass it in `inputs`",
    ),
    "unknown": (
        "input CKV[K]\nZ = CKV[k]", {"CKV": [1], "CVK": [1]}, {},
        "this cascade has no input 'CVK'\nhint: did you mean 'CKV'?",
    ),
    "unknown, and none like it": (
        MATMUL, {"A": ONE, "B": [1], "weights": [1]}, {},
        "this cascade has no input 'weights'\nhint: its inputs are 'A' and 'B'",
    ),
    "unknown, and no input": (
        "shape K = 2\nA[k] = 1\nZ = A[k]", {"A": [1]}, {}, "this cascade has no input 'A'\nhint: it has no inputs",
    ),
    "misspelt": (
        "input QK[K]\nZ = QK[k]", {"Qk": [1]}, {},
        "this cascade has no input 'Qk'\nhint: did you mean 'QK'?\n"
        "<cascade>:1:7: no array for input 'QK[K]'\n  input QK[K]\n        ^^^^^\nhint: pass it in `inputs`",
    ),
    "not a name": (
        MATMUL, {"A": ONE, "B": [1], 3: [1]}, {},  # type: ignore[dict-item]
        "this cascade has no input '3'\nhint: its inputs are 'A' and 'B'",
    ),
    "a scalar for a matrix": (
        MATMUL, {"A": 3, "B": [1]}, {}, "input 'A[K, M]' got an array with 0 axes, shape ()\nhint: its axes are K, M",
    ),
    "a vector for a matrix": (
        MATMUL, {"A": [3], "B": [1]}, {},
        "input 'A[K, M]' got an array with 1 axis, shape (1,)\nhint: its axes are K, M",
    ),
    "a vector for a scalar": (
        "input X\nZ = X", {"X": [1]}, {}, "input 'X[]' got an array with 1 axis, shape (1,)\nhint: its axes are none",
    ),
    "complex": (
        MATMUL, {"A": ONE, "B": [1j]}, {},
        "input 'B[K]' has dtype complex128\n"
        "hint: pass real numbers; a complex array as its real and imaginary part",
    ),
    "objects": (
        MATMUL, {"A": ONE, "B": [None]}, {},
        "input 'B[K]' has dtype object\nhint: pass real numbers; a complex array as its real and imaginary part",
    ),
    "strings": (
        MATMUL, {"A": ONE, "B": ["x"]}, {},
        "input 'B[K]' has dtype <U1\nhint: pass real numbers; a complex array as its real and imaginary part",
    ),
    "two at once": (
        MATMUL, {"A": [1], "B": [None]}, {},
        "input 'A[K, M]' got an array with 1 axis, shape (1,)\nhint: its axes are K, M\n"
        "input 'B[K]' has dtype object\nhint: pass real numbers; a complex array as its real and imaginary part",
    ),
    "ragged": (
        MATMUL, {"A": [[1, 2], [3]], "B": [1]}, {},
        "input 'A[K, M]' is ragged\nhint: pass an array, or lists of equal length",
    ),
    "NaN": (
        MATMUL, {"A": [[1, 2], [3, np.nan]], "B": [1, np.inf]}, {},
        "input 'A[K, M]' holds NaN, first at [1, 1]\nhint: replace it before running",
    ),
    "empty": (
        MATMUL, {"A": np.zeros((0, 2)), "B": [1]}, {},
        "axis 0 of 'A' (rank 'K') is empty\nhint: pass at least one element",
    ),
    "arrays that disagree": (
        MATMUL, {"A": ONE, "B": [1, 2]}, {},
        "two sizes for rank 'K': 1 from axis 0 of 'A', 2 from axis 0 of 'B'\nhint: pass arrays that agree",
    ),
    "an array and a given shape": (
        MATMUL, {"A": ONE, "B": [1]}, {"M": 5},
        "two sizes for rank 'M': 5 from the given shapes, 1 from axis 1 of 'A'\nhint: pass arrays that agree",
    ),
    "an array and a given shape of NumPy's": (
        MATMUL, {"A": ONE, "B": [1]}, {"M": np.int64(5)},
        "two sizes for rank 'M': 5 from the given shapes, 1 from axis 1 of 'A'\nhint: pass arrays that agree",
    ),
    "a diagonal of no square": (
        "input A[K, K]\nZ = A[k, k]", {"A": [[1, 2]]}, {},
        "two sizes for rank 'K': 1 from axis 0 of 'A', 2 from axis 1 of 'A'\nhint: pass arrays that agree",
    ),
    "a length that does not divide": (
        SPLIT, {"A": [1] * 6}, {},
        "<cascade>:1:15: the division in `M1 = M / M0` is not exact with M = 6, M0 = 4\n"
        "  shape M0 = 4, M1 = M / M0\n                ^^^^^^^^^^^\nhint: give sizes that divide",
    ),
    "a given shape that does not divide": (
        SPLIT, {"A": [1] * 8}, {"M0": 3},
        "<cascade>:1:15: the division in `M1 = M / M0` is not exact with M = 8, M0 = 3\n"
        "  shape M0 = 4, M1 = M / M0\n                ^^^^^^^^^^^\nhint: give sizes that divide",
    ),
    "no size": (
        "input A[M]\nshape M1 = M / M0\nZ[m1] = A[m1*M0 + m0]", {"A": [1]}, {},
        "no size for 'M1' and 'M0'\nhint: give it, for instance `--shape M1=64 M0=64`",
    ),
    "zero": (SPLIT, {"A": [1]}, {"M0": 0}, "size 0 of rank 'M0' is not positive\nhint: give a positive integer"),
    "negative": (SPLIT, {"A": [1]}, {"M0": -2}, "size -2 of rank 'M0' is not positive\nhint: give a positive integer"),
    "a fraction": (
        SPLIT, {"A": [1]}, {"M0": 1.5}, "size 1.5 of rank 'M0' is not an integer\nhint: give a positive integer",
    ),
    "a float for an array's": (
        SPLIT, {"A": [1]}, {"M": 1.0}, "size 1.0 of rank 'M' is not an integer\nhint: give a positive integer",
    ),
    "a string": (
        SPLIT, {"A": [1]}, {"M": "1"}, "size '1' of rank 'M' is not an integer\nhint: give a positive integer",
    ),
    "a Boolean": (
        SPLIT, {"A": [1]}, {"M0": True}, "size True of rank 'M0' is not an integer\nhint: give a positive integer",
    ),
    "beyond any machine": (
        SPLIT, {"A": [1]}, {"M0": 2**60},
        "size 1152921504606846976 of rank 'M0' is larger than 2^53\nhint: give a size that a machine could hold",
    ),
    "beyond this machine": (
        "input A[M]\nshape N = 4\nY[n] = 1\nZ[m, n] = A[m] * Y[n]", {"A": [1, 2]}, {"N": 2**40},
        "these shapes need 2.458e+04 GiB, most of it for 'Z[M, N]'\n"
        "hint: the interpreter stops at 8 GiB: give smaller shapes",
    ),
    "an unknown rank": (
        SPLIT, {"A": [1]}, {"m0": 1}, "this cascade has no rank 'm0'\nhint: did you mean 'M0'?",
    ),
    "too many variables": (
        "Z = (A[a, b, c, d, f, g, h, i, j, k, l]\n * B[m, n, o, p, q, r, s, t, u, v, w]"
        "\n * C[x, y, z, aa, bb, cc, dd, ff, gg, hh, ii])",
        {name: np.ones([1] * 11) for name in "ABC"}, {},
        "<cascade>:1:1: 'Z' ranges over 33 rank variables\n  Z = (A[a, b, c, d, f, g, h, i, j, k, l]\n  ^\n"
        "hint: the interpreter takes at most 32",
    ),
    "a read beyond its rank": (
        "input A[M], B[W]\nZ[p] = A[p + w] * B[w]\nshape P = 3", {"A": [1, 2, 3], "B": [1, 2]}, {},
        "<cascade>:2:8: 'A' is read at coordinate 3 of rank 'M', which has 3\n"
        "  Z[p] = A[p + w] * B[w]\n         ^^^^^^^^\nhint: filter the subscript, or give other sizes",
    ),
    "a read before its rank": (
        "input A[M], B[W]\nZ[m] = A[m - w: m < 2] * B[w]", {"A": [1, 2, 3], "B": [1, 2]}, {},
        "<cascade>:2:8: 'A' is read at coordinate -1 of rank 'M', which has 3\n"
        "  Z[m] = A[m - w: m < 2] * B[w]\n         ^^^^^^^^^^^^^^^\nhint: filter the subscript, or give other sizes",
    ),
    "a read of a coordinate that is not there": (
        "input A[M]\nZ = A[7]", {"A": [1, 2, 3]}, {},
        "<cascade>:2:5: 'A' is read at coordinate 7 of rank 'M', which has 3\n"
        "  Z = A[7]\n      ^^^^\nhint: filter the subscript, or give other sizes",
    ),
    "a start beyond its rank": (
        "input A[I, J]\nS[0, 9] = 1\nS[i+1, j] = S[i, j] + A[i, j]", {"A": ONE}, {},
        "<cascade>:2:1: 'S' is written at coordinate 9 of rank 'J', which has 1\n"
        "  S[0, 9] = 1\n  ^^^^^^^\nhint: filter the subscript, or give other sizes",
    ),
    "no initial value": (
        "input A[I]\nS[i+1] = S[i] + A[i]\nZ = S[I]", {"A": [1]}, {},
        "<cascade>:2:1: iterative 'S' has no initial value\n  S[i+1] = S[i] + A[i]\n  ^^^^^^\n"
        "hint: write `S[0] = 0`, the identity of +",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    """A cascade that cannot be run is refused with the reason, its place and a remedy."""
    text, inputs, shapes, message = REFUSED[case]
    with pytest.raises(FusemaxError) as refusal:
        execute(parse(text), inputs, shapes)
    assert str(refusal.value) == message


def test_an_incomplete_cascade_is_refused() -> None:
    """A cascade that was checked for analysis only is refused like one that was not checked."""
    checked = check(parse("input A[I]\nS[i+1] = S[i] + A[i]\nZ = S[I]"), complete=False)
    with pytest.raises(FusemaxError, match="iterative 'S' has no initial value"):
        execute(checked, {"A": [1.0]})


def test_random_inputs_of_impossible_size() -> None:
    """Inputs that no machine could hold are refused before they are drawn."""
    checked = check(parse("Z = A[k]"))
    with pytest.raises(FusemaxError, match=r"these shapes need 7.451e\+05 GiB"):
        random_inputs(checked, {"K": 10**14})


def test_a_cascade_by_name() -> None:
    """A cascade may be given by the name of a shipped file, to run it and to analyze it."""
    arrays = {"A": np.ones((3, 2)), "B": np.ones((3, 4))}
    assert execute("matmul", arrays)["Z"].tolist() == np.full((2, 4), 3.0).tolist()
    assert analyze("matmul", arch="flat-edge", shapes={"K": 3, "M": 2, "N": 4}).passes == {"K": 1, "M": 1, "N": 1}
