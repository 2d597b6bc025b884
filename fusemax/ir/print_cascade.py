"""The canonical text of a cascade. `parse(print_cascade(c)) == c` for every cascade, and printing is idempotent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape
from typing import assert_never

from fusemax.ir.cascade import (
    Cascade,
    Declare,
    Einsum,
    Header,
    Op,
    Param,
    Reduction,
    Section,
    ShapeDefault,
    Shapes,
    Statement,
    Stop,
    TensorDeclaration,
)
from fusemax.ir.expr import Access, Apply, Expr, Name, Number, Place
from fusemax.ir.operators import ATOM, COMPARISON, OPERATORS, POWER, REDUCERS, SUM, UNARY

INDENT = "  "


def print_expr(expr: Expr, tight: int = 0) -> str:
    """The text of an expression, in parentheses if it binds less tightly than its surroundings.

    >>> print_expr(Apply("mul", (Apply("add", (Name("a"), Name("b"))), Name("c"))))
    '(a + b) * c'
    """
    match expr:
        case Number(value):
            return print_number(value)
        case Name(name):
            return name
        case Access():
            return print_access(expr)
        case Apply(operator, args):
            known = OPERATORS.get(operator)
            if known is None or known.symbol is None:
                return f"{operator}({', '.join(print_expr(arg) for arg in args)})"
            text = _print_infix(expr, known.symbol, known.precedence)
            return f"({text})" if known.precedence < tight else text
    assert_never(expr)


def _print_infix(expr: Apply, symbol: str, precedence: int) -> str:
    if len(expr.args) == 1:
        return symbol + print_expr(expr.args[0], precedence)
    left, right = expr.args
    if precedence == POWER:  # right-associative; its base is an atom, its exponent may carry a sign
        return f"{print_expr(left, ATOM)}^{print_expr(right, UNARY)}"
    chains = precedence == COMPARISON  # a comparison of comparisons is no chain
    return f"{print_expr(left, precedence + chains)} {symbol} {print_expr(right, precedence + 1)}"


def print_number(value: int | float) -> str:
    """The shortest text that reads back as the same number.

    >>> print_number(float("-inf")), print_number(1e-5), print_number(3)
    ('-inf', '1e-5', '3')
    """
    mantissa, _, exponent = repr(value).partition("e")
    return f"{mantissa}e{int(exponent)}" if exponent else mantissa


def print_access(access: Access, scalar: str = "[]") -> str:
    """`T[m, p]`; a scalar with its empty brackets, which tell it from other bare names."""
    if not access.places:
        return access.tensor + scalar
    return f"{access.tensor}[{', '.join(map(print_place, access.places))}]"


def print_place(place: Place) -> str:
    """`m`, `M: p`, `m: p - W < m <= p` or `M: p: p > 2`."""
    rank = f"{place.rank}: " if place.rank else ""
    return rank + print_index(place.index) + (": " + print_filters(place.filters) if place.filters else "")


def print_index(index: Expr) -> str:
    """A subscript: products are written without blanks, and so is the next step of an iteration: `m1+1`.

    >>> print_index(Apply("add", (Name("m1"), Number(1))))
    'm1+1'
    """
    match index:
        case Apply("add", (Name(variable), Number(1))):
            return f"{variable}+1"
    return _dense(index, 0)


def _dense(index: Expr, tight: int) -> str:
    return print_expr(index, tight).replace(" * ", "*")


def print_filters(filters: tuple[Apply, ...]) -> str:
    """Comparisons joined by `and`; neighbours that share a side and a direction as one chain.

    >>> from fusemax.ir.expr import Name as N
    >>> print_filters((Apply("lt", (N("a"), N("m"))), Apply("le", (N("m"), N("p")))))
    'a < m <= p'
    """
    text = ""
    for i, comparison in enumerate(filters):
        symbol, (left, right) = OPERATORS[comparison.operator].symbol, comparison.args
        if i and _chains(filters[i - 1], comparison):
            text += f" {symbol} {_dense(right, SUM)}"
        else:
            text += f"{' and ' if i else ''}{_dense(left, SUM)} {symbol} {_dense(right, SUM)}"
    return text


def _chains(left: Apply, right: Apply) -> bool:
    directions = ({"lt", "le"}, {"gt", "ge"})
    return left.args[1] == right.args[0] and any({left.operator, right.operator} <= d for d in directions)


def print_reduction(reduction: Reduction) -> str:
    """`reduce[m, n] max`"""
    return f"reduce[{', '.join(reduction.variables)}] {REDUCERS[reduction.reducer].symbol}"


def print_tensor(tensor: TensorDeclaration) -> str:
    """`T[M, P] empty = -inf`, or `T` for a scalar."""
    ranks = f"[{', '.join(tensor.ranks)}]" if tensor.ranks else ""
    return tensor.name + ranks + (f" empty = {print_expr(tensor.empty)}" if tensor.empty is not None else "")


def _print_default(default: ShapeDefault) -> str:
    return f"{default.rank} = {print_expr(default.value)}"


def print_einsum(einsum: Einsum, width: int = 0) -> str:
    """An Einsum on one line, its left side padded to `width`."""
    actions = " :: " + " ".join(map(print_reduction, einsum.reductions)) if einsum.reductions else ""
    return f"{print_access(einsum.target, scalar=''):{width}} = {print_expr(einsum.expr)}{actions}"


def print_statement(statement: Statement, width: int = 0) -> str:
    """A statement on one line, without its comments; an Einsum's left side is padded to `width`."""
    match statement:
        case Header(name):
            return f"cascade {name}"
        case Shapes(defaults):
            return _preamble("shape", map(_print_default, defaults))
        case Param(name, value):
            return _preamble("param", [f"{name} = {print_expr(value)}"])
        case Op(name, args, body):
            return _preamble("op", [f"{name}({', '.join(args)}) = {print_expr(body)}"])
        case Declare(role, tensors):
            return _preamble(role.value, map(print_tensor, tensors))
        case Section(kind, variable):
            return f"{kind.value} {variable}:" if variable else f"{kind.value}:"
        case Stop(variable, count):
            return f"stop: {variable} >= {print_expr(count)}"
        case Einsum():
            return print_einsum(statement, width)
    assert_never(statement)


def _preamble(keyword: str, items: Iterable[str]) -> str:
    return f"{keyword:6} {', '.join(items)}"


def print_cascade(cascade: Cascade) -> str:
    """The canonical text: one statement a line, sections indented; ends with a newline.

    The `=` of Einsums without a blank line between them are aligned. Comments are kept, and so is one blank line where
    there were any; one is put before the first declaration and before the first equation.

    >>> from fusemax import parse
    >>> print(print_cascade(parse("Z_{m}=A_{m,k}·B_{k} :: ⋀_k ×(∩) ⋁_k +(∪)")), end="")
    Z[m] = A[m, k] * B[k]
    """
    lines: list[str] = []
    block, indented = "", False
    for run in _runs(cascade.statements):
        width = max((len(print_access(s.target, scalar="")) for s in run if isinstance(s, Einsum)), default=0)
        for statement in run:
            comments = statement.comments
            if lines and _block(statement) != block and "" not in comments.above:
                lines.append("")
            block, indented = _block(statement), indented or isinstance(statement, Section)
            indent = INDENT if indented and isinstance(statement, Einsum) else ""
            lines += [indent + comment if comment else "" for comment in comments.above]
            behind = f"  {comments.behind}" if comments.behind else ""
            lines.append(indent + print_statement(statement, width) + behind)
    return "\n".join((*lines, *cascade.comments_below)) + "\n"


def _runs(statements: Iterable[Statement]) -> Iterator[list[Statement]]:
    """Einsums in a row, without a blank line between; every other statement by itself."""
    run: list[Statement] = []
    for statement in statements:
        aligned = isinstance(statement, Einsum) and "" not in statement.comments.above
        if run and not (aligned and isinstance(run[-1], Einsum)):
            yield run
            run = []
        run.append(statement)
    yield run


def _block(statement: Statement) -> str:
    """A file has a header, a preamble and a body, with a blank line between."""
    match statement:
        case Header():
            return "header"
        case Section() | Stop() | Einsum():
            return "body"
        case _:
            return "preamble"


def einsum_rows(cascade: Cascade) -> Iterator[tuple[str, str]]:
    """Each Einsum's section heading and canonical text."""
    heading = ""
    for statement in cascade.statements:
        if isinstance(statement, Section):
            heading = print_statement(statement).rstrip(":")
        elif isinstance(statement, Einsum):
            yield heading, print_einsum(statement)


def cascade_html(cascade: Cascade) -> str:
    """The cascade as an HTML table, for notebooks."""
    head = [print_statement(s) for s in cascade.statements if not isinstance(s, Einsum | Section | Stop | Header)]
    rows = "".join(
        f"<tr><td>{escape(section)}</td><td style='text-align:left'><code>{escape(text)}</code></td></tr>"
        for section, text in einsum_rows(cascade)
    )
    caption = f"<caption><b>{escape(cascade.name)}</b><br>{'<br>'.join(map(escape, head))}</caption>"
    return f"<table>{caption}<thead><tr><th></th><th>Einsum</th></tr></thead><tbody>{rows}</tbody></table>"
