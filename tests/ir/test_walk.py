"""Visiting and transforming mappings and cascades: nothing is left out, nothing is copied without a change."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given

from fusemax import load_cascade, load_mapping
from fusemax.ir.cascade import Statement
from fusemax.ir.mapping import Case, For, Hold, Mapping, Node, PlacedEinsum, UnitBlock, Wait
from fusemax.ir.print_mapping import print_head
from fusemax.ir.walk import all_bodies, bodies, children, fold, located, transform, transform_cascade, walk, with_bodies
from fusemax.resources import names
from fusemax.syntax.mapping.parser import parse_mapping
from tests.ir.test_mapping_printer import mappings

pytestmark = pytest.mark.slow

SHIPPED = names("mappings", ".mapping")


def same(node: Node) -> tuple[Node, ...]:
    """The node itself."""
    return (node,)


@given(mappings())
def test_what_does_not_change_is_not_copied(mapping: Mapping) -> None:
    """A transformation that gives back every node gives back the same objects."""
    assert transform(mapping.body, same) is mapping.body
    assert all(with_bodies(node, bodies(node)) is node for node in walk(mapping.body))


@given(mappings())
def test_every_node_once(mapping: Mapping) -> None:
    """A walk, the places of a walk, bodies and a fold all have the same nodes; a fold has the inner ones first."""
    nodes = list(walk(mapping.body))
    assert [node for node, _ in located(mapping.body)] == nodes
    assert sorted(map(id, (node for body in all_bodies(mapping.body) for node in body))) == sorted(map(id, nodes))
    visited: list[Node] = []

    def count(node: Node, around: tuple[Node, ...], below: tuple[tuple[int, ...], ...]) -> tuple[int]:
        visited.append(node)
        return (1 + sum(map(sum, below)),)

    assert sum(fold(mapping.body, count)) == len(nodes) == len(visited)
    assert all(visited.index(child) <= visited.index(node) for node in nodes for child in children(node))


@given(mappings())
def test_places(mapping: Mapping) -> None:
    """Each node stands in a body of the last node around it, and the first node around stands in the outermost body."""
    for node, around in located(mapping.body):
        path = (*around, node)
        assert any(path[0] is outer for outer in mapping.body)
        assert all(any(inner is child for child in children(outer)) for outer, inner in pairwise(path))


@given(mappings())
def test_there_and_back(mapping: Mapping) -> None:
    """Variables of all loops turned around, and turned around again, make an equal tree with the same places."""

    def change(node: Node) -> Iterator[Node]:
        yield replace(node, variables=node.variables[::-1]) if isinstance(node, For) else node

    once = transform(mapping.body, change)
    loops = [node.variables[::-1] for node in walk(mapping.body) if isinstance(node, For)]
    assert [node.variables for node in walk(once) if isinstance(node, For)] == loops
    assert transform(once, change) == mapping.body


@pytest.mark.parametrize("name", SHIPPED)
def test_the_order_of_lines(name: str) -> None:
    """A walk meets the nodes of a shipped mapping in the order of its lines, each inside of those around it."""
    mapping = load_mapping(name)
    spans = [node.span for node in walk(mapping.body)]
    assert all(span is not None for span in spans)
    starts = [span.start for span in spans if span]
    assert starts == sorted(starts)
    heads = [print_head(node).split()[0] for node in walk(mapping.body)]
    lines = [line.split("#")[0].replace(":", ": ") for line in mapping.source.text.splitlines()]
    words = [word for line in lines for word in line.split() if word in {"hold", "wait", "on", "case"}]
    assert [head for head in heads if head in {"hold", "wait", "on", "case"}] == words


TEXT = """
mapping m
cascade c
arch a
for b:
  hold Q in buffer
  case way:
    short:
      wait A
    long:
      wait B
      for m: on array: B
"""


def test_one_node_for_several() -> None:
    """A change may drop nodes and put several in the place of one; nodes above see what became of their bodies."""
    mapping = parse_mapping(TEXT)

    def change(node: Node) -> Iterator[Node]:
        match node:
            case Case(branches=branches):
                yield from branches[1][1]
            case Hold():
                pass
            case For(variables=("m",), body=body):
                yield from body
                yield from body
            case _:
                yield node

    (loop,) = transform(mapping.body, change)
    block = UnitBlock("array", (), (PlacedEinsum("B"),))
    assert isinstance(loop, For)
    assert loop.body == (Wait("B"), block, block)
    assert loop.span == mapping.body[0].span


def test_as_many_bodies_as_there_are() -> None:
    """A node takes as many bodies as it has, no more and no fewer."""
    with pytest.raises(AssertionError, match="as many bodies"):
        with_bodies(Wait("A"), [()])


@pytest.mark.parametrize("name", names("cascades", ".cascade"))
def test_cascades(name: str) -> None:
    """A transformation that gives back every statement makes an equal cascade with the same source and comments."""
    cascade = load_cascade(name)
    seen: list[Statement] = []

    def change(statement: Statement) -> tuple[Statement]:
        seen.append(statement)
        return (statement,)

    again = transform_cascade(cascade, change)
    assert tuple(seen) == cascade.statements
    assert again == cascade
    assert str(again) == str(cascade)
