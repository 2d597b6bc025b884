"""Where the lines of a mapping file begin and end, and which line stands in the body of which."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from fusemax.errors import Problem, Source, Span
from fusemax.ir.cascade import Comments

LONGEST_LINE = 20_000
MOST_LINES = 20_000
DEEPEST = 50
"""How many bodies may be around a statement."""

_STARTS = re.compile(
    r"\s*(?:(?:mapping|cascade|arch|choose|published|artifact|split|for|pipeline|stages|case|hold|wait|on)\s+[A-Za-z]"
    r"|(?:stage|phase|previous)\s*:)"
)


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
    """A file's outermost lines, the comments that stand below the last line, and what is wrong with indentations."""

    clauses: tuple[Clause, ...]
    comments_below: tuple[str, ...]
    problems: tuple[Problem, ...]


@dataclass(slots=True)
class _Line:
    """A logical line while it is read: where it is, how many of its brackets are open, its comments, its body."""

    start: int
    end: int
    indent: int
    depth: int
    above: list[str]
    behind: str | None
    body: list[_Line] = field(default_factory=list)

    def extend(self, code: str, end: int, comments: Iterable[str], behind: str | None) -> None:
        """Take in a physical line, with the comments above it; what stood behind the line is now inside of it."""
        self.above += [comment for comment in (self.behind, *comments) if comment]
        self.behind, self.end = behind, end
        self.depth = max(0, self.depth + _opened(code))

    def frozen(self) -> Clause:
        """The finished line."""
        body = tuple(line.frozen() for line in self.body)
        return Clause(self.start, self.end, Comments(tuple(self.above), self.behind), body)


def laid_out(source: Source) -> Layout:
    """Cut a text into logical lines and nest them by their indentation.

    >>> layout = laid_out(Source("a.mapping", "for b:\\n  hold Q in buffer  # once\\n  wait Q"))
    >>> [[inner.comments.behind for inner in clause.body] for clause in layout.clauses]
    [['# once', None]]
    """
    lines, comments_below = _logical_lines(source.text)
    problems = [*_unreadable(source, lines)]
    if not problems:
        problems += _odd_indents(source, lines)
    outermost = list[_Line]() if problems else _nest(source, lines, problems)
    return Layout(tuple(line.frozen() for line in outermost), comments_below, tuple(problems))


def _logical_lines(text: str) -> tuple[list[_Line], tuple[str, ...]]:
    """The lines, not nested yet, and the comments below the last; of blank lines the first counts, but none at the top.

    If a bracket was never closed, a line that can only be one of its own ends the search for it, so that one missing
    bracket is one problem and not the rest of the file.
    """
    lines: list[_Line] = []
    above: list[str] = []
    for start, code, comment in _physical_lines(text):
        end = start + len(code.rstrip())
        if not code.strip():
            if comment or ((lines or above) and above[-1:] != [""]):
                above.append(comment or "")
        elif lines and lines[-1].depth > 0 and not _STARTS.match(code):
            lines[-1].extend(code, end, above, comment)
            above = []
        else:
            indent = len(code) - len(code.lstrip())
            lines.append(_Line(start + indent, end, indent, max(0, _opened(code)), above, comment))
            above = []
    return lines, tuple(above[:-1] if above[-1:] == [""] else above)


def _physical_lines(text: str) -> Iterator[tuple[int, str, str | None]]:
    """Offset, code and comment of each line of the text."""
    at = 0
    for line in text.split("\n"):
        code, mark, comment = line.partition("#")
        yield at, code, f"#{comment.rstrip()}" if mark else None
        at += len(line) + 1


def _opened(code: str) -> int:
    """How many brackets a line leaves open."""
    return sum(map(code.count, "([{")) - sum(map(code.count, ")]}"))


def _unreadable(source: Source, lines: list[_Line]) -> Iterator[Problem]:
    """The refusal of files that no person wrote."""
    if len(lines) > MOST_LINES:
        message = f"{len(lines):,} lines in one file; the most that are read are {MOST_LINES:,}"
        yield Problem(message, _place(source, lines[MOST_LINES]), "cut the mapping into several files")
    for line in lines:
        if line.end - line.start > LONGEST_LINE:
            message = f"a line of {line.end - line.start:,} characters; the longest that is read has {LONGEST_LINE:,}"
            yield Problem(message, _place(source, line), "write one statement per line")


def _odd_indents(source: Source, lines: list[_Line]) -> Iterator[Problem]:
    """Indentation by anything but blanks, whose width nobody can tell."""
    for line in lines:
        indent = source.text[line.start - line.indent : line.start]
        odd = indent.lstrip(" ")
        if odd:
            at = line.start - len(odd)
            what = "a tab" if odd[0] == "\t" else f"U+{ord(odd[0]):04X}"
            hint = "indent with blanks, two for each level"
            yield Problem(f"{what} in an indentation", Span(source, at, at + 1), hint)


def _nest(source: Source, lines: list[_Line], problems: list[Problem]) -> list[_Line]:
    """Put every line into the body of the last line above that is indented less; the first line sets the margin."""
    outermost: list[_Line] = []
    levels = [(lines[0].indent if lines else 0, outermost)]
    for line in lines:
        if line.indent > levels[-1][0]:
            levels.append((line.indent, levels[-1][1][-1].body))
        closed: list[tuple[int, list[_Line]]] = []
        while line.indent < levels[-1][0] and len(levels) > 1:
            closed = [levels.pop()]
        if line.indent != levels[-1][0]:
            levels += closed
            known = ", ".join(str(indent) for indent, _ in levels)
            hint = f"the lines that it may stand beside are indented by {known}"
            problems.append(Problem("an indentation that fits no line above", _place(source, line), hint))
        if len(levels) > DEEPEST + 1:  # a level more for Einsums
            problems.append(
                Problem(f"bodies nested more than {DEEPEST} deep", _place(source, line), "nest fewer loops")
            )
            return []
        levels[-1][1].append(line)
    return outermost


def _place(source: Source, line: _Line) -> Span:
    return Span(source, line.start, line.start + 1)
