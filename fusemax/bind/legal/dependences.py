"""Dependences in the order of a mapping's tree: every tensor is made before it is read.

Statements of a body run one after another. Right below each other in a body that overlaps (`pipeline`, or a `stage`),
Einsums on different units run as far as dependences allow, so their order does not matter there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from fusemax.bind.plan import Composition, LoopRef, Placement, Plan, WaitFor
from fusemax.bind.tensors import Splits, parts_of
from fusemax.errors import Problem, did_you_mean, listed
from fusemax.ir.checked import Checked, Use, When
from fusemax.ir.expr import variable_of
from fusemax.ir.mapping import BlockKind, Overlap

Path = tuple[tuple[Composition, int], ...]
"""From the root to a leaf: each step, with the position of the next child."""


@dataclass(frozen=True, slots=True)
class _Meeting:
    """The step at which the paths of two leaves part: the steps down to it, whether the first leaf is in the child before,
    and whether both leaves are its children."""

    steps: tuple[Composition, ...]
    in_order: bool
    siblings: bool

    @property
    def overlaps(self) -> bool:
        """Whether units overlap there."""
        return any(step.kind in (Overlap.PIPELINE, BlockKind.STAGE) for step in self.steps)


def order_problems(checked: Checked, plan: Plan, splits: Splits) -> Iterator[Problem]:
    """Readers before their operands, reads of steps that are overwritten, and waits without a drain."""
    paths = {leaf: path for leaf, path in _paths(plan.root, ()) if isinstance(leaf, int)}
    makers = {placement.name: number for number, placement in enumerate(plan.placements)}
    order = _Order(checked, plan, splits, paths)
    for placement in plan.placements:
        yield from order.sequential(placement)
    for number, placement in enumerate(plan.placements):
        for use in placement.einsum.reads:
            maker = makers.get(use.tensor)
            if maker is not None and maker != number and use.when is not When.INITIAL:
                yield from order.dependence(maker, number, use)
    yield from _waits(plan)


def shared(a: Placement, b: Placement) -> tuple[LoopRef, ...]:
    """The loops around both."""
    found = []
    for mine, other in zip(a.loops, b.loops, strict=False):
        if mine != other:
            break
        found.append(mine)
    return tuple(found)


def _paths(step: Composition, above: Path) -> Iterator[tuple[int | WaitFor, Path]]:
    """The leaves below a step, with their paths."""
    for i, child in enumerate(step.children):
        path = (*above, (step, i))
        if isinstance(child, Composition):
            yield from _paths(child, path)
        else:
            yield child, path


def _meeting(a: Path, b: Path) -> _Meeting:
    depth = next(n for n, ((_, i), (_, j)) in enumerate(zip(a, b, strict=False)) if i != j)
    steps = tuple(step for step, _ in a[: depth + 1])
    return _Meeting(steps, a[depth][1] < b[depth][1], len(a) == len(b) == depth + 1)


def _late(path: Path) -> Composition | None:
    """The `stages` whose previous tile a leaf computes; None for the present tile."""
    if not any(step.kind is BlockKind.PREVIOUS for step, _ in path):
        return None
    return [step for step, _ in path if step.kind is Overlap.STAGES][-1]


class _Order:
    """Checks one read after another."""

    def __init__(self, checked: Checked, plan: Plan, splits: Splits, paths: Mapping[int, Path]) -> None:
        self.checked, self.plan, self.splits, self.paths = checked, plan, splits, paths

    def dependence(self, maker: int, reader: int, use: Use) -> Iterator[Problem]:
        """The first problem of one read of another Einsum's result."""
        for rule in (self.steps, self.made_first):
            problem = rule(maker, reader, use)
            if problem is not None:
                yield problem
                return

    # ----------------------------------------------------------------------------------------------------- iterations

    def sequential(self, placement: Placement) -> Iterator[Problem]:
        """A tensor that is computed step by step runs over its steps in order."""
        tensor = self.checked.tensors[placement.name]
        if tensor.iterative_rank is None:
            return
        variable = variable_of(tensor.iterative_rank)
        parts = parts_of([variable], self.splits)
        for axis, spread in placement.axes:
            if spread in parts:
                message = f"'{placement.name}' is computed step by step along '{variable}', but spread over {axis}"
                yield Problem(message, placement.span, f"put a `for {spread}` around it")
        run = [*(loop.variable for loop in placement.loops), *placement.inner_loops]
        mine = [v for v in run if v in parts]
        if mine != [part for part in parts if part in mine]:
            message = f"'{placement.name}' is computed step by step along '{variable}', but {listed(mine)} do not run in order"
            yield Problem(message, placement.span, f"nest the loops like the split: {', '.join(parts)}")

    def steps(self, maker: int, reader: int, use: Use) -> Problem | None:
        """A single step of a running tensor exists only in the iteration that makes it."""
        if use.when not in (When.OLD, When.NEW):
            return None
        make, read = self.plan.placements[maker], self.plan.placements[reader]
        rank = self.checked.tensors[use.tensor].iterative_rank
        assert rank is not None, "only running tensors have steps"
        together = {loop.variable for loop in shared(make, read)}
        for part in parts_of([variable_of(rank)], self.splits):
            if part not in together:
                message = (
                    f"'{read.name}' reads the steps of '{use.tensor}' outside of the loop over '{part}' that makes them"
                )
                return Problem(message, read.span, f"place '{read.name}' and '{make.name}' in one `for {part}`")
        if use.when is When.OLD and self.replaced(maker, reader):
            message = f"'{read.name}' reads the old '{use.tensor}' when the new one has taken its place"
            return Problem(message, read.span, f"place '{read.name}' in the body of '{make.name}', or before it")
        return None

    def replaced(self, maker: int, reader: int) -> bool:
        """Whether the new step of a whole body is written before the old one is read."""
        make, read = _late(self.paths[maker]), _late(self.paths[reader])
        meeting = _meeting(self.paths[maker], self.paths[reader])
        if read is not make:
            return read is not None and read in meeting.steps
        different = self.plan.placements[maker].body != self.plan.placements[reader].body
        return different and meeting.in_order and read is None

    # ---------------------------------------------------------------------------------------------------------- order

    def made_first(self, maker: int, reader: int, use: Use) -> Problem | None:
        """The maker runs before the reader, for the same tile."""
        make, read = self.plan.placements[maker], self.plan.placements[reader]
        meeting = _meeting(self.paths[maker], self.paths[reader])
        make_late, read_late = _late(self.paths[maker]), _late(self.paths[reader])
        if make_late is not read_late:
            if read_late is not None and read_late in meeting.steps:
                return None
            if make_late is not None and make_late in meeting.steps and use.when is not When.OLD:
                message = f"'{read.name}' reads '{use.tensor}', which `previous:` makes one tile later"
                return Problem(
                    message, read.span, f"place '{read.name}' below `previous:` too, or '{make.name}' outside"
                )
        elif use.when is When.OLD:
            return None
        free = meeting.siblings and meeting.overlaps and make.unit != read.unit
        if meeting.in_order or free:
            return None
        return Problem(
            f"'{read.name}' stands before '{make.name}', which it reads", read.span, f"place '{make.name}' first"
        )


# --------------------------------------------------------------------------------------------------------------- waits


def _waits(plan: Plan) -> Iterator[Problem]:
    """A `wait` stands below a reduction over an axis, in the stage that has it."""
    placed = {placement.name: placement for placement in plan.placements}
    made: dict[tuple[int, ...], list[str]] = {}
    for leaf, path in _paths(plan.root, ()):
        stage = made.setdefault(tuple(i for _, i in path[:-1]), [])
        if isinstance(leaf, int):
            stage.append(plan.placements[leaf].name)
            continue
        waited = f"wait {leaf.tensor}"
        problem = _waiting(leaf, waited, stage, placed)
        if problem is None:
            stage.append(waited)
        else:
            yield problem


def _waiting(wait: WaitFor, waited: str, stage: Sequence[str], placed: Mapping[str, Placement]) -> Problem | None:
    """The problem of one `wait`; `stage` has the statements above it."""
    name = wait.tensor
    if name not in placed:
        hint = did_you_mean(name, placed) or "wait for an Einsum of this stage"
        return Problem(f"`{waited}`, but no Einsum '{name}' is placed", wait.span, hint)
    if name not in stage:
        message = f"`{waited}`, but '{name}' is not made above it in this stage"
        return Problem(message, wait.span, f"put it below '{name}', in the same `stage`")
    if waited in stage:
        return Problem(f"a second `{waited}` in one stage", wait.span, "keep one")
    if not placed[name].reduced_axes:
        message = f"`{waited}`, but '{name}' is not reduced over an axis of '{placed[name].unit}'"
        return Problem(message, wait.span, "leave it out: only a reduction over an axis drains")
    return None
