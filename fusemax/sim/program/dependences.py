"""How tasks of different series belong together: by the loops around both, and by the variables of tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fusemax.bind.bind import BoundMapping
from fusemax.bind.plan import LoopRef, Placement
from fusemax.bind.tensors import parts_of
from fusemax.ir.checked import Use, When
from fusemax.sim.task_index import NONE, Digit, Guard, IndexMap, Nest


def pairs(bound: BoundMapping, reader: Placement, maker: Placement, use: Use) -> tuple[dict[str, str], tuple[str, ...]]:
    """The reader's variable for each of the maker's that the tensor has; and those of a step that is one back."""
    pairs: dict[str, str] = {}
    back: tuple[str, ...] = ()
    splits = bound.nest.splits
    tensor = bound.checked.tensors[use.tensor]
    for place, (made, read) in enumerate(zip(maker.einsum.target.indices, use.indices, strict=True)):
        mine, other = made.variable or made.step, read.variable or read.step
        if mine is None or other is None:
            continue
        outer, inner = parts_of((mine,), splits), parts_of((other,), splits)
        sizes = [[int(bound.nest.extents[v]) for v in parts] for parts in (outer, inner)]
        if len(outer) == len(inner) and sizes[0] == sizes[1]:
            pairs.update(zip(outer, inner, strict=True))
            if place == tensor.iterative and use.when is When.OLD:
                back = outer
    return pairs, back


def same(of: Nest, reader: Nest, pairs: Mapping[str, str], back: tuple[str, ...] = ()) -> Callable[[int], int]:
    """The last task of a nest that a task of another needs: at the same coordinates, and at the end of all loops
    that the other has not; `back` are the variables of a step, of which the one before is needed."""
    digits = {loop: _coordinate(loop, reader, pairs) for loop in of.loops}
    stepped = [(i, loop) for i, loop in enumerate(of.loops) if loop.variable in back and digits[loop] is not None]
    terms: list[tuple[Digit, int]] = []
    constant = 0
    for i, loop in enumerate(of.loops):
        below, digit = of.digit(i).below, digits[loop]
        if digit is None:
            constant += (of.extents[i] - 1) * below
        else:
            terms.append((digit, below))
    if not back:
        return IndexMap(tuple(terms), constant).compiled(reader.count)
    if not stepped:
        return lambda task: NONE  # all steps lie inside of one task
    plain = IndexMap(tuple(terms), constant).compiled(reader.count)
    steps_ = [(digits[loop], of.digit(i)) for i, loop in stepped]
    if len(steps_) == 1 and steps_[0][0] is not None:
        mine, made = steps_[0]
        assert mine is not None
        guard = Guard(mine, 0, False)
        return IndexMap(tuple(terms), constant - made.below, (guard,)).compiled(reader.count)

    def before(task: int) -> int:
        number = plain(task)
        for mine, made in reversed(steps_):
            assert mine is not None
            if mine.of(task):
                return number - made.below
            number += (made.extent - 1) * made.below
        return NONE

    return before


def _coordinate(loop: LoopRef, reader: Nest, pairs: Mapping[str, str]) -> Digit | None:
    """The digit of a reader that is the coordinate of another's loop: a loop around both, or one over a variable
    that the tensor has."""
    shared = reader.find(loop)
    if shared is not None:
        return shared
    variable = pairs.get(loop.variable)
    return next((reader.digit(i) for i, other in enumerate(reader.loops) if other.variable == variable), None)


def strides(nest: Nest) -> dict[LoopRef, int]:
    """The tasks per iteration of each loop."""
    return {loop: nest.digit(i).below for i, loop in enumerate(nest.loops)}
