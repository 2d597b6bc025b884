"""Expressions in subscripts and filters, made affine forms or refused."""

from __future__ import annotations

from fusemax.errors import FusemaxError, Problem, Span
from fusemax.ir.affine import Affine, Term, constant, total
from fusemax.ir.checked import Constraint, Relation
from fusemax.ir.expr import Access, Apply, Expr, Name, Number, is_shape, is_variable


def to_affine(expr: Expr) -> Affine:
    """The affine form of an index. Raises `FusemaxError` where it is not affine in rank variables and shapes."""
    match expr:
        case Number(int(value)):
            return Affine((Term(value),) if value else (), expr.span)
        case Name(name) if is_variable(name):
            return Affine((Term(1, (), name),), expr.span)
        case Name(name) if is_shape(name):
            return Affine((Term(1, (name,)),), expr.span)
        case Apply("add", (left, right)):
            return _at(total((to_affine(left), 1), (to_affine(right), 1)), expr.span)
        case Apply("sub", (left, right)):
            return _at(total((to_affine(left), 1), (to_affine(right), -1)), expr.span)
        case Apply("neg", (operand,)):
            return _at(total((to_affine(operand), -1)), expr.span)
        case Apply("mul", (left, right)):
            return _at(_product(to_affine(left), to_affine(right), expr), expr.span)
    raise _refusal(expr)


def _at(form: Affine, span: Span | None) -> Affine:
    return Affine(form.terms, span)


def _product(left: Affine, right: Affine, expr: Expr) -> Affine:
    if left.variables and right.variables:
        raise _not_affine(f"the product of '{left.variables[0]}' and '{right.variables[0]}'", expr)
    terms = (
        Term(a.factor * b.factor, tuple(sorted(a.shapes + b.shapes)), a.variable or b.variable)
        for a in left.terms
        for b in right.terms
    )
    return total(*((Affine((term,)), 1) for term in terms)) if left.terms and right.terms else constant(0)


def _not_affine(what: str, expr: Expr) -> FusemaxError:
    hint = "a subscript is a sum of rank variables times integers or shapes, such as `2*q + s` or `m1*M0 + m0`"
    return FusemaxError([Problem(f"a subscript that is not affine: {what}", expr.span, hint)])


def _refusal(expr: Expr) -> FusemaxError:
    match expr:
        case Access(tensor):
            return _not_affine(f"it reads tensor '{tensor}'", expr)
        case Number():
            return _not_affine("a number that is not an integer", expr)
        case Name(name):
            message = f"'{name}' in a subscript is neither a rank variable (lower-case) nor a shape (upper-case)"
            return FusemaxError([Problem(message, expr.span, f"write '{name.lower()}' for the variable of a rank")])
        case Apply("div", _):
            return _not_affine("a division", expr)
        case Apply("pow", _):
            return _not_affine("a power", expr)
        case Apply(operator):
            return _not_affine(f"'{operator}'", expr)


def to_constraint(comparison: Apply) -> Constraint:
    """The normal form of a filter. Raises `FusemaxError` if it is not affine."""
    left, right = (to_affine(arg) for arg in comparison.args)
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
