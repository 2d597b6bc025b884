"""Where statements begin and end: a text cut into logical lines, with the comments that belong to them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from fusemax.errors import Problem, Source, Span
from fusemax.ir.cascade import Comments

LONGEST_STATEMENT = 20_000
MOST_STATEMENTS = 20_000
DECLARING = ("cascade", "shape", "param", "op", "input", "output", "tensor")
HEADINGS = ("init", "loop", "stop", "final")

_PHYSICAL = re.compile(r"(?=[^\n])([^#\n]*)(#[^\n]*)?")
_OPERAND = re.compile(r"[\w'∞)\]}]$")
_NAME = re.compile(r"\s*(?!and\b)[A-Za-z]")
_STARTS = re.compile(
    r"\s*(?:[A-Za-z][\w']*\s*(?:\[[^\]]*\]|_\{[^}]*\})?\s*(?:[+*×∗]|max|min)?=(?!=)"  # Z[m] max= ...
    rf"|(?:{'|'.join(DECLARING)})\s+[A-Za-z]"
    rf"|(?:{'|'.join(HEADINGS)})(?:\s+\w+)?\s*:\s*$)"
)


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


@dataclass(slots=True)
class _Statement:
    """A statement while it is read: where it is, how many of its brackets are open, and its comments."""

    start: int
    end: int
    code: str
    depth: int
    above: list[str]
    behind: str | None
    inside: list[str] = field(default_factory=list)

    def goes_on(self, code: str) -> bool:
        """Whether a line belongs to this statement.

        If a bracket was never closed, a line that can only be a statement of its own is one, so that one missing
        bracket is one problem and not the rest of the file: it begins like one, or with a name after an operand.
        """
        if code.lstrip().startswith("::"):
            return True
        begins = not self.code.endswith(":") and _STARTS.match(code)
        return self.depth > 0 and not begins and not (_OPERAND.search(self.code) and _NAME.match(code))

    def extend(self, code: str, end: int, comments: Iterable[str], behind: str | None) -> None:
        """Take in a line, with the comments above it; what stood behind the statement is now inside of it."""
        self.inside += [comment for comment in (self.behind, *comments) if comment]
        self.behind, self.end, self.code = behind, end, code.rstrip()
        self.depth = max(0, self.depth + _opened(code))

    def line(self) -> Line:
        """The finished line."""
        return Line(self.start, self.end, Comments((*self.above, *self.inside), self.behind))


def logical_lines(text: str) -> Lines:
    """Cut a text into statements: a newline inside brackets or before `::` does not end one.

    >>> [(line.start, line.end) for line in logical_lines("Y = A[k,\\n k] # why\\nZ = Y").lines]
    [(0, 12), (19, 24)]
    """
    lines: list[Line] = []
    above: list[str] = []
    statement: _Statement | None = None
    for start, code, comment in _physical_lines(text):
        end = start + len(code.rstrip())
        if not code.strip():
            first = not above and statement is None
            if comment or not (first or above[-1:] == [""]):  # of blank lines the first counts, but none at the top
                above.append(comment or "")
        elif statement and statement.goes_on(code):
            statement.extend(code, end, above, comment)
            above = []
        else:
            if statement:
                lines.append(statement.line())
            begin = start + len(code) - len(code.lstrip())
            statement = _Statement(begin, end, code.rstrip(), max(0, _opened(code)), above, comment)
            above = []
    if statement:
        lines.append(statement.line())
    return Lines(tuple(lines), tuple(above[:-1] if above[-1:] == [""] else above))


def _physical_lines(text: str) -> Iterator[tuple[int, str, str | None]]:
    """Offset, code and comment of each line of the text; neighbouring empty lines are one."""
    at = 0
    for match in _PHYSICAL.finditer(text):
        if match.start() > at:
            yield at, "", None
        yield match.start(), match.group(1), match.group(2) and match.group(2).rstrip()
        at = match.end() + 1


def _opened(code: str) -> int:
    """How many brackets a line leaves open."""
    return sum(map(code.count, "([{")) - sum(map(code.count, ")]}"))


def too_long(source: Source, line: Line) -> Problem | None:
    """The refusal of a statement that no person wrote."""
    length = line.end - line.start
    if length <= LONGEST_STATEMENT:
        return None
    message = f"a statement of {length:,} characters; the longest that is read has {LONGEST_STATEMENT:,}"
    return Problem(message, Span(source, line.start, line.start + 1), "write one equation per line")


def too_many(source: Source, lines: tuple[Line, ...]) -> Problem | None:
    """The refusal of a file that no person wrote."""
    if len(lines) <= MOST_STATEMENTS:
        return None
    message = f"{len(lines):,} statements in one file; the most that are read are {MOST_STATEMENTS:,}"
    first = lines[MOST_STATEMENTS]
    return Problem(message, Span(source, first.start, first.start + 1), "cut the cascade into several files")
