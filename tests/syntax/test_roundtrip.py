"""Printing and parsing are inverse to each other."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings

from fusemax import Cascade, check, parse
from fusemax.ir.expr import Expr
from fusemax.ir.print_cascade import print_expr
from tests.strategies import cascades, expressions

pytestmark = pytest.mark.slow

FILES = sorted((Path(__file__).parents[2] / "cascades").glob("*.cascade"))


@given(expressions())
@settings(max_examples=500)
def test_any_expression_reads_back(expr: Expr) -> None:
    """The text of an expression parses to the same expression."""
    (param,) = parse(f"param x = {print_expr(expr)}").params
    assert param.value == expr


@given(cascades())
@settings(max_examples=300)
def test_any_cascade_reads_back(cascade: Cascade) -> None:
    """The text of a cascade parses to the same cascade, and its text is the same again."""
    text = str(cascade)
    assert parse(text) == cascade
    assert str(parse(text)) == text


@given(cascades())
@settings(max_examples=300)
def test_any_cascade_is_accepted(cascade: Cascade) -> None:
    """The strategy draws cascades that mean something, and so do their texts."""
    checked, parsed = check(cascade), check(parse(str(cascade)))
    assert (checked.tensors, checked.einsums, checked.ranks) == (parsed.tensors, parsed.einsums, parsed.ranks)
    assert (checked.schedule, checked.equations) == (parsed.schedule, parsed.equations)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_shipped_cascades_read_back(path: Path) -> None:
    """Every shipped cascade is what its canonical text says, and that text is its own canonical text."""
    cascade = parse(path.read_text(encoding="utf-8"))
    assert parse(str(cascade)) == cascade
    assert str(parse(str(cascade))) == str(cascade)
