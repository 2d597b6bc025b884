"""A found mapping in its shortest form: without loops of one iteration and words without an effect."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from fusemax.bind.bind import BoundMapping
from fusemax.ir.expr import rank_of
from fusemax.ir.mapping import Block, For, Hold, Node, Overlap, PlacedEinsum, Split, UnitBlock
from fusemax.ir.mapping import Mapping as MappingFile
from fusemax.ir.walk import Body, all_bodies, transform


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
    return replace(mapping, splits=kept, body=_without(mapping.body, single - renamed.keys(), renamed))


def _needed(outermost: Body, single: set[str], apart: bool) -> Iterator[str]:
    """Loops of one iteration that must stay: units overlap below them, or they keep bodies apart."""
    for body in all_bodies(outermost):
        several = apart and sum(not isinstance(node, Hold) for node in body) > 1
        for node in body:
            if isinstance(node, For) and set(node.variables) <= single and (several or node.overlap is not Overlap.FOR):
                yield node.variables[0]


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


def _without(body: Body, single: set[str], renamed: Mapping[str, str]) -> Body:
    """A body without loops of one iteration; `renamed` are parts that are all that is left of their variable."""

    def change(node: Node) -> Iterator[Node]:
        match node:
            case For():
                left = tuple(renamed.get(v, v) for v in node.variables if v not in single)
                inner = _joined(node.body)
                yield from (replace(node, variables=left, body=inner),) if left else inner
            case Block():
                yield replace(node, body=_joined(node.body))
            case UnitBlock():
                axes = tuple((axis, renamed.get(v, v)) for axis, v in node.axes)
                yield replace(node, axes=axes, einsums=tuple(_inside(each, single, renamed) for each in node.einsums))
            case _:
                yield node

    return _joined(transform(body, change))


def _joined(body: Body) -> Body:
    """A body with one line for holds that stand below each other."""
    found: list[Node] = []
    for node in body:
        last = found[-1] if found else None
        if isinstance(node, Hold) and isinstance(last, Hold) and _plain(node) == _plain(last) is not None:
            found[-1] = replace(last, tensors=(*last.tensors, *node.tensors))
        else:
            found.append(node)
    return tuple(found)


def _plain(hold: Hold) -> str | None:
    """The level of a line that says nothing but tensors and a level."""
    return hold.level if hold.spill is None and hold.unless is None else None


def _inside(placed: PlacedEinsum, single: set[str], renamed: Mapping[str, str]) -> PlacedEinsum:
    return replace(placed, over=tuple(renamed.get(v, v) for v in placed.over if v not in single))
