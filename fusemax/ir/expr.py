"""Expressions: numbers, names, accesses and operators applied to them. Spans take no part in equality."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

from fusemax.errors import Span


@dataclass(frozen=True, slots=True)
class Number:
    """A literal; `inf` is one."""

    value: int | float
    span: Span | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Name:
    """A bare name: a parameter, a scalar tensor, a rank variable or a shape; the check finds out which."""

    name: str
    span: Span | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Place:
    """One subscript: an affine index, the rank it claims to index (`M: p`), and filters (`m: m <= p`)."""

    index: Expr
    rank: str | None = None
    filters: tuple[Apply, ...] = ()
    span: Span | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Access:
    """A tensor at its subscripts, read or written."""

    tensor: str
    places: tuple[Place, ...]
    span: Span | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Apply:
    """An operator of `OPERATORS`, or one that the file defines, applied to its operands."""

    operator: str
    args: tuple[Expr, ...]
    span: Span | None = field(default=None, compare=False, repr=False)


Expr = Number | Name | Access | Apply


def walk(expr: Expr) -> Iterator[Expr]:
    """The expression and all below it, in the order in which they are written; not into subscripts.

    >>> [type(e).__name__ for e in walk(Apply("neg", (Number(1),)))]
    ['Apply', 'Number']
    """
    stack: list[Expr] = [expr]
    while stack:
        node = stack.pop()
        yield node
        if isinstance(node, Apply):
            stack.extend(reversed(node.args))


def accesses(expr: Expr) -> Iterator[Access]:
    """The tensors that the expression reads with subscripts, in order."""
    return (node for node in walk(expr) if isinstance(node, Access))


def names(expr: Expr) -> Iterator[Name]:
    """The bare names of the expression, in order."""
    return (node for node in walk(expr) if isinstance(node, Name))


def all_names(*exprs: Expr) -> Iterator[str]:
    """The bare names of expressions, those in subscripts and filters included; not the names of tensors."""
    for node in (node for expr in exprs for node in walk(expr)):
        if isinstance(node, Name):
            yield node.name
        elif isinstance(node, Access):
            for place in node.places:
                yield from all_names(place.index, *place.filters)


def transform(expr: Expr, change: Callable[[Expr], Expr]) -> Expr:
    """The expression with `change` applied to every node, operands first."""
    if isinstance(expr, Apply):
        expr = replace(expr, args=tuple(transform(arg, change) for arg in expr.args))
    return change(expr)


def index_variables(place: Place) -> Iterator[str]:
    """The rank variables that stand in a subscript's index, by the case of the name."""
    return (node.name for node in names(place.index) if is_variable(node.name))


def variables_of(expr: Expr) -> tuple[str, ...]:
    """The rank variables bound by the subscripts of an expression, in order of appearance."""
    found = (v for access in accesses(expr) for place in access.places for v in index_variables(place))
    return tuple(dict.fromkeys(found))


def terms(expr: Expr) -> Iterator[Expr]:
    """The top-level terms of a sum; an expression that is no sum is its own only term."""
    if isinstance(expr, Apply) and expr.operator in ("add", "sub"):
        for arg in expr.args:
            yield from terms(arg)
    else:
        yield expr


def summands(expr: Expr) -> Iterator[Expr]:
    """The top-level terms of a sum, also of one with a minus before it: `-(A[k] + B)`."""
    while isinstance(expr, Apply) and expr.operator == "neg":
        expr = expr.args[0]
    return terms(expr)


def term_without(expr: Expr, reduced: Iterable[str]) -> tuple[Expr, str] | None:
    """The first top-level term of a sum that does not range over a reduced variable, and that variable.

    Such a term would be added once a point of the reduction, where "add it once" is as likely meant.
    """
    for term in summands(expr):
        ranges = set(variables_of(term)) | {name.name for name in names(term)}
        for variable in reduced:
            if variable not in ranges:
                return term, variable
    return None


def is_variable(name: str) -> bool:
    """Rank variables are lower-case; ranks, which are also their shapes, upper-case; tensors alone may have a `'`."""
    return name == name.lower() and "'" not in name


def is_shape(name: str) -> bool:
    """An upper-case name may be a rank's shape."""
    return name == name.upper() and "'" not in name


def rank_of(variable: str) -> str:
    """The rank of a variable is its name in upper case: the language's rule, stated here alone."""
    return variable.upper()


def variable_of(rank: str) -> str:
    """The variable of a rank is its name in lower case."""
    return rank.lower()
