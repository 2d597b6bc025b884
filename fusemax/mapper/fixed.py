"""What a user fixes before a search: lengths, words, units of Einsums, and levels that hold tensors."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from fusemax.errors import FusemaxError, did_you_mean, listed
from fusemax.ir.arch import Arch
from fusemax.ir.checked import Checked
from fusemax.ir.mapping import Mapping as MappingFile
from fusemax.model.choose import integer_of


@dataclass(frozen=True)
class Fixed:
    """Lengths of parts and numbers of parameters, words of parameters, units of Einsums, levels of tensors."""

    numbers: Mapping[str, int] = field(default_factory=dict)
    words: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    levels: Mapping[str, str] = field(default_factory=dict)


def fixed_of(
    fix: Sequence[str], keep: Sequence[str], checked: Checked, arch: Arch, template: MappingFile | None
) -> Fixed:
    """From texts: `p1=8`, `M0=512`, `SLN=array2d`, `kept=QK A`; and `QK=buffer` for what is kept where.

    Raises `FusemaxError` for what contradicts itself or names nothing that there is.
    """
    found = Fixed({}, {}, {}, {})
    numbers, words, units, levels = dict(found.numbers), dict(found.words), dict(found.units), dict(found.levels)
    einsums = [einsum.name for einsum in checked.einsums]
    names = [unit.name for unit in arch.units]
    parameters = {parameter.name: parameter for parameter in template.parameters} if template else {}
    seen: dict[str, str] = {}
    for text in fix:
        name, value = _pair(text, "fix", "--fix p1=8")
        if seen.setdefault(name, value) != value:
            raise FusemaxError(f"'{name}' is fixed at '{seen[name]}' and at '{value}'", "keep one")
        number = integer_of(value)
        if name in parameters and isinstance(parameters[name].default, tuple):
            words[name] = () if value == "()" else tuple(value.split())
        elif name in parameters and number is None:
            words[name] = (value,)
        elif name in einsums and number is None:
            units[name] = _known(value, names, f"'{arch.name}' has no unit", "its units are")
        elif number is not None and number > 0:
            numbers[name] = numbers[f"{name}_extent"] = number
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
    return Fixed(numbers, words, units, levels)


def _pair(text: str, what: str, example: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip() or not value.strip():
        raise FusemaxError(f"`--{what} {text}` has no `NAME=VALUE`", f"write it like `{example}`")
    return name.strip(), value.strip()


def _known(name: str, known: Collection[str], what: str, are: str) -> str:
    if name not in known:
        raise FusemaxError(f"{what} '{name}'", did_you_mean(name, list(known)) or f"{are} {listed(list(known), 20)}")
    return name
