"""Bare names: each is exactly one of a parameter, a scalar tensor, a rank variable and a shape."""

from __future__ import annotations

from collections.abc import Iterable, Set

from fusemax.errors import did_you_mean, listed
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
    transform,
    variables_of,
    walk,
)
from fusemax.ir.operators import FUNCTIONS, OPERATORS
from fusemax.validate.draft import Draft


def infer_scalars(draft: Draft) -> None:
    """Without an `input`, a bare name that can be nothing else is a scalar input."""
    if not draft.infers_inputs:
        return
    params = {param.name for param in draft.cascade.params}
    for einsum in draft.cascade.einsums:
        bound = {*variables_of(einsum.expr), *variables_of(einsum.target)}
        for name in names(einsum.expr):
            taken = name.name in params | bound | draft.shape_names | set(draft.tensors) | {"e"}
            written = any(e.name == name.name for e in draft.cascade.einsums)
            if not taken and not written and "_" not in name.name:
                draft.tensors[name.name] = Tensor(name.name, (), Role.INPUT, span=name.span)


def resolve_names(draft: Draft, einsum: Einsum) -> Expr:
    """The right side with scalar tensors as accesses; other names are left, each with exactly one meaning."""
    bound = {*variables_of(einsum.expr), *variables_of(einsum.target)}

    def resolved(node: Expr) -> Expr:
        if isinstance(node, Name) and _fit(draft, node, bound) == "scalar tensor":
            return Access(node.name, (), node.span)
        return node

    return transform(einsum.expr, resolved)


def _fit(draft: Draft, node: Name, bound: Set[str]) -> str | None:
    name = node.name
    tensor = draft.tensors.get(name)
    fits = {
        "parameter": any(param.name == name for param in draft.cascade.params),
        "scalar tensor": tensor is not None and not tensor.ranks,
        "rank variable": name in bound,
        "shape": is_shape(name) and name in draft.shape_names,
    }
    found = [what for what, fit in fits.items() if fit]
    if len(found) > 1:
        hint = f"write `{name}[]` for the tensor, or rename one" if "scalar tensor" in found else "rename one"
        draft.refuse(f"'{name}' may be the {found[0]} or the {found[1]} of that name", node.span, hint)
        return None
    if not found:
        draft.refuse(f"unknown name '{name}'", node.span, _unknown_hint(draft, name, bound, tensor))
        return None
    return found[0]


def _unknown_hint(draft: Draft, name: str, bound: Set[str], tensor: Tensor | None) -> str:
    if tensor is not None:
        return f"tensor '{name}' has subscripts: {name}[{', '.join(tensor.ranks).lower()}]"
    head, _, tail = name.partition("_")
    if tail:
        return f"did you mean {head}_{{{tail}}}?"
    if is_variable(name) and len(name) <= 2:
        variables = f"variables here are {listed(sorted(bound))}" if bound else "no variable is bound here"
        return f"a rank variable is a value only where a subscript of the same Einsum binds it; {variables}"
    scalars = [t.name for t in draft.tensors.values() if not t.ranks]
    known = [*(param.name for param in draft.cascade.params), *scalars, *draft.shape_names]
    return did_you_mean(name, known) or f"define it: `param {name} = 1`"


def check_constants(draft: Draft) -> None:
    """Parameters, operators, defaults and `empty` values: what they name exists, nothing has two meanings."""
    params: set[str] = set()
    for param in draft.cascade.params:
        if param.name in params:
            draft.refuse(f"parameter '{param.name}' is defined twice", param.span, "keep one")
        _check_constant(draft, param.value, params | draft.shape_names, f"parameter '{param.name}'")
        params.add(param.name)
    ranks: set[str] = set()
    for default in draft.cascade.shapes:
        if default.rank in ranks:
            draft.refuse(f"two shapes for rank '{default.rank}'", default.span, "keep one")
        ranks.add(default.rank)
        _check_constant(draft, default.value, draft.shape_names, f"shape '{default.rank}'")
    for _, tensor in draft.cascade.declarations:
        if tensor.empty is not None:
            _check_constant(draft, tensor.empty, params | draft.shape_names, f"`empty` of '{tensor.name}'")
    for stop in draft.cascade.stops:
        _check_constant(draft, stop.count, draft.shape_names, "`stop`")
    ops: dict[str, Op] = {}
    for op in draft.cascade.ops:
        _check_op(draft, op, ops, params)
        ops[op.name] = op
    for einsum in draft.cascade.einsums:
        check_calls(draft, einsum.expr, ops)


def _check_constant(draft: Draft, expr: Expr, known: Iterable[str], what: str) -> None:
    known = set(known)
    for access in accesses(expr):
        draft.refuse(
            f"{what} reads tensor '{access.tensor}'", access.span, "only numbers, parameters and shapes may stand here"
        )
    for name in names(expr):
        if name.name not in known:
            draft.refuse(f"unknown name '{name.name}' in {what}", name.span, did_you_mean(name.name, known))
    check_calls(draft, expr, {op.name: op for op in draft.cascade.ops})


def _check_op(draft: Draft, op: Op, before: dict[str, Op], params: Set[str]) -> None:
    if op.name in OPERATORS or op.name in FUNCTIONS or op.name in ("e", "inf", "and"):
        draft.refuse(f"operator '{op.name}' is built in", op.span, "choose another name")
    if op.name in before:
        draft.refuse(f"operator '{op.name}' is defined twice", op.span, "keep one")
    for access in accesses(op.body):
        message = f"operator '{op.name}' reads tensor '{access.tensor}'"
        draft.refuse(message, access.span, "make it an argument: operators are element-wise")
    known = {*op.args, *params, *draft.shape_names}
    for name in names(op.body):
        if name.name not in known:
            hint = did_you_mean(name.name, known) or f"its arguments are {listed(op.args) if op.args else 'none'}"
            draft.refuse(f"unknown name '{name.name}' in operator '{op.name}'", name.span, hint)
    for node in walk(op.body):
        if isinstance(node, Apply) and node.operator not in OPERATORS and node.operator not in before:
            draft.refuse(
                f"operator '{op.name}' uses '{node.operator}', which is not defined above it",
                node.span,
                "define it first",
            )
    check_calls(draft, op.body, before)


def check_calls(draft: Draft, expr: Expr, ops: dict[str, Op]) -> None:
    """Functions have as many arguments as they take."""
    for node in walk(expr):
        if not isinstance(node, Apply):
            continue
        if node.operator in ops:
            least, most = len(ops[node.operator].args), len(ops[node.operator].args)
        elif node.operator in OPERATORS:
            operator = OPERATORS[node.operator]
            least, most = operator.least, operator.most or len(node.args)
        else:
            continue
        if not least <= len(node.args) <= max(most, least):
            takes = (
                f"{least} or more"
                if node.operator in OPERATORS and OPERATORS[node.operator].most is None
                else str(least)
            )
            plural = "argument" if takes == "1" else "arguments"
            draft.refuse(
                f"'{node.operator}' takes {takes} {plural}, not {len(node.args)}", node.span, f"give it {takes}"
            )
        if node.operator == "take" and len(node.args) == 3 and node.args[2] not in (Number(0), Number(1)):
            draft.refuse(
                "the third argument of 'take' says which operand is taken, 0 or 1", node.args[2].span, "write 0 or 1"
            )
