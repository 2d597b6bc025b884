"""Lower bounds of the words that cross the edges of an array, whatever the order of its loops, and of their cycles.

An operand that depends on a reduced variable which runs inside of the array enters again whenever anything outside of
that variable advances; any other operand enters once at least.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from math import prod

from fusemax.bind.tensors import is_output
from fusemax.ir.arch import Unit
from fusemax.ir.checked import Checked, CheckedEinsum, Use, When
from fusemax.ir.expr import rank_of
from fusemax.mapper.space.nests import NestBody

Spread = tuple[tuple[str, str], ...]
"""Axes of a unit, each with the variable that is spread over it."""


def crossings(body: NestBody, einsum: CheckedEinsum) -> Iterator[tuple[Use, str | None]]:
    """The operands that no other Einsum of a body reads, each with the Einsum that spares it the edges if it is on the
    same unit; None if nothing does."""
    made = set(body.names)
    for use in einsum.reads:
        readers = [e.name for e in body.einsums if any(other.tensor == use.tensor for other in e.reads)]
        if readers == [einsum.name] and use.when is not When.INITIAL:
            inside = use.tensor in made and use.when not in (When.OLD, When.FINAL)
            yield use, use.tensor if inside else None


def leaves_array(checked: Checked, body: NestBody, einsum: CheckedEinsum, readers: Collection[str]) -> bool:
    """Whether a result leaves its array whoever runs what."""
    return is_output(checked.tensors[einsum.name]) or any(name not in body.names for name in readers)


def entering_cycles(
    einsum: CheckedEinsum, use: Use, unit: Unit, spread: Spread, fitted: Mapping[str, float], inside: Sequence[tuple[str, float]],
    sizes: Mapping[str, int],
) -> float:  # fmt: skip
    """The least cycles that an operand takes to enter. `fitted` has the mean points of what is spread over the axes, `inside`
    what is known to run inside of the array, outermost first: variables with their iterations there."""
    entering = unit.entering
    if not entering:
        return 0.0
    own = set(einsum.variables)
    spatial = {v: fitted[v] for _, v in spread if v in own}
    relevant = [v for v in use.variables if v in own]
    width = prod(spatial.get(v, 1) for v in relevant)
    last = max((i for i, (v, steps) in enumerate(inside) if steps > 1 and v in use.variables), default=None)
    if last is None:
        words = float(prod(int(sizes[rank_of(v)]) for v in relevant))
    else:
        steps = prod(int(sizes[rank_of(v)]) / spatial.get(v, 1) for v in einsum.variables)
        words = width * steps / prod(steps for _, steps in inside[last + 1 :])
    axes = {axis for axis, v in spread if v in use.variables} & entering.keys()
    rate = entering[next(iter(axes))] if len(axes) == 1 else sum(entering.values())
    return words / rate


def leaving_cycles(einsum: CheckedEinsum, unit: Unit, sizes: Mapping[str, int]) -> float:
    """The least cycles that a result takes to leave: each word once."""
    rate = next(iter(unit.leaving.values()), None)
    return 0.0 if rate is None else prod(int(sizes[rank_of(v)]) for v in einsum.kept) / rate
