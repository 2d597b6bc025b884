"""The values of a mapping's parameters: defaults, the row of its table for a model and length, and a user's settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from fusemax.bind.extents import Amount
from fusemax.bind.sizes import parameter_number, value_of
from fusemax.errors import FusemaxError, Problem, Span, did_you_mean, listed
from fusemax.ir.expr import Expr, Name
from fusemax.ir.mapping import Mapping as MappingFile
from fusemax.ir.mapping import Parameter
from fusemax.units import integer_of, readable_length

ParameterValue = Amount | str | Sequence[str]
"""A value to give for a parameter: a number, a number for each point of a grid, or words, also in one text."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One value for every parameter: numbers or arrays for expressions, words for lists."""

    numbers: Mapping[str, Amount]
    words: Mapping[str, tuple[str, ...]]


def choice_of(mapping: MappingFile, sizes: Mapping[str, Amount], given: Mapping[str, ParameterValue]) -> Choice:
    """One value for every parameter: as given, else its default, an expression over sizes and the parameters before it.

    Raises `FusemaxError` for parameters that the mapping has not, and for values that are no numbers.

    >>> from fusemax import load_mapping
    >>> choice = choice_of(load_mapping("flat"), {"P": 1024}, {"qk": "weight"})
    >>> choice.numbers, choice.words["qk"], choice.words["av"]
    ({'rows': 1024, 'share': 0}, ('weight',), ('output',))
    """
    known = [parameter.name for parameter in mapping.parameters]
    for name in given:
        if name not in known:
            raise FusemaxError([no_parameter(mapping, name)])
    words = words_of(mapping, given)
    numbers: dict[str, Amount] = {}
    for parameter in mapping.parameters:
        name, value = parameter.name, given.get(parameter.name, parameter.default)
        lengths = {**sizes, **numbers}
        if name in words:
            continue
        if isinstance(parameter.default, Name) and parameter.default.name not in lengths and _listed(value) is not None:
            words[name] = _listed(value) or ()
        elif isinstance(value, Name) and value.name not in lengths:
            words[name] = (value.name,)
        elif isinstance(value, Expr):
            numbers[name] = value_of(value, lengths, parameter.span)
        else:
            numbers[name] = parameter_number(mapping, name, value)
    return Choice(numbers, words)


def words_of(mapping: MappingFile, given: Mapping[str, ParameterValue]) -> dict[str, tuple[str, ...]]:
    """The words of the parameters that list some, whatever the sizes are: as given, else as their defaults.

    >>> from fusemax import load_mapping
    >>> words_of(load_mapping("flat"), {"kept": "Q AV"})
    {'kept': ('Q', 'AV'), 'qk': ('output',), 'av': ('output',)}
    """
    values = {p.name: given.get(p.name, p.default) for p in mapping.parameters if isinstance(p.default, tuple)}
    return {name: words for name, value in values.items() if (words := _listed(value)) is not None}


def _listed(value: ParameterValue | Expr) -> tuple[str, ...] | None:
    """The words that a value lists."""
    match value:
        case tuple() | list():
            return tuple(value)
        case str():
            return tuple(value.split())
    return None


def no_parameter(mapping: MappingFile, name: str, span: Span | None = None) -> Problem:
    """The problem with a name that is no parameter of a mapping."""
    known = [parameter.name for parameter in mapping.parameters]
    hint = did_you_mean(name, known) or (f"its parameters are {listed(known)}" if known else "it has no parameters")
    return Problem(f"mapping '{mapping.name}' has no parameter '{name}'", span, hint)


# --------------------------------------------------------------------------------------------------- tables and texts


@dataclass(frozen=True, slots=True)
class Chosen:
    """Values of parameters other than their defaults, and, if the table has no row for them, a remark."""

    values: Mapping[str, ParameterValue]
    remark: str | None = None

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Errors inside tell also that the parameters have their defaults, if they do for lack of a choice."""
        try:
            yield
        except FusemaxError as error:
            if self.remark is None:
                raise
            hint = "choose a model and length that the table has, or set the parameters: `--set NAME=VALUE`"
            raise FusemaxError([*error.problems, Problem(self.remark, hint=hint)]) from None


def chosen_for(mapping: MappingFile, model: str | None, seq: int | None) -> Chosen:
    """The parameters that the table of a mapping says for a model and length.

    Without a row for them all parameters have their defaults, and `remark` says so.

    >>> from fusemax import load_mapping
    >>> chosen_for(load_mapping("flat"), "bert", 65536).values["kept"]
    ('QK', 'A', 'AV')
    >>> chosen_for(load_mapping("flat"), "mine", 512).remark
    "'flat' has no choice for mine 512: its parameters have their defaults"
    """
    choose = mapping.choose
    if choose is None or not mapping.table:
        return Chosen({})
    if model is None:
        return Chosen(
            {},
            f"'{mapping.name}' chooses its parameters by {' and '.join(choose.by)}: without, they have their defaults",
        )
    for row in map(dict, mapping.table):
        if all(_matches(row[key], key, model, seq) for key in choose.by):
            return Chosen({name: value_of_text(mapping, name, row[name]) for name in row if name not in choose.by})
    at = model if seq is None else f"{model} {readable_length(seq)}"
    return Chosen({}, f"'{mapping.name}' has no choice for {at}: its parameters have their defaults")


def _matches(cell: str, key: str, model: str, seq: int | None) -> bool:
    """Whether a cell of a table is the model or the length; a table cannot choose by anything else."""
    match key:
        case "model":
            return cell.lower() == model.lower()
        case "seq":
            return integer_of(cell) == seq
    return False


def value_of_text(mapping: MappingFile, name: str, text: str) -> int | float | tuple[str, ...]:
    """The value of a parameter as a user or a table writes it: words where its default is words, else a number.

    Raises `FusemaxError` for a parameter that the mapping has not, and for a text that is no number.

    >>> from fusemax import load_mapping
    >>> value_of_text(load_mapping("flat"), "kept", "Q AV"), value_of_text(load_mapping("flat"), "rows", "1K")
    (('Q', 'AV'), 1024)
    """
    parameter = _parameter(mapping, name)
    if isinstance(parameter.default, tuple):
        return () if text.strip() == "()" else tuple(text.split())
    integer = integer_of(text)
    if integer is not None:
        return integer
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 <= value < float("inf"):
        raise FusemaxError(f"parameter '{name}' of '{mapping.name}': '{text[:60]}' is not a number",
                           "write a number like 1024, 64K or 0.5")  # fmt: skip
    return value


def _parameter(mapping: MappingFile, name: str) -> Parameter:
    """The parameter of a name."""
    for parameter in mapping.parameters:
        if parameter.name == name:
            return parameter
    raise FusemaxError([no_parameter(mapping, name)])
