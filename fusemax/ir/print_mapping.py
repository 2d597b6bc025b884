"""The canonical text of a mapping. `parse_mapping(print_mapping(m)) == m`, and printing is idempotent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import assert_never

from fusemax.ir.cascade import NO_COMMENTS, Comments
from fusemax.ir.mapping import (
    Block,
    Case,
    Choose,
    Fit,
    For,
    Hold,
    Length,
    Mapping,
    Node,
    Open,
    Parameter,
    Part,
    PlacedEinsum,
    Split,
    Uncounted,
    UnitBlock,
    Wait,
)
from fusemax.ir.print_cascade import INDENT, print_expr

WIDTH = 70
"""A body stands behind its colon if the line, with its indentation, is not longer than this."""
LONGEST = 100
"""A line of Einsums goes on in the next beyond this."""


@dataclass(frozen=True, slots=True)
class _Line:
    """A line at its depth in the tree, with its comments."""

    depth: int
    text: str
    comments: Comments = NO_COMMENTS


def print_mapping(mapping: Mapping) -> str:
    """The canonical text: declarations, splits and loops with a blank line between; ends with a newline.

    >>> from fusemax.ir.mapping import Overlap
    >>> loop = For(Overlap.FOR, ("b", "h"), (UnitBlock("array1d", (("lanes", "m0"),), (PlacedEinsum("GM"),)),))
    >>> print(print_mapping(Mapping("m", (), "c", "a", None, (), None, (loop,))), end="")
    mapping m
    cascade c
    arch    a
    <BLANKLINE>
    for b, h: on array1d (lanes: m0): GM
    """
    lines: list[str] = []
    for block in (_declarations(mapping), map(_split, mapping.splits), _nodes(mapping.body, 0)):
        for i, line in enumerate(block):
            lines += _written(line, separate=bool(lines) and i == 0)
    return "\n".join((*lines[lines[:1] == [""] :], *mapping.comments)) + "\n"


def _written(line: _Line, separate: bool) -> Iterator[str]:
    """The physical lines of a line; `separate` puts a blank line above it."""
    indent, above = INDENT * line.depth, line.comments.above
    if separate and above[:1] != ("",):
        yield ""
    yield from (indent + comment if comment else "" for comment in above)
    yield indent + line.text + (f"  {line.comments.behind}" if line.comments.behind else "")


# ------------------------------------------------------------------------------------------------------- declarations


def _declarations(mapping: Mapping) -> Iterator[_Line]:
    first, second, third = mapping.header_comments
    parameters = f"({', '.join(map(print_parameter, mapping.parameters))})" if mapping.parameters else ""
    yield _Line(0, f"mapping {mapping.name}{parameters}", first)
    yield _Line(0, f"cascade {mapping.cascade}", second)
    yield _Line(0, f"arch    {mapping.arch}", third)
    match mapping.choose:
        case Choose(file, by, _, comments):
            yield _Line(0, f"choose  from {file} by {', '.join(by)}", comments)
    match mapping.uncounted:
        case Uncounted(kinds, _, comments):
            yield _Line(0, f"published uncounted {', '.join(kinds)}", comments)


def print_parameter(parameter: Parameter) -> str:
    """`rows = P` or `kept = QK A`; a list of no words is `()`."""
    default = parameter.default
    text = (" ".join(default) or "()") if isinstance(default, tuple) else print_expr(default)
    return f"{parameter.name} = {text}"


def _split(split: Split) -> _Line:
    return _Line(0, print_split(split), split.comments)


def print_split(split: Split) -> str:
    """`split p: p2, p1 = fit buffer, p0 = array2d.columns`"""
    return f"split {split.variable}{' uneven' if split.uneven else ''}: {', '.join(map(_part, split.parts))}"


def _part(part: Part) -> str:
    match part.extent:
        case None:
            return part.variable
        case Length(expr):
            return f"{part.variable} = {print_expr(expr)}"
        case Open():
            return f"{part.variable} = ?"
        case Fit(capacity):
            return f"{part.variable} = fit {capacity if isinstance(capacity, str) else capacity.text}"
    assert_never(part.extent)


# ---------------------------------------------------------------------------------------------------- loops and blocks


def _nodes(nodes: tuple[Node, ...], depth: int) -> Iterator[_Line]:
    for node in nodes:
        yield from _node(node, depth)


def _node(node: Node, depth: int) -> Iterator[_Line]:
    match node:
        case Hold() | Wait():
            yield _Line(depth, print_head(node), node.comments)
        case For(body=body) | Block(body=body):
            yield from _with_body(f"{print_head(node)}:", body, node.comments, depth)
        case UnitBlock():
            yield from _on(node, f"{print_head(node)}:", depth)
        case Case(branches=branches, branch_comments=remarks):
            yield _Line(depth, f"{print_head(node)}:", node.comments)
            for i, (value, body) in enumerate(branches):
                yield from _with_body(f"{value}:", body, remarks[i] if remarks else NO_COMMENTS, depth + 1)
        case _:
            assert_never(node)


def print_head(node: Node) -> str:
    """The line of a node without its body: `for b, h`, `hold Q in buffer`, `on array1d (lanes: m0)`."""
    match node:
        case For(overlap, variables):
            return f"{overlap.value} {', '.join(variables)}"
        case Block(block):
            return block.value
        case Case(parameter):
            return f"case {parameter}"
        case Hold(tensors, level, unless, spill):
            exception = f" unless {unless}" if unless else ""
            share = f" spill {print_expr(spill)}" if spill is not None else ""
            return f"hold {', '.join(tensors)} in {level}{exception}{share}"
        case Wait(tensor):
            return f"wait {tensor}"
        case UnitBlock(unit, axes):
            spread = ", ".join(f"{axis}: {variable}" for axis, variable in axes)
            return f"on {unit} ({spread})" if axes else f"on {unit}"
    assert_never(node)


def _with_body(head: str, body: tuple[Node, ...], comments: Comments, depth: int) -> Iterator[_Line]:
    """A line and its body; Einsums on one unit, if they are all of it and there is room, behind the colon."""
    match body:
        case (UnitBlock() as only,) if only.comments == NO_COMMENTS:
            lines = tuple(_on(only, f"{head} {print_head(only)}:", depth))
            if len(lines) == 1:
                yield _Line(depth, lines[0].text, comments)
                return
    yield _Line(depth, head, comments)
    yield from _nodes(body, depth + 1)


# ------------------------------------------------------------------------------------------------------------- Einsums


def _on(on: UnitBlock, head: str, depth: int) -> Iterator[_Line]:
    """The Einsums of a unit behind the colon, or in lines below it."""
    turns = _turns(on)
    text = f"{head} {'; '.join(map(_turn, turns))}"
    if len(INDENT * depth + text) <= WIDTH and all(turn[0].comments == NO_COMMENTS for turn in turns):
        yield _Line(depth, text, on.comments)
        return
    yield _Line(depth, head, on.comments)
    yield from (_Line(depth + 1, *row) for row in _rows(turns))


def _rows(turns: tuple[tuple[PlacedEinsum, ...], ...]) -> Iterator[tuple[str, Comments]]:
    """Lines of Einsums: as many as fit, up to the next comment."""
    row: list[str] = []
    above: tuple[str, ...] = ()
    for turn in turns:
        comments, text = turn[0].comments, _turn(turn)
        if row and (comments.above or len("; ".join((*row, text))) > LONGEST):
            yield "; ".join(row), Comments(above)
            row, above = [], ()
        row.append(text)
        above += comments.above
        if comments.behind:
            yield "; ".join(row), Comments(above, comments.behind)
            row, above = [], ()
    if row:
        yield "; ".join(row), Comments(above)


def _turns(on: UnitBlock) -> tuple[tuple[PlacedEinsum, ...], ...]:
    """The Einsums, those that alternate together."""
    groups = {group[0]: group for group in on.alternating}
    alone = set(range(len(on.einsums))) - {i for group in on.alternating for i in group}
    starts = sorted(alone | groups.keys())
    return tuple(tuple(on.einsums[i] for i in groups.get(start, (start,))) for start in starts)


def _turn(turn: tuple[PlacedEinsum, ...]) -> str:
    return " | ".join(map(print_placed, turn))


def print_placed(placed: PlacedEinsum) -> str:
    """`BQK over e`, `SN chained`"""
    over = f" over {', '.join(placed.over)}" if placed.over else ""
    return f"{placed.einsum}{over}{' chained' if placed.chained else ''}"
