"""Places in a user's text, and the one error that a user's mistake can cause.

Everything that a user can get wrong ends in `FusemaxError`, which carries all the problems that were found,
each with a fact, a place and, where we can, what to do about it.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property

EXCERPT_WIDTH = 110
MOST_SHOWN = 100


@dataclass(frozen=True)
class Source:
    """A text and the name under which its user knows it.

    >>> Source("a.cascade", "Y = A[k]\\nZ = Y").position(9)
    (2, 1)
    """

    name: str
    text: str

    @cached_property
    def _line_starts(self) -> list[int]:
        return [0, *(match.end() for match in re.finditer("\n", self.text))]

    def position(self, offset: int) -> tuple[int, int]:
        """Line and column, both from 1, of a character offset."""
        line = bisect_right(self._line_starts, offset)
        return line, offset - self._line_starts[line - 1] + 1

    def line(self, number: int) -> str:
        """The text of a line, from 1, without its line end."""
        start = self._line_starts[number - 1]
        end = self._line_starts[number] - 1 if number < len(self._line_starts) else len(self.text)
        return self.text[start:end].rstrip("\r")


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a source, from character offset `start` up to, not including, `end`."""

    source: Source
    start: int
    end: int

    def __str__(self) -> str:
        line, column = self.source.position(self.start)
        return f"{self.source.name}:{line}:{column}"

    @property
    def text(self) -> str:
        """The characters themselves."""
        return self.source.text[self.start : self.end]

    def excerpt(self) -> str:
        """The first line of the span with carets under it; long lines are cut around the place.

        >>> print(Span(Source("a.cascade", "  Z[m] = A[m"), 10, 11).excerpt())
          Z[m] = A[m
                  ^
        """
        number, column = self.source.position(self.start)
        line = self.source.line(number).rstrip()
        indent = len(line) - len(line.lstrip())
        begin = min(column - 1, len(line))
        first = max(min(indent, begin), min(begin - EXCERPT_WIDTH // 3, len(line) - EXCERPT_WIDTH))
        last = first + EXCERPT_WIDTH
        before, after = "..." * (first > indent), "..." * (len(line) > last)
        shown = "".join(char if char.isprintable() else " " for char in line[first:last])
        carets = max(1, min(self.end - self.start, len(shown) - (begin - first)))
        return f"  {before}{shown}{after}\n  {' ' * (len(before) + begin - first)}{'^' * carets}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake, or, in `Checked.notes`, one remark: a message, its place, and a hint that mends it.

    >>> print(Problem("rank 'M' has no size", hint="give --shape M=64"))
    rank 'M' has no size
    hint: give --shape M=64
    """

    message: str
    span: Span | None = field(default=None, compare=False)
    hint: str | None = None

    def __str__(self) -> str:
        place = f"{self.span}: " if self.span else ""
        excerpt = f"\n{self.span.excerpt()}" if self.span else ""
        hint = f"\nhint: {self.hint}" if self.hint else ""
        return f"{place}{self.message}{excerpt}{hint}"


class FusemaxError(Exception):
    """The mistakes of a user; `problems` holds all that were found, and the text shows the first of many.

    >>> raise FusemaxError([Problem("no such file")])
    Traceback (most recent call last):
    fusemax.errors.FusemaxError: no such file
    """

    def __init__(self, problems: Iterable[Problem] | str, hint: str | None = None) -> None:
        self.problems = (Problem(problems, hint=hint),) if isinstance(problems, str) else tuple(problems)
        assert self.problems, "an error without a problem"
        hidden = len(self.problems) - MOST_SHOWN
        shown = [*map(str, self.problems[:MOST_SHOWN]), *([f"... and {hidden:,} more problems"] if hidden > 0 else [])]
        super().__init__("\n".join(shown))

    def __reduce__(self) -> tuple[Callable[..., FusemaxError], tuple[tuple[Problem, ...]]]:
        return FusemaxError, (self.problems,)


def in_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """The problems without repetition: first those without a place, then by place, each source by itself."""
    unique: dict[object, Problem] = {}
    for problem in problems:
        unique.setdefault((problem.message, problem.span), problem)
    sources = {id(p.span.source): i for i, p in reversed([*enumerate(unique.values())]) if p.span}

    def place(problem: Problem) -> tuple[int, int]:
        return (sources[id(problem.span.source)], problem.span.start) if problem.span else (-1, 0)

    return tuple(sorted(unique.values(), key=place))


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like `name`, if one is near.

    >>> nearest("sofmax", ["softmax", "matmul"]), nearest("MO", ["M", "M0"])
    ('softmax', 'M0')
    """
    choices = sorted(set(known))
    folded = {_folded(choice): choice for choice in reversed(choices)}
    if _folded(name) in folded:
        return folded[_folded(name)]
    close = get_close_matches(name, choices, n=1)
    close = close or [folded[match] for match in get_close_matches(_folded(name), folded, n=1)]
    return close[0] if close else None


def _folded(name: str) -> str:
    """The name without differences that are hard to see: upper and lower case, O and 0, l and 1."""
    return name.lower().replace("o", "0").replace("l", "1")


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """A hint that offers the nearest known name.

    >>> did_you_mean("ex", ["exp", "log"])
    "did you mean 'exp'?"
    """
    match = nearest(name, known)
    return f"did you mean '{match}'?" if match else None


def listed(names: Iterable[str], limit: int = 8, word: str = "and") -> str:
    """Names in quotes, with commas and a word before the last.

    >>> listed(["K", "Q", "V"]), listed(["full", "published"], word="or")
    ("'K', 'Q' and 'V'", "'full' or 'published'")
    """
    quoted = [f"'{name}'" for name in names]
    if len(quoted) > limit:
        quoted = [*quoted[:limit], f"{len(quoted) - limit} more"]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} {word} {quoted[-1]}"
