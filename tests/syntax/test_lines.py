"""Where statements begin and end, and which comments belong to them."""

from __future__ import annotations

import pytest

from fusemax.ir.cascade import Comments
from fusemax.syntax.cascade.lines import logical_lines


def statements(text: str) -> list[str]:
    """The statements of a text."""
    return [text[line.start : line.end] for line in logical_lines(text).lines]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        ("  \n\t\n", []),
        ("Y = A\nZ = Y", ["Y = A", "Z = Y"]),
        ("  Y = A  # why\n\n  Z = Y  ", ["Y = A", "Z = Y"]),
        ("Y = A[\n  k\n]\nZ = Y", ["Y = A[\n  k\n]", "Z = Y"]),
        ("Y = max(A, # one\n  B)", ["Y = max(A, # one\n  B)"]),
        ("Y = A[k]\n  :: reduce[k] max\nZ = Y", ["Y = A[k]\n  :: reduce[k] max", "Z = Y"]),
        ("Y = A[k]\n\n# why\n  :: reduce[k] max", ["Y = A[k]\n\n# why\n  :: reduce[k] max"]),
        (":: reduce[k] max\nZ = Y", [":: reduce[k] max", "Z = Y"]),
        ("RM[m1:\n  m1 = 0] = 3", ["RM[m1:\n  m1 = 0] = 3"]),
        ("Y = A[m: m <= p\n  and m > 2]", ["Y = A[m: m <= p\n  and m > 2]"]),
        ("Y = A)\nZ = Y", ["Y = A)", "Z = Y"]),
    ],
)
def test_statements(text: str, found: list[str]) -> None:
    """A newline ends a statement, unless a bracket is open or `::` follows."""
    assert statements(text) == found


@pytest.mark.parametrize(
    "second",
    [
        "Z[m] = A[m]", "Z_{m} max= A[m]", "Z = 3", "input A[M]", "output Z", "shape M = 3", "cascade x", "loop m1:",
        "init:", "Z[m = A[m]",
    ],
)  # fmt: skip
@pytest.mark.parametrize("first", ["Y[m = A[m]", "Y[m] = max(A[m], B[m]", "Y[m] = (A[m]  # a comment"])
def test_an_open_bracket_does_not_swallow_the_next_statement(first: str, second: str) -> None:
    """After a bracket that is never closed, a line that can only be a statement of its own is one."""
    text = f"{first}\n# between\n{second}"
    assert statements(text)[1:] == [second]


def test_comments_above_and_behind() -> None:
    """Full lines belong to the statement below, a remark to the statement before it, the last lines to the file."""
    text = "# a\n\n\n# b\nY = A  # c\n\n# d\nZ = Y\n\nX = Z\n\n# e\n\n"
    lines = logical_lines(text)
    assert [line.comments for line in lines.lines] == [
        Comments(("# a", "", "# b"), "# c"),
        Comments(("", "# d"), None),
        Comments(("",), None),
    ]
    assert lines.comments_below == ("", "# e")


def test_comments_inside_of_a_statement() -> None:
    """A comment between the lines of a statement moves above it; one behind its last line stays."""
    text = "# a\nY = A[k,  # b\n  # c\n  m]  # d\n\n# e\n  :: reduce[k] max  # f"
    (line,) = logical_lines(text).lines
    assert line.comments == Comments(("# a", "# b", "# c", "# d", "# e"), "# f")
