"""The actions behind `::`, in the short form and in EDGE's full one, as one canonical list of reductions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from fusemax.errors import FusemaxError, Problem, Span, did_you_mean, listed
from fusemax.ir.cascade import Einsum, Reduction
from fusemax.ir.expr import Apply, Expr, index_variables, term_without, variables_of
from fusemax.ir.operators import INFIX, OPERATORS, REDUCER_SYMBOLS

MERGES = frozenset("∩ ^ ∪ v u n and or intersect intersection union".split())


@dataclass(frozen=True, slots=True)
class Action:
    """One map or reduce action; without a scope it concerns every variable that disappears."""

    reduces: bool
    scope: tuple[str, ...] | None
    operator: str
    merge: str | None
    span: Span


def apply_actions(einsum: Einsum, actions: tuple[Action, ...]) -> Einsum:
    """The Einsum with its reductions; map actions are compared with the right side and leave no trace."""
    for action in actions:
        _check_merge(action)
    maps = [action for action in actions if not action.reduces]
    for action in maps:
        _check_map(einsum, action, maps[0])
    kept = {v for place in einsum.target.places for v in index_variables(place)}
    disappearing = tuple(v for v in variables_of(einsum.expr) if v not in kept)
    reductions = _canonical(tuple(_reduction(a, disappearing) for a in actions if a.reduces), disappearing)
    named = {v for reduction in reductions for v in reduction.variables}
    implied = all(r.reducer == "add" for r in reductions) and named <= set(disappearing)
    if implied and len(named) == sum(len(r.variables) for r in reductions):
        spoilt = reductions and term_without(einsum.expr, disappearing)
        reductions = (Reduction(disappearing, "add", reductions[0].span),) if spoilt else ()
    return replace(einsum, reductions=reductions)


def _refuse(message: str, action: Action, hint: str) -> FusemaxError:
    return FusemaxError([Problem(message, action.span, hint)])


def _check_merge(action: Action) -> None:
    if action.merge is not None and action.merge.lower() not in MERGES:
        hint = "tensors are dense here: write ∩ (or ^, and, intersect) or ∪ (or v, or, union)"
        raise _refuse(f"merge '{action.merge}' is not supported", action, hint)


def _check_map(einsum: Einsum, action: Action, first: Action) -> None:
    if action.operator != first.operator:
        raise _refuse(f"two map operators, '{first.operator}' and '{action.operator}'", action, "keep one map action")
    variables = variables_of(einsum.expr)
    absent = [v for v in action.scope or () if v not in variables]
    if absent:
        hint = f"the right side has {listed(variables)}" if variables else "drop the map action"
        raise _refuse(f"the map action names {listed(absent)}, which the right side does not have", action, hint)
    said = INFIX.get(action.operator, action.operator)
    written = list(_combining(einsum.expr))
    other = next((operator for operator in written if operator != said), None)
    if other is not None:
        spelt = OPERATORS[other].symbol or other if other in OPERATORS else other
        message = f"the map action says '{action.operator}' but the right side is written with '{spelt}'"
        raise _refuse(message, action, f"write '·' there, or say '{spelt}' in the map action, or drop it")
    if not written:
        message = f"the map action says '{action.operator}' but the right side combines nothing"
        raise _refuse(message, action, "drop the map action")


def _combining(expr: Expr) -> Iterator[str]:
    """The operators that combine operands outside of functions; unary functions are looked through."""
    if not isinstance(expr, Apply):
        return
    infix = expr.operator in OPERATORS and OPERATORS[expr.operator].symbol is not None
    if len(expr.args) > 1:
        yield expr.operator
    if infix or len(expr.args) == 1:
        for arg in expr.args:
            yield from _combining(arg)


def _reduction(action: Action, disappearing: tuple[str, ...]) -> Reduction:
    reducer = REDUCER_SYMBOLS.get(action.operator)
    if reducer is None:
        hint = did_you_mean(action.operator, REDUCER_SYMBOLS) or f"choose one of {' '.join(REDUCER_SYMBOLS)}"
        raise _refuse(f"'{action.operator}' cannot reduce a rank", action, hint)
    if action.scope is None and not disappearing:
        hint = "write `=`, or leave a variable off the left side"
        raise _refuse("a reduction where no variable disappears", action, hint)
    return Reduction(disappearing if action.scope is None else action.scope, reducer, action.span)


def _canonical(reductions: tuple[Reduction, ...], disappearing: tuple[str, ...]) -> tuple[Reduction, ...]:
    """Neighbours with one reducer joined, their variables in the order in which the right side names them."""
    order = {variable: i for i, variable in enumerate(disappearing)}
    joined: list[Reduction] = []
    for reduction in reductions:
        if joined and joined[-1].reducer == reduction.reducer:
            before = joined.pop()
            reduction = replace(before, variables=before.variables + reduction.variables)
        joined.append(reduction)
    return tuple(
        replace(r, variables=tuple(sorted(r.variables, key=lambda v: order.get(v, len(order))))) for r in joined
    )
