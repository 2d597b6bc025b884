"""YAML with positions: PyYAML's nodes as plain data, so that every error can point at its line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fusemax.errors import FusemaxError, Problem, Source, Span


@dataclass(frozen=True, slots=True)
class Scalar:
    """A value as text; `verbatim` is where exactly this text stands in the file, if it does."""

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
DEEPEST = 50


def read_yaml(source: Source) -> Node:
    """The first document of a YAML text. Raises `FusemaxError` if it is none, or is empty."""
    import yaml

    try:
        root = yaml.compose(source.text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        at = min(mark.index if mark else getattr(error, "position", 0), len(source.text))
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "it does not parse"
        raise FusemaxError(
            [Problem(f"not YAML: {problem}", Span(source, at, at + 1), "check the indentation")]
        ) from None
    except RecursionError:
        raise FusemaxError(f"'{source.name}' is nested too deeply", "write it flat") from None
    if root is None:
        raise FusemaxError([Problem("an empty YAML file", Span(source, 0, 0), "write something into it")])
    return _node(root, source, 0)


def _node(node: object, source: Source, depth: int) -> Node:
    import yaml

    assert isinstance(node, yaml.Node)
    span = Span(source, node.start_mark.index, max(node.end_mark.index, node.start_mark.index))
    if depth > DEEPEST:
        raise FusemaxError([Problem(f"nested more than {DEEPEST} deep", span, "write it flat")])
    match node:
        case yaml.ScalarNode():
            return _scalar(node, source, span)
        case yaml.SequenceNode():
            return Sequence_(tuple(_node(item, source, depth + 1) for item in node.value), span)
        case yaml.MappingNode():
            return Mapping_(tuple(_pairs(node, source, depth)), span)
    raise AssertionError(type(node))


def _scalar(node: object, source: Source, span: Span) -> Scalar:
    import yaml

    assert isinstance(node, yaml.ScalarNode)
    start = span.start + (1 if node.style in ("'", '"') else 0)
    exact = source.text.startswith(node.value, start) and node.style not in ("|", ">")
    verbatim = Span(source, start, start + len(node.value)) if exact and node.value.strip() else None
    return Scalar(node.value, span, verbatim, node.style is not None)


def _pairs(node: object, source: Source, depth: int) -> Iterator[tuple[Scalar, Node]]:
    import yaml

    assert isinstance(node, yaml.MappingNode)
    seen: set[str] = set()
    for key, value in node.value:
        name = _node(key, source, depth + 1)
        if not isinstance(name, Scalar):
            raise FusemaxError([Problem("a key that is not text", name.span, "write `key: value`")])
        if name.value in seen:
            raise FusemaxError([Problem(f"key '{name.value}' stands twice", name.span, "keep one")])
        seen.add(name.value)
        yield name, _node(value, source, depth + 1)
