"""The space of a mapping file: what its parameters, its cases and its `?` leave open."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations, islice, product
from math import prod
from random import Random
from typing import Any

import numpy as np

from fusemax.bind.bind import lengths
from fusemax.bind.extents import single
from fusemax.bind.instantiate import instantiate
from fusemax.bind.parameters import Choice
from fusemax.bind.sizes import axes_of, extent_of
from fusemax.bind.splits import balanced
from fusemax.bind.tensors import views_of
from fusemax.errors import FusemaxError, Problem, did_you_mean, listed
from fusemax.ir.arch import Arch
from fusemax.ir.checked import Checked
from fusemax.ir.expr import Expr, Name, Number, names, rank_of
from fusemax.ir.mapping import Case, Hold, Length, Open, Parameter, Part, Split, UnitBlock
from fusemax.ir.mapping import Mapping as MappingFile
from fusemax.ir.walk import Body, walk
from fusemax.mapper.constraints import Fixed
from fusemax.mapper.cost.candidates import Family, divisors
from fusemax.mapper.space.generated import MOST_GRID
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

    title = "in the space of the template"

    def __init__(
        self, checked: Checked, arch: Arch, mapping: MappingFile, shapes: Mapping[str, int], fixed: Fixed
    ) -> None:
        self.checked, self.arch, self.shapes, self.fixed = checked, arch, dict(shapes), fixed
        self.mapping = opened(mapping)
        self.open = {_extent(p): p.variable for s in mapping.splits for p in s.parts if isinstance(p.extent, Open)}
        self.sizes = solve_shapes(checked, self.shapes) if not any(_own(checked, s) for s in mapping.splits) else shapes
        self.considered = 0
        self.partial = False
        self.unlisted = float("inf"), float("inf")
        self.barred: dict[str, None] = {}
        self.suited: dict[tuple[Any, ...], dict[str, Any]] = {}
        self.least_bytes = 0.0
        self.least_j = 0.0
        self.least_s = 0.0
        self._check_fixed()

    def _check_fixed(self) -> None:
        """Refuse what the template has no choice of."""
        if self.fixed.units:
            message = f"'{self.mapping.name}' itself says which unit runs {listed(list(self.fixed.units))}"
            raise FusemaxError(message, "leave it out, or search without a template")
        for name, branches in _branches(self.mapping.body):
            chosen = " ".join(self.fixed.words.get(name, (str(self.fixed.numbers.get(name, branches[0])),)))
            if chosen not in branches:
                hint = did_you_mean(chosen, branches) or f"it is {listed(branches, word='or')}"
                raise FusemaxError(f"'{name}' is fixed at '{chosen}', for which there is no case", hint)

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
        every: list[Words] = [
            {**dict(zip(domains, values, strict=True)), **self.fixed.shares} for values in product(*domains.values())
        ]
        wanted = [words for words in every if self.wanted(words)]
        if not wanted:
            kept = " and ".join(f"'{tensor}' in '{level}'" for tensor, level in self.fixed.levels.items())
            raise FusemaxError(f"nothing that '{self.mapping.name}' leaves open keeps {kept}", "keep or fix less")
        return wanted

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
        """Whether the holds of a choice are where the user wants them: in the outermost memory is also what no line holds."""
        if not self.fixed.levels:
            return True
        holds = _holds(self.instance(words).body)
        held = {t: {h.level for h in holds if t in h.tensors} for t in self.fixed.levels}
        far = self.arch.outermost.name
        return all(held[t] <= {at} if at == far else at in held[t] for t, at in self.fixed.levels.items())

    def instance(self, words: Words) -> MappingFile:
        """The tree of a choice of words."""
        return instantiate(self.mapping, Choice({}, {name: w for name, w in words.items() if isinstance(w, tuple)}))

    def structures(self, by_energy: bool = False) -> Iterator[Chosen]:
        """Every choice of words, as they come."""
        self.considered = len(self.words) * len(next(iter(self.grid.values()), [0]))
        yield from (Chosen(words) for words in self.words)

    def batches(self, structure: Chosen) -> Iterator[Family]:
        """The tree of a choice."""
        yield self.family(structure)

    def families(self, structure: Chosen) -> Iterator[Family]:
        """The tree of a choice."""
        yield self.family(structure)

    def batch(self, state: Chosen) -> Family:
        """The tree of a choice, for a random walk."""
        return self.family(state)

    def family(self, state: Chosen) -> Family:
        """The tree of a choice."""
        return Family(self.mapping, state.words, self.fitting(state.words), self.share)

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
        fixed = {*self.fixed.numbers, *self.fixed.shares}
        found = {h.spill.name for h in _holds(self.mapping.body) if isinstance(h.spill, Name)} - fixed
        known = [parameter.name for parameter in self.mapping.parameters if parameter.name in found]
        return known[0] if known else None

    @cached_property
    def points(self) -> list[tuple[dict[str, int], Mapping[str, Any]]]:
        """All values of the numbers for which every split is exact, each with the longest extents that follow."""
        open_ = [
            p.name
            for p in self.mapping.parameters
            if self.is_number(p) and p.name not in (self.share, *self.fixed.shares)
        ]
        exact, short = ([self.values(name, even) for name in open_] for even in (True, False))
        values = short if prod(map(len, short)) <= MOST_GRID else exact
        self.partial |= prod(map(len, values)) > MOST_GRID
        found: list[tuple[dict[str, int], Mapping[str, Any]]] = []
        wrong: tuple[dict[str, int], FusemaxError] | None = None
        for row in islice(product(*values), MOST_GRID):
            numbers = dict(zip(open_, row, strict=True))
            try:
                given = {**numbers, **self.fixed.shares}
                found.append((numbers, lengths(self.checked, self.arch, self.mapping, self.shapes, given)))
            except FusemaxError as error:
                wrong = numbers, error
        if wrong is not None and not found:
            raise self.undivided(*wrong)
        return found

    def undivided(self, numbers: Mapping[str, int], error: FusemaxError) -> FusemaxError:
        """Why no number divides what it splits, by the last that was tried."""
        if not numbers:
            return error
        fixed = [f"'{self.asked(name)}'" for name in numbers if self.asked(name) in self.fixed.numbers]
        start = f"with {' and '.join(fixed)} fixed, " if fixed else ""
        tried = ", ".join(f"{self.asked(name)} = {number}" for name, number in numbers.items())
        first = error.problems[0]
        message = f"{start}no value of the open lengths divides what they split; with {tried}: {first.message}"
        hint = "fix another number, or none" if fixed else "give other sizes, or another template"
        return FusemaxError([Problem(message, first.span, hint)])

    @cached_property
    def grid(self) -> dict[str, Any]:
        """All values of the numbers, as columns."""
        return _columns([numbers for numbers, _ in self.points])

    def fitting(self, words: Words) -> dict[str, Any]:
        """The values for which no axis is too short for what a choice of words spreads over it; all if it always is:
        then costing them tells why. What is spread depends on the words that `case` looks at."""
        key = tuple(words.get(name) for name in self.cases)
        if key not in self.suited:
            self.suited[key] = self.suiting(words)
        return self.suited[key]

    @cached_property
    def cases(self) -> list[str]:
        """The parameters that `case` looks at."""
        return list(dict(_branches(self.mapping.body)))

    def suiting(self, words: Words) -> dict[str, Any]:
        """The same for words that were not seen before."""
        axes = {(unit.name, axis): length for unit in self.arch.units for axis, length in unit.axes}
        spread = [
            (variable, axes.get((block.unit, axis), 0))
            for block in walk(self.instance(words).body)
            if isinstance(block, UnitBlock)
            for axis, variable in block.axes
        ]
        kept = [
            numbers
            for numbers, longest in self.points
            if all(longest.get(variable, 1) <= length for variable, length in spread)
        ]
        return _columns(kept) if kept else self.grid

    def is_number(self, parameter: Parameter) -> bool:
        """Whether a parameter is a number: not a list, and no word that `case` looks at."""
        return not isinstance(parameter.default, tuple) and parameter.name not in dict(_branches(self.mapping.body))

    def values(self, name: str, even: bool) -> list[int]:
        """Divisors of the ranks that a parameter splits, or, as the length of a tile of an uneven split, all that are
        balanced; the number that is fixed."""
        if self.asked(name) in self.fixed.numbers:
            return [self.fixed.numbers[self.asked(name)]]
        found: set[int] = set()
        for split in self.mapping.splits:
            rank = rank_of(split.variable)
            for part in split.parts if rank in self.sizes else ():
                if split.uneven and part.extent == Length(Name(name)) and not (even or self.fixed.even):
                    found.update(balanced(self.tiles(split, part)))
                elif _uses(part.extent, name):
                    found.update(divisors(int(self.sizes[rank])))
        if not found:
            raise FusemaxError(f"nothing tells which values '{name}' may have", f"fix it: `--fix {name}=1`")
        return sorted(found)

    def tiles(self, split: Split, part: Part) -> int:
        """How many tiles of what is inside of a part there are; parts whose lengths are open count as one."""
        known = {**self.sizes, **axes_of(self.arch)}
        left = int(self.sizes[rank_of(split.variable)])
        for inner in split.parts[split.parts.index(part) + 1 :]:
            if isinstance(inner.extent, Length) and all(each.name in known for each in names(inner.extent.expr)):
                left = -(-left // int(single(extent_of(inner, inner.extent, known))))
        return left

    def asked(self, name: str) -> str:
        """What a user calls a parameter: that of a `?` by its part."""
        return self.open.get(name, name)


def opened(mapping: MappingFile) -> MappingFile:
    """The mapping with a parameter for every `?`.

    >>> from fusemax.syntax.mapping.parser import parse_mapping
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
                parameters.append(Parameter(_extent(part), Number(1)))
                part = replace(part, extent=Length(Name(_extent(part))))
            parts.append(part)
        splits.append(replace(split, parts=tuple(parts)))
    return replace(mapping, parameters=tuple(parameters), splits=tuple(splits), choose=None, table=())


def _extent(part: Part) -> str:
    """The parameter of a `?`."""
    return f"{part.variable}_extent"


def _columns(rows: list[dict[str, int]]) -> dict[str, Any]:
    """Values by name, as arrays with one element a row."""
    return {name: np.array([row[name] for row in rows], np.int64) for name in rows[0]}


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


def _branches(body: Body) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The parameters of all cases with their branches."""
    for node in walk(body):
        if isinstance(node, Case):
            yield node.parameter, tuple(word for word, _ in node.branches)


def _holds(body: Body) -> list[Hold]:
    """Every `hold` line, in all branches."""
    return [node for node in walk(body) if isinstance(node, Hold)]
