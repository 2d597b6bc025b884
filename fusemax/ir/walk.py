"""The one way to visit and to transform the statements of a cascade and the tree of a mapping.

A body is a sequence of nodes. Loops and blocks have one body, a `case` has one for each branch, and all other nodes
are leaves. Expressions have their own `walk` and `transform` in `fusemax.ir.expr`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from operator import is_
from typing import TypeVar

from fusemax.ir.cascade import Cascade, Statement
from fusemax.ir.mapping import Block, Case, For, Leaf, Node

_T = TypeVar("_T")
Body = tuple[Node, ...]


def bodies(node: Node) -> tuple[Body, ...]:
    """The bodies of a node: one of a loop or a block, one a branch of a `case`, no body of a leaf.

    >>> from fusemax.ir.mapping import Wait
    >>> bodies(Case("qk", (("output", (Wait("QK"),)), ("weight", ()))))
    ((Wait(tensor='QK'),), ())
    """
    match node:
        case For() | Block():
            return (node.body,)
        case Case():
            return tuple(body for _, body in node.branches)
        case leaf:
            return _none(leaf)


def with_bodies(node: Node, new: Sequence[Body]) -> Node:
    """A node with other bodies, as many as it has; the node itself if they are its own."""
    old = bodies(node)
    assert len(old) == len(new), "as many bodies as the node has"
    if all(map(is_, old, new)):
        return node
    match node:
        case For() | Block():
            return replace(node, body=new[0])
        case Case():
            return replace(
                node, branches=tuple((name, body) for (name, _), body in zip(node.branches, new, strict=True))
            )
        case leaf:
            assert not _none(leaf)
            return leaf


def _none(leaf: Leaf) -> tuple[Body, ...]:
    """The bodies of a leaf, to which the types refuse nodes with a body."""
    return ()


def children(node: Node) -> Body:
    """The nodes right below a node, in all branches of a `case`."""
    return tuple(child for body in bodies(node) for child in body)


def walk(body: Iterable[Node]) -> Iterator[Node]:
    """Every node of a body, however deep and in all branches, in the order of their lines.

    >>> from fusemax import load_mapping
    >>> from fusemax.ir.mapping import Hold
    >>> [node.level for node in walk(load_mapping("flat").body) if isinstance(node, Hold)]
    ['buffer', 'dram', 'buffer', 'buffer', 'buffer']
    """
    return (node for node, _ in located(body))


def located(body: Iterable[Node], around: Body = ()) -> Iterator[tuple[Node, Body]]:
    """Every node as `walk` has it, with the nodes around it, outermost first."""
    for node in body:
        yield node, around
        yield from located(children(node), (*around, node))


def all_bodies(body: Body) -> Iterator[Body]:
    """A body and those of all nodes in it, outer before inner."""
    yield body
    for node in walk(body):
        yield from bodies(node)


def fold(
    body: Iterable[Node], make: Callable[[Node, Body, tuple[tuple[_T, ...], ...]], Iterable[_T]], around: Body = ()
) -> tuple[_T, ...]:
    """Results for all nodes of a body, from the inside out.

    `make` gets a node, the nodes around it, outermost first, and for each body of the node the results of that body.

    >>> from fusemax import load_mapping
    >>> fold(load_mapping("flat").body, lambda node, around, below: (1 + sum(sum(each) for each in below),))
    (23,)
    """
    return tuple(
        result
        for node in body
        for result in make(node, around, tuple(fold(inner, make, (*around, node)) for inner in bodies(node)))
    )


def transform(body: Body, change: Callable[[Node], Iterable[Node]]) -> Body:
    """The body with every node replaced by those that `change` makes of it, from the inside out.

    `change` gets nodes whose bodies are changed already. Where it gives back all nodes, the body is the same object.

    >>> from fusemax.ir.mapping import BlockKind, Wait
    >>> transform((Wait("A"), Block(BlockKind.STAGE, (Wait("B"),))), lambda node: () if node == Wait("B") else (node,))
    (Wait(tensor='A'), Block(kind=<BlockKind.STAGE: 'stage'>, body=()))
    """
    found: list[Node] = []
    for node in body:
        inner = bodies(node)
        found += change(with_bodies(node, [transform(each, change) for each in inner]) if inner else node)
    same = len(found) == len(body) and all(map(is_, found, body))
    return body if same else tuple(found)


def transform_cascade(cascade: Cascade, change: Callable[[Statement], Iterable[Statement]]) -> Cascade:
    """The cascade with every statement replaced by those that `change` makes of it, in order.

    >>> from fusemax import parse
    >>> from fusemax.ir.cascade import Einsum
    >>> print(transform_cascade(parse("Y = A[k]\\nZ = Y"), lambda s: () if isinstance(s, Einsum) and s.name == "Y" else (s,)))
    Z = Y
    <BLANKLINE>
    """
    return replace(cascade, statements=tuple(new for statement in cascade.statements for new in change(statement)))
