"""Text -> `Cascade`: every statement parsed on its own, so that all mistakes of a file are found at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import cache

from lark import Lark, UnexpectedInput

from fusemax.errors import FusemaxError, Problem, Source, Span, in_order
from fusemax.ir.cascade import Cascade, Comments, Einsum, Header, Statement
from fusemax.ir.expr import Access, Expr, Name, transform, variables_of
from fusemax.resources import directory
from fusemax.syntax.cascade.build import Builder
from fusemax.syntax.cascade.diagnosis import diagnose
from fusemax.syntax.cascade.lines import logical_lines
from fusemax.syntax.source import source_of, too_long, too_many


@cache
def _grammar() -> Lark:
    text = (directory("grammars") / "cascade.lark").read_text(encoding="utf-8")
    return Lark(
        text, parser="lalr", lexer="contextual", start="statement", keep_all_tokens=True, maybe_placeholders=False
    )


def parse(text: str, name: str = "<cascade>") -> Cascade:
    """Parse the text of a cascade file; `name` is its name in errors.

    Raises `FusemaxError` with every syntax error of the text. The meaning of the text is not looked at: see `check`.

    >>> parse("GM[p] = QK[m, p] :: reduce[m] max").einsums[0].name
    'GM'
    """
    source = source_of(text, name)
    found = logical_lines(source.text)
    statements: list[Statement] = []
    problems: list[Problem] = []
    if many := too_many(source, found.lines, "statement", "cascade"):
        raise FusemaxError([many])
    for line in found.lines:
        if long := too_long(source, line, "statement", "equation"):
            problems.append(long)
            continue
        try:
            statements.append(parse_statement(source, line.start, line.end, line.comments))
        except FusemaxError as error:
            problems.extend(error.problems)
    if not found.lines:
        hint = "write an equation: `Z[m] = A[k, m] * B[k]`"
        problems.append(Problem("no statement in this file", Span(source, 0, 0), hint))
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
    problems = [*problems, *_second_headers(cascade)]
    if problems:
        raise FusemaxError(in_order(problems))
    taken = cascade.shape_names | {param.name for param in cascade.params}
    plain = tuple(_plain_scalars(s, taken) if isinstance(s, Einsum) else s for s in cascade.statements)
    return replace(cascade, statements=plain)


def _second_headers(cascade: Cascade) -> Iterable[Problem]:
    headers = [statement for statement in cascade.statements if isinstance(statement, Header)]
    return [Problem("a second `cascade` line", header.span, "keep one name") for header in headers[1:]]


def _plain_scalars(einsum: Einsum, taken: frozenset[str]) -> Einsum:
    """`Z[]` reads the same as `Z`, unless another thing of that name makes the brackets necessary."""
    bound = {*variables_of(einsum.expr), *variables_of(einsum.target)}

    def plain(node: Expr) -> Expr:
        match node:
            case Access(tensor, ()) if tensor not in taken and tensor not in bound:
                return Name(tensor, node.span)
        return node

    return replace(einsum, expr=transform(einsum.expr, plain))
