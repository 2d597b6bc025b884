"""YAML with positions: PyYAML's nodes as plain data, so that every error can point at its line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fusemax.errors import FusemaxError, Problem, Source, Span

if TYPE_CHECKING:
    import yaml


@dataclass(frozen=True, slots=True)
class Scalar:
    """A value as text; `verbatim` is where this text stands in the file, if it does but for blanks and line ends."""

    value: str
    span: Span
    verbatim: Span | None = None
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class Sequence_:
    """A list."""

    items: tuple[Node, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Mapping_:
    """Keys and values, in order; keys are text and occur once."""

    items: tuple[tuple[Scalar, Node], ...]
    span: Span

    def get(self, key: str) -> Node | None:
        """The value of a key."""
        return next((value for name, value in self.items if name.value == key), None)

    def keys(self) -> Iterator[str]:
        """The keys."""
        return (name.value for name, _ in self.items)


Node = Scalar | Sequence_ | Mapping_
DEEPEST_NODE = 50
LONGEST_TEXT = 1_000_000


def read_yaml(source: Source) -> Node:
    """The one document of a YAML text. Raises `FusemaxError` for other texts, and for empty, very long and very deep ones."""
    import yaml

    if len(source.text) > LONGEST_TEXT:
        message = f"a YAML file of {len(source.text):,} characters; the longest that is read has {LONGEST_TEXT:,}"
        raise FusemaxError([Problem(message, Span(source, 0, 1), "cut it into several files")])
    try:
        root = yaml.compose(source.text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        at = min(mark.index if mark else getattr(error, "position", 0), len(source.text))
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "it does not parse"
        hint = "check the indentation, and put texts with `:` or `#` in quotes"
        raise FusemaxError([Problem(f"not YAML: {problem}", Span(source, at, at + 1), hint)]) from None
    except RecursionError:
        raise FusemaxError(f"'{source.name}' is nested too deeply", "write it flat") from None
    if root is None:
        raise FusemaxError([Problem("an empty YAML file", Span(source, 0, 0), "write something into it")])
    return _node(root, source, 0, {})


def _node(node: yaml.Node, source: Source, depth: int, known: dict[int, Node]) -> Node:
    """The node as plain data; one that several aliases name is converted once."""
    if id(node) not in known:
        known[id(node)] = _converted(node, source, depth, known)
    return known[id(node)]


def _converted(node: yaml.Node, source: Source, depth: int, known: dict[int, Node]) -> Node:
    import yaml

    span = Span(source, node.start_mark.index, max(node.end_mark.index, node.start_mark.index))
    if depth > DEEPEST_NODE:
        raise FusemaxError([Problem(f"nested more than {DEEPEST_NODE} deep", span, "write it flat")])
    match node:
        case yaml.ScalarNode():
            return _scalar(node, source, span)
        case yaml.SequenceNode():
            return Sequence_(tuple(_node(item, source, depth + 1, known) for item in node.value), span)
        case yaml.MappingNode():
            return Mapping_(tuple(_pairs(node, source, depth, known)), span)
    raise AssertionError(type(node))


def _scalar(node: yaml.ScalarNode, source: Source, span: Span) -> Scalar:
    """A scalar; it is verbatim if the file has its text between the marks, but for blanks and line ends."""
    start, end = span.start, min(span.end, len(source.text))
    if node.style in ("'", '"'):
        start, end = start + 1, end - 1
    elif node.style in ("|", ">"):
        start = source.text.find("\n", start) + 1 or end
    raw = source.text[start:end]
    exact = bool(raw.strip()) and "".join(raw.split()) == "".join(node.value.split())
    start += len(raw) - len(raw.lstrip())
    verbatim = Span(source, start, start + len(raw.strip())) if exact else None
    return Scalar(node.value, span, verbatim, node.style is not None)


def _pairs(node: yaml.MappingNode, source: Source, depth: int, known: dict[int, Node]) -> Iterator[tuple[Scalar, Node]]:
    seen: set[str] = set()
    for key, value in node.value:
        name = _node(key, source, depth + 1, known)
        if not isinstance(name, Scalar):
            raise FusemaxError([Problem("a key that is not text", name.span, "write `key: value`")])
        if name.value in seen:
            raise FusemaxError([Problem(f"key '{name.value}' stands twice", name.span, "keep one")])
        seen.add(name.value)
        yield name, _node(value, source, depth + 1, known)
