"""The task of one stream that belongs to a task of another: sums of digits of task numbers.

The tasks of a stream are numbered in the order of its loops, so the coordinate of a loop is a digit of the number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import prod

from fusemax.bind.plan import LoopRef

NONE = -1
"""No task."""


@dataclass(frozen=True, slots=True)
class Digit:
    """`number // below % extent`: the coordinate of a loop, of `extent` iterations, below which are `below` tasks."""

    below: int
    extent: int

    def of(self, number: int) -> int:
        """The coordinate.

        >>> Digit(4, 3).of(9)
        2
        """
        return number // self.below % self.extent


@dataclass(frozen=True, slots=True)
class TaskLoops:
    """The loops of a stream, outermost first, with their extents: one task for each iteration of all of them."""

    refs: tuple[LoopRef, ...]
    extents: tuple[int, ...]

    @property
    def count(self) -> int:
        """The number of tasks."""
        return prod(self.extents)

    @property
    def strides(self) -> dict[LoopRef, int]:
        """The tasks per iteration of each loop."""
        return {loop: self.digit(i).below for i, loop in enumerate(self.refs)}

    def digit(self, position: int) -> Digit:
        """The digit of the loop at a position."""
        return Digit(prod(self.extents[position + 1 :]), self.extents[position])

    def find(self, loop: LoopRef) -> Digit | None:
        """The digit of a loop, if it is one of them."""
        return self.digit(self.refs.index(loop)) if loop in self.refs else None

    def coordinates(self, number: int) -> dict[str, int]:
        """The coordinates of a task, by variable."""
        return {loop.variable: self.digit(i).of(number) for i, loop in enumerate(self.refs)}

    def without(self, dropped: Iterable[LoopRef]) -> TaskLoops:
        """The other loops."""
        gone = set(dropped)
        left = [(loop, extent) for loop, extent in zip(self.refs, self.extents, strict=True) if loop not in gone]
        return TaskLoops(tuple(loop for loop, _ in left), tuple(extent for _, extent in left))


@dataclass(frozen=True, slots=True)
class Guard:
    """A condition on a digit: that it is a value, or that it is not."""

    digit: Digit
    value: int
    equal: bool


@dataclass(frozen=True, slots=True)
class IndexMap:
    """`constant + sum(digit * weight)` where all guards hold, else no task."""

    terms: tuple[tuple[Digit, int], ...]
    constant: int = 0
    guards: tuple[Guard, ...] = ()

    def compiled(self, count: int) -> Callable[[int], int]:
        """The map as a function of a task number below `count`.

        >>> tens, ones = Digit(10, 10), Digit(1, 10)
        >>> IndexMap(((tens, 10), (ones, 1))).compiled(100)(42)
        42
        >>> IndexMap(((tens, 1),), 5).compiled(100)(42)
        9
        """
        inner = _sum(_merged(self.terms), self.constant, count)
        if not self.guards:
            return inner
        guards = [(g.digit.below, g.digit.extent, g.value, g.equal) for g in self.guards]

        def guarded(number: int) -> int:
            for below, extent, value, equal in guards:
                if (number // below % extent == value) is not equal:
                    return NONE
            return inner(number)

        return guarded


def _sum(terms: Sequence[tuple[Digit, int]], constant: int, count: int) -> Callable[[int], int]:
    """A function for the sum, without divisions and remainders that change nothing."""
    match terms:
        case ():
            return lambda number: constant
        case ((Digit(below, extent), weight),) if below * extent >= count:
            if below == 1 and weight == 1:
                return (lambda number: number + constant) if constant else (lambda number: number)
            return lambda number: number // below * weight + constant
        case ((Digit(below, extent), weight),):
            return lambda number: number // below % extent * weight + constant
        case ((Digit(b0, _), w0), (Digit(b1, e1), w1)) if b0 * terms[0][0].extent >= count:
            return lambda number: number // b0 * w0 + number // b1 % e1 * w1 + constant
        case ((Digit(b0, _), w0), (Digit(b1, e1), w1), (Digit(b2, e2), w2)) if b0 * terms[0][0].extent >= count:
            return lambda number: number // b0 * w0 + number // b1 % e1 * w1 + number // b2 % e2 * w2 + constant
    several = [(digit.below, digit.extent, weight) for digit, weight in terms]
    return lambda number: sum([number // b % e * w for b, e, w in several], constant)


def _merged(terms: Sequence[tuple[Digit, int]]) -> tuple[tuple[Digit, int], ...]:
    """Neighbouring digits that keep their weights relative to each other are one digit."""
    merged: list[tuple[Digit, int]] = []
    for digit, weight in sorted((t for t in terms if t[0].extent > 1 and t[1]), key=lambda t: -t[0].below):
        if merged:
            outer, above = merged[-1]
            if outer.below == digit.below * digit.extent and above == weight * digit.extent:
                merged[-1] = Digit(digit.below, outer.extent * digit.extent), weight
                continue
        merged.append((digit, weight))
    return tuple(merged)
