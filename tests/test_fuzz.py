"""No text brings the parser or the checker down, and none keeps them busy for long."""

from __future__ import annotations

import pytest

from fusemax import FusemaxError, check, parse
from tests.fuzz import run

pytestmark = pytest.mark.slow

MEGABYTES_10 = 10_000_000
LINE = "A[m] = B[m] * C[m] + 1           \n"


def test_random_and_damaged_texts() -> None:
    """Two thousand texts cause nothing but `FusemaxError`, and those that parse print as texts that parse the same."""
    parsed, failures = run(2000, seed=0)
    assert failures == []
    assert 200 < parsed < 1800, "the texts should be neither all good nor all bad"


def test_a_thousand_einsums() -> None:
    """A chain of a thousand Einsums is parsed and checked."""
    chain = "\n".join(f"A{i + 1}[m, n] = A{i}[m, n] * A{i}[m, n] + 1" for i in range(1000))
    checked = check(parse(f"input A0[M, N]\n{chain}"))
    assert len(checked.einsums) == 1000


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("Z = A" + " + A" * (MEGABYTES_10 // 4), "a statement of 10,000,005 characters", id="one line"),
        pytest.param(LINE * 300_000, "300,000 statements in one file", id="many lines"),
        pytest.param(LINE.replace("B[m]", "B[m") * 300_000, "300,000 statements in one file", id="many bad lines"),
        pytest.param("\n" * MEGABYTES_10, "no statement in this file", id="blank lines"),
        pytest.param("# comment\n" * 1_000_000, "no statement in this file", id="comments"),
        pytest.param("Z = " + "(" * 100_000 + "A" + ")" * 100_000, "a statement of 200,005", id="brackets"),
        pytest.param("Z = " + "(" * 9_000 + "A" + ")" * 9_000, "more than 100 operators and brackets", id="deep"),
        pytest.param("Z = " + "-" * 9_000 + "A", "more than 100 operators and brackets", id="signs"),
        pytest.param("[\n" * 100_000, "a statement of 199,999 characters", id="open brackets"),
        pytest.param("Z[m = A[m]\n" * 10_000, "bracket '[' is never closed", id="a bracket a line"),
        pytest.param("::\n" * 100_000, "a statement of 299,999 characters", id="actions"),
        pytest.param("Z = " + "9" * 15_000, "a number of 15000 digits", id="digits"),
    ],
)
def test_texts_that_no_person_wrote(text: str, message: str) -> None:
    """A text of absurd size is refused with a clear message."""
    with pytest.raises(FusemaxError, match=message.replace("[", r"\[")):
        check(parse(text))


def test_thousands_of_mistakes() -> None:
    """Many mistakes are all found, but only the first hundred are shown."""
    text = "input B[M]\n" + "\n".join(f"Z{i}[m] = A{i}[m]" for i in range(5_000))
    with pytest.raises(FusemaxError) as caught:
        check(parse(text))
    assert len(caught.value.problems) == 5_000
    assert str(caught.value).endswith("... and 4,900 more problems")
