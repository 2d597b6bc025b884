"""The text of a source and its parts, shared by the languages: logical lines, comments, limits, brackets, mistakes."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fusemax.errors import FusemaxError, Problem, Source, Span
from fusemax.ir.cascade import Comments

LARGEST_FILE = 20_000_000
"""In bytes."""
LONGEST_LINE = 20_000
"""In characters, of a logical line."""
MOST_LINES = 20_000
PAIRS = {")": "(", "]": "[", "}": "{"}
CLOSING = {opener: closer for closer, opener in PAIRS.items()}
TOKEN = re.compile(r"[A-Za-z][\w']*|[0-9][\w.]*|::|:=|<-|->|[<>=!]=|\*\*|[-+*/^]=|&&|\|\||\.\.\.|\S")
_PHYSICAL = re.compile(r"(?=[^\n])([^#\n]*)(#[^\n]*)?")


# --------------------------------------------------------------------------------------------------------------- texts


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, with or without a byte order mark. Raises `FusemaxError` if it is not that."""
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise FusemaxError(f"'{path}' cannot be read: {reason}", "check the path") from None
    return decoded(data, str(path))


def decoded(data: bytes, name: str) -> str:
    """Bytes as text in UTF-8. Raises `FusemaxError` for too many of them, and for any other encoding."""
    if len(data) > LARGEST_FILE:
        raise FusemaxError(f"'{name}' has more than {LARGEST_FILE:,} bytes", "name a smaller file")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise FusemaxError(f"'{name}' is UTF-16 text", "save the file as UTF-8")
    if b"\0" in data:
        raise FusemaxError(f"'{name}' is a binary file", "name a text file")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        hint = f"line {line} holds byte 0x{data[error.start]:02x}; save the file as UTF-8"
        raise FusemaxError(f"'{name}' is not UTF-8 text", hint) from None


def source_of(text: str, name: str) -> Source:
    """The source of a text, without a byte order mark and with the line ends of Unix; `name` is its name in errors."""
    return Source(name, text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n"))


# --------------------------------------------------------------------------------------------------------------- lines


@dataclass(slots=True)
class Line:
    """A logical line: its place in the source, its indentation, the brackets it leaves open, and its comments.

    `code` is the code of its last physical line.
    """

    start: int
    end: int
    indent: int
    code: str
    depth: int
    above: list[str]
    behind: str | None
    inside: list[str] = field(default_factory=list)

    @property
    def comments(self) -> Comments:
        """The comments above and inside of the line, and the one behind it."""
        return Comments((*self.above, *self.inside), self.behind)

    def extend(self, code: str, end: int, comments: Iterable[str], behind: str | None) -> None:
        """Take in a physical line, with the comments above it; a comment behind the line is now inside of it."""
        self.inside += [comment for comment in (self.behind, *comments) if comment]
        self.behind, self.end, self.code = behind, end, code.rstrip()
        self.depth = max(0, self.depth + _opened(code))

    def place(self, source: Source) -> Span:
        """The first character, where an error points that is about the whole line."""
        return Span(source, self.start, self.start + 1)


@dataclass(frozen=True, slots=True)
class Lines:
    """The logical lines of a text, and the comments that stand below the last."""

    lines: tuple[Line, ...]
    comments_below: tuple[str, ...]


def logical_lines(text: str, goes_on: Callable[[Line, str], bool]) -> Lines:
    """Cut a text into logical lines; `goes_on` tells whether a physical line belongs to the logical line above it.

    Of neighbouring blank lines the first counts as a comment, but none at the top and at the bottom.

    >>> found = logical_lines("Y = A[k,\\n k] # why\\nZ = Y", lambda line, code: line.depth > 0)
    >>> [(line.start, line.end, line.comments.behind) for line in found.lines]
    [(0, 12, '# why'), (19, 24, None)]
    """
    lines: list[Line] = []
    above: list[str] = []
    for start, code, comment in _physical_lines(text):
        end = start + len(code.rstrip())
        if not code.strip():
            if comment or ((lines or above) and above[-1:] != [""]):
                above.append(comment or "")
            continue
        if lines and goes_on(lines[-1], code):
            lines[-1].extend(code, end, above, comment)
        else:
            indent = len(code) - len(code.lstrip())
            lines.append(Line(start + indent, end, indent, code.rstrip(), max(0, _opened(code)), above, comment))
        above = []
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


def without_comments(text: str) -> str:
    """The text of a line with blanks for its comments."""
    return re.sub(r"#[^\n]*", lambda comment: " " * len(comment.group()), text)


def too_many(source: Source, lines: Sequence[Line], noun: str, whole: str) -> Problem | None:
    """The refusal of a text of too many lines; `noun` names a line, `whole` the text."""
    if len(lines) <= MOST_LINES:
        return None
    message = f"{len(lines):,} {noun}s in one file; the most that are read are {MOST_LINES:,}"
    return Problem(message, lines[MOST_LINES].place(source), f"cut the {whole} into several files")


def too_long(source: Source, line: Line, noun: str, part: str) -> Problem | None:
    """The refusal of a line that is too long; `noun` names a line, `part` the content of a short one."""
    length = line.end - line.start
    if length <= LONGEST_LINE:
        return None
    message = f"a {noun} of {length:,} characters; the longest that is read has {LONGEST_LINE:,}"
    return Problem(message, line.place(source), f"write one {part} per line")


# ------------------------------------------------------------------------------------------------------------ mistakes


@dataclass(frozen=True, slots=True)
class Finding:
    """A message, the stretch of the statement that it is about, and a hint."""

    message: str
    start: int
    end: int
    hint: str


@dataclass(frozen=True, slots=True)
class Mistake:
    """A statement, the offset in it at which the parser could not go on, and the kinds of token that could."""

    text: str
    at: int
    expected: frozenset[str]

    @property
    def before(self) -> str:
        """The accepted text, without trailing blanks."""
        return self.text[: self.at].rstrip()

    @property
    def after(self) -> str:
        """The offending text and the rest."""
        return self.text[self.at :]

    @property
    def first(self) -> str:
        """The first word of the statement."""
        return word_of(self.text)

    @property
    def last(self) -> str:
        """The last word that was accepted, or nothing."""
        words = TOKEN.findall(self.before)
        return words[-1] if words else ""

    @property
    def word(self) -> str:
        """The offending word, or nothing at the end."""
        return word_of(self.after)

    @property
    def opened(self) -> str:
        """The brackets that are open, outermost first."""
        opened: list[str] = []
        for char in self.before:
            if char in CLOSING:
                opened.append(char)
            elif char in PAIRS and opened:
                opened.pop()
        return "".join(opened)

    @property
    def assigned(self) -> bool:
        """Whether the `=` of the statement has been seen."""
        outside, depth = [], 0
        for word in TOKEN.findall(self.before):
            depth += (word in CLOSING) - (word in PAIRS)
            outside.append(word if depth == 0 else "")
        return any(word in ("=", "+=", "*=") for word in outside)

    @property
    def declares(self) -> bool:
        """Whether it is a declaration of tensors."""
        return self.first in ("input", "output", "tensor") and self.before != ""

    def here(self, message: str, hint: str) -> Finding:
        """A finding about the offending word; at the end, about the place behind the last."""
        start = self.at if self.after else len(self.before)
        return Finding(message, start, start + max(1, len(self.word)), hint)

    def behind(self, message: str, hint: str) -> Finding:
        """A finding about the last word that was accepted."""
        return Finding(message, len(self.before) - len(self.last), len(self.before), hint)


def word_of(text: str) -> str:
    match = TOKEN.match(text)
    return match.group() if match else ""


def shown(word: str) -> str:
    """A word in quotes; a character that is not printable by its number and name."""
    if word.isprintable():
        return f'"{word}"' if "'" in word else f"'{word}'"
    return f"U+{ord(word[0]):04X} ({unicodedata.name(word[0], 'a control character').lower()})"
