"""Where statements begin and end: a text cut into logical lines, with the comments that belong to them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from fusemax.errors import Problem, Source, Span
from fusemax.ir.cascade import Comments

LONGEST_STATEMENT = 20_000
OPENERS, CLOSERS = "([{", ")]}"
_CONTINUES = re.compile(r"(?:[ \t\r\f\v]*(?:#[^\n]*)?\n)*[ \t\r\f\v]*::")
_EQUATION = re.compile(r"[ \t]*[A-Za-z][\w']*[ \t]*(?:\[[^\]\n]*\]|_\{[^}\n]*\})[ \t]*(?:\+|\*|max|min)?=(?!=)")


@dataclass(frozen=True, slots=True)
class Line:
    """A logical line: offsets of its statement in the source, and its comments."""

    start: int
    end: int
    comments: Comments


@dataclass(frozen=True, slots=True)
class Lines:
    """A file's statements, and the comments that stand below the last."""

    lines: tuple[Line, ...]
    comments_below: tuple[str, ...]


def logical_lines(text: str) -> Lines:
    """Cut a text into statements.

    A newline inside brackets or before `::` does not end one. If a bracket is never closed, the next line that can
    only be an equation starts a new statement, so that one missing bracket is one problem and not the rest of the file.

    >>> [(line.start, line.end) for line in logical_lines("Y = A[k,\\n k] # why\\nZ = Y").lines]
    [(0, 12), (19, 24)]
    """
    lines: list[Line] = []
    above: list[str] = []
    at = 0
    while at < len(text):
        end, comment = _statement_end(text, at)
        statement = text[at:end]
        if not statement.strip():
            if comment or above or lines:
                above.append(comment or "")
        else:
            start = at + len(statement) - len(statement.lstrip())
            lines.append(Line(start, at + len(statement.rstrip()), Comments(_tidy(above), comment)))
            above = []
        at = text.find("\n", end) + 1 or len(text)
    below = _tidy(above)
    return Lines(tuple(lines), below)


def _tidy(above: list[str]) -> tuple[str, ...]:
    """Comment lines with single blank lines between; blank lines alone are the printer's business."""
    kept = [line for i, line in enumerate(above) if line or (i + 1 < len(above) and above[i + 1])]
    return tuple(kept) if any(kept) else ()


def _statement_end(text: str, at: int) -> tuple[int, str | None]:
    """The offset behind the statement that starts at `at`, and the comment behind it."""
    depth = 0
    for token in _breaks(text, at):
        char = token.group()[0]
        if char in OPENERS:
            depth += 1
        elif char in CLOSERS:
            depth = max(0, depth - 1)
        elif char == "#":
            if depth == 0 and not _CONTINUES.match(text, token.end()):
                return token.start(), token.group().rstrip()
        else:
            inside = depth and not _EQUATION.match(text, token.end())
            if not inside and not _CONTINUES.match(text, token.end()):
                return token.start(), None
    return len(text), None


_BREAK = re.compile(r"[()\[\]{}]|#[^\n]*|\n")


def _breaks(text: str, at: int) -> Iterator[re.Match[str]]:
    return _BREAK.finditer(text, at)


def too_long(source: Source, line: Line) -> Problem | None:
    """The refusal of a statement that no person wrote."""
    length = line.end - line.start
    if length <= LONGEST_STATEMENT:
        return None
    return Problem(
        f"a statement of {length:,} characters; the longest that is read has {LONGEST_STATEMENT:,}",
        Span(source, line.start, line.start + 1),
        "write one equation per line",
    )
