"""The sizes of ranks: given ones first, then equations, then defaults."""

from __future__ import annotations

import pytest

from fusemax import FusemaxError, check, parse
from fusemax.validate import solve_shapes

SPLIT = "shape M0 = 4, M1 = M / M0\ninput A[M]\nZ[m1, m0] = A[m1*M0 + m0]"


def solved(text: str, given: dict[str, int], complete: bool = True) -> dict[str, int]:
    """The sizes that follow from what is given."""
    return solve_shapes(check(parse(text)), given, complete)


@pytest.mark.parametrize(
    ("given", "sizes"),
    [
        ({"M": 12}, {"M": 12, "M0": 4, "M1": 3}),
        ({"M1": 3}, {"M": 12, "M0": 4, "M1": 3}),
        ({"M": 12, "M0": 6}, {"M": 12, "M0": 6, "M1": 2}),
        ({"M": 12, "M1": 6}, {"M": 12, "M0": 2, "M1": 6}),
        ({"M0": 2, "M1": 3}, {"M": 6, "M0": 2, "M1": 3}),
        ({"M": 12, "M0": 2, "M1": 6}, {"M": 12, "M0": 2, "M1": 6}),
    ],
)
def test_one_unknown_is_solved(given: dict[str, int], sizes: dict[str, int]) -> None:
    """A given size wins over a default, and an equation with one unknown is solved for it."""
    assert solved(SPLIT, given) == sizes


@pytest.mark.parametrize(
    ("text", "given", "sizes"),
    [
        ("shape N = M - 1\nZ[m] = A[m]", {"N": 4}, {"M": 5, "N": 4}),
        ("shape N = 10 - M\nZ[m] = A[m]", {"N": 4}, {"M": 6, "N": 4}),
        ("shape N = 24 / M\nZ[m] = A[m]", {"N": 4}, {"M": 6, "N": 4}),
        ("shape N = -(2 - M)\nZ[m] = A[m]", {"N": 4}, {"M": 6, "N": 4}),
        ("shape N = max(M, 8) + floor(M / 4) + 2^3\nZ[m] = A[m]", {"M": 6}, {"M": 6, "N": 17}),
        ("shape N = min(M, 8) - 1\nZ[m] = A[m]", {"M": 6}, {"M": 6, "N": 5}),
        ("shape N = min(M, 8)\nZ[m] = A[m]", {"N": 6}, {"N": 6}),
        ("shape N = M / 4\nZ[m] = A[m]", {"N": 6}, {"M": 24, "N": 6}),
        ("shape N = M + K / (2 - 2)\nZ[m] = A[m]", {"N": 6, "K": 2}, {"N": 6, "K": 2}),
        ("shape N = 0 * M + 6\nZ[m] = A[m]", {"N": 6}, {"N": 6}),
        ("shape A = 2, B = A*2, C = B*2, D = C*2\nZ[d] = X[d]", {}, {"A": 2, "B": 4, "C": 8, "D": 16}),
        ("shape D = C*2, C = B*2, B = A*2\nZ[a] = X[a]", {"D": 16}, {"A": 2, "B": 4, "C": 8, "D": 16}),
        ("input K[M]\nZ[p] = K[M: p]", {"P": 3}, {"M": 3, "P": 3}),
    ],
)
def test_other_equations(text: str, given: dict[str, int], sizes: dict[str, int]) -> None:
    """Sums, products, quotients and chains of them are solved in either direction."""
    found = solved(text, given, complete=False)
    assert {name: size for name, size in found.items() if name in sizes} == sizes


def test_what_cannot_be_solved_is_not_known() -> None:
    """An equation that no arithmetic inverts leaves its unknown unknown."""
    assert solved("shape N = min(M, 8)\nZ[m] = A[m]", {"N": 6}, complete=False) == {"N": 6}


def test_every_name_that_needs_a_size_is_asked_for() -> None:
    """Ranks, and the shapes of filters, parameters, operators and values; together, with an example."""
    text = (
        "shape W = 2, H = 3\nparam x = 1 / sqrt(E)\nop f(a) = a * G\ntensor Z[M] empty = -F\n"
        "Z[m: m < W] = f(A[m]) * x / H\nshape E = E1, F = F1, G = G1"
    )
    with pytest.raises(FusemaxError) as caught:
        solved(text, {"E1": 1})
    assert str(caught.value) == (
        "no size for 'M', 'F', 'F1', 'G' and 'G1'\nhint: give it, for instance `--shape M=64 F=64 F1=64 G=64 G1=64`"
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"Q": 4}, "this cascade has no rank 'Q'\nhint: its ranks are M, M1, M0"),
        ({"m": 4}, "this cascade has no rank 'm'\nhint: did you mean 'M'?"),
        ({"M": 0}, "size 0 of rank 'M' is not positive\nhint: give a positive integer"),
        ({"M": -4}, "size -4 of rank 'M' is not positive\nhint: give a positive integer"),
        ({"M": 2.5}, "size 2.5 of rank 'M' is not an integer\nhint: give a positive integer"),
        ({"M": True}, "size True of rank 'M' is not an integer\nhint: give a positive integer"),
        ({"M": "4"}, "size '4' of rank 'M' is not an integer\nhint: give a positive integer"),
        (
            {"M": 2**60},
            "size 1152921504606846976 of rank 'M' is larger than 2^53\nhint: give a size that a machine could hold",
        ),
        (
            {"M": 10**5000},
            "size of many digits of rank 'M' is larger than 2^53\nhint: give a size that a machine could hold",
        ),
        (
            {"M": 10},
            "a.cascade:1:15: the division in `M1 = M / M0` is not exact with M = 10, M0 = 4\n"
            "  shape M0 = 4, M1 = M / M0\n                ^^^^^^^^^^^\nhint: give sizes that divide",
        ),
        (
            {"M": 12, "M1": 5},
            "a.cascade:1:15: the size of 'M0' is 2.4, which is not an integer (`M1 = M / M0` with M1 = 5, M = 12)\n"
            "  shape M0 = 4, M1 = M / M0\n                ^^^^^^^^^^^\nhint: give other sizes",
        ),
        (
            {"M": 12, "M0": 4, "M1": 4},
            "a.cascade:1:15: `M1 = M / M0` does not hold with M1 = 4, M = 12, M0 = 4 (the `shape` statement says so)\n"
            "  shape M0 = 4, M1 = M / M0\n                ^^^^^^^^^^^\nhint: give sizes that agree\n"
            "a.cascade:3:15: `M = M1 * M0` does not hold with M = 12, M1 = 4, M0 = 4 ('M' is split)\n"
            "  Z[m1, m0] = A[m1*M0 + m0]\n                ^^^^^^^^^^\nhint: give sizes that agree",
        ),
    ],
)
def test_refused_sizes(given: dict[str, int], message: str) -> None:
    """Sizes that are none, or that contradict an equation, are refused with the whole reason."""
    with pytest.raises(FusemaxError) as caught:
        solve_shapes(check(parse(SPLIT, "a.cascade")), given)
    assert str(caught.value) == message
