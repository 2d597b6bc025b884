"""Coordinates outside of their rank, against a brute force over all points."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fusemax import FusemaxError, check, parse
from fusemax.ir.affine import Affine, Term
from fusemax.validate.bounds import extremes, leaves

TERMS = st.builds(
    Term, st.integers(-3, 3).filter(bool), st.sampled_from([(), ("N",)]), st.sampled_from([None, "m", "n", "k"])
)
INDICES = st.lists(TERMS, max_size=3, unique_by=lambda term: (term.shapes, term.variable)).map(tuple).map(Affine)
SIZES = st.fixed_dictionaries({rank: st.integers(1, 4) for rank in "MNK"})


def coordinates(index: Affine, sizes: dict[str, int]) -> list[int]:
    """All coordinates that an index names, one by one."""
    ranges = [range(sizes[variable.upper()]) for variable in index.variables]
    return [index.evaluate(sizes, dict(zip(index.variables, point, strict=True))) for point in product(*ranges)]


@given(INDICES, SIZES)
def test_the_extremes_are_exact(index: Affine, sizes: dict[str, int]) -> None:
    """The least and the last coordinate are those that a loop over all points finds."""
    found = coordinates(index, sizes)
    assert extremes(index, sizes) == (min(found), max(found))


@given(INDICES, SIZES)
def test_what_leaves_a_rank_leaves_it_for_all_sizes(index: Affine, sizes: dict[str, int]) -> None:
    """No size keeps an index inside that is refused whatever the sizes."""
    if leaves(index, "M"):
        assert not all(0 <= coordinate < sizes["M"] for coordinate in coordinates(index, sizes))


@given(SIZES, st.integers(0, 3), st.integers(0, 3), st.integers(-2, 2))
def test_defaults_decide(sizes: dict[str, int], a: int, b: int, c: int) -> None:
    """With all sizes given as defaults, an access is refused exactly if some point leaves the rank."""
    assume(sorted((a, b)) != [0, 1] or c not in (0, 1))  # a plain variable would be of another rank
    defaults = ", ".join(f"{rank} = {size}" for rank, size in sizes.items())
    text = f"shape {defaults}\ninput A[M], B[N, K]\nZ[n, k] = B[n, k] * A[{a}*n + {b}*k + {c}]"
    inside = all(0 <= a * n + b * k + c < sizes["M"] for n, k in product(range(sizes["N"]), range(sizes["K"])))
    try:
        check(parse(text))
    except FusemaxError:
        assert not inside
    else:
        assert inside


@pytest.mark.parametrize(
    "access",
    [
        "A[m: m < M - 1] * A[m + 1]",
        "A[M - m - 1]",
        "A[0]",
        "A[M - 1]",
        "A[m1*M0 + m0]",
        "A[p + w]",
        "A[M: k]",
        "A[2*k]",
    ],
)
def test_what_may_stay_inside_is_accepted(access: str) -> None:
    """Filtered subscripts, reversals and indices that depend on sizes are left to the sizes."""
    check(parse(f"input A[M]\nZ = {access}"))
