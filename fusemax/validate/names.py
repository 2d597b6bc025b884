"""Bare names and functions: each name is exactly one of a parameter, a scalar tensor, a rank variable and a shape."""

from __future__ import annotations

from collections.abc import Collection

from fusemax.errors import listed
from fusemax.ir.affine import LARGEST
from fusemax.ir.cascade import Einsum, Op, Role
from fusemax.ir.checked import Tensor
from fusemax.ir.expr import (
    Access,
    Apply,
    Expr,
    Name,
    Number,
    accesses,
    is_shape,
    is_variable,
    names,
    rank_of,
    transform,
    variable_of,
    variables_of,
    walk,
)
from fusemax.ir.operators import FUNCTIONS, OPERATORS
from fusemax.validate.draft import Draft

SIZE_OPERATORS = ("add", "sub", "mul", "div", "neg", "pow", "max", "min", "floor")


def infer_scalars(draft: Draft) -> None:
    """Without an `input`, a bare name that can be nothing else is a scalar input."""
    if not draft.infers_inputs:
        return
    taken = {"e", *draft.params, *draft.cascade.shape_names, *draft.accesses, *draft.declared}
    for einsum in draft.cascade.einsums:
        bound = _bound(einsum)
        for name in names(einsum.expr):
            if name.name not in taken and name.name not in bound and "_" not in name.name:
                draft.tensors[name.name] = Tensor(name.name, (), Role.INPUT, span=name.span)


def _bound(einsum: Einsum) -> set[str]:
    """The rank variables that the subscripts of an Einsum bind."""
    return {*variables_of(einsum.expr), *variables_of(einsum.target)}


# ---------------------------------------------------------------------------------------------------- names in Einsums


def resolve_names(draft: Draft, einsum: Einsum) -> Expr:
    """The right side with scalar tensors as accesses; other names are left, each with exactly one meaning."""
    bound = _bound(einsum)
    known = {*OPERATORS, *(op.name for op in draft.cascade.ops)}
    unknown = (node for node in walk(einsum.expr) if isinstance(node, Apply) and node.operator not in known)
    arguments = {id(name) for call in unknown for name in names(call)}  # may have been meant as subscripts

    def resolved(node: Expr) -> Expr:
        if isinstance(node, Name) and id(node) not in arguments and _fit(draft, node, bound) == "scalar tensor":
            return Access(node.name, (), node.span)
        return node

    return transform(einsum.expr, resolved)


def _fit(draft: Draft, node: Name, bound: set[str]) -> str | None:
    name, tensor = node.name, draft.tensors.get(node.name)
    fits = {
        "parameter": name in draft.params,
        "scalar tensor": tensor is not None and not tensor.ranks,
        "rank variable": name in bound,
        "shape": is_shape(name) and name in draft.cascade.shape_names,
    }
    found = [what for what, fit in fits.items() if fit]
    if len(found) > 1:
        hint = f"write `{name}[]` for the tensor, or rename one" if "scalar tensor" in found else "rename one"
        draft.refuse(f"'{name}' may be the {found[0]} or the {found[1]} of that name", node.span, hint)
        return None
    if not found and (tensor is not None or name not in draft.written):  # else refused where it is written
        draft.refuse(f"unknown name '{name}'", node.span, _unknown_hint(draft, name, bound))
    return found[0] if found else None


def _unknown_hint(draft: Draft, name: str, bound: set[str]) -> str:
    known = draft.declared[name][1] if name in draft.declared else draft.tensors.get(name)
    if known is not None:
        return f"tensor '{name}' has subscripts: {name}[{', '.join(map(variable_of, known.ranks))}]"
    head, _, tail = name.partition("_")
    if tail:
        return f"did you mean {head}_{{{tail}}}?"
    if name == "e":
        return "the exponential is written `e^(x)` or `exp(x)`"
    if is_variable(name) and rank_of(name) in draft.cascade.shape_names:
        variables = f"variables here are {listed(sorted(bound))}" if bound else "no variable is bound here"
        return f"a rank variable is a value only where a subscript of the same Einsum binds it; {variables}"
    scalars = [t.name for t in draft.tensors.values() if not t.ranks]
    near = draft.did_you_mean(name, [*draft.params, *scalars, *draft.cascade.shape_names])
    return near or f"define it, `param {name} = 1`, or declare it, `input {name}`"


def check_variables(draft: Draft, einsum: Einsum) -> None:
    """A parameter is no subscript: refuse it where a rank variable must be meant and no rank is known for it."""
    for access in (einsum.target, *accesses(einsum.expr)):
        for place in access.places:
            for name in names(place.index):
                if name.name in draft.params and is_variable(name.name) and rank_of(name.name) not in draft.own_ranks:
                    hint = f"write its value, or make it a shape: `shape {rank_of(name.name)} = ...`"
                    draft.refuse(f"parameter '{name.name}' in a subscript", name.span, hint)


# ----------------------------------------------------------------------------------------------------------- constants


def check_constants(draft: Draft) -> None:
    """Parameters, operators, defaults and `empty` values: the names in them exist and have one meaning."""
    ops = _check_ops(draft)
    params: list[str] = []
    for param in draft.cascade.params:
        if param.name in params:
            draft.refuse(f"parameter '{param.name}' is defined twice", param.span, "keep one")
        _check_constant(draft, param.value, [*params, *draft.cascade.shape_names], ops, f"parameter '{param.name}'")
        params.append(param.name)
    ranks: set[str] = set()
    for default in draft.cascade.shapes:
        if default.rank in ranks:
            draft.refuse(f"two shapes for rank '{default.rank}'", default.span, "keep one")
        ranks.add(default.rank)
        if any(name.name == default.rank for name in names(default.value)):
            draft.refuse(f"shape '{default.rank}' is defined by itself", default.span, "give it a size")
        _check_size(draft, default.value, f"shape '{default.rank}'")
    for _, tensor in draft.cascade.declarations:
        if tensor.empty is not None:
            known = [*params, *draft.cascade.shape_names]
            _check_constant(draft, tensor.empty, known, ops, f"`empty` of '{tensor.name}'")
    for stop in draft.cascade.stops:
        _check_size(draft, stop.count, "`stop`")
    for einsum in draft.cascade.einsums:
        _check_calls(draft, einsum.expr, ops)


def _check_size(draft: Draft, expr: Expr, what: str) -> None:
    """A size is computed from shapes and numbers by arithmetic that is exact."""
    _check_constant(draft, expr, draft.cascade.shape_names, {}, what, "numbers and shapes, which are upper-case")
    for node in walk(expr):
        match node:
            case Apply(operator) if operator in OPERATORS and operator not in SIZE_OPERATORS:
                shown = OPERATORS[operator].symbol or operator
                hint = "sizes are computed with + - * / ^ max min floor"
                draft.refuse(f"'{shown}' in {what}", node.span, hint)
            case Number(value) if value > LARGEST:
                draft.refuse(f"a number larger than 2^53 in {what}", node.span, "give a size that a machine could hold")


def _check_constant(
    draft: Draft,
    expr: Expr,
    known: Collection[str],
    ops: dict[str, Op],
    what: str,
    allowed: str = "numbers, shapes, and parameters of the lines above",
) -> None:
    for access in accesses(expr):
        draft.refuse(f"{what} reads tensor '{access.tensor}'", access.span, f"here may stand {allowed}")
    for name in names(expr):
        if name.name not in known:
            near = None if name.name in draft.tensors else draft.did_you_mean(name.name, known)
            hint = near or f"here may stand {allowed}"
            draft.refuse(f"unknown name '{name.name}' in {what}", name.span, hint)
    _check_calls(draft, expr, ops)


# ----------------------------------------------------------------------------------------------------------- operators


def _check_ops(draft: Draft) -> dict[str, Op]:
    """The operators that the file defines, in its order; each may use those above it."""
    ops: dict[str, Op] = {}
    for op in draft.cascade.ops:
        if op.name in ops:
            draft.refuse(f"operator '{op.name}' is defined twice", op.span, "keep one")
        for access in accesses(op.body):
            hint = "make it an argument: operators are element-wise"
            draft.refuse(f"operator '{op.name}' reads tensor '{access.tensor}'", access.span, hint)
        known = {*op.args, *draft.params, *draft.cascade.shape_names}
        for name in names(op.body):
            if name.name not in known:
                takes = f"its arguments are {listed(op.args)}" if op.args else "it has no arguments"
                hint = draft.did_you_mean(name.name, known) or takes
                draft.refuse(f"unknown name '{name.name}' in operator '{op.name}'", name.span, hint)
        _check_calls(draft, op.body, ops)
        ops[op.name] = op
    return ops


def _check_calls(draft: Draft, expr: Expr, ops: dict[str, Op]) -> None:
    """Functions exist and have as many arguments as they take."""
    for node in walk(expr):
        if not isinstance(node, Apply):
            continue
        if node.operator in ops:
            arity = len(ops[node.operator].args)
            _check_arity(draft, node, arity, arity)
        elif node.operator in OPERATORS:
            _check_arity(draft, node, OPERATORS[node.operator].least, OPERATORS[node.operator].most)
        else:
            _refuse_function(draft, node, ops)
        if node.operator == "take" and len(node.args) == 3 and node.args[2] not in (Number(0), Number(1)):
            message = "the third argument of 'take' says which of the others is taken: 0 or 1"
            draft.refuse(message, node.args[2].span, "write 0 or 1")


def _check_arity(draft: Draft, node: Apply, least: int, most: int | None) -> None:
    if least <= len(node.args) and (most is None or len(node.args) <= most):
        return
    takes = f"{least} or more arguments" if most is None else "1 argument" if least == 1 else f"{least} arguments"
    draft.refuse(f"'{node.operator}' takes {takes}, not {len(node.args)}", node.span, "add or remove arguments")


def _refuse_function(draft: Draft, node: Apply, ops: dict[str, Op]) -> None:
    """Refuse an unknown function: a tensor, an operator that is defined below, or one of a near name."""
    name = node.operator
    if name in draft.accesses or name in draft.declared:
        ranks = draft.tensors[name].ranks if name in draft.tensors else ()
        hint = f"subscripts stand in square brackets: {name}[{', '.join(map(variable_of, ranks))}]"
        draft.refuse(f"'{name}' is a tensor, not a function", node.span, hint)
        return
    known = sorted({*FUNCTIONS, *ops})
    below = f"define operator '{name}' above this line" if any(op.name == name for op in draft.cascade.ops) else None
    every = f"functions are {', '.join(known)}; the subscripts of a tensor stand in square brackets"
    draft.refuse(f"unknown function '{name}'", node.span, below or draft.did_you_mean(name, known) or every)
