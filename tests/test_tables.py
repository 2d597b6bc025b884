"""Tables in a terminal and in a notebook."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusemax.view import Table, folded, joined
from tests.markup import read_html

TABLE = Table(
    "what there is",
    ("name", "text", "size"),
    (("a", "some words that are many", "1"), ("bcd", "few", "1,000")),
    ("a remark under the table", "  and one that belongs to it"),
    right=(2,),
)


def test_a_table_in_text() -> None:
    """Columns are as wide as they must be, numbers on the right, remarks below."""
    assert TABLE.text() == (
        "what there is\n"
        "  name  text                       size\n"
        "  ----  ------------------------  -----\n"
        "  a     some words that are many      1\n"
        "  bcd   few                       1,000\n"
        "  a remark under the table\n"
        "    and one that belongs to it"
    )


def test_a_narrow_table() -> None:
    """The widest column gives way; further lines are indented, remarks fold."""
    assert TABLE.text(28) == (
        "what there is\n"
        "  name  text            size\n"
        "  ----  -------------  -----\n"
        "  a     some words         1\n"
        "          that are\n"
        "          many\n"
        "  bcd   few            1,000\n"
        "  a remark under the table\n"
        "    and one that belongs to it"
    )


def test_a_table_without_rows() -> None:
    """Only what is said of it."""
    assert Table("nothing", ("a",), ()).text() == "nothing"
    assert Table("nothing", below=("but this",)).text() == "nothing\n  but this"
    assert Table("nothing").html() == "<div><b>nothing</b></div>"


def test_a_table_in_html() -> None:
    """Every cell is there, escaped, and numbers are on the right."""
    rows, texts = read_html(Table("a & b", ("x<y", "n"), (("1 < 2", "3"),), ("<script>",), right=(1,)).html())
    assert rows == [["x<y", "n"], ["1 < 2", "3"]]
    assert texts == ["a & b", "<script>"]
    assert "<td style='text-align:right'>3</td>" in Table("t", ("a",), (("3",),), right=(0,)).html()


words = st.text(st.characters(codec="ascii", categories=("L", "N", "P")), min_size=1, max_size=12)
cells = st.lists(words, min_size=1, max_size=8).map(" ".join)


@given(st.lists(st.tuples(cells, cells, cells), min_size=1, max_size=5), st.integers(1, 120))
def test_no_width_loses_anything(rows: list[tuple[str, str, str]], width: int) -> None:
    """At every width the same characters are printed, and no line is longer where no brackets hold words together."""
    table = Table("t", ("one", "two", "three"), tuple(rows))
    narrow, wide = table.text(width), table.text()
    body = [sorted("".join(text.replace("-", "").split())) for text in (narrow, wide)]
    assert body[0] == body[1]
    if width >= 2 + 3 * (12 + 2 + 2) and not any("[" in cell for row in rows for cell in row):
        assert max(map(len, narrow.splitlines())) <= width


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("Z[m, n] = A[k, m] * B[k, n]", 40, ["Z[m, n] = A[k, m] * B[k, n]"]),
        ("Z[m, n] = A[k, m] * B[k, n]", 20, ["Z[m, n] = A[k, m] *", "B[k, n]"]),
        ("Z[m: m < 3, n] = A[m]", 14, ["Z[m: m < 3, n]", "= A[m]"]),
        ("averyveryverylongword", 8, ["averyver", "yverylon", "gword"]),
        ("a-b-c d-e-f", 6, ["a-b-c", "d-e-f"]),
    ],
)
def test_what_is_in_brackets_stays_together(text: str, width: int, lines: list[str]) -> None:
    """Lines break at blanks outside of brackets; only words that are too long for a line are cut."""
    assert folded(text, width) == lines


def test_names_are_joined() -> None:
    """With commas, or something else if there are none."""
    assert (joined(["a", "b"]), joined([]), joined((), "none")) == ("a, b", "", "none")
