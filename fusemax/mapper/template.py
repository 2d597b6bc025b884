"""The space of a mapping file: what its parameters, its cases and its `?` leave open."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations, islice, product
from math import prod
from random import Random
from typing import Any

import numpy as np

from fusemax.errors import FusemaxError
from fusemax.ir.arch import Arch
from fusemax.ir.checked import Checked
from fusemax.ir.expr import Expr, Name, Number, names, rank_of
from fusemax.ir.mapping import Case, For, Group, Hold, Length, Node, Open, Parameter, Split
from fusemax.ir.mapping import Mapping as MappingFile
from fusemax.mapper.family import Family, divisors
from fusemax.mapper.fixed import Fixed
from fusemax.mapper.space import MOST_GRID
from fusemax.model.bind import bind_roomy
from fusemax.model.plan import views_of
from fusemax.validate import solve_shapes

Words = Mapping[str, Any]


@dataclass(frozen=True)
class Chosen:
    """One choice of words, which is one tree; nothing is known of it before it is costed."""

    words: Words
    least_s: float = 0.0
    least_j: float = 0.0


class Template:
    """The space of a template at given sizes.

    Words that `case` looks at are its branches; words that list tensors are all subsets of those that
    no other line holds; a share to spill is the smallest with which all fits; other numbers are divisors of what they split.
    """

    def __init__(
        self, checked: Checked, arch: Arch, mapping: MappingFile, shapes: Mapping[str, int], fixed: Fixed
    ) -> None:
        self.checked, self.arch, self.shapes, self.fixed = checked, arch, dict(shapes), fixed
        self.mapping = opened(mapping)
        self.sizes = solve_shapes(checked, self.shapes) if not any(_own(checked, s) for s in mapping.splits) else shapes
        self.considered = 0
        self.partial = False
        self.unlisted = float("inf"), float("inf")
        self.least_bytes = 0.0
        self.least_j = 0.0
        self.least_s = 0.0

    # ----------------------------------------------------------------------------------------------------------- words

    @cached_property
    def words(self) -> list[Words]:
        """Every choice of words."""
        domains: dict[str, list[tuple[str, ...]]] = {}
        branches = dict(_branches(self.mapping.body))
        for parameter in self.mapping.parameters:
            default, name = parameter.default, parameter.name
            if name in self.fixed.words:
                domains[name] = [self.fixed.words[name]]
            elif name in branches:
                domains[name] = [(branch,) for branch in branches[name]]
            elif isinstance(default, tuple):
                domains[name] = list(_subsets(self.tensors(parameter, default)))
        every = [
            {**dict(zip(domains, values, strict=True)), **self.fixed.shares} for values in product(*domains.values())
        ]
        return [words for words in every if self.wanted(words)]

    def tensors(self, parameter: Parameter, default: tuple[str, ...]) -> list[str]:
        """The tensors that a list may name: its default, and all that no other line holds whatever the list says."""
        held = {
            name
            for hold in _holds(self.mapping.body)
            if hold.unless != parameter.name and parameter.name not in hold.tensors
            for name in hold.tensors
        }
        return [
            name for name in self.checked.tensors if name in default or (name not in held and not self.skipped(name))
        ]

    def skipped(self, name: str) -> bool:
        """Whether holding a tensor means nothing: scalars, and inputs of which views are held instead."""
        views = {use.tensor for e in self.checked.einsums if e.name in views_of(self.checked) for use in e.reads}
        return not self.checked.tensors[name].ranks or name in views

    def wanted(self, words: Words) -> bool:
        """Whether the holds of a choice are where the user wants them."""
        if not self.fixed.levels:
            return True
        from fusemax.mapper.concrete import concrete

        holds = list(_holds(concrete(self.mapping, words).body))
        return all(any(t in h.tensors and h.level == at for h in holds) for t, at in self.fixed.levels.items())

    def structures(self, by_energy: bool = False) -> Iterator[Chosen]:
        """Every choice of words, as they come."""
        self.considered = len(self.words) * len(next(iter(self.grid.values()), [0]))
        yield from (Chosen(words) for words in self.words)

    def families(self, structure: Chosen) -> Iterator[Family]:
        """The tree of a choice."""
        yield self.family(structure)

    def family(self, state: Chosen) -> Family:
        """The tree of a choice."""
        return Family(self.mapping, state.words, self.grid, self.share)

    def start(self, source: Random) -> Chosen:
        """A choice at random."""
        return Chosen(source.choice(self.words))

    def neighbour(self, state: Chosen, source: Random) -> Chosen:
        """A choice that differs in one parameter."""
        near = [w for w in self.words if sum(w[name] != state.words[name] for name in w) == 1]
        return Chosen(source.choice(near or self.words))

    # --------------------------------------------------------------------------------------------------------- numbers

    @cached_property
    def share(self) -> str | None:
        """The parameter that is a share to spill."""
        found = {h.spill.name for h in _holds(self.mapping.body) if isinstance(h.spill, Name)} - {
            *self.fixed.numbers,
            *self.fixed.shares,
        }
        known = [parameter.name for parameter in self.mapping.parameters if parameter.name in found]
        return known[0] if known else None

    @cached_property
    def grid(self) -> dict[str, Any]:
        """All values of the numbers for which every split is exact."""
        open_ = [
            p.name
            for p in self.mapping.parameters
            if self.is_number(p) and p.name not in (self.share, *self.fixed.shares)
        ]
        fixed = [[self.fixed.numbers[name]] if name in self.fixed.numbers else self.values(name) for name in open_]
        self.partial |= prod(map(len, fixed)) > MOST_GRID
        rows = [row for row in islice(product(*fixed), MOST_GRID) if self.divides(dict(zip(open_, row, strict=True)))]
        if open_ and not rows:
            raise FusemaxError(
                "no value of the open lengths divides what they split", "give other sizes, or another template"
            )
        if not open_:
            return {}
        table = np.array(rows, np.int64).reshape(len(rows), len(open_))
        return {name: table[:, i] for i, name in enumerate(open_)}

    def is_number(self, parameter: Parameter) -> bool:
        """Whether a parameter is a number: not a list, and no word that `case` looks at."""
        return not isinstance(parameter.default, tuple) and parameter.name not in dict(_branches(self.mapping.body))

    def values(self, name: str) -> list[int]:
        """Divisors of the ranks that a parameter splits; the numbers of its own that it is not used for."""
        ranks = {
            rank_of(split.variable)
            for split in self.mapping.splits
            if any(_uses(part.extent, name) for part in split.parts)
        }
        found = sorted({d for rank in ranks if rank in self.sizes for d in divisors(int(self.sizes[rank]))})
        if not found:
            raise FusemaxError(f"nothing tells which values '{name}' may have", f"fix it: `--fix {name}=1`")
        return found

    def divides(self, numbers: Mapping[str, int]) -> bool:
        """Whether all splits are exact."""
        words = self.words[0] if self.words else {}
        share = {} if self.share is None else {self.share: 0}
        try:
            bind_roomy(self.checked, self.arch, self.mapping, self.shapes, {**words, **numbers, **share})
        except FusemaxError as error:
            return not any(
                "divi" in p.message or "multipl" in p.message or "points" in p.message for p in error.problems
            )
        return True


def opened(mapping: MappingFile) -> MappingFile:
    """The mapping with a parameter for every `?`.

    >>> from fusemax.syntax.mapping import parse_mapping
    >>> text = "mapping m\\ncascade matmul\\narch flat-cloud\\nsplit m: m1, m0 = ?\\nfor m1: on array2d (rows: m0): Z"
    >>> print(str(opened(parse_mapping(text))).splitlines()[0])
    mapping m(m0_extent = 1)
    """
    parameters: list[Parameter] = list(mapping.parameters)
    splits: list[Split] = []
    for split in mapping.splits:
        parts = []
        for part in split.parts:
            if isinstance(part.extent, Open):
                parameters.append(Parameter(f"{part.variable}_extent", Number(1)))
                part = replace(part, extent=Length(Name(f"{part.variable}_extent")))
            parts.append(part)
        splits.append(replace(split, parts=tuple(parts)))
    return replace(mapping, parameters=tuple(parameters), splits=tuple(splits), choose=None, table=())


def _own(checked: Checked, split: Split) -> bool:
    """Whether a split is the cascade's own."""
    return all(split.variable not in einsum.variables for einsum in checked.einsums)


def _uses(extent: Any, name: str) -> bool:
    expr: Expr | None = extent.expr if isinstance(extent, Length) else None
    return expr is not None and any(each.name == name for each in names(expr))


def _subsets(items: list[str]) -> Iterator[tuple[str, ...]]:
    """All subsets, the larger ones first."""
    for number in range(len(items), -1, -1):
        yield from combinations(items, number)


def _branches(nodes: Iterable[Node]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The parameters of all cases with their branches."""
    for node in nodes:
        match node:
            case Case(parameter, branches):
                yield parameter, tuple(name for name, _ in branches)
                for _, body in branches:
                    yield from _branches(body)
            case For() | Group():
                yield from _branches(node.body)


def _holds(nodes: Iterable[Node]) -> Iterator[Hold]:
    """Every `hold` line, in all branches."""
    for node in nodes:
        match node:
            case Hold():
                yield node
            case For() | Group():
                yield from _holds(node.body)
            case Case(_, branches):
                for _, body in branches:
                    yield from _holds(body)
