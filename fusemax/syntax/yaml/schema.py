"""YAML nodes -> values by a schema: unknown and missing keys, wrong kinds of values, all in one report."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TypeVar

from fusemax.errors import FusemaxError, Problem, Span, did_you_mean
from fusemax.syntax.yaml.nodes import Mapping_, Node, Scalar

_T = TypeVar("_T")
Read = Callable[[str, str], _T]
"""From the text of a value and its name to the value; raises `FusemaxError`."""


class SchemaReader:
    """Reads nodes and collects problems; a harmless value stands for an unreadable one until the end."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def refuse(self, message: str, span: Span, hint: str | None = None) -> None:
        """Take down a problem."""
        self.problems.append(Problem(message, span, hint))

    def keys(self, node: Node, what: str, required: tuple[str, ...], optional: tuple[str, ...] = ()) -> dict[str, Node]:
        """The values of a mapping by key; unknown and missing keys are problems."""
        allowed = required + optional
        if not isinstance(node, Mapping_):
            self.refuse(f"{what} is not a mapping", node.span, f"its keys are {', '.join(allowed)}")
            return {}
        for key, _ in node.items:
            if key.value not in allowed:
                hint = did_you_mean(key.value, allowed) or f"its keys are {', '.join(allowed)}"
                self.refuse(f"unknown key '{key.value}' in {what}", key.span, hint)
        for key_name in required:
            if node.get(key_name) is None:
                self.refuse(f"{what} has no `{key_name}`", node.span, f"its keys are {', '.join(allowed)}")
        return {key.value: value for key, value in node.items if key.value in allowed}

    def entries(self, node: Node | None, what: str) -> list[tuple[str, Node]]:
        """The named entries of a mapping."""
        if node is None:
            return []
        if not isinstance(node, Mapping_) or not node.items:
            self.refuse(f"no {what} is named here", node.span, "write `NAME: ...`")
            return []
        return [(key.value, value) for key, value in node.items]

    def value(self, keys: Mapping[str, Node], key: str, read: Read[_T], otherwise: _T) -> _T:
        """A value, read; or the substitute, if it is missing (said by `keys`) or wrong (said here)."""
        node = keys.get(key)
        if node is None:
            return otherwise
        if not isinstance(node, Scalar):
            self.refuse(f"`{key}` is not a single value", node.span, f"write `{key}: ...` on one line")
            return otherwise
        try:
            return read(node.value, f"`{key}`")
        except FusemaxError as error:
            self.problems += [Problem(p.message, node.span, p.hint) for p in error.problems]
            return otherwise

    def integer(self, node: Node, what: str) -> int:
        """A positive integer."""
        text = node.value if isinstance(node, Scalar) else ""
        if re.fullmatch(r"\d{16,}", text):
            self.refuse(f"{what} has more than 15 digits", node.span, "write a number like 256")
            return 1
        if not re.fullmatch(r"\d{1,15}", text) or not int(text):
            self.refuse(f"{what} is not a positive integer", node.span, "write a number like 256")
            return 1
        return int(text)


def text_value(text: str, what: str) -> str:
    """A value that is text. Raises `FusemaxError` for an empty one, and for one with characters that cannot be shown."""
    if not text.strip():
        raise FusemaxError(f"{what} is empty", "write a text behind the colon")
    if not text.replace("\n", " ").isprintable():
        raise FusemaxError(f"{what} has characters that cannot be shown", "write it in visible characters")
    return text
