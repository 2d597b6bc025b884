"""Text -> `Mapping`: every line parsed on its own, so that all mistakes of a file are found at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from typing import assert_never

from lark import Lark, Token, Tree, UnexpectedInput

from fusemax.errors import FusemaxError, Problem, Source, Span, in_order
from fusemax.ir.expr import Name
from fusemax.ir.mapping import Case, Choose, Hold, Mapping, Node, Parameter, Split, Uncounted
from fusemax.ir.walk import walk
from fusemax.moved import moved_name
from fusemax.resources import directory
from fusemax.syntax.mapping.build import (
    Body,
    Branch,
    Builder,
    Declaration,
    Heading,
    Statement,
    Title,
    Turn,
    chain,
    opens,
)
from fusemax.syntax.mapping.diagnosis import DECLARING, FORMS, Start, body_below, diagnose
from fusemax.syntax.mapping.lines import DEEPEST_BODY, Clause, laid_out
from fusemax.syntax.source import source_of, word_of


@cache
def _grammar() -> Lark:
    text = (directory("grammars") / "mapping.lark").read_text(encoding="utf-8")
    starts = [start.value for start in Start]
    return Lark(text, parser="lalr", start=starts, propagate_positions=True, maybe_placeholders=False)


def parse_mapping(text: str, name: str = "<mapping>") -> Mapping:
    """Parse the text of a mapping file, without a table; `name` is its name in errors.

    Raises `FusemaxError` with every syntax error of the text. Whether the mapping fits its cascade and its
    architecture is not looked at.

    >>> text = "mapping m\\ncascade matmul\\narch a\\nfor m: on array2d (rows: k): Z over n"
    >>> parse_mapping(text).body[0].variables
    ('m',)
    """
    source = source_of(text, name)
    layout = laid_out(source)
    if not layout.clauses and not layout.problems:
        raise FusemaxError([Problem("no statement in this file", Span(source, 0, 0), "start with `mapping NAME`")])
    reader = _Reader(source)
    found = reader.statements(layout.clauses)
    problems = [*layout.problems, *reader.problems]
    if not layout.problems:
        problems += _misplaced(found, reader.damaged, layout.clauses[0].span(source))
    if problems:
        raise FusemaxError(in_order(problems))
    return _assembled(found, source, layout.comments_below)


class _Reader:
    """Reads lines with their bodies, and collects their mistakes."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.problems: list[Problem] = []
        self.damaged: set[str] = set()
        """First words of the outermost lines that could not be read."""

    def statements(self, clauses: Sequence[Clause]) -> list[Statement]:
        """The statements of the outermost level."""
        found: list[Statement] = []
        for clause in clauses:
            try:
                found.append(self._statement(clause, 1))
            except FusemaxError as error:
                self.problems += error.problems
                self.damaged.add(word_of(clause.span(self.source).text))
        return found

    def _nodes(self, clauses: Sequence[Clause], depth: int) -> Iterator[Node]:
        for clause in clauses:
            try:
                statement = self._statement(clause, depth)
            except FusemaxError as error:
                self.problems += error.problems
                continue
            if isinstance(statement, Declaration):
                hint = "declarations stand above the first loop, not indented"
                self.problems.append(Problem(f"`{_keyword(statement)}` inside of a body", statement.span, hint))
            else:
                yield statement

    def _statement(self, clause: Clause, depth: int) -> Statement:
        tree, body = self._read(clause, Start.STATEMENT, depth)
        return Builder(self.source, clause.start, clause.comments, body).statement(tree)

    def _branches(self, clauses: Sequence[Clause], depth: int) -> Iterator[Branch]:
        for clause in clauses:
            try:
                tree, body = self._read(clause, Start.BRANCH, depth)
                yield Builder(self.source, clause.start, clause.comments, body).branch(tree)
            except FusemaxError as error:
                self.problems += error.problems

    def _turns(self, clauses: Sequence[Clause], depth: int) -> Iterator[Turn]:
        for clause in clauses:
            try:
                tree, body = self._read(clause, Start.EINSUMS, depth)
                yield from Builder(self.source, clause.start, clause.comments, body).turns(tree)
            except FusemaxError as error:
                self.problems += error.problems

    # ---------------------------------------------------------------------------------------------- lines and bodies

    def _read(self, clause: Clause, start: Start, depth: int) -> tuple[Tree[Token], Body]:
        """The tree of a line, and the body below it. Raises its problem when those of the body are taken down."""
        span = clause.span(self.source)
        try:
            tree = _grammar().parse(span.text, start=start.value)
        except UnexpectedInput as error:
            self._body(clause, start, depth + 1)
            raise FusemaxError([diagnose(error, span, start)]) from None
        inner = chain(tree)
        if start is not Start.EINSUMS and depth + len(inner) > DEEPEST_BODY + 1:
            raise FusemaxError([Problem(f"bodies nested more than {DEEPEST_BODY} deep", span, "nest fewer loops")])
        body = self._body(clause, start, depth + len(inner))
        if opens(inner[-1]) and not clause.body:
            hint = "indent it below, or write a single statement behind the colon"
            raise FusemaxError([Problem(f"`{' '.join(span.text.split())}` without a body", span, hint)])
        if clause.body and not opens(inner[-1]):
            hint = "only a line that ends with ':' has a body below it"
            raise FusemaxError([Problem("unexpected indentation", clause.body[0].span(self.source), hint)])
        return tree, body

    def _body(self, clause: Clause, start: Start, depth: int) -> Body:
        """The body below a line. The line may be damaged: if its kind of body is unknown, the body is not read."""
        match body_below(clause.span(self.source).text, start):
            case Start.STATEMENT:
                return Body(nodes=tuple(self._nodes(clause.body, depth)))
            case Start.BRANCH:
                return Body(branches=tuple(self._branches(clause.body, depth)))
            case Start.EINSUMS:
                return Body(turns=tuple(self._turns(clause.body, depth)))
        return Body()


# ------------------------------------------------------------------------------------------------------ the whole file


def _misplaced(found: Sequence[Statement], damaged: Iterable[str], first: Span) -> Iterator[Problem]:
    """Declarations that are missing, that stand twice, or that stand below the loops."""
    seen: set[str] = set(damaged)
    below = False
    for statement in found:
        if not isinstance(statement, Declaration):
            below = True
            continue
        said = _said(statement)
        if said in seen:
            yield Problem(f"a second line `{said}`", statement.span, "keep one")
        elif below:
            hint = "declarations stand above the first loop"
            yield Problem(f"`{_keyword(statement)}` below a loop", statement.span, hint)
        seen.add(said)
    for heading in Heading:
        if heading.value not in seen:
            yield Problem(f"no line `{heading.value}`", first, f"add `{FORMS[heading.value]}`")
    if not below and not set(damaged) - set(DECLARING):
        yield Problem("a mapping without a loop", first, "below the declarations stand loops: `for b, h:`")


def _keyword(statement: Declaration) -> str:
    match statement:
        case Title(heading):
            return heading.value
        case Choose():
            return "choose"
        case Uncounted():
            return "published"
        case Split():
            return "split"
    assert_never(statement)


def _said(statement: Declaration) -> str:
    """The part of a declaration that may stand only once."""
    return f"split {statement.variable}" if isinstance(statement, Split) else _keyword(statement)


def _assembled(found: Sequence[Statement], source: Source, comments: tuple[str, ...]) -> Mapping:
    """The mapping of statements that have been found complete."""
    body = tuple(statement for statement in found if not isinstance(statement, Declaration))
    titles = {statement.heading: statement for statement in found if isinstance(statement, Title)}
    mapping, cascade, arch = titles[Heading.MAPPING], titles[Heading.CASCADE], titles[Heading.ARCH]
    listed = set(_lists(body))
    return Mapping(
        mapping.name,
        tuple(_listed(parameter, listed) for parameter in mapping.parameters),
        cascade.name,
        arch.name,
        next((statement for statement in found if isinstance(statement, Choose)), None),
        tuple(statement for statement in found if isinstance(statement, Split)),
        next((statement for statement in found if isinstance(statement, Uncounted)), None),
        body,
        source,
        comments=comments,
        header_comments=(mapping.comments, cascade.comments, arch.comments),
    )


def _listed(parameter: Parameter, listed: set[str]) -> Parameter:
    """A single word is a list of one where the parameter is used as one, and else an expression."""
    match parameter.default:
        case Name(word) if parameter.name in listed:
            return replace(parameter, default=(word,))
    return parameter


def _lists(body: Iterable[Node]) -> Iterator[str]:
    """Names that a body uses as lists of words: in `case`, `hold` and `unless`."""
    for node in walk(body):
        match node:
            case Case(parameter):
                yield parameter
            case Hold(tensors, _, unless):
                yield from tensors
                yield from [unless] if unless else []


def __getattr__(name: str) -> object:
    return moved_name(__name__, name)
