"""Refusals of texts that do not parse: the whole text of each."""

from __future__ import annotations

import pytest

from fusemax import FusemaxError, check, parse
from fusemax.syntax.importers.teaal import parse_teaal
from tests.conftest import Golden
from tests.refusals import rendered


def syntax_error(text: str) -> str:
    """The message with which the parser refuses a text."""
    with pytest.raises(FusemaxError) as caught:
        parse(text, "a.cascade")
    return str(caught.value)


def teaal_error(text: str) -> str:
    """The message with which a TeAAL specification is refused."""
    with pytest.raises(FusemaxError) as caught:
        check(parse_teaal(text, "a.yaml"))
    return str(caught.value)


def test_syntax_errors(golden: Golden) -> None:
    """Each text is refused with exactly the message that the file has below it."""
    golden(rendered("syntax", syntax_error), "refusals/syntax.txt")


def test_errors_in_teaal_files(golden: Golden) -> None:
    """Errors point into the YAML file."""
    golden(rendered("teaal", teaal_error), "refusals/teaal.txt")
