"""The interface between spaces of mappings and the strategies that search them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any, Protocol, TypeVar

from fusemax.ir.arch import Arch
from fusemax.ir.checked import Checked
from fusemax.mapper.cost.batch import Batch
from fusemax.mapper.cost.candidates import Candidates

Trees = Batch | Candidates
"""Trees that are costed together."""


@dataclass(frozen=True, slots=True)
class Cutoff:
    """A part of a space that is left out, with a lower bound of the seconds and of the joules of all mappings in it."""

    least_s: float = 0.0
    least_j: float = 0.0

    def with_part(self, other: Cutoff | None) -> Cutoff:
        """Both parts together.

        >>> Cutoff(1.0, 4.0).with_part(Cutoff(2.0, 3.0))
        Cutoff(least_s=1.0, least_j=3.0)
        """
        return self if other is None else Cutoff(min(self.least_s, other.least_s), min(self.least_j, other.least_j))


class Structure(Protocol):
    """Trees that share lower bounds of their seconds and joules."""

    @property
    def least_s(self) -> float: ...
    @property
    def least_j(self) -> float: ...


StructureT = TypeVar("StructureT", bound=Structure)
StateT = TypeVar("StateT")


class MappingSpace(Protocol[StructureT, StateT]):
    """A space of mappings: structures, each with its trees, and the states of a random walk over them."""

    title: str
    """The space in words: `among ...`."""
    checked: Checked
    arch: Arch
    shapes: dict[str, int]
    considered: int
    """Layouts that were listed so far."""
    excluded: dict[str, None]
    """The reasons for which structures have no trees: they contradict a choice of the user."""

    @property
    def least_bytes(self) -> float:
        """The lower bound of the bytes of the outermost memory."""

    @property
    def least_j(self) -> float:
        """The lower bound of the joules."""

    def structures(self, by_energy: bool) -> Iterator[StructureT | Cutoff]:
        """All structures, the most promising first, and a cutoff for each part that is left out."""

    def batches(self, structure: StructureT) -> Iterator[Trees | Cutoff]:
        """The trees of a structure, as they are costed, and a cutoff for each part that is left out."""

    def start(self, source: Random) -> StateT:
        """A first state."""

    def neighbour(self, state: StateT, source: Random) -> StateT:
        """A state that differs in one choice."""

    def batch(self, state: StateT) -> Trees | None:
        """The trees of a state; None if a choice of the user excludes all."""


AnySpace = MappingSpace[Any, Any]
"""A space whose structures and states only the space itself looks into."""


def trees_of(space: AnySpace, structure: Structure) -> Iterator[Candidates]:
    """The trees of a structure one by one, without the parts that are left out."""
    for trees in space.batches(structure):
        if not isinstance(trees, Cutoff):
            yield from trees.each()
