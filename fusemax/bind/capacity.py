"""What is held at once at a level, and how much room it takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fusemax.bind.loop_nest import LoopNest
from fusemax.bind.plan import Plan, Storage, largest
from fusemax.ir.checked import Checked, CheckedEinsum


def held_together(plan: Plan, level: str) -> Iterator[tuple[Storage, ...]]:
    """The holds of a level that live at once: those around one placement, each set once."""
    seen: set[tuple[int, ...]] = set()
    for placement in plan.placements:
        holds = tuple(hold for hold in placement.holds if hold.level == level)
        key = tuple(hold.order for hold in holds)
        if holds and key not in seen:
            seen.add(key)
            yield holds


def tiles(checked: Checked, nest: LoopNest, holds: tuple[Storage, ...]) -> Iterator[tuple[Storage, Any]]:
    """The elements of each hold; in a line with `spill` a tensor takes the place of one from which it is computed
    element by element (docs/model.md, rule 15)."""
    for hold in holds:
        beside = {o.tensor for o in holds if o.loops == hold.loops and o.order < hold.order} if hold.spills else set()
        if not _replaces(checked, hold.tensor, beside):
            yield hold, nest.room(hold) * (1 - hold.spill)


def used_bytes(checked: Checked, plan: Plan, nest: LoopNest, level: str, word_bits: int) -> Any:
    """The most that is held at a level at once, in bytes."""
    together = (tiles(checked, nest, holds) for holds in held_together(plan, level))
    return largest(sum(elements for _, elements in held) for held in together) * word_bits / 8


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
