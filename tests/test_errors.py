"""Places, excerpts, and how problems are put together."""

from __future__ import annotations

import pickle

import pytest

from fusemax import FusemaxError
from fusemax.errors import Problem, Source, Span, did_you_mean, in_order, listed, nearest

TEXT = "Y = A[k]\n\tZ = (Y\nX = Z"
SOURCE = Source("a.cascade", TEXT)


def span(text: str) -> Span:
    """The place of a text in the source."""
    start = TEXT.index(text)
    return Span(SOURCE, start, start + len(text))


@pytest.mark.parametrize(
    ("text", "place", "excerpt"),
    [
        ("Y", "a.cascade:1:1", "  Y = A[k]\n  ^"),
        ("A[k]", "a.cascade:1:5", "  Y = A[k]\n      ^^^^"),
        ("(Y", "a.cascade:2:6", "  Z = (Y\n      ^^"),
        ("(Y\nX", "a.cascade:2:6", "  Z = (Y\n      ^^"),
        ("Z\n", "a.cascade:3:5", ""),
    ],
)
def test_places(text: str, place: str, excerpt: str) -> None:
    """A span prints as file, line and column, and as its first line with carets below it."""
    if text == "Z\n":
        here = Span(SOURCE, len(TEXT) - 1, len(TEXT))
        excerpt = "  X = Z\n      ^"
    else:
        here = span(text)
    assert str(here) == place
    assert here.excerpt() == excerpt


def test_the_end_of_a_text() -> None:
    """The place behind the last character has a caret too."""
    end = Span(SOURCE, len(TEXT), len(TEXT) + 1)
    assert str(end) == "a.cascade:3:6"
    assert end.excerpt() == "  X = Z\n       ^"
    assert Span(Source("empty", ""), 0, 0).excerpt() == "  \n  ^"


def test_what_cannot_be_printed_is_blank() -> None:
    """Control characters do not reach the terminal, and carets stay where they belong."""
    source = Source("a", "A\x1b[31m = \x07B")
    assert Span(source, 9, 10).excerpt() == "  A [31m =  B\n           ^"


def test_the_text_of_an_error() -> None:
    """Fact, place with an excerpt, and what to do, one problem below the other."""
    error = FusemaxError([Problem("one", span("A[k]"), "mend it"), Problem("two")])
    assert str(error) == "a.cascade:1:5: one\n  Y = A[k]\n      ^^^^\nhint: mend it\ntwo"
    assert str(FusemaxError("alone", "do this")) == "alone\nhint: do this"


def test_errors_travel_between_processes() -> None:
    """An error survives pickling, as it must to come out of a pool of workers."""
    error = pickle.loads(pickle.dumps(FusemaxError([Problem("one", span("A[k]"), "mend it")])))
    assert isinstance(error, FusemaxError)
    assert error.problems[0].span == span("A[k]")


def test_problems_are_put_in_order() -> None:
    """First what has no place, then by place, each source by itself, and nothing twice."""
    other = Source("b.cascade", TEXT)
    problems = [
        Problem("c", span("X")),
        Problem("d", Span(other, 0, 1)),
        Problem("b", span("A[k]")),
        Problem("a"),
        Problem("b", span("A[k]")),
        Problem("b too", span("A[k]")),
    ]
    assert [p.message for p in in_order(problems)] == ["a", "b", "b too", "c", "d"]


def test_names_that_are_near() -> None:
    """Case and look-alikes count as the same, then similar spelling; what is far is not offered."""
    assert nearest("qk", ["QK", "K"]) == "QK"
    assert nearest("MO", ["M", "M0"]) == "M0"
    assert nearest("sofmax", ["softmax", "max"]) == "softmax"
    assert nearest("quux", ["exp", "log"]) is None
    assert did_you_mean("quux", ["exp", "log"]) is None


def test_lists_of_names() -> None:
    """Names are listed as a person lists them, and not too many."""
    assert listed(["A"]) == "'A'"
    assert listed(["A", "B", "C"]) == "'A', 'B' and 'C'"
    assert listed("ABCDE", limit=3) == "'A', 'B', 'C' and 2 more"
