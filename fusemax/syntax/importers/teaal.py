"""TeAAL's YAML: the `einsum: {declaration, expressions}` section of a specification, as a cascade."""

from __future__ import annotations

import re
from collections.abc import Iterator

from fusemax.errors import FusemaxError, Problem, Source, did_you_mean, nearest
from fusemax.ir.cascade import NO_COMMENTS, Cascade, Declare, Einsum, Role, Statement, TensorDeclaration
from fusemax.ir.expr import accesses, is_shape, names
from fusemax.syntax.cascade.parser import finish, parse_statement
from fusemax.syntax.yaml.nodes import Mapping_, Node, Scalar, Sequence_, read_yaml

KEYS = ("declaration", "expressions")
_HINT = "its keys are `declaration` and `expressions`"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_']*")


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
        near = nearest("einsum", root.keys())
        hint = f"rename '{near}' to `einsum`" if near else "write `einsum: {declaration: ..., expressions: ...}`"
        raise FusemaxError([Problem("no section `einsum`", root.span, hint)])
    hint = "a cascade is its `einsum` section alone"
    notes = tuple(
        Problem(f"section '{key.value}' of the TeAAL file is ignored", key.span, hint)
        for key, _ in root.items
        if key.value != "einsum"
    )
    einsum = _mapping(section, "`einsum`")
    problems = [
        Problem(f"unknown key '{key.value}' in `einsum`", key.span, did_you_mean(key.value, KEYS) or _HINT)
        for key, _ in einsum.items
        if key.value not in KEYS
    ]
    meant = [nearest(key.value, KEYS) for key, _ in einsum.items]
    problems += [Problem(f"no `{key}` in `einsum`", section.span, _HINT) for key in KEYS if key not in meant]
    equations = list(_expressions(einsum.get("expressions"), source, problems))
    declared = list(_declared(einsum.get("declaration"), problems))
    return finish([*_declarations(declared, equations), *equations], source, problems, notes=notes)


def _mapping(node: Node, what: str) -> Mapping_:
    if not isinstance(node, Mapping_):
        raise FusemaxError([Problem(f"{what} is not a mapping", node.span, "write `key: value` lines")])
    return node


def _expressions(node: Node | None, source: Source, problems: list[Problem]) -> Iterator[Einsum]:
    """The equations; mistakes of the others are added to the problems."""
    if not isinstance(node, Sequence_):
        if node is not None:
            problems.append(Problem("`expressions` is not a list", node.span, "write `- Z[m] = A[k, m] * B[k]`"))
        return
    if not node.items:
        problems.append(Problem("`expressions` is empty", node.span, "write `- Z[m] = A[k, m] * B[k]`"))
    for item in node.items:
        try:
            statement = _expression(item, source)
        except FusemaxError as error:
            problems.extend(error.problems)
            continue
        if isinstance(statement, Einsum):
            yield statement
        else:
            problems.append(Problem("an expression that is not an Einsum", item.span, "write `Z[m] = A[k, m] * B[k]`"))


def _expression(item: Node, source: Source) -> Statement:
    if not isinstance(item, Scalar):
        raise FusemaxError([Problem("an expression that is not text", item.span, "put it in quotes")])
    if item.verbatim:
        return parse_statement(source, item.verbatim.start, item.verbatim.end, NO_COMMENTS)
    line, _ = source.position(item.span.start)  # with escapes: positions are those of the text that they make
    text = item.value.strip()
    return parse_statement(Source(f"{source.name} (the text at line {line})", text), 0, len(text), NO_COMMENTS)


def _declared(node: Node | None, problems: list[Problem]) -> Iterator[TensorDeclaration]:
    """The declared tensors; mistakes of the others are added to the problems."""
    if not isinstance(node, Mapping_):
        if node is not None:
            problems.append(Problem("`declaration` is not a mapping", node.span, "write lines like `A: [K, M]`"))
        return
    for key, value in node.items:
        if not isinstance(value, Sequence_) or not all(isinstance(item, Scalar) for item in value.items):
            problems.append(Problem("the ranks of a tensor are not a list of names", value.span, "write `A: [K, M]`"))
            continue
        ranks = [item for item in value.items if isinstance(item, Scalar)]
        problems += [_not_a_rank(rank) for rank in ranks if not (_NAME.fullmatch(rank.value) and is_shape(rank.value))]
        if key.value == "inf" and not ranks:
            problems.append(Problem("'inf' is a number", key.span, "choose another name"))
        elif not _NAME.fullmatch(key.value):
            hint = "a name is a letter, then letters, digits, `_` and `'`"
            problems.append(Problem(f"'{key.value}' cannot be the name of a tensor", key.span, hint))
        yield TensorDeclaration(key.value, tuple(rank.value for rank in ranks), None, key.span)


def _not_a_rank(rank: Scalar) -> Problem:
    hint = f"write {rank.value.upper()}" if _NAME.fullmatch(rank.value) else "write it like K or M0"
    return Problem(f"'{rank.value}' is not a rank; ranks are upper-case", rank.span, hint)


def _declarations(declared: list[TensorDeclaration], equations: list[Einsum]) -> Iterator[Statement]:
    """Tensors never written are inputs, those written and never read outputs, and the rest is in between."""
    written = {equation.name for equation in equations}
    read = {access.tensor for equation in equations for access in accesses(equation.expr)}
    read |= {name.name for equation in equations for name in names(equation.expr)}
    by_role: dict[Role, list[TensorDeclaration]] = {Role.INPUT: [], Role.OUTPUT: [], Role.TENSOR: []}
    for tensor in declared:
        role = Role.INPUT if tensor.name not in written else Role.TENSOR if tensor.name in read else Role.OUTPUT
        by_role[role].append(tensor)
    return (Declare(role, tuple(tensors), tensors[0].span) for role, tensors in by_role.items() if tensors)
