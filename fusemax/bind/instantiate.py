"""A family with all of its parameters chosen: a mapping without parameters, as a person would write it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from fusemax.bind.bind import BoundMapping
from fusemax.ir.cascade import NO_COMMENTS
from fusemax.ir.expr import Apply, Expr, Name, Number, rank_of
from fusemax.ir.mapping import Block, Case, For, Hold, Length, Node, Overlap, Part, PlacedEinsum, Split, UnitBlock
from fusemax.ir.mapping import Mapping as MappingFile


def concrete(mapping: MappingFile, parameters: Mapping[str, Any]) -> MappingFile:
    """The mapping with values in the places of parameters, branches in the places of cases; defaults for the others.

    >>> from fusemax import load_mapping
    >>> print(str(concrete(load_mapping("flat"), {"rows": 256, "qk": ("weight",)})).splitlines()[5])
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
        case For() | Block():
            return replace(node, comments=NO_COMMENTS, body=tuple(map(_bare, node.body)))
        case UnitBlock():
            placed = tuple(replace(each, comments=NO_COMMENTS) for each in node.einsums)
            return replace(node, comments=NO_COMMENTS, einsums=placed)
    return replace(node, comments=NO_COMMENTS)


def tidy(mapping: MappingFile, bound: BoundMapping, apart: bool) -> MappingFile:
    """The mapping without loops of one iteration, and without `uneven` where all tiles are equally long.

    Loops that are spread over an axis stay, and so does a loop that `pipeline` or `stages` begins with; if bodies are to
    stay `apart`, also one of several, for what is held in it is held there only.
    """
    spread = {variable for placement in bound.plan.placements for _, variable in placement.axes}
    made = {part.variable for split in mapping.splits for part in split.parts if not _own(split, bound)}
    single = {v for v in made - spread if np.ndim(bound.nest.extents[v]) == 0 and bound.nest.extents[v] == 1}
    single -= set(_needed(mapping.body, single, apart))
    splits = tuple(_tidy_split(split, single, bound) for split in mapping.splits)
    renamed = {split.parts[0].variable: split.variable for split in splits if len(split.parts) == 1}
    kept = tuple(split for split in splits if len(split.parts) > 1)
    return replace(mapping, splits=kept, body=tuple(_without(mapping.body, single - renamed.keys(), renamed)))


def _needed(nodes: Iterable[Node], single: set[str], apart: bool) -> Iterator[str]:
    """Loops of one iteration that must stay: units overlap below them, or they keep bodies apart."""
    nodes = tuple(nodes)
    several = apart and sum(not isinstance(node, Hold) for node in nodes) > 1
    for node in nodes:
        if isinstance(node, For) and set(node.variables) <= single and (several or node.overlap is not Overlap.FOR):
            yield node.variables[0]
        if isinstance(node, For | Block):
            yield from _needed(node.body, single, apart)


def _own(split: Split, bound: BoundMapping) -> bool:
    """Whether a split is the cascade's own, whose parts are variables of the cascade."""
    rank = bound.checked.ranks.get(rank_of(split.variable))
    return rank is not None and bool(rank.splits)


def _tidy_split(split: Split, single: set[str], bound: BoundMapping) -> Split:
    """A split without parts of one iteration; at least one part stays, and the first takes what is left."""
    if _own(split, bound):
        return split
    parts = tuple(part for part in split.parts if part.variable not in single) or split.parts[-1:]
    longest = bound.nest.longest
    uneven = split.uneven and any(bound.nest.extents[p.variable] != longest[p.variable] for p in split.parts)
    if not any(part.extent is None for part in parts):
        parts = (replace(parts[0], extent=None), *parts[1:])
    return replace(split, parts=parts, uneven=uneven)


def _without(nodes: Iterable[Node], single: set[str], renamed: Mapping[str, str]) -> list[Node]:
    """A body without loops of one iteration, and with one line for holds that stand below each other."""
    found: list[Node] = []
    for node in _looping(nodes, single, renamed):
        last = found[-1] if found else None
        if isinstance(node, Hold) and isinstance(last, Hold) and _plain(node) == _plain(last) is not None:
            found[-1] = replace(last, tensors=(*last.tensors, *node.tensors))
        else:
            found.append(node)
    return found


def _plain(hold: Hold) -> str | None:
    """The level of a line that says nothing but tensors and a level."""
    return hold.level if hold.spill is None and hold.unless is None else None


def _looping(nodes: Iterable[Node], single: set[str], renamed: Mapping[str, str]) -> Iterator[Node]:
    """A body without loops of one iteration; `renamed` are parts that are all that is left of their variable."""
    for node in nodes:
        match node:
            case For():
                body = tuple(_without(node.body, single, renamed))
                left = tuple(renamed.get(v, v) for v in node.variables if v not in single)
                if left:
                    yield replace(node, variables=left, body=body)
                else:
                    yield from body
            case Block():
                yield replace(node, body=tuple(_without(node.body, single, renamed)))
            case UnitBlock():
                axes = tuple((axis, renamed.get(v, v)) for axis, v in node.axes)
                yield replace(node, axes=axes, einsums=tuple(_inside(each, single, renamed) for each in node.einsums))
            case _:
                yield node


def _inside(placed: PlacedEinsum, single: set[str], renamed: Mapping[str, str]) -> PlacedEinsum:
    return replace(placed, over=tuple(renamed.get(v, v) for v in placed.over if v not in single))


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
                case For() | Block():
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
