"""The tree of a text: all spellings give the same one."""

from __future__ import annotations

import pytest

from fusemax import FusemaxError, parse
from fusemax.ir.cascade import Reduction, Section, SectionKind, Stop
from fusemax.ir.expr import Access, Apply, Expr, Name, Number, Place


def expression(text: str) -> Expr:
    """The tree of an expression."""
    return parse(f"Z[m] = {text}").einsums[0].expr


def apply(operator: str, *args: Expr) -> Apply:
    """An operator, applied."""
    return Apply(operator, args)


A, B, C, M = Name("a"), Name("b"), Name("c"), Place(Name("m"))


# --------------------------------------------------------------------------------------------------- one tree, one text

SAME = [
    # subscripts
    ("Z[m, n] = A[k, m] * B[k, n]", "Z_{m,n} = A_{k, m} * B_{k,n}"),
    ("Z[m, n] = A[k, m] * B[k, n]", "Z[m,n]=A[k,m]*B[k,n]"),
    ("Z[m, n] = A[k, m] * B[k, n]", "Z[m,\n  n] = A[k,\n m] * B[k, n]"),
    ("Z = A[k]", "Z[] = A[k]"),
    ("Z = Y * X", "Z[] = Y[] * X[]"),
    # operators
    ("Z[m] = A[m] * B[m]", "Z[m] = A[m] × B[m]"),
    ("Z[m] = A[m] * B[m]", "Z[m] = A[m] ∗ B[m]"),
    ("Z[m] = A[m] * B[m]", "Z[m] = A[m] · B[m]"),
    ("Z[m] = A[m] * B[m]", "Z[m] = A[m] . B[m]"),
    ("Z[m] = A[m] * B[m]", "Z[m] = A[m].B[m]"),
    ("Z[m] = A[m] / B[m]", "Z[m] = A[m] ÷ B[m]"),
    ("Z[m] = A[m] - B[m]", "Z[m] = A[m] − B[m]"),
    ("Z[m] = -A[m]", "Z[m] = −A[m]"),
    ("Z[m] = -inf * A[m]", "Z[m] = -∞ * A[m]"),
    ("Z[m] = A[m] <= B[m]", "Z[m] = A[m] ≤ B[m]"),
    ("Z[m] = A[m] >= B[m]", "Z[m] = A[m] ≥ B[m]"),
    ("Z[m] = A[m] != B[m]", "Z[m] = A[m] ≠ B[m]"),
    ("Z[m] = exp(A[m])", "Z[m] = e^(A[m])"),
    ("Z[m] = exp(A[m]) / 2", "Z[m] = e ^ (A[m]) / 2"),
    ("Z[m] = A[m]^2", "Z[m] = pow(A[m], 2)"),
    ("Z[m] = A[m] + B[m]", "Z[m] = (A[m]) + ((B[m]))"),
    # reductions
    ("Z[m] = A[k, m]", "Z[m] += A[k, m]"),
    ("Z[m] = A[k, m]", "Z[m] = A[k, m] :: reduce[k] +"),
    ("Z[m] = A[k, m]", "Z[m] = A[k, m]\n  :: reduce[k] +"),
    ("Z[m] = A[k, m]", "Z[m] = A[k, m] :: ⋁_k +(∪)"),
    ("Z[m] = A[k, m]", "Z[m] = A[k, m] :: \\/_{k} +(v)"),
    ("Z[m] = A[j, k, m]", "Z[m] = A[j, k, m] :: reduce[k] +"),
    ("Z[m] = A[k, m] * B[k]", "Z[m] = A[k, m] * B[k] :: /\\_k *(^) \\/_k +(v)"),
    ("Z[m] = A[k, m] * B[k]", "Z[m] = A[k, m] · B[k] :: ⋀_k ×(∩) ⋁_k +(∪)"),
    ("Z[m] = A[k, m] * B[k]", "Z_{m} = A_{k,m} · B_{k} :: ∧_{k} ×(∩) ∨_{k} +(∪)"),
    ("Z[m] = A[k, m] * B[k]", "Z[m] = A[k, m] * B[k] :: map[k] *(and) reduce[k] +(or)"),
    ("Z[m] = A[k, m] * B[k]", "Z[m] = A[k, m] . B[k] :: map[k] * :: reduce[k] +"),
    ("Z[m] = A[k, m] + B[k] :: reduce[k] +", "Z[m] = A[k, m] · B[k] :: ⋀_k +(∪) ⋁_k +(∪)"),
    ("Z[m] = max(A[k, m], B[k])", "Z[m] = A[k, m] · B[k] :: ⋀_k max(∪)"),
    ("Z[m] = A[k, m] :: reduce[k] max", "Z[m] max= A[k, m]"),
    ("Z[m] = A[k, m] :: reduce[k] max", "Z[m] = A[k, m] :: reduce(max, union)"),
    ("Z[m] = A[k, m] :: reduce[k] max", "Z[m] = A[k, m] :: reduce max"),
    ("Z[m] = A[k, m] :: reduce[k] max", "Z[m] = A[k, m] :: reduce_k max(∪)"),
    ("Z[m] = A[k, m] :: reduce[k] min", "Z[m] min= A[k, m]"),
    ("Z[m] = A[k, m] :: reduce[k] *", "Z[m] ×= A[k, m]"),
    ("Z = A[k, m] :: reduce[k, m] max", "Z = A[k, m] :: reduce[m, k] max"),
    ("Z = A[k, m] :: reduce[k, m] max", "Z = A[k, m] :: reduce[k] max, reduce[m] max"),
    ("Z = A[k, m] :: reduce[k] max reduce[m] min", "Z = A[k, m] :: reduce[k] max :: reduce[m] min"),
    # filters
    ("Z[m: m <= p, p] = A[m, p]", "Z[m: m ≤ p, p] = A[m, p]"),
    ("Z[m: p - W < m <= p, p] = A[m, p]", "Z[m: p - W < m and m <= p, p] = A[m, p]"),
    ("Z[m: p - W < m <= p, p] = A[m, p]", "Z[m: p - W < m: m <= p, p] = A[m, p]"),
    ("Z[m: p - W < m <= p, p] = A[m, p]", "Z[m: (p - W < m) and ((m <= p)), p] = A[m, p]"),
    ("Z = A[m: m == 3]", "Z = A[m: m = 3]"),
    ("RM[0, p] = -inf", "RM[m1: m1 = 0, p] = -∞"),
    ("RM[0, p] = -inf", "RM[m1: m1 == 0, p] = -inf"),
    # headings
    ("init:\nX[0] = 0\nloop:\nX[i+1] = X[i]", "Initialization:\nX[0] = 0\nExtended Einsums:\nX[i+1] = X[i]"),
    ("init :\nX[0] = 0", "initialization:\nX[0] = 0"),
    ("stop: i >= K", "⋄: i ≥ K"),
    ("stop: i >= K", "<> : i >= K"),
    # lines
    ("Y = A[k]\nZ = Y", "\ufeffY = A[k]\r\n\r\nZ = Y\r\n"),
    ("Y = A[k]\nZ = Y", "Y = A[k]\rZ = Y"),
    ("input A[K], B\nZ = A[k] * B", "input A[K],B[]\nZ = A[k]*B[]"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_two_spellings_are_the_same_cascade(one: str, other: str) -> None:
    """Both texts parse to one tree, and both print as the same canonical text."""
    assert parse(one) == parse(other)
    assert str(parse(one)).replace("\n\n", "\n") == str(parse(other)).replace("\n\n", "\n")


DIFFERENT = [
    ("Z[m] = A[m] :: reduce[k] max", "Z[m] = A[m]"),
    ("Z = B[k] + A[k, m] :: reduce[k, m] +", "Z = B[k] + A[k, m]"),
    ("Z = A[k, m] :: reduce[k] max reduce[m] min", "Z = A[k, m] :: reduce[m] min reduce[k] max"),
    ("Z[m] = e^2", "Z[m] = e^(2)"),
    ("Z_m = A[m]", "Z_{m} = A[m]"),
    ("Z[m: m == 0] = A[m]", "Z[0] = A[m]"),
    ("input A[M]\nZ[m] = A[m] * M[]", "input A[M]\nZ[m] = A[m] * M"),
    ("Z[m] = A[m] * m[]", "Z[m] = A[m] * m"),
    ("param x = 1\nZ[m] = A[m] * x[]", "param x = 1\nZ[m] = A[m] * x"),
]


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_two_spellings_are_different_cascades(one: str, other: str) -> None:
    """Where a spelling makes a difference, the trees differ."""
    assert parse(one) != parse(other)


# ---------------------------------------------------------------------------------------------------------- expressions


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a + b * c", apply("add", A, apply("mul", B, C))),
        ("(a + b) * c", apply("mul", apply("add", A, B), C)),
        ("a - b - c", apply("sub", apply("sub", A, B), C)),
        ("a / b * c", apply("mul", apply("div", A, B), C)),
        ("a^b^c", apply("pow", A, apply("pow", B, C))),
        ("-a^b", apply("neg", apply("pow", A, B))),
        ("(-a)^b", apply("pow", apply("neg", A), B)),
        ("a^-b", apply("pow", A, apply("neg", B))),
        ("--a", apply("neg", apply("neg", A))),
        ("-a * b", apply("mul", apply("neg", A), B)),
        ("a + b < c", apply("lt", apply("add", A, B), C)),
        ("(a < b) * c", apply("mul", apply("lt", A, B), C)),
        ("(a < b) < c", apply("lt", apply("lt", A, B), C)),
        ("a * e^(b)", apply("mul", A, apply("exp", B))),
        ("e^(a)^b", apply("pow", apply("exp", A), B)),
        ("max(a, b, c)", apply("max", A, B, C)),
        ("f()", apply("f")),
        ("where(a > 0, b, c)", apply("where", apply("gt", A, Number(0)), B, C)),
        ("007", Number(7)),
        ("0.50", Number(0.5)),
        (".5", Number(0.5)),
        ("1e-6", Number(1e-6)),
        ("2E3", Number(2000.0)),
        ("∞", Number(float("inf"))),
        ("A[2*q + s]", Access("A", (Place(apply("add", apply("mul", Number(2), Name("q")), Name("s"))),))),
        ("A[M: p]", Access("A", (Place(Name("p"), "M"),))),
        ("A[m: m <= p]", Access("A", (Place(Name("m"), None, (apply("le", Name("m"), Name("p")),)),))),
        ("A[M: p: p > 2]", Access("A", (Place(Name("p"), "M", (apply("gt", Name("p"), Number(2)),)),))),
    ],
)
def test_trees_of_expressions(text: str, tree: Expr) -> None:
    """Precedence, associativity, numbers and subscripts."""
    assert expression(text) == tree


def test_a_bare_value_keeps_its_type() -> None:
    """Integers stay integers, so that subscripts and sizes are exact."""
    value = expression("3")
    assert isinstance(value, Number) and isinstance(value.value, int)


# -------------------------------------------------------------------------------------------------------------- names

RESERVED = (
    "cascade shape param op input output tensor init loop stop final empty and or max min exp e reduce map where take"
).split()


@pytest.mark.parametrize("name", RESERVED)
def test_keywords_are_names_of_tensors(name: str) -> None:
    """A keyword is one only where a statement starts and what follows fits."""
    text = f"input {name}[M]\nZ[m] = {name}[m] * {name}[m]\nY = Z[m]"
    assert parse(text).einsums[0].expr == apply("mul", Access(name, (M,)), Access(name, (M,)))
    assert parse(f"{name}[m] = A[m]").einsums[0].name == name
    assert parse(f"{name}[m] max= A[m, k]").einsums[0].name == name
    assert parse(f"{name} = A[k]\nZ = {name} * 2").einsums[1].expr == apply("mul", Name(name), Number(2))
    assert parse(str(parse(text))) == parse(text)


def test_quotes_and_underscores() -> None:
    """Names have letters, digits, `_` and `'`."""
    assert [einsum.name for einsum in parse("Z' = A_1[k]\nZ'' = Z'\na_b_ = Z''").einsums] == ["Z'", "Z''", "a_b_"]


# ---------------------------------------------------------------------------------------------------------- statements


def test_sections_and_stop() -> None:
    """Headings keep their kind and variable."""
    statements = parse("init:\nX[0] = 0\nloop i:\nX[i+1] = X[i]\nstop: i >= K - 1\nfinal:\nZ = X[K]").statements
    assert [s for s in statements if isinstance(s, Section)] == [
        Section(SectionKind.INIT),
        Section(SectionKind.LOOP, "i"),
        Section(SectionKind.FINAL),
    ]
    assert [s for s in statements if isinstance(s, Stop)] == [Stop("i", apply("sub", Name("K"), Number(1)))]


def test_reductions_are_canonical() -> None:
    """Neighbours with one operator are joined, in the order of the right side."""
    einsum = parse("Z = A[j, k, m] :: reduce[m] max reduce[j] max reduce[k] min").einsums[0]
    assert einsum.reductions == (Reduction(("j", "m"), "max"), Reduction(("k",), "min"))


def test_spans_point_into_the_text() -> None:
    """Every node knows where it stands."""
    einsum = parse("# why\n  Z[m] = (A[m] + B[m]) * 2  # what", "a.cascade").einsums[0]
    assert str(einsum.span) == "a.cascade:2:3"
    assert einsum.span is not None and einsum.span.text == "Z[m] = (A[m] + B[m]) * 2"
    assert isinstance(einsum.expr, Apply)
    assert [arg.span.text for arg in einsum.expr.args if arg.span] == ["(A[m] + B[m])", "2"]


@pytest.mark.parametrize(
    ("character", "name"),
    [("\u200b", "U+200B (zero width space)"), ("\x07", "U+0007 (a control character)"), ("\x00", "U+0000")],
)
def test_characters_that_nobody_sees(character: str, name: str) -> None:
    """An invisible character is named by its number."""
    with pytest.raises(FusemaxError) as caught:
        parse(f"Z[m] = A[m]{character} + 1")
    (problem,) = caught.value.problems
    assert problem.message.startswith(name)
    assert problem.hint == "remove this invisible character"


def test_blanks_of_other_scripts() -> None:
    """All that Python takes for white space separates words."""
    assert parse("Z[m]\u00a0=\u2003A[m]\u3000*\u2009B[m]") == parse("Z[m] = A[m] * B[m]")


def test_long_lines_are_cut_around_the_place() -> None:
    """The excerpt of an error shows the part of a long line that it is about."""
    with pytest.raises(FusemaxError) as caught:
        parse("Z = " + "A[k] + " * 60 + "3B[k] + " + "C[k] + " * 59 + "D[k]", "a.cascade")
    excerpt, carets = str(caught.value).split("\n")[1:3]
    assert excerpt.startswith("  ...") and excerpt.endswith("...") and len(excerpt) < 130
    assert excerpt[carets.index("^") : carets.rindex("^") + 1] == "3B"
