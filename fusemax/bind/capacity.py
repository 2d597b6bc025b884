"""The capacity of memories: the tiles held at once, and whether they fit (docs/model.md, rules 7 and 15)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fusemax.bind.extents import Amount, Condition, largest
from fusemax.bind.loop_nest import LoopNest
from fusemax.bind.plan import Plan, Storage
from fusemax.errors import Problem, Span
from fusemax.ir.checked import Checked, CheckedEinsum
from fusemax.units import readable_bytes


def held_together(plan: Plan, level: str) -> Iterator[tuple[Storage, ...]]:
    """The sets of storage that a memory has at once: the storage around each placement, every set once."""
    seen: set[tuple[int, ...]] = set()
    for placement in plan.placements:
        holds = placement.held_in(level)
        key = tuple(hold.order for hold in holds)
        if holds and key not in seen:
            seen.add(key)
            yield holds


def tiles(nest: LoopNest, holds: tuple[Storage, ...]) -> Iterator[tuple[Storage, Amount]]:
    """The elements of each storage; in a line with `spill` a tensor takes the place of one from which it is computed
    element by element (docs/model.md, rule 15)."""
    for hold in holds:
        beside = {o.tensor for o in holds if o.loops == hold.loops and o.order < hold.order} if hold.spills else set()
        if not _replaces(nest.checked, hold.tensor, beside):
            yield hold, nest.max_tile_elements(hold) * (1 - hold.spill)


def held_bytes(nest: LoopNest, holds: tuple[Storage, ...]) -> Amount:
    """The sum of the tiles of storage held at once, in bytes."""
    return sum(elements for _, elements in tiles(nest, holds)) * nest.arch.word_bits / 8


def used_bytes(nest: LoopNest, level: str) -> Amount:
    """The largest sum of tiles that a memory holds at once, in bytes."""
    return largest(held_bytes(nest, holds) for holds in held_together(nest.plan, level))


def fits(nest: LoopNest) -> Condition:
    """Whether the tiles held at once fit every memory: a truth value, or one for each point of a grid."""
    found: Condition = True
    for memory in nest.arch.memories:
        if memory.size_bytes is not None:
            found = found & (np.asarray(used_bytes(nest, memory.name)) <= memory.size_bytes)
    return found


def capacity_problems(nest: LoopNest) -> Iterator[Problem]:
    """Memories whose tiles exceed their size, at any point."""
    for memory in nest.arch.memories:
        if memory.size_bytes is not None and np.any(np.asarray(used_bytes(nest, memory.name)) > memory.size_bytes):
            yield overflow(nest, memory.name, memory.size_bytes, None)


def overflow(nest: LoopNest, level: str, capacity: float, span: Span | None) -> Problem:
    """The bytes by which a memory overflows, and the tensors that fill it."""
    word = nest.arch.word_bits / 8

    def total(holds: tuple[Storage, ...]) -> float:
        return sum(float(np.max(elements)) * word for _, elements in tiles(nest, holds))

    fullest = max(held_together(nest.plan, level), key=total)
    each = sorted(((float(np.max(e)) * word, h) for h, e in tiles(nest, fullest)), key=lambda x: -x[0])
    filling = ", ".join(f"{hold.tensor} {readable_bytes(size)}" for size, hold in each)
    missing = readable_bytes(total(fullest) - capacity)
    message = f"'{level}' has {readable_bytes(capacity)}, {missing} less than the tiles held at once: {filling}"
    return Problem(message, span or each[0][1].span, "use smaller tiles, or hold less")


def _replaces(checked: Checked, tensor: str, beside: set[str]) -> bool:
    """Whether a tensor is computed, element by element, from one that is held beside it."""
    makers = {einsum.name: einsum for einsum in checked.einsums if not einsum.initial}
    queue, seen = [tensor], {tensor}
    while queue:
        maker = makers.get(queue.pop())
        if maker is None:
            continue
        for source in _element_by_element(maker):
            if source in beside:
                return True
            if source not in seen:
                seen.add(source)
                queue.append(source)
    return False


def _element_by_element(einsum: CheckedEinsum) -> Iterator[str]:
    """The operands with exactly the variables of the result, if the Einsum reduces nothing."""
    if not einsum.reductions:
        for use in einsum.reads:
            if set(use.variables) == set(einsum.target.variables):
                yield use.tensor
