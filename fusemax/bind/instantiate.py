"""The stage before planning: parameters and cases put in, so that the later stages see a tree of loops only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from fusemax.bind.parameters import Choice, ParameterValue, no_parameter, words_of
from fusemax.errors import FusemaxError, Problem, did_you_mean, listed
from fusemax.ir.cascade import NO_COMMENTS
from fusemax.ir.expr import Expr, Name, Number
from fusemax.ir.expr import transform as transform_expr
from fusemax.ir.mapping import Case, Hold, Length, Node, Part, UnitBlock
from fusemax.ir.mapping import Mapping as MappingFile
from fusemax.ir.walk import Body, located, transform


def instantiate(mapping: MappingFile, choice: Choice) -> MappingFile:
    """The mapping with a branch in the place of each `case` and tensors in the places of their lists.

    Parameters that are numbers stay, for a choice may have a grid of values for each; the table by which they are chosen
    goes. Raises `FusemaxError` for every `case` without a branch for its word.

    >>> from fusemax import load_mapping
    >>> flat = instantiate(load_mapping("flat"), Choice({}, {"kept": ("Q",), "qk": ("weight",), "av": ("output",)}))
    >>> print(*str(flat).splitlines()[-12:-8], sep="\\n")
    pipeline b, h, p2:
      hold Q in buffer spill share  # some of Q, K, V, QK, A, AV; A takes the place of QK
      hold QK, A in dram
      for m1: on array2d (rows: e, columns: m0): QK over p1, p0
    """

    unmet = False

    def change(node: Node) -> Iterable[Node]:
        nonlocal unmet
        match node:
            case Case(parameter, branches):
                chosen = choice.words.get(parameter)
                body = next((body for word, body in branches if (word,) == chosen), None)
                unmet |= body is None
                return (node,) if body is None else body
            case Hold():
                return _listed(node, choice.words)
            case _:
                return (node,)

    body = transform(mapping.body, change)
    if unmet:
        _check_cases(mapping, body, choice)
    left = tuple(parameter for parameter in mapping.parameters if parameter.name not in choice.words)
    return replace(mapping, parameters=left, body=body, choose=None, table=())


def _listed(node: Hold, words: Mapping[str, tuple[str, ...]]) -> tuple[Hold, ...]:
    """A `hold` line with its tensors; no line if it holds nothing."""
    if not node.unless and not any(word in words for word in node.tensors):
        return (node,)
    without = words.get(node.unless, ()) if node.unless else ()
    tensors = tuple(name for word in node.tensors for name in words.get(word, (word,)) if name not in without)
    return (replace(node, tensors=tensors, unless=None),) if tensors else ()


def _check_cases(mapping: MappingFile, body: Body, choice: Choice) -> None:
    """Refuse the cases that are left, but not those in a branch that no word chooses."""
    left = [
        node for node, around in located(body)
        if isinstance(node, Case) and not any(isinstance(each, Case) for each in around)
    ]  # fmt: skip
    if left:
        raise FusemaxError([_no_branch(mapping, node, choice.words.get(node.parameter)) for node in left])


def _no_branch(mapping: MappingFile, node: Case, chosen: tuple[str, ...] | None) -> Problem:
    """Why no branch of a `case` is taken."""
    names = [name for name, _ in node.branches]
    if chosen is not None:
        word = " ".join(chosen)
        hint = did_you_mean(word, names) or f"choose {listed(names, word='or')}"
        return Problem(f"no case '{word}' of '{node.parameter}'", node.span, hint)
    if any(parameter.name == node.parameter for parameter in mapping.parameters):
        message = f"`case {node.parameter}`, but that parameter is a number and no word"
        return Problem(message, node.span, f"give it a default like `{names[0]}`")
    return no_parameter(mapping, node.parameter, node.span)


# ------------------------------------------------------------------------------------------------------------- numbers


def concrete(mapping: MappingFile, given: Mapping[str, ParameterValue]) -> MappingFile:
    """The mapping without parameters and comments, its numbers in their places too: a text of its own.

    Parameters that are not given have their defaults.

    >>> from fusemax import load_mapping
    >>> print(str(concrete(load_mapping("flat"), {"rows": 256, "qk": ("weight",)})).splitlines()[5])
    split p: p2, p1 = 256 / array2d.columns, p0 = array2d.columns
    """
    made = instantiate(mapping, Choice({}, words_of(mapping, given)))
    numbers: dict[str, Expr] = {}
    for parameter in made.parameters:
        numbers[parameter.name] = _number(given.get(parameter.name, parameter.default), numbers)

    def change(node: Node) -> Iterator[Node]:
        match node:
            case Hold():
                yield replace(node, spill=_spill(node, numbers), comments=NO_COMMENTS)
            case UnitBlock():
                einsums = tuple(replace(each, comments=NO_COMMENTS) for each in node.einsums)
                yield replace(node, einsums=einsums, comments=NO_COMMENTS)
            case _:
                yield replace(node, comments=NO_COMMENTS)

    splits = tuple(
        replace(split, parts=tuple(_part(part, numbers) for part in split.parts), comments=NO_COMMENTS)
        for split in made.splits
    )
    body = transform(made.body, change)
    return MappingFile(mapping.name, (), mapping.cascade, mapping.arch, None, splits, mapping.uncounted, body)


def _number(value: ParameterValue | Expr, numbers: Mapping[str, Expr]) -> Expr:
    """The expression to write for a parameter."""
    if isinstance(value, Expr):
        return _substituted(value, numbers)
    assert isinstance(value, int | float), f"{value!r} is one number"
    return Number(value)


def _part(part: Part, numbers: Mapping[str, Expr]) -> Part:
    """A part with numbers in its extent."""
    if not isinstance(part.extent, Length):
        return part
    return replace(part, extent=Length(_substituted(part.extent.expr, numbers)))


def _spill(node: Hold, numbers: Mapping[str, Expr]) -> Expr | None:
    """The share of a `hold` line. A share of 0 stays: in a line that spills, a tensor takes the place of another."""
    share = None if node.spill is None else _substituted(node.spill, numbers)
    return Number(0) if share == Number(0) else share


def _substituted(expr: Expr, numbers: Mapping[str, Expr]) -> Expr:
    """An expression with numbers for parameters."""
    return transform_expr(expr, lambda node: numbers.get(node.name, node) if isinstance(node, Name) else node)
