"""Which parameters a mapping gets: what its table says for a model and length, and what a user sets."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from fusemax.errors import FusemaxError, Problem, did_you_mean, listed
from fusemax.ir.mapping import Mapping as MappingFile
from fusemax.ir.mapping import Parameter
from fusemax.units import readable_length


@dataclass(frozen=True, slots=True)
class Chosen:
    """Values of parameters that do not keep their defaults, and, if the table was of no help, why."""

    values: Mapping[str, Any]
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


def integer_of(text: str) -> int | None:
    """An integer, with K, M or G for powers of 1024; None if the text is none.

    >>> integer_of("64K"), integer_of("1024"), integer_of("all")
    (65536, 1024, None)
    """
    match = re.fullmatch(r"(\d{1,18})([KMG]?)", text.strip(), re.IGNORECASE)
    return int(match[1]) * 1024 ** " KMG".index(match[2].upper() or " ") if match else None


def value_of_text(mapping: MappingFile, name: str, text: str) -> Any:
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
    found = next((parameter for parameter in mapping.parameters if parameter.name == name), None)
    if found is None:
        known = [parameter.name for parameter in mapping.parameters]
        hint = did_you_mean(name, known) or (f"its parameters are {listed(known)}" if known else "it has none")
        raise FusemaxError(f"mapping '{mapping.name}' has no parameter '{name}'", hint)
    return found
