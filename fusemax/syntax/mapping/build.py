"""Lark's tree of one line of a mapping file, turned into IR."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from math import isinf

from lark import Token, Tree

from fusemax.errors import FusemaxError, Problem, Source, Span
from fusemax.ir.cascade import NO_COMMENTS, Comments
from fusemax.ir.expr import Apply, Expr, Name, Number, is_variable
from fusemax.ir.mapping import (
    Block,
    BlockKind,
    Case,
    Choose,
    Fit,
    For,
    Hold,
    Length,
    Node,
    Open,
    Overlap,
    Parameter,
    Part,
    PlacedEinsum,
    Quantity,
    Split,
    Uncounted,
    UnitBlock,
    Wait,
)
from fusemax.moved import current
from fusemax.syntax.source import shown
from fusemax.units import bytes_of

Parsed = Tree[Token] | Token
DEEPEST = 50
LONGEST_NUMBER = 18
NODES = ("loop", "block", "case", "hold", "wait", "on")


class Heading(Enum):
    """The lines that name things."""

    MAPPING = "mapping"
    CASCADE = "cascade"
    ARCH = "arch"


@dataclass(frozen=True, slots=True)
class Title:
    """`mapping flat(rows = P)`, `cascade NAME` or `arch NAME`."""

    heading: Heading
    name: str
    parameters: tuple[Parameter, ...]
    span: Span
    comments: Comments


@dataclass(frozen=True, slots=True)
class Branch:
    """`output:` and its body."""

    value: str
    body: tuple[Node, ...]
    span: Span
    comments: Comments


Turn = tuple[PlacedEinsum, ...]
"""One Einsum, or several that alternate."""
Declaration = Title | Choose | Uncounted | Split
Statement = Declaration | Node


@dataclass(frozen=True, slots=True)
class Body:
    """The body below a line: statements, or the branches of a `case`, or the Einsums of an `on`."""

    nodes: tuple[Node, ...] = ()
    branches: tuple[Branch, ...] = ()
    turns: tuple[Turn, ...] = ()


def chain(tree: Tree[Token]) -> list[Tree[Token]]:
    """The statements of a line, each in the body of the one before: `for m1: for p1:` has two."""
    found = [tree]
    while isinstance(last := found[-1].children[-1], Tree) and last.data in NODES:
        found.append(last)
    return found


def opens(tree: Tree[Token]) -> bool:
    """Whether a statement that is the last of its line has its body below."""
    last = tree.children[-1]
    ends = isinstance(last, Tree) and last.data == "einsums"
    return tree.data in ("loop", "block", "branch", "case", "on") and not ends


class Builder:
    """Builds the IR of one line whose text starts at `offset` of `source`; `below` is the body below the line."""

    def __init__(self, source: Source, offset: int, comments: Comments, below: Body) -> None:
        self.source, self.offset, self.comments, self.below = source, offset, comments, below

    def span(self, first: Parsed, last: Parsed | None = None) -> Span:
        """The place of a tree or token in the source, or of all from one to another."""
        return Span(self.source, self.offset + _start(first), self.offset + _end(first if last is None else last))

    def refuse(self, message: str, node: Parsed, hint: str) -> FusemaxError:
        """A problem at a node, to be raised."""
        return FusemaxError([Problem(message, self.span(node), hint)])

    # -------------------------------------------------------------------------------------------------- declarations

    def statement(self, tree: Tree[Token]) -> Statement:
        """The statement that the line says."""
        match tree.data:
            case "mapping" | "cascade" | "arch":
                return self._title(tree)
            case "choose":
                _, _, file, _, *keys = map(str, tree.children)
                return Choose(file, tuple(keys), self.span(tree), self.comments)
            case "published":
                current(str(tree.children[0]), self.span(tree.children[0]))
                return Uncounted(self._distinct(tree.children[2:]), self.span(tree), self.comments)
            case "split":
                _, variable, *rest = tree.children
                uneven = isinstance(rest[0], Token)
                parts = rest[1:] if uneven else rest
                self._distinct(part.children[0] for part in _trees(parts))
                built = tuple(map(self._part, parts))
                return Split(self._variable(variable), built, uneven, self.span(tree), self.comments)
        return self._node(tree, self.comments)

    def _title(self, tree: Tree[Token]) -> Title:
        keyword, name, *parameters = tree.children
        self._distinct(parameter.children[0] for parameter in _trees(parameters))
        built = tuple(map(self._parameter, parameters))
        return Title(Heading(str(keyword)), str(name), built, self.span(tree), self.comments)

    def _parameter(self, node: Parsed) -> Parameter:
        name, value = _tree(node).children
        words = isinstance(value, Tree) and value.data == "words"
        default = tuple(map(str, _tree(value).children)) if words else self._expr(value)
        return Parameter(str(name), default, self.span(node))

    def _part(self, node: Parsed) -> Part:
        name, *extent = _tree(node).children
        return Part(self._variable(name), self._extent(extent[0]) if extent else None, self.span(node))

    def _extent(self, node: Parsed) -> Length | Fit | Open:
        if _tree(node).data == "open":
            return Open()
        if _tree(node).data != "fit":
            return Length(self._expr(node))
        _, capacity = _tree(node).children
        assert isinstance(capacity, Token)
        return Fit(self._quantity(capacity) if capacity.type == "SIZE" else str(capacity))

    def _quantity(self, token: Token) -> Quantity:
        try:
            return Quantity(" ".join(token.split()), bytes_of(str(token)))
        except FusemaxError as error:
            (problem,) = error.problems
            raise FusemaxError([replace(problem, span=self.span(token))]) from None

    # ---------------------------------------------------------------------------------------------- loops and blocks

    def _node(self, tree: Tree[Token], comments: Comments = NO_COMMENTS) -> Node:
        keyword, *rest = tree.children
        match tree.data:
            case "loop":
                overlap, variables = Overlap(str(keyword)), self._variables(rest[0])
                return For(overlap, variables, self._body(tree), self.span(keyword, rest[0]), comments)
            case "block":
                return Block(BlockKind(str(keyword)), self._body(tree), self.span(keyword), comments)
            case "case":
                return self._case(tree, comments)
            case "hold":
                return self._hold(tree, comments)
            case "wait":
                return Wait(str(rest[0]), self.span(tree), comments)
            case "on":
                return self._on(tree, comments)
        raise AssertionError(tree.data)

    def _body(self, tree: Tree[Token]) -> tuple[Node, ...]:
        """The statement behind the colon, or the statements below."""
        last = tree.children[-1]
        return (self._node(last),) if isinstance(last, Tree) and last.data in NODES else self.below.nodes

    def branch(self, tree: Tree[Token]) -> Branch:
        """One value of a `case`, and its body."""
        value = tree.children[0]
        return Branch(str(value), self._body(tree), self.span(value), self.comments)

    def _case(self, tree: Tree[Token], comments: Comments) -> Case:
        keyword, parameter = tree.children
        branches = self.below.branches
        seen: set[str] = set()
        for branch in branches:
            if branch.value in seen:
                raise FusemaxError([Problem(f"a second branch '{branch.value}'", branch.span, "keep one")])
            seen.add(branch.value)
        bodies = tuple((branch.value, branch.body) for branch in branches)
        remarks = tuple(branch.comments for branch in branches)
        return Case(str(parameter), bodies, self.span(keyword, parameter), comments, remarks)

    def _hold(self, tree: Tree[Token], comments: Comments) -> Hold:
        _, tensors, _, level, *options = tree.children
        found = {option.data: option.children[1] for option in _trees(options)}
        unless = str(found["unless"]) if "unless" in found else None
        spill = self._expr(found["spill"]) if "spill" in found else None
        return Hold(self._distinct(_tree(tensors).children), str(level), unless, spill, self.span(tree), comments)

    # ------------------------------------------------------------------------------------------------------- Einsums

    def _on(self, tree: Tree[Token], comments: Comments) -> UnitBlock:
        keyword, unit, *rest = tree.children
        parts = {part.data: part for part in _trees(rest)}
        axes = [_tree(axis).children for axis in parts["axes"].children] if "axes" in parts else []
        self._distinct(name for name, _ in axes)
        spread = tuple((str(name), self._variable(variable)) for name, variable in axes)
        turns = self._turns(parts["einsums"]) if "einsums" in parts else self.below.turns
        alternating: list[tuple[int, ...]] = []
        einsums: list[PlacedEinsum] = []
        for turn in turns:
            if len(turn) > 1:
                alternating.append(tuple(range(len(einsums), len(einsums) + len(turn))))
            einsums += turn
        span = self.span(keyword, parts.get("axes", unit))
        return UnitBlock(str(unit), spread, tuple(einsums), tuple(alternating), span, comments)

    def turns(self, tree: Tree[Token]) -> tuple[Turn, ...]:
        """The Einsums of a line below `on`: the comments above it go with the first, the one behind with the last."""
        turns = self._turns(tree)
        last = len(turns) - 1
        return tuple(
            (replace(turn[0], comments=self._share(i == 0, i == last)), *turn[1:]) for i, turn in enumerate(turns)
        )

    def _share(self, first: bool, last: bool) -> Comments:
        return Comments(self.comments.above if first else (), self.comments.behind if last else None)

    def _turns(self, tree: Tree[Token]) -> tuple[Turn, ...]:
        return tuple(tuple(map(self._placed, _tree(turn).children)) for turn in tree.children)

    def _placed(self, node: Parsed) -> PlacedEinsum:
        name, *options = _tree(node).children
        over = [self._variables(option.children[1]) for option in _trees(options)]
        chained = any(isinstance(option, Token) for option in options)
        return PlacedEinsum(str(name), over[0] if over else (), chained, self.span(node))

    # ---------------------------------------------------------------------------------------- names and expressions

    def _variables(self, node: Parsed) -> tuple[str, ...]:
        self._distinct(_tree(node).children)
        return tuple(map(self._variable, _tree(node).children))

    def _variable(self, node: Parsed) -> str:
        name = str(node)
        if not is_variable(name) or "'" in name:
            better = name.lower().replace("'", "1")
            raise self.refuse(f"{shown(name)} is not a variable; variables are lower-case", node, f"write {better}")
        return name

    def _distinct(self, nodes: Iterable[Parsed]) -> tuple[str, ...]:
        """The names; refuses a name that stands twice."""
        seen: dict[str, None] = {}
        for node in nodes:
            if str(node) in seen:
                raise self.refuse(f"{shown(str(node))} is named twice", node, "keep one")
            seen[str(node)] = None
        return tuple(seen)

    def _expr(self, node: Parsed, depth: int = 0) -> Expr:
        tree = _tree(node)
        if depth > DEEPEST:
            raise self.refuse(f"more than {DEEPEST} operators and brackets around this", tree, "write it more simply")
        match tree.data:
            case "number":
                return self._number(tree)
            case "name":
                return Name(str(tree.children[0]), self.span(tree))
        args = tuple(self._expr(child, depth + 1) for child in _trees(tree.children))
        if tree.data == "group":
            return replace(args[0], span=self.span(tree))
        return Apply(str(tree.data), args, self.span(tree))

    def _number(self, tree: Tree[Token]) -> Number:
        text = str(tree.children[0])
        if (text.isdigit() and len(text) > LONGEST_NUMBER) or isinf(float(text)):
            raise self.refuse("a number that is too large", tree, "no length or share needs it")
        return Number(int(text) if text.isdigit() else float(text), self.span(tree))


def _start(node: Parsed) -> int:
    start = node.start_pos if isinstance(node, Token) else node.meta.start_pos
    assert start is not None
    return start


def _end(node: Parsed) -> int:
    end = node.end_pos if isinstance(node, Token) else node.meta.end_pos
    assert end is not None
    return end


def _tree(node: Parsed) -> Tree[Token]:
    assert isinstance(node, Tree)
    return node


def _trees(nodes: Sequence[Parsed]) -> list[Tree[Token]]:
    return [node for node in nodes if isinstance(node, Tree)]
