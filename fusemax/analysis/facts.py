"""What the analysis says of a cascade, as frozen data: the result of `analyze`, and its JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import TYPE_CHECKING, Any

from fusemax.analysis.counting import Points, symbol
from fusemax.analysis.footprint import Footprint
from fusemax.analysis.passes import GroupPasses
from fusemax.analysis.roofline import Roofline
from fusemax.analysis.work import Tally
from fusemax.errors import Problem

if TYPE_CHECKING:
    import sympy


@dataclass(frozen=True)
class Work:
    """Operations by kind; symbols and, for given sizes, exact integers.

    >>> Work({"mac": {Points(("K", "M")): 1}}).symbolic()
    {'mac': K*M}
    """

    tally: Tally

    def symbolic(self) -> dict[str, sympy.Expr]:
        """Each kind in the rank shapes."""
        return {kind: sum(n * at.symbolic() for at, n in counts.items()) for kind, counts in self.tally.items()}

    def numbers(self, sizes: Mapping[str, int]) -> dict[str, int] | None:
        """Each kind as an integer, or None if a size is missing."""
        if any(not at.sizes <= sizes.keys() for counts in self.tally.values() for at in counts):
            return None
        return {kind: sum(n * at.number(sizes) for at, n in counts.items()) for kind, counts in self.tally.items()}

    def __add__(self, other: Work) -> Work:
        total = {kind: dict(counts) for kind, counts in self.tally.items()}
        for kind, counts in other.tally.items():
            mine = total.setdefault(kind, {})
            for at, n in counts.items():
                mine[at] = mine.get(at, 0) + n
        return Work(total)


@dataclass(frozen=True)
class EinsumFacts:
    """One Einsum: its text, its pass over each group that it traverses, its operations."""

    output: str
    text: str
    passes: Mapping[str, int]
    work: Work


@dataclass(frozen=True)
class Spill:
    """Whether a group's footprint fits a buffer and, if not, the least DRAM traffic that this costs, in bytes."""

    fits: bool
    footprint_bytes: int
    extra_dram_bytes: int


@dataclass(frozen=True)
class GroupFacts:
    """One rank group: its passes, what lives across them, and the least that must be on chip."""

    passes: GroupPasses
    footprint: Footprint
    spill: Spill | None = None


@dataclass(frozen=True)
class Traffic:
    """Elements that every implementation reads and writes at least: each input and each output once."""

    reads: Mapping[str, sympy.Expr]
    writes: Mapping[str, sympy.Expr]

    @property
    def total(self) -> sympy.Expr:
        """All elements."""
        import sympy

        return sum((*self.reads.values(), *self.writes.values()), sympy.Integer(0))


@dataclass(frozen=True)
class Analysis:
    """What follows from a cascade alone, before any machine or mapping. Prints itself as the report.

    `groups` has the facts of each rank group by name; `sizes` the sizes that are known, for the numbers in the report.
    """

    cascade: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    einsums: tuple[EinsumFacts, ...]
    groups: Mapping[str, GroupFacts]
    traffic: Traffic
    operators: Mapping[str, Mapping[str, int]]
    sizes: Mapping[str, int]
    word_bits: int
    buffer_bytes: int | None = None
    roofline: Roofline | None = None
    notes: tuple[Problem, ...] = field(default=(), repr=False)

    @property
    def passes(self) -> dict[str, int]:
        """The number of passes over each group."""
        return {name: facts.passes.passes for name, facts in self.groups.items()}

    @property
    def work(self) -> Work:
        """The operations of all Einsums together."""
        return reduce(lambda a, b: a + b, (einsum.work for einsum in self.einsums), Work({}))

    def number(self, expr: sympy.Expr) -> int | None:
        """The value of an expression with the known sizes, if they are enough."""
        values = {s: self.sizes[s.name] for s in expr.free_symbols if s.name in self.sizes}
        return int(expr.subs(values)) if len(values) == len(expr.free_symbols) else None

    def to_json(self) -> dict[str, Any]:
        """The documented, stable JSON: see docs/json.md."""
        from fusemax.analysis.json import analysis_json

        return analysis_json(self)

    def __str__(self) -> str:
        from fusemax.analysis.text import report

        return report(self)

    def _repr_html_(self) -> str:
        from fusemax.analysis.text import tables

        return "".join(table.html() for table in tables(self))


def known(expr: sympy.Expr, sizes: Mapping[str, int]) -> sympy.Expr:
    """The expression with the known sizes put in."""
    return expr.subs({symbol(name): size for name, size in sizes.items()})


def names(problems: Iterable[Problem]) -> list[str]:
    """The messages of notes."""
    return [problem.message for problem in problems]
