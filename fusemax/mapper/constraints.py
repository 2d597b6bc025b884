"""The choices of a user before a search: lengths, words, units of Einsums, and levels that hold tensors."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from fusemax.errors import FusemaxError, did_you_mean, listed
from fusemax.ir.arch import Arch
from fusemax.ir.checked import Checked
from fusemax.ir.expr import Number
from fusemax.ir.mapping import Mapping as MappingFile
from fusemax.ir.mapping import Open
from fusemax.mapper.space.nests import nests
from fusemax.units import integer_of


@dataclass(frozen=True)
class Fixed:
    """Lengths of parts and numbers of parameters, words of parameters, units of Einsums, levels of tensors, shares; and
    whether all tiles must have the same length."""

    numbers: Mapping[str, int] = field(default_factory=dict)
    words: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    levels: Mapping[str, str] = field(default_factory=dict)
    shares: Mapping[str, float] = field(default_factory=dict)
    even: bool = False


def fixed_of(
    fix: Sequence[str], keep: Sequence[str], checked: Checked, arch: Arch, template: MappingFile | None
) -> Fixed:
    """From texts: `p1=8`, `M0=512`, `SLN=array2d`, `kept=QK A`; and `QK=buffer` for the level of a tensor.

    Raises `FusemaxError` for contradictions and unknown names.
    """
    found = Fixed({}, {}, {}, {})
    words, units, levels = dict(found.words), dict(found.units), dict(found.levels)
    numbers: dict[str, int] = {}
    shares: dict[str, float] = {}
    einsums = [einsum.name for einsum in checked.einsums]
    names = [unit.name for unit in arch.units]
    parameters = {parameter.name: parameter for parameter in template.parameters} if template else {}
    lengths = list(_lengths(checked, template))
    seen: dict[str, str] = {}
    for text in fix:
        name, value = _pair(text, "fix", "--fix p1=8")
        if seen.setdefault(name, value) != value:
            raise FusemaxError(f"'{name}' is fixed at '{seen[name]}' and at '{value}'", "keep one")
        number = integer_of(value)
        if name in parameters and isinstance(parameters[name].default, tuple):
            words[name] = () if value == "()" else tuple(value.split())
        elif name in parameters and number is None and _is_share(value):
            shares[name] = float(value)
        elif name in parameters and number is None:
            words[name] = (value,)
        elif name in einsums and number is None:
            units[name] = _known(value, names, f"'{arch.name}' has no unit", "its units are")
        elif number is not None and (number > 0 or (number == 0 and name in parameters)):
            if name not in lengths:
                hint = f"lengths that may be fixed are {listed(lengths, 20)}" if lengths else "no length may be fixed"
                raise FusemaxError(f"no open choice has the name '{name}'", hint)
            part = name.lower() if name in checked.ranks and name not in parameters else name
            if numbers.setdefault(part, number) != number:
                raise FusemaxError(f"'{part}' is fixed at '{numbers[part]}' and at '{number}'", "keep one")
        elif name in lengths and _is_number(value):
            raise FusemaxError(f"'{text}' fixes no length", "a length is an integer of at least 1")
        else:
            raise FusemaxError(
                f"'{text}' fixes nothing", "write a length `p1=8`, a unit of an Einsum `SLN=array2d`, or a parameter"
            )
    for text in keep:
        name, value = _pair(text, "keep", "--keep QK=buffer")
        tensor = _known(name, list(checked.tensors), f"'{checked.cascade.name}' has no tensor", "tensors are")
        level = _known(value, [m.name for m in arch.memories], f"'{arch.name}' has no memory", "its memories are")
        if levels.setdefault(tensor, level) != level:
            raise FusemaxError(f"'{tensor}' is to be kept in '{levels[tensor]}' and in '{level}'", "keep one")
    return Fixed(numbers, words, units, levels, shares)


def _lengths(checked: Checked, template: MappingFile | None) -> Iterator[str]:
    """The numbers that a user may fix: a template's parameters and `?`; else chunks of the cascade, and blocks."""
    if template is not None:
        yield from (parameter.name for parameter in template.parameters)
        yield from (part.variable for split in template.splits for part in split.parts if isinstance(part.extent, Open))
        return
    chosen = {
        equation.left for equation in checked.equations if equation.default and isinstance(equation.right, Number)
    }
    for rank in checked.ranks.values():
        chunks = (part for parts in rank.splits for part in parts[1:] if part in chosen)
        yield from (name for part in chunks for name in (part, part.lower()))
    taken = {variable for einsum in checked.einsums for variable in einsum.variables}
    for variable in next((nest.blocked for nest in nests(checked)), ()):
        inner = f"{variable}1"
        while inner in taken:
            inner += "_"
        yield inner


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _is_share(text: str) -> bool:
    """Whether a text is a number from 0 to 1, such as a share to spill."""
    return _is_number(text) and 0 <= float(text) <= 1


def _pair(text: str, option: str, example: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip() or not value.strip():
        raise FusemaxError(f"`--{option} {text}` has no `NAME=VALUE`", f"write it like `{example}`")
    return name.strip(), value.strip()


def _known(name: str, known: Collection[str], message: str, are: str) -> str:
    if name not in known:
        raise FusemaxError(f"{message} '{name}'", did_you_mean(name, list(known)) or f"{are} {listed(list(known), 20)}")
    return name
