"""A family with all of its parameters chosen: a mapping without parameters, as a person would write it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from fusemax.ir.cascade import NO_COMMENTS
from fusemax.ir.expr import Apply, Expr, Name, Number
from fusemax.ir.mapping import Case, For, Group, Hold, Length, Node, On, Part
from fusemax.ir.mapping import Mapping as MappingFile


def concrete(mapping: MappingFile, parameters: Mapping[str, Any]) -> MappingFile:
    """The mapping with values in the places of parameters, branches in the places of cases; defaults for the others.

    >>> from fusemax import load_mapping
    >>> print(str(concrete(load_mapping("flat"), {"rows": 256, "qk": ("weight",)})).splitlines()[4])
    split p: p2, p1 = 256 / array2d.columns, p0 = array2d.columns
    """
    values: dict[str, Any] = {}
    for parameter in mapping.parameters:
        value = parameters.get(parameter.name, parameter.default)
        values[parameter.name] = value if parameter.name in parameters else _settled(value, values)
    made = _Concrete(values)
    splits = tuple(
        replace(split, parts=tuple(made.part(part) for part in split.parts), comments=NO_COMMENTS)
        for split in mapping.splits
    )
    body = tuple(_bare(node) for node in made.nodes(mapping.body))
    return MappingFile(mapping.name, (), mapping.cascade, mapping.arch, None, splits, mapping.uncounted, body)


def _bare(node: Node) -> Node:
    """A node without the comments of the file from which it is."""
    match node:
        case For() | Group():
            return replace(node, comments=NO_COMMENTS, body=tuple(map(_bare, node.body)))
        case On():
            placed = tuple(replace(each, comments=NO_COMMENTS) for each in node.einsums)
            return replace(node, comments=NO_COMMENTS, einsums=placed)
    return replace(node, comments=NO_COMMENTS)


def _settled(default: Any, values: Mapping[str, Any]) -> Any:
    return default if isinstance(default, tuple) else _substituted(default, values)


def _substituted(expr: Expr, values: Mapping[str, Any]) -> Expr:
    """An expression with numbers for parameters."""
    match expr:
        case Name(name) if name in values:
            value = values[name]
            return Number(value) if isinstance(value, int | float) else value
        case Apply():
            return replace(expr, args=tuple(_substituted(arg, values) for arg in expr.args))
    return expr


class _Concrete:
    """Writes values into a tree."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = values

    def words(self, name: str) -> tuple[str, ...] | None:
        """The words of a parameter, if it is one of words."""
        value = self.values.get(name)
        match value:
            case tuple() | list():
                return tuple(value)
            case str():
                return tuple(value.split())
            case Name(word):
                return (word,)
        return None

    def part(self, part: Part) -> Part:
        """A part with numbers in its extent."""
        if not isinstance(part.extent, Length):
            return part
        return replace(part, extent=Length(_substituted(part.extent.expr, self.values)))

    def nodes(self, nodes: Iterable[Node]) -> Iterator[Node]:
        """A body with its branches chosen and its lists written out."""
        for node in nodes:
            match node:
                case Case(parameter, branches):
                    chosen = self.words(parameter)
                    yield from self.nodes(next(body for name, body in branches if (name,) == chosen))
                case For() | Group():
                    yield replace(node, body=tuple(self.nodes(node.body)))
                case Hold():
                    yield from self.hold(node)
                case _:
                    yield node

    def hold(self, node: Hold) -> Iterator[Hold]:
        """A `hold` line with its tensors and the share as a number; none if it holds nothing."""
        without = set(self.words(node.unless) or ()) if node.unless else set()
        listed = [(word, self.words(word)) for word in node.tensors]
        every = dict.fromkeys(name for word, names in listed for name in ((word,) if names is None else names))
        tensors = tuple(name for name in every if name not in without)
        spill = None if node.spill is None else _substituted(node.spill, self.values)
        if spill == Number(0.0) or spill == Number(0):
            spill = Number(0)  # the line keeps its word: a tensor takes another's place in it
        if tensors:
            yield replace(node, tensors=tensors, unless=None, spill=spill)
