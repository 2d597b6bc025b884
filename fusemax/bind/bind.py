"""The stage from a mapping to a bound mapping: parameters, plan, legality, extents, capacity."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fusemax.bind.capacity import capacity_problems
from fusemax.bind.extents import Amount
from fusemax.bind.instantiate import instantiate
from fusemax.bind.legal.fusion import problems_of, shares_of
from fusemax.bind.loop_nest import LoopNest
from fusemax.bind.parameters import Choice, ParameterValue, choice_of
from fusemax.bind.plan import Plan, Planner
from fusemax.bind.sizes import sizes_of
from fusemax.bind.splits import extents_of, fitted, splits_of
from fusemax.bind.tensors import Splits, with_places
from fusemax.errors import FusemaxError, Problem
from fusemax.ir.arch import Arch
from fusemax.ir.checked import Checked
from fusemax.ir.mapping import Mapping as MappingFile


@dataclass(frozen=True, slots=True)
class BoundMapping:
    """A mapping of a cascade on a machine at sizes: its plan, and the loop nest, which answers all geometric questions.

    `mapping` is the instance that was planned: without cases and lists of tensors.
    """

    checked: Checked
    arch: Arch
    mapping: MappingFile
    plan: Plan
    sizes: Mapping[str, Amount]
    nest: LoopNest


def bind(
    checked: Checked, arch: Arch, mapping: MappingFile, shapes: Mapping[str, Amount], parameters: Mapping[str, ParameterValue],
    *, check_capacity: bool = True,
) -> BoundMapping:  # fmt: skip
    """Bind a mapping; `shapes` are elements by rank, numbers or arrays with one element a shape point.

    Raises `FusemaxError` with all mistakes of the tree, or with tiles that do not divide or fit. Without
    `check_capacity` tiles may exceed their memory; `capacity.fits` has the points at which they do not.
    """
    sizes = sizes_of(checked, arch, mapping, shapes, parameters)
    choice = choice_of(mapping, sizes, parameters)
    splits = splits_of(checked, mapping)
    with for_its_cascade(checked, mapping):
        chosen = instantiate(mapping, choice)
        plan = Planner(checked, arch, chosen, choice.numbers, splits).plan()
    _check_legal(checked, arch, mapping, plan, splits, choice)
    extents = extents_of(checked, arch, mapping, sizes, choice)
    nest = LoopNest(checked, arch, plan, extents.mean, with_places(checked, splits), extents.longest)
    nest = fitted(nest, mapping.splits)
    problems = [*axis_problems(nest)] or [*(capacity_problems(nest) if check_capacity else ())]
    if problems:
        raise FusemaxError(problems)
    return BoundMapping(checked, arch, chosen, plan, sizes, nest)


def lengths(
    checked: Checked,
    arch: Arch,
    mapping: MappingFile,
    shapes: Mapping[str, Amount],
    parameters: Mapping[str, ParameterValue],
) -> dict[str, Amount]:
    """The longest extents of all variables and parts, by the splits alone. Raises `FusemaxError` where they do not divide."""
    sizes = sizes_of(checked, arch, mapping, shapes, parameters)
    extents = extents_of(checked, arch, mapping, sizes, choice_of(mapping, sizes, parameters))
    return {**extents.mean, **extents.longest}


@contextmanager
def for_its_cascade(checked: Checked, mapping: MappingFile) -> Iterator[None]:
    """Put first, before errors inside, that the cascade is not the one that the mapping names."""
    try:
        yield
    except FusemaxError as error:
        own = Path(mapping.cascade).stem
        if own == checked.cascade.name:
            raise
        first = Problem(f"mapping '{mapping.name}' is for '{own}', not for '{checked.cascade.name}'", None,
                        "give it the cascade that it names, or write a mapping of this one")  # fmt: skip
        raise FusemaxError([first, *error.problems]) from None


_LEGAL: set[tuple[Checked, Arch, MappingFile, tuple[tuple[str, tuple[str, ...]], ...]]] = set()
"""Bindings that are legal; of the numbers only spilled shares decide that."""
MOST_LEGAL = 256


def _check_legal(
    checked: Checked, arch: Arch, mapping: MappingFile, plan: Plan, splits: Splits, choice: Choice
) -> None:
    """Refuse plans that no sizes make legal; searches bind the same plan many times."""
    key = (checked, arch, mapping, tuple(choice.words.items()))
    if key in _LEGAL and not any(shares_of(plan)):  # shares may be numbers of parameters
        return
    problems = problems_of(checked, arch, mapping, plan, splits)
    if problems:
        raise FusemaxError(problems)
    if len(_LEGAL) >= MOST_LEGAL:
        _LEGAL.clear()
    _LEGAL.add(key)


def axis_problems(nest: LoopNest) -> list[Problem]:
    """Variables that are longer than their axis (docs/model.md, rule 16)."""
    problems: dict[str, Problem] = {}
    for placement in nest.plan.placements:
        lengths = nest.arch.unit(placement.unit).lengths
        for axis, variable in placement.axes:
            extent = nest.longest_extent(variable)
            if np.any(np.asarray(extent) > lengths[axis]):
                message = (
                    f"'{variable}' has {np.max(extent)} points, but '{placement.unit}' only {lengths[axis]} {axis}"
                )
                hint = f"split '{variable}': `= {placement.unit}.{axis}`"
                problems.setdefault(message, Problem(message, placement.span, hint))
    return [*problems.values()]
