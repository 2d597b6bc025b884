"""The space of a mapping file: the values of its parameters, its cases and its `?`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations, islice, product
from math import prod
from random import Random

import numpy as np

from fusemax.bind.bind import lengths
from fusemax.bind.extents import Extent, single
from fusemax.bind.instantiate import instantiate
from fusemax.bind.parameters import Choice
from fusemax.bind.sizes import axes_of, extent_of
from fusemax.bind.splits import balanced, divisors
from fusemax.bind.tensors import views_of
from fusemax.errors import FusemaxError, Problem, did_you_mean, listed
from fusemax.ir.arch import Arch
from fusemax.ir.checked import Checked
from fusemax.ir.expr import Expr, Name, Number, names, rank_of
from fusemax.ir.mapping import Case, Hold, Length, Open, Parameter, Part, Split, UnitBlock
from fusemax.ir.mapping import Mapping as MappingFile
from fusemax.ir.walk import Body, walk
from fusemax.mapper.arrays import Integers
from fusemax.mapper.constraints import Fixed
from fusemax.mapper.cost.candidates import Candidates, Word
from fusemax.mapper.space.generated import MOST_GRID
from fusemax.mapper.space.protocol import Cutoff
from fusemax.validate import solve_shapes

Words = Mapping[str, Word]


@dataclass(frozen=True)
class TemplateChoice:
    """One choice of words, which is one tree; its bounds are unknown, hence zero."""

    words: Words
    least_s: float = 0.0
    least_j: float = 0.0


class Template:
    """The space of a template at given sizes.

    A parameter of a `case` takes its branches; a list of tensors all subsets of the tensors that no other line holds; a
    share to spill the smallest value with which all fits; other numbers the divisors of the ranks that they split.
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
        self.excluded: dict[str, None] = {}
        self.suited: dict[tuple[Word | None, ...], dict[str, Integers]] = {}
        self.least_bytes = 0.0
        self.least_j = 0.0
        self._check_fixed()

    def _check_fixed(self) -> None:
        """Refuse fixed choices that the template does not leave open."""
        if self.fixed.units:
            message = f"'{self.mapping.name}' itself places {listed(list(self.fixed.units))}"
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
            raise FusemaxError(f"no open choice of '{self.mapping.name}' keeps {kept}", "keep or fix less")
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
        """Whether a tensor is never held: scalars, and inputs of which views are held instead."""
        views = {use.tensor for e in self.checked.einsums if e.name in views_of(self.checked) for use in e.reads}
        return not self.checked.tensors[name].ranks or name in views

    def wanted(self, words: Words) -> bool:
        """Whether a choice holds tensors where the user keeps them: tensors that no line holds are in the outermost memory."""
        if not self.fixed.levels:
            return True
        holds = _holds(self.instance(words).body)
        held = {t: {h.level for h in holds if t in h.tensors} for t in self.fixed.levels}
        far = self.arch.outermost.name
        return all(held[t] <= {at} if at == far else at in held[t] for t, at in self.fixed.levels.items())

    def instance(self, words: Words) -> MappingFile:
        """The tree of a choice of words."""
        return instantiate(self.mapping, Choice({}, {name: w for name, w in words.items() if isinstance(w, tuple)}))

    def structures(self, by_energy: bool = False) -> Iterator[TemplateChoice | Cutoff]:
        """Every choice of words, in no order of bounds."""
        self.considered = len(self.words) * len(next(iter(self.grid.values()), [0]))
        if self.numbers > MOST_GRID:
            yield Cutoff()
        yield from (TemplateChoice(words) for words in self.words)

    def batches(self, structure: TemplateChoice) -> Iterator[Candidates]:
        """The tree of a choice."""
        yield self.candidates(structure)

    def batch(self, state: TemplateChoice) -> Candidates:
        """The tree of a choice, for a random walk."""
        return self.candidates(state)

    def candidates(self, state: TemplateChoice) -> Candidates:
        """The tree of a choice."""
        return Candidates(self.mapping, state.words, self.fitting(state.words), self.share)

    def start(self, source: Random) -> TemplateChoice:
        """A choice at random."""
        return TemplateChoice(source.choice(self.words))

    def neighbour(self, state: TemplateChoice, source: Random) -> TemplateChoice:
        """A choice that differs in one parameter."""
        near = [w for w in self.words if sum(w[name] != state.words[name] for name in w) == 1]
        return TemplateChoice(source.choice(near or self.words))

    # --------------------------------------------------------------------------------------------------------- numbers

    @cached_property
    def share(self) -> str | None:
        """The parameter that is a share to spill."""
        fixed = {*self.fixed.numbers, *self.fixed.shares}
        found = {h.spill.name for h in _holds(self.mapping.body) if isinstance(h.spill, Name)} - fixed
        known = [parameter.name for parameter in self.mapping.parameters if parameter.name in found]
        return known[0] if known else None

    @cached_property
    def domains(self) -> dict[str, list[int]]:
        """The values of each number."""
        open_ = [
            p.name
            for p in self.mapping.parameters
            if self.is_number(p) and p.name not in (self.share, *self.fixed.shares)
        ]
        exact, short = ({name: self.values(name, even) for name in open_} for even in (True, False))
        return short if prod(map(len, short.values())) <= MOST_GRID else exact

    @property
    def numbers(self) -> int:
        """The number of combinations of values."""
        return prod(map(len, self.domains.values()))

    @cached_property
    def points(self) -> list[tuple[dict[str, int], Mapping[str, Extent]]]:
        """The combinations of values for which every split is exact, each with the longest extents that follow."""
        found: list[tuple[dict[str, int], Mapping[str, Extent]]] = []
        wrong: tuple[dict[str, int], FusemaxError] | None = None
        for row in islice(product(*self.domains.values()), MOST_GRID):
            numbers = dict(zip(self.domains, row, strict=True))
            try:
                given = {**numbers, **self.fixed.shares}
                found.append((numbers, lengths(self.checked, self.arch, self.mapping, self.shapes, given)))
            except FusemaxError as error:
                wrong = numbers, error
        if wrong is not None and not found:
            raise self.undivided(*wrong)
        return found

    def undivided(self, numbers: Mapping[str, int], error: FusemaxError) -> FusemaxError:
        """The error that no number divides the rank that it splits, with the last that was tried."""
        if not numbers:
            return error
        fixed = [f"'{self.asked(name)}'" for name in numbers if self.asked(name) in self.fixed.numbers]
        start = f"with {' and '.join(fixed)} fixed, " if fixed else ""
        tried = ", ".join(f"{self.asked(name)} = {number}" for name, number in numbers.items())
        first = error.problems[0]
        message = (
            f"{start}no value of the open lengths divides the ranks that they split; with {tried}: {first.message}"
        )
        hint = "fix another number, or leave it open" if fixed else "give other sizes, or another template"
        return FusemaxError([Problem(message, first.span, hint)])

    @cached_property
    def grid(self) -> dict[str, Integers]:
        """The values of the numbers, one array each."""
        return _columns([numbers for numbers, _ in self.points])

    def fitting(self, words: Words) -> dict[str, Integers]:
        """The values for which no axis is too short for the variable that a choice of words spreads over it; all if it
        always is: then costing them gives the reason. Spreads depend on the parameters of `case`."""
        key = tuple(words.get(name) for name in self.cases)
        if key not in self.suited:
            self.suited[key] = self.suiting(words)
        return self.suited[key]

    @cached_property
    def cases(self) -> list[str]:
        """The parameters of `case`."""
        return list(dict(_branches(self.mapping.body)))

    def suiting(self, words: Words) -> dict[str, Integers]:
        """The same for a new choice of words."""
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
        """Whether a parameter is a number: neither a list nor the parameter of a `case`."""
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
            raise FusemaxError(f"no split bounds the values of '{name}'", f"fix it: `--fix {name}=1`")
        return sorted(found)

    def tiles(self, split: Split, part: Part) -> int:
        """The number of tiles inside of a part; parts whose lengths are open count as one."""
        known = {**self.sizes, **axes_of(self.arch)}
        left = int(self.sizes[rank_of(split.variable)])
        for inner in split.parts[split.parts.index(part) + 1 :]:
            if isinstance(inner.extent, Length) and all(each.name in known for each in names(inner.extent.expr)):
                left = -(-left // int(single(extent_of(inner, inner.extent, known))))
        return left

    def asked(self, name: str) -> str:
        """The name by which a user fixes a parameter: that of a `?` is its part."""
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


def _columns(rows: list[dict[str, int]]) -> dict[str, Integers]:
    """Values by name, as arrays with one element a row."""
    return {name: np.array([row[name] for row in rows], np.int64) for name in rows[0]}


def _own(checked: Checked, split: Split) -> bool:
    """Whether the cascade makes a split itself."""
    return all(split.variable not in einsum.variables for einsum in checked.einsums)


def _uses(extent: object, name: str) -> bool:
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
