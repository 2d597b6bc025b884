"""Expressions in subscripts and filters, made affine forms or refused."""

from __future__ import annotations

from fusemax.errors import FusemaxError, Problem, Span
from fusemax.ir.affine import LARGEST, Affine, Term, constant, total
from fusemax.ir.checked import Constraint, Relation
from fusemax.ir.expr import Access, Apply, Expr, Name, Number, is_shape, is_variable
from fusemax.ir.operators import COMPARISONS

MOST_TERMS = 1000


class _NotAffine(Exception):
    """Why an expression has no affine form, and at which of its parts this shows."""

    def __init__(self, why: str, expr: Expr, hint: str | None = None) -> None:
        self.why, self.expr, self.hint = why, expr, hint


def to_affine(expr: Expr, what: str = "subscript") -> Affine:
    """The affine form of an index. Raises `FusemaxError` where it is not affine in rank variables and shapes.

    >>> to_affine(Apply("mul", (Number(2), Name("q")))).terms
    (Term(factor=2, shapes=(), variable='q'),)
    """
    try:
        return _form(expr)
    except _NotAffine as error:
        hint = f"a {what} is a sum of rank variables times integers or shapes, such as `2*q + s` or `m1*M0 + m0`"
        message = f"a {what} that is not affine: {error.why}"
        raise FusemaxError([Problem(message, error.expr.span, error.hint or hint)]) from None


def _form(expr: Expr) -> Affine:
    match expr:
        case Number(int(value)) if value <= LARGEST:
            return Affine((Term(value),) if value else (), expr.span)
        case Name(name) if is_variable(name):
            return Affine((Term(1, (), name),), expr.span)
        case Name(name) if is_shape(name):
            return Affine((Term(1, (name,)),), expr.span)
        case Apply("add", (left, right)):
            return _at(total((_form(left), 1), (_form(right), 1)), expr.span)
        case Apply("sub", (left, right)):
            return _at(total((_form(left), 1), (_form(right), -1)), expr.span)
        case Apply("neg", (operand,)):
            return _at(total((_form(operand), -1)), expr.span)
        case Apply("mul", (left, right)):
            return _at(_product(_form(left), _form(right), expr), expr.span)
    raise _refusal(expr)


def indices_of(access: Access) -> tuple[Affine, ...] | None:
    """The affine forms of an access; None if a subscript is not affine, which is refused once for all accesses."""
    try:
        return tuple(to_affine(place.index) for place in access.places)
    except FusemaxError:
        return None


def _at(form: Affine, span: Span | None) -> Affine:
    return Affine(form.terms, span)


def _product(left: Affine, right: Affine, expr: Expr) -> Affine:
    if len(left.terms) * len(right.terms) > MOST_TERMS:
        raise _NotAffine(f"it has more than {MOST_TERMS} terms", expr)
    if left.variables and right.variables:
        raise _NotAffine(f"it multiplies '{left.variables[0]}' by '{right.variables[0]}'", expr)
    terms = (
        Term(a.factor * b.factor, tuple(sorted(a.shapes + b.shapes)), a.variable or b.variable)
        for a in left.terms
        for b in right.terms
    )
    product = total((constant(0), 1), *((Affine((term,)), 1) for term in terms))
    if any(abs(term.factor) > LARGEST for term in product.terms):
        raise _NotAffine("it holds a number larger than 2^53", expr)
    return product


def _refusal(expr: Expr) -> _NotAffine:
    match expr:
        case Access(tensor):
            return _NotAffine(f"it reads tensor '{tensor}'", expr)
        case Number(int()):
            return _NotAffine("it holds a number larger than 2^53", expr)
        case Number():
            return _NotAffine("it holds a number that is not an integer", expr)
        case Name(name):
            better = name.lower().replace("'", "1")
            hint = f"write '{better}': rank variables are lower-case, shapes upper-case, without `'`"
            return _NotAffine(f"'{name}' is neither a rank variable nor a shape", expr, hint)
        case Apply("div", _):
            return _NotAffine("it divides", expr)
        case Apply("pow", _):
            return _NotAffine("it raises to a power", expr)
        case Apply(operator) if operator in COMPARISONS:
            return _NotAffine("it compares", expr)
        case Apply(operator):
            return _NotAffine(f"it applies '{operator}'", expr)


def to_constraint(comparison: Apply) -> Constraint:
    """The normal form of a filter. Raises `FusemaxError` if it is not affine."""
    left, right = (to_affine(arg, "filter") for arg in comparison.args)
    span = comparison.span
    match comparison.operator:
        case "le":
            return Constraint(total((right, 1), (left, -1)), Relation.NOT_NEGATIVE, span)
        case "lt":
            return Constraint(total((right, 1), (left, -1), (constant(1), -1)), Relation.NOT_NEGATIVE, span)
        case "ge":
            return Constraint(total((left, 1), (right, -1)), Relation.NOT_NEGATIVE, span)
        case "gt":
            return Constraint(total((left, 1), (right, -1), (constant(1), -1)), Relation.NOT_NEGATIVE, span)
        case "eq":
            return Constraint(total((left, 1), (right, -1)), Relation.ZERO, span)
        case other:
            assert other == "ne", other
            return Constraint(total((left, 1), (right, -1)), Relation.NOT_ZERO, span)
