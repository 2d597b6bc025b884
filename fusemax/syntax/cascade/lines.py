"""Where the statements of a cascade begin and end: a text cut into logical lines, with their comments."""

from __future__ import annotations

import re

from fusemax.syntax.source import Line, Lines
from fusemax.syntax.source import logical_lines as lines_of

DECLARING = ("cascade", "shape", "param", "op", "input", "output", "tensor")
HEADINGS = ("init", "loop", "stop", "final")

_OPERAND = re.compile(r"[\w'∞)\]}]$")
_NAME = re.compile(r"\s*(?!and\b)[A-Za-z]")
_STARTS = re.compile(
    r"\s*(?:[A-Za-z][\w']*\s*(?:\[[^\]]*\]|_\{[^}]*\})?\s*(?:[+*×∗]|max|min)?=(?!=)"  # Z[m] max= ...
    rf"|(?:{'|'.join(DECLARING)})\s+[A-Za-z]"
    rf"|(?:{'|'.join(HEADINGS)})(?:\s+\w+)?\s*:\s*$)"
)


def logical_lines(text: str) -> Lines:
    """Cut a text into statements: a newline inside brackets or before `::` does not end one.

    >>> [(line.start, line.end) for line in logical_lines("Y = A[k,\\n k] # why\\nZ = Y").lines]
    [(0, 12), (19, 24)]
    """
    return lines_of(text, _goes_on)


def _goes_on(line: Line, code: str) -> bool:
    """Whether a physical line belongs to the statement above it.

    If a bracket was never closed, a line that can only be a statement of its own is one, so that one missing bracket
    is one problem and not the rest of the file: it begins like one, or with a name after an operand.
    """
    if code.lstrip().startswith("::"):
        return True
    begins = not line.code.endswith(":") and _STARTS.match(code)
    return line.depth > 0 and not begins and not (_OPERAND.search(line.code) and _NAME.match(code))
