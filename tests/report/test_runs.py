"""The report of `fusemax run`."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from fusemax.report.runs import Output, RunResult, largest_difference, summarize


def array(*values: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Values as an array."""
    return np.array(values, dtype=np.float64)


@pytest.mark.parametrize(
    ("a", "b", "difference"),
    [
        ([1.0, 2.0], [1.0, 2.5], 0.5),
        ([math.inf, -math.inf], [math.inf, -math.inf], 0.0),
        ([math.nan, 1.0], [math.nan, 1.0], 0.0),
        ([math.nan], [1.0], math.inf),
        ([1.0], [math.nan], math.inf),
        ([math.inf], [-math.inf], math.inf),
        ([math.inf], [1.0], math.inf),
        ([], [], 0.0),
    ],
)
def test_largest_difference(a: list[float], b: list[float], difference: float) -> None:
    """Equal infinities and NaN at the same place are equal; a NaN where the other has a number is as far as can be."""
    assert largest_difference(array(*a), array(*b)) == difference


def test_an_output_in_a_few_numbers() -> None:
    """Values that are not finite are counted and left out of least, mean and largest."""
    found = summarize("Z", ("M",), array(1, 3, math.inf, math.nan), None)
    assert found == Output("Z", ("M",), (4,), 1.0, 2.0, 3.0, 2, None)
    nothing = summarize("Z", ("M",), array(math.nan), array(math.nan))
    assert math.isnan(nothing.mean)
    assert (nothing.not_finite, nothing.difference) == (1, 0.0)


def report(*outputs: Output, against: str | None = "other", seed: int | None = 7) -> RunResult:
    """A report of some outputs."""
    return RunResult("mine", against, {"M": 4, "P": 2}, seed, 0.5, outputs)


Z = Output("Z", ("M", "P"), (4, 2), -1.5, 0.25, 2.0, 0, 1e-12)
S = Output("S", (), (), 3.0, 3.0, 3.0, 0, 0.5)
BROKEN = Output("B", ("M",), (4,), math.nan, math.nan, math.nan, 4, math.inf)


def test_a_run_prints_itself() -> None:
    """A row for each output, the sizes, the seed, and where the largest difference is."""
    assert str(report(Z, S)) == (
        "mine on M=4, P=2; random inputs, seed 7\n"
        "  output   shape    min  mean  max\n"
        "  -------  ------  ----  ----  ---\n"
        "  Z[M, P]  4 x 2   -1.5  0.25    2\n"
        "  S        scalar     3     3    3\n"
        "  largest difference to other: 0.5, in S"
    )


def test_a_run_on_stored_inputs_with_values_that_are_not_finite() -> None:
    """They are counted; there is no seed, and no difference without a reference."""
    plain = Output("B", ("M",), (4,), 1.0, 1.0, 1.0, 2, None)
    assert str(report(plain, against=None, seed=None)) == (
        "mine on M=4, P=2; inputs from a file\n"
        "  output  shape  min  mean  max\n"
        "  ------  -----  ---  ----  ---\n"
        "  B[M]    4        1     1    1\n"
        "  B holds 2 values that are not finite"
    )


def test_a_run_as_json() -> None:
    """Numbers that are not finite are null, so that every program reads it."""
    data = json.loads(json.dumps(report(Z, BROKEN).to_json(), allow_nan=False))
    assert data["shapes"] == {"M": 4, "P": 2}
    assert (data["cascade"], data["against"], data["seed"], data["difference"]) == ("mine", "other", 7, None)
    assert data["outputs"][0] == {
        "name": "Z", "ranks": ["M", "P"], "shape": [4, 2], "min": -1.5, "mean": 0.25, "max": 2.0, "not_finite": 0,
        "difference": 1e-12,
    }  # fmt: skip
    assert data["outputs"][1]["mean"] is None


def test_the_difference_of_a_run() -> None:
    """The largest of its outputs; none without a reference."""
    assert report(Z, S).difference == 0.5
    assert report(Z, BROKEN).difference == math.inf
    assert report(against=None).difference is None
