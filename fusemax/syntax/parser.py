"""Text -> `Cascade`: every statement parsed on its own, so that all mistakes of a file are found at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import cache

from lark import Lark, UnexpectedInput

from fusemax.errors import FusemaxError, Problem, Source, Span, did_you_mean, in_order
from fusemax.ir.cascade import Cascade, Comments, Einsum, Header, Op, Param, Shapes, Statement
from fusemax.ir.expr import Access, Apply, Expr, Name, transform, variables_of, walk
from fusemax.ir.operators import FUNCTIONS, OPERATORS
from fusemax.resources import directory
from fusemax.syntax.diagnosis import diagnose
from fusemax.syntax.lines import logical_lines, too_long
from fusemax.syntax.tree import Builder


@cache
def _grammar() -> Lark:
    text = (directory("grammars") / "cascade.lark").read_text(encoding="utf-8")
    return Lark(
        text, parser="lalr", lexer="contextual", start="statement", propagate_positions=True, maybe_placeholders=False
    )


def parse(text: str, name: str = "<cascade>") -> Cascade:
    """Parse the text of a cascade file; `name` is what errors call it.

    Raises `FusemaxError` with every syntax error of the text. What the text means is not looked at: see `check`.

    >>> parse("GM[p] = QK[m, p] :: reduce[m] max").einsums[0].name
    'GM'
    """
    source = Source(name, text)
    found = logical_lines(text)
    statements: list[Statement] = []
    problems: list[Problem] = []
    for line in found.lines:
        long = too_long(source, line)
        if long:
            problems.append(long)
            continue
        try:
            statements.append(parse_statement(source, line.start, line.end, line.comments))
        except FusemaxError as error:
            problems.extend(error.problems)
    if not found.lines:
        problems.append(
            Problem("no statement in this file", Span(source, 0, 0), "write an equation: `Z[m] = A[k, m] * B[k]`")
        )
    return finish(statements, source, problems, found.comments_below)


def parse_statement(source: Source, start: int, end: int, comments: Comments) -> Statement:
    """Parse the one statement at `start:end` of the source."""
    text = source.text[start:end]
    try:
        tree = _grammar().parse(text)
    except UnexpectedInput as error:
        raise FusemaxError([diagnose(error, text, source, start)]) from None
    return Builder(source, start, comments).statement(tree)


def finish(
    statements: Iterable[Statement],
    source: Source,
    problems: Iterable[Problem] = (),
    comments_below: tuple[str, ...] = (),
    notes: tuple[Problem, ...] = (),
) -> Cascade:
    """Make the cascade of parsed statements, or raise all their problems."""
    cascade = Cascade(tuple(statements), source, notes, comments_below)
    problems = [*problems, *_unknown_functions(cascade), *_headers(cascade)]
    if problems:
        raise FusemaxError(in_order(problems))
    constants = {param.name for param in cascade.params} | {default.rank for default in cascade.shapes}
    ranks = {rank for _, tensor in cascade.declarations for rank in tensor.ranks}
    plain = tuple(_plain_scalars(s, constants | ranks) if isinstance(s, Einsum) else s for s in cascade.statements)
    return replace(cascade, statements=plain)


def _headers(cascade: Cascade) -> Iterable[Problem]:
    headers = [statement for statement in cascade.statements if isinstance(statement, Header)]
    return [Problem("a second `cascade` line", header.span, "keep one name") for header in headers[1:]]


def _unknown_functions(cascade: Cascade) -> Iterable[Problem]:
    known = FUNCTIONS | {op.name for op in cascade.ops}
    for statement in cascade.statements:
        for expr in _expressions(statement):
            for node in walk(expr):
                if isinstance(node, Apply) and node.operator not in known and _is_call(node):
                    hint = did_you_mean(node.operator, known) or "functions are " + ", ".join(sorted(known))
                    yield Problem(f"unknown function '{node.operator}'", node.span, hint)


def _is_call(node: Apply) -> bool:
    """Whether the operator was written as a function: infix operators have names that no user should call."""
    return node.operator not in OPERATORS or bool(node.span and node.span.text.lstrip().startswith(f"{node.operator}"))


def _expressions(statement: Statement) -> tuple[Expr, ...]:
    match statement:
        case Einsum(expr=expr):
            return (expr,)
        case Param(value=expr) | Op(body=expr):
            return (expr,)
        case Shapes(defaults):
            return tuple(default.value for default in defaults)
        case _:
            return ()


def _plain_scalars(einsum: Einsum, taken: set[str]) -> Einsum:
    """`Z[]` reads the same as `Z`, unless another thing of that name makes the brackets necessary."""
    bound = set(variables_of(einsum.expr)) | set(variables_of(einsum.target))

    def plain(node: Expr) -> Expr:
        match node:
            case Access(tensor, ()) if tensor not in taken and tensor not in bound:
                return Name(tensor, node.span)
        return node

    return replace(einsum, expr=transform(einsum.expr, plain))
