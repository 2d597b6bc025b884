"""Lark's tree of one statement, turned into IR. What only a person could have meant otherwise is refused here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from lark import Token, Tree

from fusemax.errors import FusemaxError, Problem, Source, Span
from fusemax.ir.cascade import (
    Comments,
    Declare,
    Einsum,
    Header,
    Op,
    Param,
    Role,
    Section,
    SectionKind,
    ShapeDefault,
    Shapes,
    Statement,
    Stop,
    TensorDeclaration,
)
from fusemax.ir.expr import (
    Access,
    Apply,
    Expr,
    Name,
    Number,
    Place,
    is_shape,
    is_variable,
    names,
)
from fusemax.ir.operators import INFIX
from fusemax.syntax.actions import Action, apply_actions

Node = Tree[Token] | Token
DEEPEST = 100
LONGEST_NUMBER = 30
_SPELLINGS = {"≤": "<=", "≥": ">=", "≠": "!=", "−": "-", "×": "*", "∗": "*", "·": "*", "⋅": "*", ".": "*", "÷": "/"}


def plain(symbol: str) -> str:
    """The ASCII spelling of an operator."""
    return _SPELLINGS.get(symbol, symbol)


class Builder:
    """Builds the IR of one statement whose text starts at `offset` of `source`."""

    def __init__(self, source: Source, offset: int, comments: Comments) -> None:
        self.source, self.offset, self.comments = source, offset, comments

    def span(self, node: Node) -> Span:
        """The place of a tree or token in the source."""
        if isinstance(node, Token):
            start, end = node.start_pos or 0, node.end_pos or 0
        elif node.meta.empty:
            start = end = 0
        else:
            start, end = node.meta.start_pos, node.meta.end_pos
        return Span(self.source, self.offset + start, self.offset + end)

    def refuse(self, message: str, node: Node, hint: str | None = None) -> FusemaxError:
        """A problem at a node, to be raised."""
        return FusemaxError([Problem(message, self.span(node), hint)])

    # ------------------------------------------------------------------------------------------------ statements

    def statement(self, tree: Tree[Token]) -> Statement:
        """The statement that the tree says."""
        build: Callable[[Tree[Token]], Statement] = getattr(self, f"_{tree.data}")
        return build(tree)

    def _header(self, tree: Tree[Token]) -> Header:
        return Header(str(tree.children[1]), self.span(tree), self.comments)

    def _shapes(self, tree: Tree[Token]) -> Shapes:
        defaults = tuple(
            ShapeDefault(self._rank(rank), self._expr(value), self.span(default))
            for default, (rank, value) in ((d, d.children[::2]) for d in _trees(tree))
        )
        return Shapes(defaults, self.span(tree), self.comments)

    def _param(self, tree: Tree[Token]) -> Param:
        _, name, _, value = tree.children
        return Param(str(name), self._expr(value), self.span(tree), self.comments)

    def _op(self, tree: Tree[Token]) -> Op:
        _, name, *args, _, body = tree.children
        if len(set(args)) < len(args):
            raise self.refuse(f"operator '{name}' names an argument twice", tree.children[2])
        return Op(str(name), tuple(map(str, args)), self._expr(body), self.span(tree), self.comments)

    def _declare(self, tree: Tree[Token]) -> Declare:
        tensors = tuple(self._tensor(tensor) for tensor in _trees(tree))
        return Declare(Role(str(tree.children[0])), tensors, self.span(tree), self.comments)

    def _tensor(self, tree: Tree[Token]) -> TensorDeclaration:
        name, *rest = tree.children
        ranks: tuple[str, ...] = ()
        empty: Expr | None = None
        for child in rest:
            if isinstance(child, Tree) and child.data == "ranks":
                ranks = tuple(self._rank(rank) for rank in child.children)
            elif isinstance(child, Tree):
                empty = self._expr(child)
        return TensorDeclaration(str(name), ranks, empty, self.span(tree))

    def _section(self, tree: Tree[Token]) -> Section:
        heading, *variable = tree.children
        kinds = {"INIT": SectionKind.INIT, "LOOP": SectionKind.LOOP, "FINAL": SectionKind.FINAL}
        assert isinstance(heading, Token)
        named = self._variable(variable[0]) if variable else None
        return Section(kinds[heading.type], named, self.span(tree), self.comments)

    def _stop(self, tree: Tree[Token]) -> Stop:
        _, name, comparison, count = tree.children
        if plain(str(comparison)) != ">=":
            raise self.refuse(f"`stop` with '{comparison}'", comparison, f"write `stop: {name} >= N`")
        return Stop(self._variable(name), self._expr(count), self.span(tree), self.comments)

    def _einsum(self, tree: Tree[Token]) -> Einsum:
        target, assign, expr, *groups = tree.children
        assert isinstance(target, Tree)
        written = self._target(target)
        actions = tuple(self._action(action) for group in groups for action in _trees(group))
        short = str(assign).removesuffix("=").strip()
        if short and actions:
            raise self.refuse(f"'{short}=' and an action", assign, "say the reduction once")
        if short:
            actions = (Action(True, None, plain(short), None, self.span(assign)),)
        mapping = next((action for action in actions if not action.reduces), None)
        value = self._expr(expr, placeholder=mapping.operator if mapping else "*")
        einsum = Einsum(written, value, (), self.span(tree), self.comments)
        return _initial_values(apply_actions(einsum, actions))

    def _target(self, tree: Tree[Token]) -> Access:
        access = self._access(tree, "*")
        if isinstance(access, Name):
            return Access(access.name, (), access.span)
        if not isinstance(access, Access):
            raise self.refuse("'inf' is a number and cannot be written", tree)
        return access

    def _action(self, tree: Tree[Token]) -> Action:
        word, *rest = tree.children
        combine = rest[-1]
        assert isinstance(word, Token) and isinstance(combine, Tree)
        scope = None
        if len(rest) == 2 and isinstance(rest[0], Tree):
            scope = tuple(str(name).removeprefix("_").strip() for name in rest[0].children)
        operator, *merge = map(str, combine.children)
        return Action(tree.data == "reduce", scope, plain(operator), merge[0] if merge else None, self.span(tree))

    # ----------------------------------------------------------------------------------------------- expressions

    def _expr(self, node: Node, placeholder: str = "*", depth: int = 0) -> Expr:
        assert isinstance(node, Tree)
        if depth > DEEPEST:
            raise self.refuse(f"an expression nested more than {DEEPEST} deep", node, "split it into several Einsums")
        span = self.span(node)
        operands = [child for child in node.children if isinstance(child, Tree)]
        match node.data:
            case "number":
                return self._number(node)
            case "infinity":
                return Number(float("inf"), span)
            case "access":
                return self._access(node, placeholder)
            case "group":
                return _at(self._expr(operands[0], placeholder, depth + 1), span)
            case "compare":
                return self._comparison(node, placeholder, depth)
            case "both":
                raise self.refuse("'and' outside of a filter", node, "multiply two comparisons: (a < b) * (b < c)")
            case "initial":
                raise self.refuse("'=' inside an expression", node, "compare with `==`")
        args = tuple(self._expr(operand, placeholder, depth + 1) for operand in operands)
        match node.data:
            case "exponential":
                return Apply("exp", args, span)
            case "call":
                name = str(node.children[0])
                return Apply(name, args, span)
            case "placeholder":
                name = INFIX.get(placeholder, placeholder)
                return Apply(name, args, span)
            case operator:
                return Apply(str(operator), args, span)

    def _number(self, node: Tree[Token]) -> Number:
        text = str(node.children[0])
        if text.isdigit() and len(text) > LONGEST_NUMBER:
            raise self.refuse(f"a number of {len(text)} digits", node, "write large numbers as 1e40")
        return Number(int(text) if text.isdigit() else float(text), self.span(node))

    def _access(self, node: Tree[Token], placeholder: str) -> Expr:
        name, *subscripts = node.children
        if not subscripts:
            return Number(float("inf"), self.span(node)) if name == "inf" else Name(str(name), self.span(node))
        places = tuple(self._place(place) for place in _trees(_tree(subscripts[0])))
        return Access(str(name), places, self.span(node))

    def _comparison(self, node: Tree[Token], placeholder: str, depth: int) -> Expr:
        if len(node.children) > 3:
            raise self.refuse("a chained comparison outside of a filter", node, "multiply two: (a < b) * (b < c)")
        return self._comparisons(node, placeholder, depth)[0]

    def _comparisons(self, node: Tree[Token], placeholder: str = "*", depth: int = 0) -> tuple[Apply, ...]:
        """The single comparisons of a chain `a < b <= c`."""
        sides = [self._expr(child, placeholder, depth + 1) for child in node.children[::2]]
        symbols = [plain(str(child)) for child in node.children[1::2]]
        return tuple(
            Apply(INFIX[symbol], (left, right), self.span(node))
            for symbol, left, right in zip(symbols, sides, sides[1:], strict=False)
        )

    # ------------------------------------------------------------------------------------------------ subscripts

    def _place(self, tree: Tree[Token]) -> Place:
        parts = [_tree(child) for child in tree.children]
        rank = None
        head = self._expr(parts[0])
        if len(parts) > 1 and isinstance(head, Name) and is_shape(head.name) and not is_variable(head.name):
            rank, parts = head.name, parts[1:]
            head = self._filter_as_index(parts[0])
        filters = tuple(comparison for part in parts[1:] for comparison in self._filter(part))
        return Place(head, rank, filters, self.span(tree))

    def _filter_as_index(self, tree: Tree[Token]) -> Expr:
        if tree.data in ("both", "compare", "initial"):
            raise self.refuse("a filter where an index should be", tree, "write `M: m: m <= p`, or `m: m <= p`")
        return self._expr(tree)

    def _filter(self, tree: Tree[Token], depth: int = 0) -> tuple[Apply, ...]:
        if depth > DEEPEST:
            raise self.refuse(f"a filter nested more than {DEEPEST} deep", tree)
        match tree.data:
            case "both":
                left, right = map(_tree, tree.children)
                return self._filter(left, depth + 1) + self._filter(right, depth + 1)
            case "compare":
                return self._comparisons(tree)
            case "group":
                return self._filter(_tree(tree.children[0]), depth + 1)
            case "initial":
                left, _, right = tree.children
                return (Apply("eq", (self._expr(left), self._expr(right)), self.span(tree)),)
        raise self.refuse(
            "a filter that compares nothing", tree, "write a filter like `m: m <= p`, an index of a rank like `M: p`"
        )

    def _rank(self, node: Node) -> str:
        name = str(node)
        if not is_shape(name) or "'" in name:
            raise self.refuse(f"'{name}' is not a rank; ranks are upper-case", node, f"write {name.upper()}")
        return name

    def _variable(self, node: Node) -> str:
        name = str(node)
        if not is_variable(name):
            raise self.refuse(f"'{name}' is not a rank variable; they are lower-case", node, f"write {name.lower()}")
        return name


def _at(expr: Expr, span: Span) -> Expr:
    return replace(expr, span=span)


def _tree(node: Node) -> Tree[Token]:
    assert isinstance(node, Tree)
    return node


def _trees(node: Tree[Token]) -> Iterator[Tree[Token]]:
    return (child for child in node.children if isinstance(child, Tree))


def _initial_values(einsum: Einsum) -> Einsum:
    """`RM[m1: m1 = 0]` is `RM[0]`, if the Einsum says nothing else of `m1`."""
    used = [name for place in einsum.target.places for name in _place_names(place)]
    used += [name for expr in (einsum.expr,) for name in _all_names(expr)]
    places = []
    for place in einsum.target.places:
        match place:
            case Place(Name(variable), None, (Apply("eq", (Name(left), right)),)) if (
                left == variable and used.count(variable) == 2 and not any(is_variable(n.name) for n in names(right))
            ):
                places.append(Place(right, None, (), place.span))
            case _:
                places.append(place)
    return replace(einsum, target=replace(einsum.target, places=tuple(places)))


def _place_names(place: Place) -> Iterator[str]:
    for expr in (place.index, *place.filters):
        yield from (name.name for name in names(expr))


def _all_names(expr: Expr) -> Iterator[str]:
    """Names of an expression, those in subscripts included."""
    from fusemax.ir.expr import walk

    for node in walk(expr):
        if isinstance(node, Name):
            yield node.name
        elif isinstance(node, Access):
            for place in node.places:
                yield from _place_names(place)
