"""The result of `analyze`, as frozen data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from fusemax.analysis.counting import Points
from fusemax.analysis.footprint import Footprint
from fusemax.analysis.passes import GroupPasses
from fusemax.analysis.roofline import Roofline
from fusemax.analysis.work import Tally
from fusemax.errors import FusemaxError, Problem, did_you_mean, listed
from fusemax.ir.checked import Checked
from fusemax.units import bytes_of_words
from fusemax.view import Json, Record, Result, Table

if TYPE_CHECKING:
    import sympy


@dataclass(frozen=True)
class Work:
    """Operations by kind; symbols and, for given sizes, exact integers.

    >>> Work({"mac": {Points(("K", "M")): 1}}).symbolic()
    {'mac': K*M}
    """

    tally: Tally

    def symbolic(self, number: Callable[[Points], sympy.Expr] = Points.symbolic) -> dict[str, sympy.Expr]:
        """Each kind in the rank shapes; `number` writes the points of a space."""
        import sympy

        return {kind: sympy.Add(*(n * number(at) for at, n in counts.items())) for kind, counts in self.tally.items()}

    def numbers(self, sizes: Mapping[str, int]) -> dict[str, int] | None:
        """Each kind as an integer, or None if a size is missing."""
        if any(not at.sizes <= sizes.keys() for counts in self.tally.values() for at in counts):
            return None
        return {kind: sum(n * at.number(sizes) for at, n in counts.items()) for kind, counts in self.tally.items()}


def total(works: Iterable[Work]) -> Work:
    """The operations of all together."""
    found: dict[str, dict[Points, int]] = {}
    for work in works:
        for kind, counts in work.tally.items():
            mine = found.setdefault(kind, {})
            for at, n in counts.items():
                mine[at] = mine.get(at, 0) + n
    return Work(found)


@dataclass(frozen=True)
class EinsumFacts:
    """One Einsum: its text, its pass over each group that it traverses, its operations."""

    output: str
    text: str
    passes: Mapping[str, int]
    work: Work


@dataclass(frozen=True)
class Spill:
    """Whether the footprint of a group fits a buffer and, if not, the least additional DRAM traffic, in bytes."""

    fits: bool
    footprint_bytes: int
    extra_dram_bytes: int


@dataclass(frozen=True)
class GroupFacts:
    """One rank group: its passes, the tensors that live across them, and the smallest footprint on chip."""

    passes: GroupPasses
    footprint: Footprint
    spill: Spill | None = None


@dataclass(frozen=True)
class CompulsoryTraffic:
    """Elements that every implementation reads and writes at least: each input and each output once."""

    reads: Mapping[str, sympy.Expr]
    writes: Mapping[str, sympy.Expr]

    @property
    def total(self) -> sympy.Expr:
        """All elements."""
        import sympy

        return sympy.Add(*self.reads.values(), *self.writes.values())


@dataclass(frozen=True)
class Analysis(Result):
    """The properties of a cascade alone, before any architecture or mapping.

    `groups` has the facts of each rank group by name; `sizes` the known sizes, for the numbers in the report; `operators`
    the operations of one application of each operator of the file; `tiles` the tile sizes of ranks; `checked` is the
    cascade.
    """

    cascade: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    einsums: tuple[EinsumFacts, ...]
    groups: Mapping[str, GroupFacts]
    traffic: CompulsoryTraffic
    operators: Mapping[str, Mapping[str, int]]
    sizes: Mapping[str, int]
    tiles: Mapping[str, int]
    word_bits: int
    checked: Checked = field(repr=False, compare=False)
    buffer_bytes: int | None = None
    roofline: Roofline | None = None
    notes: tuple[Problem, ...] = field(default=(), repr=False)

    @property
    def passes(self) -> dict[str, int]:
        """The number of passes over each group."""
        return {name: facts.passes.passes for name, facts in self.groups.items()}

    def group(self, rank: str) -> GroupFacts:
        """The facts of a group, by its name in any case. Raises `FusemaxError` for one that no Einsum traverses.

        >>> from fusemax import analyze, parse
        >>> analyze(parse("Y = A[k] * B[k]")).group("k").passes.passes
        1
        """
        found = next((facts for name, facts in self.groups.items() if name.lower() == rank.lower()), None)
        if found is None:
            hint = f"its ranks are {listed(self.groups)}" if self.groups else "it has scalars alone"
            raise FusemaxError(f"no Einsum traverses a rank '{rank}'", did_you_mean(rank.upper(), self.groups) or hint)
        return found

    @cached_property
    def work(self) -> Work:
        """The operations of all Einsums together."""
        return total(einsum.work for einsum in self.einsums)

    @property
    def traffic_bytes(self) -> int | None:
        """The compulsory traffic in bytes, if the sizes are known."""
        elements = self.number(self.traffic.total)
        return None if elements is None else bytes_of_words(elements, self.word_bits)

    @property
    def intensity(self) -> float | None:
        """Operations per byte of compulsory traffic, if the sizes are known; a mac is one operation."""
        counts, moved = self.numbers(self.work), self.traffic_bytes
        return sum(counts.values()) / moved if counts is not None and moved else None

    def number(self, expr: sympy.Expr) -> int | None:
        """The value of an expression with the known sizes, if they are enough; a ragged last tile counts as one."""
        import sympy

        values = {s: self.sizes[s.name] for s in expr.free_symbols if s.name in self.sizes}
        return int(sympy.ceiling(expr.subs(values))) if len(values) == len(expr.free_symbols) else None

    def numbers(self, work: Work) -> dict[str, int] | None:
        """Operations by kind as integers, if sizes were given and are enough."""
        return work.numbers(self.sizes) if self.sizes else None

    def tables(self) -> Iterator[Table]:
        """The report."""
        from fusemax.analysis.tables import tables

        return tables(self)

    def records(self) -> list[Record]:
        """A row for each rank group: its passes, the tensors that live across them, and its footprint."""
        from fusemax.analysis.json import group_records

        return group_records(self)

    def to_json(self) -> Json:
        """The documented, stable JSON: see docs/json.md."""
        from fusemax.analysis.json import analysis_json

        return analysis_json(self)
