"""The canonical text of a cascade."""

from __future__ import annotations

import pytest

from fusemax import parse
from fusemax.ir.cascade import Cascade, Einsum, Header
from fusemax.ir.expr import Access, Apply, Name, Number, Place
from fusemax.ir.print_cascade import cascade_html, einsum_rows, print_expr, print_filters, print_place

A, B, C = Name("a"), Name("b"), Name("c")


def apply(operator: str, *args: Name | Number | Apply | Access) -> Apply:
    """An operator, applied."""
    return Apply(operator, args)


@pytest.mark.parametrize(
    ("tree", "text"),
    [
        (apply("add", A, apply("add", B, C)), "a + (b + c)"),
        (apply("sub", A, apply("sub", B, C)), "a - (b - c)"),
        (apply("sub", apply("sub", A, B), C), "a - b - c"),
        (apply("div", A, apply("mul", B, C)), "a / (b * c)"),
        (apply("mul", apply("neg", A), B), "-a * b"),
        (apply("neg", apply("mul", A, B)), "-(a * b)"),
        (apply("neg", apply("neg", A)), "--a"),
        (apply("pow", apply("pow", A, B), C), "(a^b)^c"),
        (apply("pow", A, apply("pow", B, C)), "a^b^c"),
        (apply("pow", apply("neg", A), Number(2)), "(-a)^2"),
        (apply("neg", apply("pow", A, Number(2))), "-a^2"),
        (apply("pow", A, apply("neg", B)), "a^-b"),
        (apply("lt", apply("lt", A, B), C), "(a < b) < c"),
        (apply("mul", apply("le", A, B), C), "(a <= b) * c"),
        (apply("where", apply("eq", A, Number(0)), Number(0.5), apply("neg", Number(float("inf")))), "where(a == 0, 0.5, -inf)"),
        (apply("max", A, apply("add", B, C), Number(1e-6)), "max(a, b + c, 1e-6)"),
        (Number(1e30), "1e30"),
        (Access("Z", ()), "Z[]"),
    ],
)  # fmt: skip
def test_expressions(tree: Name | Number | Apply | Access, text: str) -> None:
    """Parentheses stand where they are needed and nowhere else."""
    assert print_expr(tree) == text
    assert parse(f"param x = {text}").params[0].value == tree


def test_places_and_filters() -> None:
    """Products in subscripts and filters have no blanks, and comparisons with a common side are a chain."""
    product = apply("add", apply("mul", Name("m1"), Name("M0")), Name("m0"))
    below, above = apply("le", product, Name("p")), apply("lt", apply("sub", Name("p"), Name("W")), product)
    assert print_place(Place(Name("m0"), None, (above, below))) == "m0: p - W < m1*M0 + m0 <= p"
    assert print_place(Place(product, "M")) == "M: m1*M0 + m0"
    assert print_place(Place(apply("add", Name("i"), Number(1)))) == "i+1"
    assert print_place(Place(apply("add", Name("i"), Number(2)))) == "i + 2"
    assert print_filters((below, apply("ge", Name("p"), Name("m")))) == "m1*M0 + m0 <= p and p >= m"


TEXT = """\
# Source: a paper

# more of it
cascade test-1

# the sizes
shape  M0 = 4, M1 = M / M0  # why
param  scale = 1 / sqrt(E)
op     phi(x) = max(x, 0) + 1
input  A[E, M], B[E], C
output Z[M], Y
tensor QK[M] empty = -inf

# a group
QK[m: m <= 3] = A[e, m] * B[e] * scale
Z[m]          = phi(QK[m])

init:
  RM[0] = -inf
# a loop
loop m:
  # its only step
  RM[m+1] = max(RM[m], Z[m])
stop: m >= M
final:
  Y = RM[M] + C  # the end

# below
"""


def test_the_canonical_form() -> None:
    """Keywords and equals signs are aligned, sections indented, comments and single blank lines kept."""
    assert str(parse(TEXT)) == TEXT


def test_printing_makes_it_canonical() -> None:
    """Every other layout of the same text prints as the canonical one."""
    squeezed = "\n".join(" ".join(line.split()) for line in TEXT.split("\n"))
    assert str(parse(squeezed)) == TEXT
    assert str(parse(TEXT.replace("\n\n", "\n\n\n  \n"))) == TEXT
    assert str(parse(TEXT.replace("\n", "\r\n"))) == TEXT


def test_blank_lines_between_the_parts() -> None:
    """The first declaration and the first equation stand below a blank line, also where the text has none."""
    text = "cascade a\ninput A[K]\n# why\nZ = A[k]\nY = Z\n"
    assert str(parse(text)) == "cascade a\n\ninput  A[K]\n\n# why\nZ = A[k]\nY = Z\n"


def test_a_blank_line_ends_the_alignment() -> None:
    """Einsums are aligned with their neighbours only, as people group them."""
    text = "Z[m] = A[m]\nLONG[m] = A[m]\n# still the same group\nY[m] = A[m]\n\nX[m] = A[m]\nW[m, n] = A[m] * A[n]\n"
    assert str(parse(text)) == (
        "Z[m]    = A[m]\nLONG[m] = A[m]\n# still the same group\nY[m]    = A[m]\n\nX[m]    = A[m]\nW[m, n] = A[m] * A[n]\n"
    )


def test_a_cascade_without_a_source_prints() -> None:
    """IR that was built, not parsed, has a text too."""
    einsum = Einsum(Access("Z", ()), Access("A", (Place(Name("k")),)))
    assert str(Cascade((Header("built"), einsum))) == "cascade built\n\nZ = A[k]\n"


def test_notebooks_show_a_table() -> None:
    """The HTML form has a row for each Einsum, with its section, and escapes what HTML must not see."""
    cascade = parse(TEXT)
    assert list(einsum_rows(cascade))[-1] == ("final", "Y = RM[M] + C")
    html = cascade_html(cascade)
    assert html.count("<tr>") == 1 + len(cascade.einsums)
    assert "QK[m: m &lt;= 3] = A[e, m] * B[e] * scale" in html
    assert cascade._repr_html_() == html
