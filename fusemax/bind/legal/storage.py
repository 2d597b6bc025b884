"""Storage of tensors that outlive one tile: registers and links pass on a tile, and no more (docs/model.md, rule 9)."""

from __future__ import annotations

from collections.abc import Iterator

from fusemax.bind.legal.dependences import shared
from fusemax.bind.plan import Placement, Plan
from fusemax.bind.tensors import Splits, is_output, parts_of, rank_variables
from fusemax.errors import Problem
from fusemax.ir.checked import Checked, Use, When
from fusemax.ir.expr import variable_of


def storage_problems(checked: Checked, plan: Plan, splits: Splits) -> Iterator[Problem]:
    """Results of whole loops that others read, and partial results of many tiles, without a hold."""
    makers = {placement.name: placement for placement in plan.placements}
    for placement in plan.placements:
        yield from _revisited(checked, plan, placement, splits)
        for use in placement.einsum.reads:
            maker = makers.get(use.tensor)
            if maker is not None and use.when is not When.INITIAL:
                yield from _whole(checked, maker, placement, use, splits)


def _whole(checked: Checked, maker: Placement, reader: Placement, use: Use, splits: Splits) -> Iterator[Problem]:
    """A tensor that one loop completes for another is held around both, or passes between phases."""
    held = {hold.order for hold in maker.holds if hold.tensor == use.tensor}
    if maker.phase != reader.phase or held & {hold.order for hold in reader.holds}:
        return
    depends = rank_variables(checked.tensors[use.tensor], splits)
    inner = maker.loops[len(shared(maker, reader)) :]
    loop = next((loop.variable for loop in inner if loop.variable in depends), None)
    if loop is not None:
        message = f"'{reader.name}' reads the '{use.tensor}' of a whole loop over '{loop}', but no memory holds it"
        yield Problem(message, reader.span, f"put a `hold {use.tensor} in LEVEL` around both loops")


def _revisited(checked: Checked, plan: Plan, placement: Placement, splits: Splits) -> Iterator[Problem]:
    """Partial sums and running tensors that a loop revisits are one tile, or held outside of the loop; those with a home in
    the outermost memory stay there."""
    tensor = checked.tensors[placement.name]
    if is_output(tensor) or _crosses(plan, placement):
        return
    depends = rank_variables(tensor, splits)
    along = [variable_of(tensor.iterative_rank)] if tensor.iterative_rank is not None else []
    again = {*placement.reduced, *parts_of(along, splits)}
    for i, loop in enumerate(placement.loops):
        inside = [*(inner.variable for inner in placement.loops[i + 1 :]), *placement.inner_loops]
        many = next((variable for variable in inside if variable in depends), None)
        held = any(hold.tensor == placement.name and loop not in hold.loops for hold in placement.holds)
        if loop.variable in again and many is not None and not held:
            message = (
                f"partial sums of '{placement.name}', one for every '{many}', are revisited in every iteration of "
                f"'{loop.variable}', but no memory holds them"
            )
            hint = f"put a `hold {placement.name} in LEVEL` outside of that loop, or loop over '{many}' around it"
            yield Problem(message, placement.span, hint)
            return


def _crosses(plan: Plan, placement: Placement) -> bool:
    """Whether another phase reads a result."""
    others = (p for p in plan.placements if p.phase != placement.phase)
    return any(use.tensor == placement.name for p in others for use in p.einsum.reads)
