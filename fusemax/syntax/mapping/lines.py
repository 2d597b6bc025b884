"""The lines of a mapping file, each with the lines of its body."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from fusemax.errors import Problem, Source, Span
from fusemax.ir.cascade import Comments
from fusemax.syntax.mapping.diagnosis import FORMS
from fusemax.syntax.source import Line, logical_lines, too_long, too_many

DEEPEST_BODY = 50
"""How many bodies may be around a statement."""

_BARE = [keyword for keyword, form in FORMS.items() if form == f"{keyword}:"]
_NAMING = [keyword for keyword in FORMS if keyword not in _BARE]
_STARTS = re.compile(rf"\s*(?:(?:{'|'.join(_NAMING)})\s+[A-Za-z]|(?:{'|'.join(_BARE)})\s*:)")


@dataclass(frozen=True, slots=True)
class Clause:
    """A logical line, by its offsets in the source, with its comments and the lines of its body."""

    start: int
    end: int
    comments: Comments
    body: tuple[Clause, ...]

    def span(self, source: Source) -> Span:
        """The place of the line itself."""
        return Span(source, self.start, self.end)


@dataclass(frozen=True, slots=True)
class Layout:
    """A file's outermost lines, the comments below the last line, and mistakes of indentation."""

    clauses: tuple[Clause, ...]
    comments_below: tuple[str, ...]
    problems: tuple[Problem, ...]


def laid_out(source: Source) -> Layout:
    """Cut a text into logical lines and nest them by their indentation.

    >>> layout = laid_out(Source("a.mapping", "for b:\\n  hold Q in buffer  # once\\n  wait Q"))
    >>> [[inner.comments.behind for inner in clause.body] for clause in layout.clauses]
    [['# once', None]]
    """
    found = logical_lines(source.text, _goes_on)
    problems = [*_unreadable(source, found.lines)] or [*_odd_indents(source, found.lines)]
    outermost = [] if problems else _nest(source, found.lines, problems)
    return Layout(tuple(line.frozen() for line in outermost), found.comments_below, tuple(problems))


def _goes_on(line: Line, code: str) -> bool:
    """Whether a physical line belongs to the line above it: inside of a bracket, unless it can only be one of its own,
    so that one missing bracket is one problem and not the rest of the file."""
    return line.depth > 0 and not _STARTS.match(code)


def _unreadable(source: Source, lines: Sequence[Line]) -> Iterator[Problem]:
    """The refusal of files of too many or too long lines."""
    if many := too_many(source, lines, "line", "mapping"):
        yield many
    yield from (long for line in lines if (long := too_long(source, line, "line", "statement")))


@dataclass(frozen=True, slots=True)
class _Nested:
    """A line while the lines of its body are found."""

    line: Line
    body: list[_Nested] = field(default_factory=list)

    def frozen(self) -> Clause:
        """The finished line."""
        body = tuple(inner.frozen() for inner in self.body)
        return Clause(self.line.start, self.line.end, self.line.comments, body)


def _odd_indents(source: Source, lines: Sequence[Line]) -> Iterator[Problem]:
    """Indentation by anything but blanks, which has no width of its own."""
    for line in lines:
        indent = source.text[line.start - line.indent : line.start]
        odd = indent.lstrip(" ")
        if odd:
            at = line.start - len(odd)
            what = "a tab" if odd[0] == "\t" else f"U+{ord(odd[0]):04X}"
            hint = "indent with blanks, two for each level"
            yield Problem(f"{what} in an indentation", Span(source, at, at + 1), hint)


def _nest(source: Source, lines: Sequence[Line], problems: list[Problem]) -> list[_Nested]:
    """Put every line into the body of the last line above that is indented less; the first line sets the margin."""
    outermost: list[_Nested] = []
    levels = [(lines[0].indent if lines else 0, outermost)]
    for line in lines:
        if line.indent > levels[-1][0]:
            levels.append((line.indent, levels[-1][1][-1].body))
        closed: list[tuple[int, list[_Nested]]] = []
        while line.indent < levels[-1][0] and len(levels) > 1:
            closed = [levels.pop()]
        if line.indent != levels[-1][0]:
            levels += closed
            known = ", ".join(str(indent) for indent, _ in levels)
            hint = f"the lines that it may stand beside are indented by {known}"
            problems.append(Problem("an indentation that fits no line above", line.place(source), hint))
        if len(levels) > DEEPEST_BODY + 1:  # a level more for Einsums
            message = f"bodies nested more than {DEEPEST_BODY} deep"
            problems.append(Problem(message, line.place(source), "nest fewer loops"))
            return []
        levels[-1][1].append(_Nested(line))
    return outermost
