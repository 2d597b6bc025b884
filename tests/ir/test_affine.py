"""Affine forms: their special cases, sums, substitution and values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusemax import parse
from fusemax.ir.affine import Affine, Term, constant, substitute, total
from fusemax.ir.expr import accesses
from fusemax.validate.affine import to_affine

SIZES = {"M0": 4, "M1": 3, "K": 5}
VALUES = {"m1": 2, "m0": 1, "m2": 3, "k": 4, "p": 7}


def form(text: str) -> Affine:
    """The form of a subscript."""
    (access,) = accesses(parse(f"Z = A[{text}]").einsums[0].expr)
    return to_affine(access.places[0].index)


@pytest.mark.parametrize(
    ("text", "variable", "step", "number", "split"),
    [
        ("m0", "m0", None, None, None),
        ("m0 + 1", None, "m0", None, None),
        ("1 + m0", None, "m0", None, None),
        ("m0 + 2", None, None, None, None),
        ("2*m0", None, None, None, None),
        ("-m0", None, None, None, None),
        ("0", None, None, 0, None),
        ("7 - 2", None, None, 5, None),
        ("K", None, None, None, None),
        ("m0 - m0", None, None, 0, None),
        ("m1*M0 + m0", None, None, None, ("M1", "M0")),
        ("m0 + M0*m1", None, None, None, ("M1", "M0")),
        ("(m2*M1 + m1)*M0 + m0", None, None, None, ("M2", "M1", "M0")),
        ("m2*M0*M1 + m1*M0 + m0", None, None, None, ("M2", "M1", "M0")),
        ("m1*K + m0", None, None, None, None),
        ("m1*4 + m0", None, None, None, None),
        ("m1*M0 + m0 + 1", None, None, None, None),
        ("m1 + m0", None, None, None, None),
        ("m0*M0 + m0", None, None, None, None),
    ],
)
def test_special_cases(
    text: str, variable: str | None, step: str | None, number: int | None, split: tuple[str, ...] | None
) -> None:
    """The kind of an index: a variable, a step, a number, a split, or something else."""
    index = form(text)
    assert (index.variable, index.step, index.number, index.split) == (variable, step, number, split)


TEXTS = st.sampled_from(["m1", "m0", "k", "p", "3", "0", "M0", "2*k", "m1*M0 + m0", "K - k - 1", "-p", "M0*K"])


@given(TEXTS, TEXTS, st.integers(-3, 3))
def test_sums_have_the_sum_of_the_values(one: str, other: str, times: int) -> None:
    """The value of a sum is the sum of the values."""
    left, right = form(one), form(other)
    value = left.evaluate(SIZES, VALUES) + times * right.evaluate(SIZES, VALUES)
    assert total((left, 1), (right, times)).evaluate(SIZES, VALUES) == value


@given(TEXTS, TEXTS)
def test_substitution_substitutes_values(one: str, other: str) -> None:
    """The value after a substitution is the value at the value of what was put in."""
    outer, inner = form(one), form(other)
    values = {**VALUES, "k": inner.evaluate(SIZES, VALUES)}
    assert substitute(outer, {"k": inner}).evaluate(SIZES, VALUES) == outer.evaluate(SIZES, values)


def test_terms_that_cancel_disappear() -> None:
    """No form has a term of factor zero, nor two terms alike."""
    assert form("m0*M0 - M0*m0").terms == ()
    assert form("k + k + k").terms == (Term(3, (), "k"),)
    assert constant(0).terms == ()


def test_parts() -> None:
    """Variables and shapes in the order in which they are written, and what is left without variables."""
    index = form("m1*M0 + m0 - K + 2")
    assert index.variables == ("m1", "m0")
    assert index.shapes == ("M0", "K")
    assert index.offset == (Term(-1, ("K",)), Term(2))
