"""Lark's tree of one statement, turned into IR. Text that parses but reads as something else is refused here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from math import isinf

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
from fusemax.ir.expr import Access, Apply, Expr, Name, Number, Place, all_names, is_shape, is_variable, names
from fusemax.ir.operators import FUNCTIONS, INFIX, OPERATORS
from fusemax.syntax.cascade.actions import Action, apply_actions

Node = Tree[Token] | Token
DEEPEST = 100
LONGEST_NUMBER = 30
_SPELLINGS = {"≤": "<=", "≥": ">=", "≠": "!=", "−": "-", "×": "*", "∗": "*", "·": "*", "⋅": "*", ".": "*", "÷": "/"}


def plain_operator(symbol: str) -> str:
    """The ASCII spelling of an operator."""
    return _SPELLINGS.get(symbol, symbol)


class Builder:
    """Builds the IR of one statement whose text starts at `offset` of `source`."""

    def __init__(self, source: Source, offset: int, comments: Comments) -> None:
        self.source, self.offset, self.comments = source, offset, comments

    def span(self, node: Node) -> Span:
        """The place of a tree or token in the source: from its first token to its last."""
        start, end = _end(node, 0).start_pos or 0, _end(node, -1).end_pos or 0
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
        return Shapes(tuple(map(self._default, _trees(tree))), self.span(tree), self.comments)

    def _default(self, tree: Tree[Token]) -> ShapeDefault:
        rank, _, value = tree.children
        return ShapeDefault(self._rank(rank), self._expr(value), self.span(tree))

    def _param(self, tree: Tree[Token]) -> Param:
        _, name, _, value = tree.children
        return Param(self._scalar(name), self._expr(value), self.span(tree), self.comments)

    def _op(self, tree: Tree[Token]) -> Op:
        name, *args = _tokens(tree, "NAME")
        if name in OPERATORS:
            raise self.refuse(f"operator '{name}' is built in", name, "choose another name")
        twice = next((arg for i, arg in enumerate(args) if arg in args[:i]), None)
        if twice is not None:
            raise self.refuse(f"operator '{name}' has two arguments '{twice}'", twice, "rename one")
        body = self._expr(tree.children[-1])
        return Op(str(name), tuple(map(self._scalar, args)), body, self.span(tree), self.comments)

    def _declare(self, tree: Tree[Token]) -> Declare:
        tensors = tuple(map(self._tensor, _trees(tree)))
        return Declare(Role(str(tree.children[0])), tensors, self.span(tree), self.comments)

    def _tensor(self, tree: Tree[Token]) -> TensorDeclaration:
        ranks: tuple[str, ...] = ()
        empty: Expr | None = None
        for child in _trees(tree):
            if child.data == "ranks":
                ranks = tuple(map(self._rank, _tokens(child, "NAME")))
            else:
                empty = self._expr(child)
        name = tree.children[0] if ranks else self._scalar(tree.children[0])
        return TensorDeclaration(str(name), ranks, empty, self.span(tree))

    def _section(self, tree: Tree[Token]) -> Section:
        heading = _end(tree, 0)
        kinds = {"INIT": SectionKind.INIT, "LOOP": SectionKind.LOOP, "FINAL": SectionKind.FINAL}
        variable = next(map(self._variable, _tokens(tree, "NAME")), None)
        return Section(kinds[heading.type], variable, self.span(tree), self.comments)

    def _stop(self, tree: Tree[Token]) -> Stop:
        _, _, name, comparison, count = tree.children
        if plain_operator(str(comparison)) != ">=":
            raise self.refuse(f"'{comparison}' in `stop`", comparison, f"write `stop: {name} >= N`")
        return Stop(self._variable(name), self._expr(count), self.span(tree), self.comments)

    def _einsum(self, tree: Tree[Token]) -> Einsum:
        target, assign, expr, *groups = tree.children
        written = self._access(_tree(target))
        if isinstance(written, Name):
            written = Access(written.name, (), written.span)
        if not isinstance(written, Access):
            raise self.refuse("'inf' is a number and cannot be written", target, "choose another name")
        actions = tuple(self._action(action) for group in groups for action in _trees(_tree(group)))
        short = str(assign).removesuffix("=").strip()
        if short and actions:
            raise self.refuse(f"'{assign}' and an action", assign, "say how to reduce only once")
        if short:
            actions = (Action(True, None, plain_operator(short), None, self.span(assign)),)
        mapping = next((action for action in actions if not action.reduces), None)
        value = self._expr(expr, placeholder=mapping.operator if mapping else "*")
        einsum = Einsum(written, value, (), self.span(tree), self.comments)
        return _initial_values(apply_actions(einsum, actions))

    def _action(self, tree: Tree[Token]) -> Action:
        parts = {part.data: part for part in _trees(tree)}
        scope = None
        if "scope" in parts:
            variables = _tokens(parts["scope"], "NAME", "SUBSCRIPT")
            scope = tuple(str(name).removeprefix("_").strip() for name in variables)
        (operator,) = _tokens(parts["combine"], "ACTION_OP")
        merge = next(map(str, _tokens(parts["combine"], "MERGE")), None)
        return Action(tree.data == "reduce", scope, plain_operator(operator), merge, self.span(tree))

    # ----------------------------------------------------------------------------------------------- expressions

    def _expr(self, node: Node, placeholder: str = "*", depth: int = 0) -> Expr:
        """The expression of a tree; `placeholder` is the operator that `·` stands for."""
        tree = _tree(node)
        if depth > DEEPEST:
            hint = "write it in several Einsums"
            raise self.refuse(f"more than {DEEPEST} operators and brackets around this", _end(tree, 0), hint)
        match tree.data:
            case "number":
                return self._number(tree)
            case "infinity":
                return Number(float("inf"), self.span(tree))
            case "access":
                return self._access(tree)
            case "compare":
                return self._comparison(tree, placeholder, depth)
            case "both":
                raise self.refuse("'and' outside of a filter", tree.children[1], "multiply: (a < b) * (b < c)")
        args = tuple(self._expr(operand, placeholder, depth + 1) for operand in _trees(tree))
        match tree.data:
            case "group":
                return replace(args[0], span=self.span(tree))
            case "exponential":
                return Apply("exp", args, self.span(tree))
            case "call":
                return self._call(tree, args)
            case "placeholder":
                return Apply(INFIX.get(placeholder, placeholder), args, self.span(tree))
            case operator:
                return Apply(str(operator), args, self.span(tree))

    def _call(self, tree: Tree[Token], args: tuple[Expr, ...]) -> Apply:
        name = str(tree.children[0])
        if name in OPERATORS and name not in FUNCTIONS:  # the name under which the table has an infix operator
            raise self.refuse(f"unknown function '{name}'", tree.children[0], f"write `{OPERATORS[name].symbol}`")
        return Apply(name, args, self.span(tree))

    def _number(self, tree: Tree[Token]) -> Number:
        text = str(tree.children[0])
        if text.isdigit() and len(text) > LONGEST_NUMBER:
            raise self.refuse(f"a number of {len(text)} digits", tree, "write large numbers as 1e40")
        if isinf(float(text)):
            raise self.refuse(f"'{text}' is larger than any float64", tree, "write `inf` for infinity")
        return Number(int(text) if text.isdigit() else float(text), self.span(tree))

    def _access(self, tree: Tree[Token]) -> Expr:
        name, *subscripts = tree.children
        if not subscripts:
            return Number(float("inf"), self.span(tree)) if name == "inf" else Name(str(name), self.span(tree))
        places = tuple(map(self._place, _trees(_tree(subscripts[0]))))
        return Access(str(name) if places else self._scalar(name), places, self.span(tree))

    def _scalar(self, name: Node) -> str:
        """The name of a parameter, an argument or a scalar tensor."""
        if name == "inf":
            raise self.refuse("'inf' is a number", name, "choose another name")
        return str(name)

    def _comparison(self, tree: Tree[Token], placeholder: str, depth: int) -> Expr:
        if len(tree.children) > 3:
            raise self.refuse("two comparisons in a row outside of a filter", tree, "multiply: (a < b) * (b < c)")
        return self._comparisons(tree, placeholder, depth)[0]

    def _comparisons(self, tree: Tree[Token], placeholder: str = "*", depth: int = 0) -> tuple[Apply, ...]:
        """The single comparisons of a chain `a < b <= c`."""
        sides = [self._expr(child, placeholder, depth + 1) for child in tree.children[::2]]
        symbols = [plain_operator(str(child)) for child in tree.children[1::2]]
        return tuple(
            Apply(INFIX[symbol], (left, right), self.span(tree))
            for symbol, left, right in zip(symbols, sides, sides[1:], strict=False)
        )

    # ------------------------------------------------------------------------------------------------ subscripts

    def _place(self, tree: Tree[Token]) -> Place:
        parts = list(_trees(tree))
        rank = None
        if len(parts) > 1 and (rank := self._named_rank(parts[0])):
            parts = parts[1:]
        if parts[0].data in ("both", "compare", "initial"):
            hint = f"write the index first: `{rank}: m: m <= p`" if rank else "write the index first: `m: m <= p`"
            raise self.refuse("a filter where an index should be", parts[0], hint)
        filters = tuple(comparison for part in parts[1:] for comparison in self._filter(part))
        return Place(self._expr(parts[0]), rank, filters, self.span(tree))

    def _named_rank(self, tree: Tree[Token]) -> str | None:
        """The rank of `M: p`; None of `m: m <= p`."""
        head = self._expr(tree)
        return head.name if isinstance(head, Name) and is_shape(head.name) else None

    def _filter(self, tree: Tree[Token], depth: int = 0) -> tuple[Apply, ...]:
        if depth > DEEPEST:
            raise self.refuse(f"more than {DEEPEST} brackets around this", _end(tree, 0), "remove some")
        match tree.data:
            case "both":
                return tuple(one for part in _trees(tree) for one in self._filter(part, depth + 1))
            case "compare":
                return self._comparisons(tree)
            case "group":
                return self._filter(next(_trees(tree)), depth + 1)
            case "initial":
                left, right = _trees(tree)
                return (Apply("eq", (self._expr(left), self._expr(right)), self.span(tree)),)
        hint = "write a filter like `m: m <= p`; before a colon, ranks are upper-case: `M: p`"
        raise self.refuse("a filter that compares nothing", tree, hint)

    def _rank(self, node: Node) -> str:
        name = str(node)
        if not is_shape(name):
            better = name.upper().replace("'", "1")
            raise self.refuse(f"'{name}' is not a rank; ranks are upper-case", node, f"write {better}")
        return name

    def _variable(self, node: Node) -> str:
        name = str(node)
        if not is_variable(name):
            better = name.lower().replace("'", "1")
            message = f"'{name}' is not a rank variable; rank variables are lower-case"
            raise self.refuse(message, node, f"write {better}")
        return name


def _end(node: Node, which: int) -> Token:
    """The first token (0) or the last (-1) of a tree; no tree is without."""
    while isinstance(node, Tree):
        node = node.children[which]
    return node


def _tree(node: Node) -> Tree[Token]:
    assert isinstance(node, Tree)
    return node


def _trees(node: Tree[Token]) -> Iterator[Tree[Token]]:
    return (child for child in node.children if isinstance(child, Tree))


def _tokens(node: Tree[Token], *types: str) -> list[Token]:
    return [child for child in node.children if isinstance(child, Token) and child.type in types]


def _initial_values(einsum: Einsum) -> Einsum:
    """`RM[m1: m1 = 0]` is `RM[0]`, if the Einsum says nothing else of `m1`."""
    used = list(all_names(einsum.target, einsum.expr))
    places = tuple(_initial_value(place, used) for place in einsum.target.places)
    return replace(einsum, target=replace(einsum.target, places=places))


def _initial_value(place: Place, used: list[str]) -> Place:
    match place:
        case Place(Name(variable), None, (Apply("eq", (Name(left), right)),)) if (
            left == variable and used.count(variable) == 2 and not any(is_variable(n.name) for n in names(right))
        ):
            return Place(right, None, (), place.span)
    return place
