"""Whether a mapping may run at all: every point computed once, every dependence respected, no fusion across a pass.

A loop that two Einsums share runs both of them at every iteration. If one completes something only when the loop has
run out, the other cannot have it; the pass analysis says what would have to be seen again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fusemax.analysis.groups import rank_groups, views
from fusemax.analysis.passes import GroupPasses, group_passes
from fusemax.errors import Problem, did_you_mean, listed
from fusemax.ir.arch import Arch
from fusemax.ir.checked import Checked, When
from fusemax.ir.expr import rank_of
from fusemax.ir.mapping import Mapping as MappingFile
from fusemax.model.plan import LoopRef, Placement, Plan, is_view, parts_of

Splits = Mapping[str, tuple[str, ...]]


def problems_of(checked: Checked, arch: Arch, mapping: MappingFile, plan: Plan, splits: Splits) -> list[Problem]:
    """All problems of a plan that no size can mend."""
    return [
        *_placed_once(checked, mapping, plan),
        *(p for placement in plan.placements for p in _covered(checked, arch, placement, splits)),
        *_levels(arch, plan),
        *_fused(checked, plan, splits),
        *_run_once(plan, splits),
    ]


def _placed_once(checked: Checked, mapping: MappingFile, plan: Plan) -> Iterator[Problem]:
    """Every Einsum that computes something is placed exactly once; views and initial values are not placed."""
    seen: dict[str, Placement] = {}
    views_of = {einsum.name for einsum in checked.einsums if is_view(einsum)}
    for placement in plan.placements:
        if placement.name in views_of:
            yield Problem(f"'{placement.name}' is a part of an input under another name and is not placed", placement.span,
                          "leave it out; `hold` it where it shall be kept")  # fmt: skip
        if placement.name in seen:
            yield Problem(f"'{placement.name}' is placed twice", placement.span, "keep one")
        seen[placement.name] = placement
    missing = dict.fromkeys(
        e.name for e in checked.einsums if not e.initial and e.name not in views_of and e.name not in seen
    )
    if missing:
        message = f"mapping '{mapping.name}' does not place {listed(missing)} of '{checked.cascade.name}'"
        yield Problem(message, None, "give each Einsum a line in an `on` block")


def _covered(checked: Checked, arch: Arch, placement: Placement, splits: Splits) -> Iterator[Problem]:
    """Every variable of the iteration space is a loop around, an axis, or a loop inside; exactly once."""
    mine = parts_of(placement.einsum.variables, splits)
    known = {v for einsum in checked.einsums for v in parts_of(einsum.variables, splits)}
    axes = [variable for _, variable in placement.axes]
    around = [loop.variable for loop in placement.loops]
    for variable in (*around, *axes, *placement.over):
        if variable not in known:
            hint = did_you_mean(variable, known) or f"variables are {listed(sorted(known), 20)}"
            yield Problem(
                f"'{variable}' is no variable of '{checked.cascade.name}' or of a split", placement.span, hint
            )
    for variable in mine:
        times = around.count(variable) + axes.count(variable) + placement.over.count(variable)
        if times == 0:
            hint = (
                f"put a `for {variable}` around it, spread it over an axis, or write `{placement.name} over {variable}`"
            )
            yield Problem(f"nothing runs '{placement.name}' over '{variable}'", placement.span, hint)
        elif times > 1:
            yield Problem(f"'{placement.name}' runs over '{variable}' {times} times", placement.span, "keep one")
    for variable in placement.over:
        if variable in known and variable not in mine:
            hint = f"it has {listed(mine)}" if mine else "it has none"
            yield Problem(f"'{placement.name}' has no variable '{variable}'", placement.span, hint)
    unit = next(unit for unit in arch.units if unit.name == placement.unit)
    for axis, _ in placement.axes:
        if axis not in dict(unit.axes):
            hint = did_you_mean(axis, dict(unit.axes)) or f"its axes are {listed(dict(unit.axes))}"
            yield Problem(f"'{unit.name}' has no axis '{axis}'", placement.span, hint)


def _levels(arch: Arch, plan: Plan) -> Iterator[Problem]:
    """Tensors are held in memories that there are."""
    names = [memory.name for memory in arch.memories]
    for hold in plan.holds:
        if hold.level not in names:
            hint = did_you_mean(hold.level, names) or f"its memories are {listed(names)}"
            yield Problem(f"'{arch.name}' has no memory '{hold.level}'", hold.span, hint)


# ----------------------------------------------------------------------------------------------------- shared loops


def _shared(a: Placement, b: Placement) -> tuple[LoopRef, ...]:
    """The loops around both."""
    shared = []
    for mine, other in zip(a.loops, b.loops, strict=False):
        if mine != other:
            break
        shared.append(mine)
    return tuple(shared)


def _fused(checked: Checked, plan: Plan, splits: Splits) -> Iterator[Problem]:
    """Loops over a rank that hold Einsums of different passes over it; then readers inside of a loop of what only its
    end completes."""
    whole = {part: variable for variable, parts in splits.items() for part in parts}
    einsums = views(checked)
    groups = rank_groups(checked, einsums)
    number = {id(einsum): i for i, einsum in enumerate(checked.einsums)}
    told: set[str] = set()
    for loop in dict.fromkeys(loop for placement in plan.placements for loop in placement.loops):
        inside = [
            p for p in plan.placements if loop in p.loops and loop.variable in parts_of(p.einsum.variables, splits)
        ]
        rank = rank_of(whole.get(loop.variable, loop.variable))
        for group in (g for g in groups if rank == g.name or rank in g.parts):
            found = group_passes(checked, einsums, group)
            by_pass: dict[int, list[Placement]] = {}
            for placement in inside:
                if number[id(placement.einsum)] in found.placed:
                    by_pass.setdefault(found.placed[number[id(placement.einsum)]], []).append(placement)
            if len(by_pass) > 1:
                told.update(p.name for members in by_pass.values() for p in members)
                yield _across(found, loop, by_pass)
                break
    for placement in plan.placements:
        yield from _incomplete(plan, placement, splits, told)


def _across(found: GroupPasses, loop: LoopRef, by_pass: Mapping[int, list[Placement]]) -> Problem:
    first, last = min(by_pass), max(by_pass)
    reasons = [
        f"pass {x.after} completes {x.completes}"
        + ("" if x.completes == x.waits_for else f", from which {x.waits_for} is computed,")
        + f" and {x.by}, which needs it, sees {x.rereads} again"
        for x in found.boundaries
        if first <= x.after < last
    ]
    members = "; ".join(f"pass {n}: {', '.join(p.name for p in by_pass[n])}" for n in sorted(by_pass))
    message = (
        f"the loop over '{loop.variable}' fuses Einsums of different passes over {found.group.name} ({members}), "
        f"but {'; '.join(reasons)}"
    )
    later = min((n for n in by_pass if n > first), default=last)
    return Problem(message, by_pass[later][0].span, "give each pass a loop of its own, one after the other")


def _incomplete(plan: Plan, reader: Placement, splits: Splits, told: set[str]) -> Iterator[Problem]:
    """A reduction is complete only after its loop: nobody inside of the loop may read it at every iteration."""
    for use in reader.einsum.reads:
        maker = next((p for p in plan.placements if p.name == use.tensor), None)
        if maker is None or maker is reader or use.when is When.OLD or {maker.name, reader.name} <= told:
            continue
        kept = parts_of(maker.einsum.kept, splits)
        for loop in _shared(maker, reader):
            reduces = loop.variable in parts_of(maker.einsum.reduced, splits)
            if reduces and loop.variable in parts_of(reader.einsum.variables, splits) and loop.variable not in kept:
                message = f"'{reader.name}' reads '{use.tensor}' inside of the loop over '{loop.variable}', which completes it"
                yield Problem(
                    message, reader.span, f"give '{reader.name}' a loop of its own, after that of '{maker.name}'"
                )
                break


def _run_once(plan: Plan, splits: Splits) -> Iterator[Problem]:
    """An Einsum without a loop's variable runs in the last iteration if it reads what the loop completes, else in the
    first; it cannot do both."""
    for placement in plan.placements:
        mine = parts_of(placement.einsum.variables, splits)
        for i, loop in enumerate(placement.loops):
            if loop.variable in mine:
                continue
            inside = [
                p
                for p in plan.placements
                if p.loops[: i + 1] == placement.loops[: i + 1]
                and loop.variable in parts_of(p.einsum.variables, splits)
            ]
            last = [p.name for p in inside if any(use.tensor == p.name for use in placement.einsum.reads)]
            first = [
                p.name
                for p in inside
                if any(u.tensor == placement.name and u.when is not When.OLD for u in p.einsum.reads)
            ]
            if last and first:
                message = (
                    f"'{placement.name}' does not run over '{loop.variable}': it needs {listed(last)} from the end of that "
                    f"loop, and {listed(first)} needs it in every iteration"
                )
                yield Problem(message, placement.span, "end the loop before it, and begin another after it")
