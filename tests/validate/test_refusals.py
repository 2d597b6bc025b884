"""Refusals of cascades: the whole text of each, and of each note."""

from __future__ import annotations

import pytest

from fusemax import FusemaxError, check, parse
from fusemax.syntax.importers.teaal import parse_teaal
from tests.conftest import Golden
from tests.refusals import rendered

FILES = ("actions", "names", "tensors", "einsums", "iterations", "sizes", "bounds", "together")


def refusal(text: str) -> str:
    """The message with which a text is refused."""
    with pytest.raises(FusemaxError) as caught:
        check(parse(text, "a.cascade"))
    return str(caught.value)


def notes(text: str) -> str:
    """The notes on a text that is accepted, and what keeps it from running."""
    cascade = parse_teaal(text, "a.yaml") if text.startswith("# teaal") else parse(text, "a.cascade")
    checked = check(cascade, complete=False)
    return "\n".join(map(str, (*checked.notes, *checked.incomplete))) or "(none)"


@pytest.mark.parametrize("name", FILES)
def test_refusals(name: str, golden: Golden) -> None:
    """Each text is refused with exactly the message that the file has below it."""
    golden(rendered(name, refusal), f"refusals/{name}.txt")


def test_notes(golden: Golden) -> None:
    """Each text is accepted with exactly the notes that the file has below it."""
    golden(rendered("notes", notes), "refusals/notes.txt")


def test_the_error_of_the_specification() -> None:
    """The language's own example of an error comes out character for character."""
    text = (
        "cascade attention\n\ninput  A[K, M], B[K, N]\noutput Z[M, N]\n\n# a product of matrices\n"
        "Z[m, n] = A[k, m] * C[k, n]"
    )
    with pytest.raises(FusemaxError) as caught:
        check(parse(text, "attention.cascade"))
    assert str(caught.value) == (
        "attention.cascade:7:21: tensor 'C' is read but never written or declared\n"
        "  Z[m, n] = A[k, m] * C[k, n]\n"
        "                      ^^^^^^^\n"
        "hint: declare it with `input C[K, N]`, or did you mean 'B'?"
    )
