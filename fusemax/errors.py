"""Places in a user's text, and the one error that a user's mistake can cause.

Everything that a user can get wrong ends in `FusemaxError`, which carries all the problems that were found,
each with a fact, a place and, where we can, what to do about it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property

EXCERPT_WIDTH = 110


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
        return [0] + [i + 1 for i, char in enumerate(self.text) if char == "\n"]

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
        """The first line of the span with carets under it; long lines are cut around the place."""
        number, column = self.source.position(self.start)
        line = "".join(char if char.isprintable() else " " for char in self.source.line(number))
        begin = column - 1
        length = max(1, min(self.end - self.start, len(line) - begin))
        first = max(0, min(begin - EXCERPT_WIDTH // 3, len(line) - EXCERPT_WIDTH)) if len(line) > EXCERPT_WIDTH else 0
        shown = line[first : first + EXCERPT_WIDTH]
        indent = len(shown) - len(shown.lstrip(" "))
        carets = max(1, min(length, len(shown) - (begin - first)))
        caret_line = " " * max(0, begin - first - indent) + "^" * carets
        return f"  {'...' if first else ''}{shown[indent:].rstrip()}\n  {'   ' if first else ''}{caret_line}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake, or, in `Checked.notes`, one remark: what, where, and how to mend it.

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
    """What a user can mend; `problems` holds every mistake that was found.

    >>> raise FusemaxError([Problem("no such file")])
    Traceback (most recent call last):
    fusemax.errors.FusemaxError: no such file
    """

    def __init__(self, problems: Iterable[Problem] | str, hint: str | None = None) -> None:
        self.problems = (Problem(problems, hint=hint),) if isinstance(problems, str) else tuple(problems)
        assert self.problems, "an error without a problem"
        super().__init__("\n".join(map(str, self.problems)))

    def __reduce__(self) -> tuple[Callable[..., FusemaxError], tuple[tuple[Problem, ...]]]:
        return FusemaxError, (self.problems,)


def in_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """The problems without repetition, in the order of their places."""
    unique = {(p.span.start if p.span else -1, p.message): p for p in problems}
    return tuple(unique[key] for key in sorted(unique, key=lambda key: key[0]))


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like `name`, if one is near.

    >>> nearest("sofmax", ["softmax", "matmul"])
    'softmax'
    """
    choices = sorted(set(known))
    folded = {choice.lower(): choice for choice in reversed(choices)}
    close = get_close_matches(name, choices, n=1) or [
        folded[match] for match in get_close_matches(name.lower(), folded, n=1)
    ]
    return close[0] if close else None


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """A hint that offers the nearest known name.

    >>> did_you_mean("ex", ["exp", "log"])
    "did you mean 'exp'?"
    """
    match = nearest(name, known)
    return f"did you mean '{match}'?" if match else None


def listed(names: Iterable[str], limit: int = 8) -> str:
    """Names as a person lists them.

    >>> listed(["K", "Q", "V"])
    "'K', 'Q' and 'V'"
    """
    quoted = [f"'{name}'" for name in names]
    if len(quoted) > limit:
        quoted = [*quoted[:limit], f"{len(quoted) - limit} more"]
    return quoted[0] if len(quoted) == 1 else ", ".join(quoted[:-1]) + " and " + quoted[-1]
