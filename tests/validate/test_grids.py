"""Sizes over a grid of points: at each of them what a single point has, with the same messages."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusemax import FusemaxError, check, parse
from fusemax.ir.checked import Checked
from fusemax.validate import solve_shapes
from fusemax.validate.exact import anywhere, applied, is_grid
from fusemax.validate.shapes import solve_grid

SPLIT = check(parse("shape M0 = 4, M1 = M / M0\ninput K[M]\nZ[m1, m0] = K[m1*M0 + m0]"))
HALVES = check(
    parse("shape N = M / 2 * K, L = min(M, K), U = max(M, N)\ninput A[M, K], B[N]\noutput Z[N]\nZ[n] = A[m, k] * B[n]")
)
POWERS = check(
    parse("shape N = K ^ 3, P = N - 1, L = floor(M / 3) + 1\ninput A[M, K, P, L], B[N]\nZ[n] = A[m, k, p, l] * B[n]")
)
SIZES = st.lists(st.integers(1, 12) | st.sampled_from([1000, 2**21, 2**40, 2**53]), min_size=1, max_size=5)


def alone(checked: Checked, given: dict[str, int]) -> dict[str, int] | str:
    """The sizes of one point, or the message with which it is refused."""
    try:
        return solve_shapes(checked, given)
    except FusemaxError as error:
        return str(error)


@pytest.mark.parametrize("checked", [SPLIT, HALVES, POWERS], ids=["split", "halves", "powers"])
@given(sizes=SIZES, data=st.data())
def test_each_point_is_solved(checked: Checked, sizes: list[int], data: st.DataObject) -> None:
    """A grid has the sizes of its points; if any has none, it is refused as the first of these is."""
    names = {"M": np.array(sizes)}
    if checked is not SPLIT:
        names["K"] = np.array(data.draw(st.lists(st.integers(1, 2**20), min_size=len(sizes), max_size=len(sizes))))
    points = [alone(checked, {name: int(each[at]) for name, each in names.items()}) for at in range(len(sizes))]
    wrong = [point for point in points if isinstance(point, str)]
    if wrong:
        with pytest.raises(FusemaxError) as caught:
            solve_grid(checked, names, len(sizes))
        assert str(caught.value) == wrong[0]
        return
    found = solve_grid(checked, names, len(sizes))
    for at, point in enumerate(points):
        assert {name: int(size[at] if is_grid(size) else size) for name, size in found.items()} == point


def test_fractions_on_the_way() -> None:
    """A half is exact: what it is multiplied with may make it a whole again."""
    found = solve_grid(HALVES, {"M": np.array([3, 5]), "K": 4}, 2)
    assert np.asarray(found["N"]).tolist() == [6, 10]


def test_defaults_are_overruled_at_all_points() -> None:
    """A size that is given wins over a default, at every point."""
    found = solve_grid(SPLIT, {"M": np.array([16, 32]), "M0": 8}, 2)
    assert np.asarray(found["M1"]).tolist() == [2, 4]


@pytest.mark.parametrize(
    ("operator", "values", "expected"),
    [
        ("add", [np.array([1, 2]), 3], [4, 5]),
        ("mul", [np.array([2**40, 1]), np.array([2**40, 1])], [2**80, 1]),
        ("div", [np.array([3, 4]), 2], [Fraction(3, 2), 2]),
        ("div", [12, np.array([3, 8])], [4, Fraction(3, 2)]),
        ("pow", [np.array([2**20, 2]), 4], [2**80, 16]),
        ("neg", [np.array([1, 2])], [-1, -2]),
        ("max", [np.array([1, 5]), 3], [3, 5]),
        ("min", [np.array([1, 5]), 3, 4], [1, 3]),
        ("floor", [applied("div", [np.array([7, 8]), 2])], [3, 4]),
    ],
)
def test_arithmetic_is_exact(operator: str, values: list[object], expected: list[object]) -> None:
    """Operators have exact results at every point, also beyond 64 bits."""
    found = applied(operator, values)  # type: ignore[arg-type]
    assert is_grid(found)
    assert list(found) == expected


def test_no_value() -> None:
    """A division by zero at any point, an exponent of many digits or an operator that is none have no value."""
    assert applied("div", [4, np.array([1, 0])]) is None
    assert applied("pow", [2, 65]) is None
    assert applied("exp", [2]) is None
    assert anywhere(np.array([False, True]))
