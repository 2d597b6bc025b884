"""An accelerator as data: memories, outermost first, and units with the operations they have. Base units throughout."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import prod
from typing import TypeVar

EXECUTED_AS = {"mul": "mac", "sub": "add"}
"""Kinds of operations that are done, counted and charged as another (docs/model.md, constants of the machine model)."""

EXITS = frozenset({"south"})
"""Edges of an array by which results leave; operands enter by all others (docs/model.md, rule 14)."""


@dataclass(frozen=True, slots=True)
class Memory:
    """A memory: bytes, bytes per second, bits per access, joules per access, square metres; None: not stated."""

    name: str
    size_bytes: int | None
    bandwidth_bytes_s: float | None
    access_bits: int
    read_j: float
    write_j: float
    area_m2: float | None = None


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation of a unit: cycles that it occupies one element and joules, or `times` another operation."""

    name: str
    slots: int | None = None
    energy_j: float | None = None
    area_m2: float | None = None
    times: int = 1
    same_as: str | None = None


@dataclass(frozen=True, slots=True)
class Registers:
    """The register file of each element of a unit."""

    entries: int | None
    read_j: float
    write_j: float
    area_m2: float | None = None


@dataclass(frozen=True, slots=True)
class Unit:
    """An array of processing elements: its axes, the axis along which words enter or leave at each edge, its ops.

    `queue_words` is how many words of an operand that another unit makes wait for each element at most; no limit if None.
    """

    name: str
    axes: tuple[tuple[str, int], ...]
    edges: tuple[tuple[str, str], ...]
    registers: Registers | None
    ops: tuple[Operation, ...]
    queue_words: int | None = None

    @property
    def elements(self) -> int:
        """The number of processing elements."""
        return prod(size for _, size in self.axes)

    @property
    def lengths(self) -> dict[str, int]:
        """The length of each axis."""
        return dict(self.axes)

    @property
    def entering(self) -> dict[str, int]:
        """Words per cycle that enter along each axis, over all edges but those by which results leave (docs/model.md, rule 14)."""
        rates: dict[str, int] = {}
        for edge, axis in self.edges:
            if edge not in EXITS:
                rates[axis] = rates.get(axis, 0) + self.lengths[axis]
        return rates

    @property
    def leaving(self) -> dict[str, int]:
        """Words per cycle that leave along each axis (docs/model.md, rule 14)."""
        return {axis: self.lengths[axis] for edge, axis in self.edges if edge in EXITS}

    def can_leave(self, axes: Collection[str]) -> bool:
        """Whether a result that varies along some axes has an edge by which it leaves (docs/model.md, rule 14).

        >>> Unit("u", (("x", 4), ("y", 4)), (("south", "x"),), None, ()).can_leave({"y"})
        False
        """
        return not axes or any(axis in self.leaving for axis in axes)

    def slots(self, kind: str) -> int | None:
        """The cycles that one operation of a kind occupies an element, or None if the unit lacks it.

        >>> Unit("u", (("x", 4),), (), None, (Operation("mac", 1, 0.0), Operation("exp", times=6, same_as="mac"))).slots("exp")
        6
        """
        wanted = EXECUTED_AS.get(kind, kind)
        operation = next((op for op in self.ops if op.name == wanted), None)
        if operation is None:
            return None
        if operation.same_as is None:
            return operation.slots
        inner = self.slots(operation.same_as)
        return None if inner is None else operation.times * inner


@dataclass(frozen=True, slots=True)
class Scale:
    """An accelerator in another size: all axes of `dims` elements, the innermost memory, and registers by unit.

    It is for workloads whose ranks have the sizes in `ranks`. `registers` has entries and square metres of each element.
    """

    dims: int
    ranks: tuple[tuple[str, int], ...]
    size_bytes: int
    area_m2: float
    registers: tuple[tuple[str, int, float], ...]


@dataclass(frozen=True, slots=True)
class Arch:
    """An accelerator; `scales` are the other sizes in which its file knows it."""

    name: str
    source: str
    clock_hz: float
    word_bits: int
    memories: tuple[Memory, ...]
    units: tuple[Unit, ...]
    scales: tuple[Scale, ...] = ()

    @property
    def outermost(self) -> Memory:
        """The memory that holds inputs and outputs."""
        return self.memories[0]

    def unit(self, name: str) -> Unit:
        """The unit of a name. Raises `KeyError` if there is none."""
        return _named(self.units, name)

    def memory(self, name: str) -> Memory:
        """The memory of a name. Raises `KeyError` if there is none."""
        return _named(self.memories, name)

    def backing(self, memory: Memory) -> Memory | None:
        """The memory from which another is filled; None for the outermost."""
        at = self.memories.index(memory)
        return self.memories[at - 1] if at else None

    def path(self, outer: Memory, inner: Memory) -> tuple[Memory, ...]:
        """The memories that a word passes from one memory to another further in, both included.

        Raises `ValueError` if the second is not further in, nor the same.
        """
        first, last = self.memories.index(outer), self.memories.index(inner)
        if last < first:
            raise ValueError(f"'{inner.name}' is not further in than '{outer.name}'")
        return self.memories[first : last + 1]

    def innermost(self, unit: Unit | None = None) -> Memory:
        """The memory that is nearest to a unit; without one, to all of them."""
        assert unit is None or unit in self.units, "a unit of this architecture"
        return self.memories[-1]


_Named = TypeVar("_Named", Memory, Unit)


def _named(things: Sequence[_Named], name: str) -> _Named:
    for thing in things:
        if thing.name == name:
            return thing
    raise KeyError(name)
