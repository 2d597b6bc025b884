"""Lower bounds of the words that cross the edges of an array, whatever the order of its loops, and of their cycles.

An operand that depends on a reduced variable which runs inside of the array enters again whenever a loop outside of that
variable advances; any other operand enters at least once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from math import prod

from fusemax.bind.loop_nest import advances, made_in_body
from fusemax.bind.tensors import is_output, sources
from fusemax.ir.arch import Unit
from fusemax.ir.checked import Checked, CheckedEinsum, Use, When
from fusemax.ir.expr import rank_of
from fusemax.mapper.space.nests import NestBody

Spread = tuple[tuple[str, str], ...]
"""Axes of a unit, each with the variable that is spread over it."""


def crossings(body: NestBody, einsum: CheckedEinsum) -> Iterator[tuple[Use, str | None]]:
    """The operands that no other Einsum of a body reads, each with the Einsum that makes it in the body: on the same unit
    it crosses no edge; None if no Einsum of the body makes it."""
    made = set(body.names)
    for use in einsum.reads:
        readers = [e.name for e in body.einsums if any(other.tensor == use.tensor for other in e.reads)]
        if readers == [einsum.name] and use.when is not When.INITIAL:
            inside = use.tensor in made and made_in_body(use.when)
            yield use, use.tensor if inside else None


def leaves_array(checked: Checked, body: NestBody, einsum: CheckedEinsum, readers: Collection[str]) -> bool:
    """Whether a result leaves its array whatever the units of the Einsums."""
    return is_output(checked.tensors[einsum.name]) or any(name not in body.names for name in readers)


def entering_cycles(
    einsum: CheckedEinsum, use: Use, unit: Unit, spread: Spread, fitted: Mapping[str, float], inside: Sequence[tuple[str, float]],
    sizes: Mapping[str, int],
) -> float:  # fmt: skip
    """The least cycles in which an operand enters. `fitted` has the mean points of the variables spread over the axes,
    `inside` the loops that are known to run inside of the array, outermost first: variables with their iterations."""
    entering = unit.entering
    if not entering:
        return 0.0
    own = set(einsum.variables)
    spatial = {v: fitted[v] for _, v in spread if v in own}
    relevant = [v for v in use.variables if v in own]
    width = prod(spatial.get(v, 1) for v in relevant)
    changing = advances([(steps, v in use.variables) for v, steps in inside])
    if any(changing):
        every = prod(int(sizes[rank_of(v)]) / spatial.get(v, 1) for v in einsum.variables)
        words = width * every / prod(steps for (_, steps), again in zip(inside, changing, strict=True) if not again)
    else:
        words = float(prod(int(sizes[rank_of(v)]) for v in relevant))
    axes = {axis for axis, v in spread if v in use.variables} & entering.keys()
    rate = entering[next(iter(axes))] if len(axes) == 1 else sum(entering.values())
    return words / rate


def leaving_cycles(einsum: CheckedEinsum, unit: Unit, sizes: Mapping[str, int]) -> float:
    """The least cycles in which a result leaves: each word once."""
    rate = next(iter(unit.leaving.values()), None)
    return 0.0 if rate is None else prod(int(sizes[rank_of(v)]) for v in einsum.kept) / rate


def compulsory_words(checked: Checked, sizes: Mapping[str, int]) -> int:
    """The words of all inputs and outputs, each once; zero if filters leave out a part of them."""
    if any(einsum.constraints for einsum in checked.einsums):
        return 0
    known = sources(checked)
    views = known.keys() - {tensor.name for tensor in checked.inputs}
    uses = [use for einsum in checked.einsums if einsum.name not in views for use in einsum.reads]
    uses += [einsum.target for einsum in checked.einsums if is_output(checked.tensors[einsum.name])]
    words: dict[str, int] = {}
    for use in uses:
        if use.tensor in known or is_output(checked.tensors[use.tensor]):
            words[use.tensor] = max(_distinct(checked, use, sizes), words.get(use.tensor, 0))
    return sum(words.values())


def _distinct(checked: Checked, use: Use, sizes: Mapping[str, int]) -> int:
    """The fewest elements of an access: of an index such as `2*m + k` as many as its longest variable has."""
    iterative = checked.tensors[use.tensor].iterative
    lengths = [
        max((sizes[rank_of(v)] for v in index.variables), default=1)
        for i, index in enumerate(use.indices)
        if i != iterative
    ]
    return prod(map(int, lengths))
