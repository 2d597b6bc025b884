"""TeAAL's YAML: the `einsum: {declaration, expressions}` section of a specification, as a cascade."""

from __future__ import annotations

from collections.abc import Iterator

from fusemax.errors import FusemaxError, Problem, Source, did_you_mean
from fusemax.ir.cascade import NO_COMMENTS, Cascade, Declare, Einsum, Role, Statement, TensorDeclaration
from fusemax.ir.expr import accesses, is_shape, names
from fusemax.syntax.parser import finish, parse_statement
from fusemax.syntax.yamls import Mapping_, Node, Scalar, Sequence_, read_yaml


def parse_teaal(text: str, name: str = "<teaal>") -> Cascade:
    """Parse a TeAAL specification; sections other than `einsum` are left out, with a note each.

    Raises `FusemaxError` with every problem of the YAML and of the expressions in it.

    >>> text = '''
    ... einsum:
    ...   declaration: {A: [K], Z: []}
    ...   expressions: ["Z = A[k]"]
    ... '''
    >>> print(parse_teaal(text), end="")
    input  A[K]
    output Z
    <BLANKLINE>
    Z = A[k]
    """
    source = Source(name, text)
    root = _mapping(read_yaml(source), "a TeAAL specification")
    section = root.get("einsum")
    if section is None:
        near = did_you_mean("einsum", root.keys())
        raise FusemaxError(
            [Problem("no section `einsum`", root.span, near or "write `einsum: {declaration: ..., expressions: ...}`")]
        )
    notes = tuple(
        Problem(
            f"section '{key.value}' of the TeAAL file is ignored", key.span, "a cascade is its `einsum` section alone"
        )
        for key, _ in root.items
        if key.value != "einsum"
    )
    einsum = _mapping(section, "`einsum`")
    problems = [
        Problem(f"unknown key '{key.value}' in `einsum`", key.span, "its keys are `declaration` and `expressions`")
        for key, _ in einsum.items
        if key.value not in ("declaration", "expressions")
    ]
    equations, wrong = _expressions(einsum, source)
    declarations = _declarations(einsum, equations)
    return finish([*declarations, *equations], source, [*problems, *wrong], notes=notes)


def _mapping(node: Node, what: str) -> Mapping_:
    if not isinstance(node, Mapping_):
        raise FusemaxError([Problem(f"{what} is not a mapping", node.span, "write `key: value` lines")])
    return node


def _required(einsum: Mapping_, key: str) -> Node:
    found = einsum.get(key)
    if found is None:
        raise FusemaxError(
            [Problem(f"no `{key}` in `einsum`", einsum.span, "its keys are `declaration` and `expressions`")]
        )
    return found


def _expressions(einsum: Mapping_, source: Source) -> tuple[list[Einsum], list[Problem]]:
    node = _required(einsum, "expressions")
    if not isinstance(node, Sequence_):
        raise FusemaxError([Problem("`expressions` is not a list", node.span, "write `- Z[m] = A[k, m] * B[k]` lines")])
    found: list[Einsum] = []
    problems: list[Problem] = []
    for item in node.items:
        try:
            statement = _expression(item, source)
        except FusemaxError as error:
            problems.extend(error.problems)
            continue
        if isinstance(statement, Einsum):
            found.append(statement)
        else:
            problems.append(Problem("an expression that is not an Einsum", item.span, "write `Z[m] = A[k, m] * B[k]`"))
    return found, problems


def _expression(item: Node, source: Source) -> Statement:
    if not isinstance(item, Scalar):
        raise FusemaxError([Problem("an expression that is not text", item.span, "put it in quotes")])
    if item.verbatim:
        return parse_statement(source, item.verbatim.start, item.verbatim.end, NO_COMMENTS)
    text = item.value.strip()  # folded or escaped: positions are those of the text that YAML makes of it
    line, _ = source.position(item.span.start)
    return parse_statement(Source(f"{source.name} (the text at line {line})", text), 0, len(text), NO_COMMENTS)


def _declarations(einsum: Mapping_, equations: list[Einsum]) -> Iterator[Statement]:
    """Tensors never written are inputs, those written and never read outputs, and the rest is in between."""
    node = _mapping(_required(einsum, "declaration"), "`declaration`")
    written = {equation.name for equation in equations}
    read = {access.tensor for equation in equations for access in accesses(equation.expr)}
    read |= {name.name for equation in equations for name in names(equation.expr)}
    by_role: dict[Role, list[TensorDeclaration]] = {Role.INPUT: [], Role.OUTPUT: [], Role.TENSOR: []}
    for key, value in node.items:
        role = Role.INPUT if key.value not in written else Role.TENSOR if key.value in read else Role.OUTPUT
        by_role[role].append(TensorDeclaration(key.value, _ranks(value), None, key.span))
    return (Declare(role, tuple(tensors), tensors[0].span) for role, tensors in by_role.items() if tensors)


def _ranks(node: Node) -> tuple[str, ...]:
    if not isinstance(node, Sequence_) or not all(isinstance(item, Scalar) for item in node.items):
        raise FusemaxError([Problem("the ranks of a tensor are not a list of names", node.span, "write `A: [K, M]`")])
    ranks = [item for item in node.items if isinstance(item, Scalar)]
    wrong = [
        Problem(f"'{r.value}' is not a rank; ranks are upper-case", r.span, f"write {r.value.upper()}")
        for r in ranks
        if not is_shape(r.value)
    ]
    if wrong:
        raise FusemaxError(wrong)
    return tuple(rank.value for rank in ranks)
