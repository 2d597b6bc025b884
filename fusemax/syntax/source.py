"""A statement that does not parse, seen as words: what stood before the place, what stands there, what is open."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

PAIRS = {")": "(", "]": "[", "}": "{"}
CLOSING = {opener: closer for closer, opener in PAIRS.items()}
TOKEN = re.compile(r"[A-Za-z][\w']*|[0-9][\w.]*|::|:=|<-|->|[<>=!]=|\*\*|[-+*/^]=|&&|\|\||\.\.\.|\S")


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
        """What was accepted, without trailing blanks."""
        return self.text[: self.at].rstrip()

    @property
    def after(self) -> str:
        """The offending text and what follows."""
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
    """A word in quotes; what cannot be seen by its number and name."""
    if word.isprintable():
        return f'"{word}"' if "'" in word else f"'{word}'"
    return f"U+{ord(word[0]):04X} ({unicodedata.name(word[0], 'a control character').lower()})"
