"""Legality of a plan at any size: every point computed once, every dependence respected, no fusion across a pass.

A loop that two Einsums share runs both in every iteration. A tensor that one of them completes only at the end of the
loop is not there for the other; the pass analysis has the tensor that would have to be read again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from fusemax.analysis.passes import GroupPasses, group_passes
from fusemax.analysis.rank_groups import rank_groups, views
from fusemax.bind.legal.dependences import order_problems
from fusemax.bind.legal.storage import storage_problems
from fusemax.bind.legal.structure import holds_of, structure_problems
from fusemax.bind.plan import LoopRef, Placement, Plan, Storage, completed_in
from fusemax.bind.tensors import Splits, parts_of, views_of, with_places
from fusemax.errors import Problem, did_you_mean, in_order, listed
from fusemax.ir.arch import Arch
from fusemax.ir.checked import Checked, Use, When
from fusemax.ir.expr import rank_of, variable_of
from fusemax.ir.mapping import Mapping as MappingFile


def problems_of(checked: Checked, arch: Arch, mapping: MappingFile, plan: Plan, splits: Splits) -> list[Problem]:
    """All problems of a plan that do not depend on sizes.

    Orders are checked only in trees that are well-formed, and storage only if there is no other problem.
    """
    problems = [*structure_problems(checked, mapping, splits)]
    whole = not problems
    problems += [*_placed_once(checked, mapping, plan), *_holds(checked, arch, mapping, plan), *shares_of(plan)]
    if whole:
        problems += [p for placement in plan.placements for p in _covered(placement)]
        problems += _axes(arch, plan)
        problems += [
            *order_problems(checked, plan, splits),
            *fusion_problems(checked, plan, splits),
            *iteration_problems(plan),
        ]
    if not problems:
        problems += storage_problems(checked, plan, with_places(checked, splits))
    return list(in_order(problems))


def _placed_once(checked: Checked, mapping: MappingFile, plan: Plan) -> Iterator[Problem]:
    """Every Einsum that computes something is placed exactly once; views and initial values are not placed."""
    seen: dict[str, Placement] = {}
    parts = views_of(checked)
    for placement in plan.placements:
        if placement.name in parts:
            yield Problem(f"'{placement.name}' is a part of an input under another name and is not placed", placement.span,
                          "leave it out; `hold` it where it shall be kept")  # fmt: skip
        if placement.name in seen:
            yield Problem(f"'{placement.name}' is placed twice", placement.span, "keep one")
        seen[placement.name] = placement
    missing = dict.fromkeys(
        e.name for e in checked.einsums if not e.initial and e.name not in parts and e.name not in seen
    )
    if missing:
        message = f"mapping '{mapping.name}' does not place {listed(missing)} of '{checked.cascade.name}'"
        yield Problem(message, None, "give each Einsum a line in an `on` block")


def _covered(placement: Placement) -> Iterator[Problem]:
    """Every variable of the iteration space is a loop around, an axis, or a loop inside; exactly once."""
    mine = placement.variables
    axes = [variable for _, variable in placement.axes]
    around = [loop.variable for loop in placement.loops]
    for variable in mine:
        times = around.count(variable) + axes.count(variable) + placement.inner_loops.count(variable)
        if times == 0:
            hint = (
                f"put a `for {variable}` around it, spread it over an axis, or write `{placement.name} over {variable}`"
            )
            yield Problem(f"no loop or axis runs '{placement.name}' over '{variable}'", placement.span, hint)
        elif times > 1:
            yield Problem(f"'{placement.name}' runs over '{variable}' {times} times", placement.span, "keep one")
    for variable in placement.inner_loops:
        if variable not in mine:
            hint = f"it has {listed(mine)}" if mine else "it has no variables"
            yield Problem(f"'{placement.name}' has no variable '{variable}'", placement.span, hint)


def _axes(arch: Arch, plan: Plan) -> Iterator[Problem]:
    """Axes that the unit does not have, once a body."""
    units = {unit.name: dict(unit.axes) for unit in arch.units}
    wrong = {
        (placement.body, placement.unit, axis): placement
        for placement in reversed(plan.placements)
        for axis, _ in placement.axes
        if axis not in units[placement.unit]
    }
    for (_, unit, axis), placement in wrong.items():
        hint = did_you_mean(axis, units[unit]) or f"its axes are {listed(units[unit])}"
        yield Problem(f"'{unit}' has no axis '{axis}'", placement.span, hint)


# --------------------------------------------------------------------------------------------------------------- holds


def _holds(checked: Checked, arch: Arch, mapping: MappingFile, plan: Plan) -> Iterator[Problem]:
    """Holds in unknown memories, holds without a reader or writer, and holds that do not nest inwards."""
    names = [memory.name for memory in arch.memories]
    for line in holds_of(mapping):
        if line.level not in names:
            hint = did_you_mean(line.level, names) or f"its memories are {listed(names)}"
            yield Problem(f"'{arch.name}' has no memory '{line.level}'", line.span, hint)
    for hold in plan.holds:
        used = _used(plan, hold)
        if hold.tensor not in used:
            message = f"'{hold.tensor}' is held in '{hold.level}', but no Einsum in this body reads or writes it"
            yield Problem(message, hold.span, _instead(checked, hold, used))
    for placement in plan.placements:
        for i, hold in enumerate(placement.holds):
            for outer in (o for o in placement.holds[:i] if o.tensor == hold.tensor):
                yield from _nested(outer, hold, names)


def _used(plan: Plan, hold: Storage) -> set[str]:
    """The tensors that Einsums in the body of a hold read and write."""
    inside = (p for p in plan.placements if any(other.order == hold.order for other in p.holds))
    return {name for p in inside for name in (p.name, *(use.tensor for use in p.einsum.reads))}


def _instead(checked: Checked, hold: Storage, used: set[str]) -> str:
    """The hint with tensors to hold: a part of this one under another name, or all that are used."""
    views = [e for e in checked.einsums if e.name in views_of(checked)]
    parts = [e.name for e in views if e.reads[0].tensor == hold.tensor and e.name in used]
    if parts:
        return f"Einsums here read its part {listed(parts)}: hold that"
    return f"Einsums here use {listed(sorted(used), 20)}" if used else "place an Einsum in this body"


def _nested(outer: Storage, inner: Storage, names: Sequence[str]) -> Iterator[Problem]:
    """A hold inside of another of the same tensor is in a memory further in."""
    if outer.level == inner.level:
        yield Problem(f"'{inner.tensor}' is held in '{inner.level}' twice", inner.span, "keep one")
    elif inner.level in names and outer.level in names and names.index(inner.level) < names.index(outer.level):
        message = (
            f"'{inner.tensor}' is held in '{inner.level}' inside of a hold in '{outer.level}', which is further in"
        )
        yield Problem(message, inner.span, "swap the two")


def shares_of(plan: Plan) -> Iterator[Problem]:
    """Spilled shares outside of 0 to 1; a parameter may state a share, so that it belongs to the numbers and not to the tree."""
    for hold in plan.holds:
        share = np.atleast_1d(np.asarray(hold.spill))
        wrong = ~((share >= 0) & (share <= 1))
        if wrong.any():
            message = f"'{hold.tensor}' spills a share of {share[wrong][0]:g}"
            yield Problem(message, hold.span, "give a share from 0 to 1")


# ----------------------------------------------------------------------------------------------------- shared loops


def fusion_problems(checked: Checked, plan: Plan, splits: Splits) -> Iterator[Problem]:
    """Einsums that read, inside of a loop, a tensor that only its end completes; the explanation has the passes that it fuses."""
    for loop in dict.fromkeys(loop for placement in plan.placements for loop in placement.loops):
        inside = [p for p in plan.placements if loop in p.loops]
        members = [p for p in inside if loop.variable in p.variables]
        needs = _needed_from_the_end(checked, plan, loop, members, splits)
        early = [placement for placement in members if placement.name in needs]
        if early:
            across = _across(checked, loop, members, needs, splits)
            yield from [across] if across else (_incomplete(reader, needs[reader.name], loop) for reader in early)


def _needed_from_the_end(
    checked: Checked, plan: Plan, loop: LoopRef, members: Sequence[Placement], splits: Splits
) -> dict[str, str]:
    """The Einsums that can run only after a loop, each with the tensor of the loop that it needs complete."""
    names = {placement.name for placement in members}
    completed = {p.name for p in members if loop.variable in p.reduced}
    needs: dict[str, str] = {}

    def source(use: Use) -> str | None:
        rank = checked.tensors[use.tensor].iterative_rank
        if use.when is When.FINAL and use.tensor in names and rank is not None:
            return use.tensor if loop.variable in parts_of([variable_of(rank)], splits) else None
        if use.when in (When.OLD, When.INITIAL):
            return None
        return use.tensor if use.tensor in completed else needs.get(use.tensor)

    for _ in plan.placements:
        before = len(needs)
        for placement in plan.placements:
            found = next((name for use in placement.einsum.reads if (name := source(use))), None)
            if found is not None:
                needs.setdefault(placement.name, found)
        if len(needs) == before:
            break
    return needs


def _incomplete(reader: Placement, completed: str, loop: LoopRef) -> Problem:
    message = f"'{reader.name}' needs '{completed}' inside of the loop over '{loop.variable}', which completes it"
    return Problem(message, reader.span, f"give '{reader.name}' a loop of its own, after that of '{completed}'")


def _across(
    checked: Checked, loop: LoopRef, members: Sequence[Placement], needs: Mapping[str, str], splits: Splits
) -> Problem | None:
    """The explanation by passes, if a pass boundary separates readers from the tensors that they need."""
    whole = {part: variable for variable, parts in splits.items() for part in parts}
    rank = rank_of(whole.get(loop.variable, loop.variable))
    number = {id(einsum): i for i, einsum in enumerate(checked.einsums)}
    einsums = views(checked)
    for group in (g for g in rank_groups(checked, einsums) if rank == g.name or rank in g.parts):
        found = group_passes(checked, einsums, group)
        of = {p.name: n for p in members if (n := found.placed.get(number[id(p.einsum)])) is not None}
        first = min(of.values(), default=0)
        early = [p for p in members if p.name in needs and of.get(p.name, 0) > of.get(needs[p.name], first)]
        if early:
            by_pass: dict[int, list[str]] = {}
            for name, n in of.items():
                by_pass.setdefault(n, []).append(name)
            return _explained(found, loop, by_pass, min(early, key=lambda p: of[p.name]))
    return None


def _explained(found: GroupPasses, loop: LoopRef, by_pass: Mapping[int, list[str]], reader: Placement) -> Problem:
    first, last = min(by_pass), max(by_pass)
    reasons = [
        f"pass {x.after} completes {x.completes}"
        + ("" if x.completes == x.waits_for else f", from which {x.waits_for} is computed,")
        + f" and {x.by}, which needs it, reads {x.rereads} again"
        for x in found.boundaries
        if first <= x.after < last
    ]
    members = "; ".join(f"pass {n}: {', '.join(by_pass[n])}" for n in sorted(by_pass))
    message = (
        f"the loop over '{loop.variable}' fuses Einsums of different passes over {found.group.name} ({members}), "
        f"but {'; '.join(reasons)}"
    )
    return Problem(message, reader.span, "give each pass a loop of its own, one after the other")


def iteration_problems(plan: Plan) -> Iterator[Problem]:
    """An Einsum without a loop's variable runs in the last iteration if it reads a tensor that the loop completes, else in the
    first; it cannot do both (docs/model.md, rule 5)."""
    for placement in plan.placements:
        for loop in placement.loops:
            if loop.variable in placement.variables:
                continue
            last = completed_in(plan, placement, loop)
            first = [
                p.name
                for p in plan.placements
                if loop in p.loops
                and loop.variable in p.variables
                and any(o.tensor == placement.name and o.when is not When.OLD for o in p.operands)
            ]
            if last and first:
                message = (
                    f"'{placement.name}' does not run over '{loop.variable}': it needs {listed(last)} from the end of that "
                    f"loop, and {listed(first)} needs it in every iteration"
                )
                yield Problem(message, placement.span, "end the loop before it, and begin another after it")
