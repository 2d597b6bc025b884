"""A mapping as a tree of text: its loops, units and storage, with extents if the sizes are known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import assert_never

from fusemax.bind.bind import BoundMapping
from fusemax.bind.capacity import used_bytes
from fusemax.bind.parameters import ParameterValue
from fusemax.bind.splits import splits_of
from fusemax.bind.tensors import tile_variables, with_places
from fusemax.ir.arch import Arch
from fusemax.ir.checked import Checked
from fusemax.ir.expr import Name, Number
from fusemax.ir.mapping import (
    Block,
    BlockKind,
    Case,
    Fit,
    For,
    Hold,
    Leaf,
    Length,
    Node,
    Open,
    Overlap,
    Parameter,
    Part,
    PlacedEinsum,
    UnitBlock,
    Wait,
)
from fusemax.ir.mapping import Mapping as MappingFile
from fusemax.ir.print_cascade import print_einsum, print_expr
from fusemax.ir.print_mapping import print_head, print_parameter
from fusemax.ir.walk import Body, fold, located
from fusemax.report.arch_tree import Tree
from fusemax.units import bytes_of_words, readable_bytes
from fusemax.view import Json, Record, Result, Table

REMARKS: Mapping[Overlap | BlockKind, str] = {
    Overlap.PIPELINE: "  -- units overlap across iterations",
    Overlap.STAGES: "  -- stage by stage",
    BlockKind.PREVIOUS: "  -- for the tile before",
}


@dataclass(frozen=True, slots=True)
class HeldTile:
    """A tensor held in a memory: the variables of its tile, and bytes, if the sizes are known."""

    tensor: str
    level: str
    tile: tuple[str, ...]
    size_bytes: int | None


@dataclass(frozen=True)
class ShownMapping(Result):
    """A mapping, its architecture and its cascade; `bound` has sizes, if they were given, `at` is their title."""

    mapping: MappingFile
    arch: Arch
    checked: Checked
    parameters: Mapping[str, ParameterValue] = field(default_factory=dict)
    bound: BoundMapping | None = None
    at: str = ""

    def tree(self) -> Tree:
        """The whole mapping."""
        mapping = self.mapping
        head = [Tree(f"at {self.at}: {self._sizes()}")] if self.bound else []
        if mapping.parameters:
            head.append(Tree(f"parameters: {', '.join(map(self._parameter, mapping.parameters))}"))
        if mapping.choose is not None:
            head.append(Tree(f"chosen by {', '.join(mapping.choose.by)} from {mapping.choose.file}"))
        head += [Tree(text) for text in self.used()]
        head += [Tree(f"split {split.variable}: {', '.join(map(self._part, split.parts))}") for split in mapping.splits]
        title = f"{mapping.name}: {mapping.cascade} on {self.arch.name}"
        return Tree(title, (*head, *fold(self._body, self._node)))

    def tables(self) -> Iterator[Table]:
        """The tree."""
        yield self.tree().table()

    def records(self) -> list[Record]:
        """A row for each tile that is held and each Einsum on its unit."""
        rows: list[Record] = []
        for phase, resident in self.residents():
            if isinstance(resident, HeldTile):
                held = {"memory": resident.level, "tensor": resident.tensor, "tile": " ".join(resident.tile)}
                rows.append({"phase": phase, **held, "bytes": resident.size_bytes})
            else:
                unit, placed = resident
                rows.append({"phase": phase, "unit": unit, "einsum": placed.einsum, "over": " ".join(placed.over)})
        return rows

    def to_json(self) -> Json:
        """The mapping as JSON data (docs/json.md)."""
        sizes = {} if self.bound is None else {rank: int(size) for rank, size in self.bound.sizes.items()}
        return {
            "mapping": self.mapping.name,
            "cascade": self.mapping.cascade,
            "arch": self.arch.name,
            "shapes": sizes,
            "parameters": {n: list(v) if isinstance(v, tuple) else v for n, v in self.parameters.items()},
            "residents": list(self.records()),
            "text": str(self.mapping),
        }

    def used(self) -> Iterator[str]:
        """The bytes of each memory that are in use at once, if the sizes are known."""
        if self.bound is None:
            return
        for memory in self.arch.memories:
            used = used_bytes(self.bound.nest, memory.name)
            if memory.size_bytes is not None:
                yield f"{memory.name}: {readable_bytes(float(used))} of {readable_bytes(memory.size_bytes)} held at once"

    def _sizes(self) -> str:
        assert self.bound is not None
        return ", ".join(f"{rank}={size}" for rank, size in self.bound.sizes.items())

    def _parameter(self, parameter: Parameter) -> str:
        if parameter.name not in self.parameters:
            return print_parameter(parameter)
        value = self.parameters[parameter.name]
        return f"{parameter.name} = {' '.join(value) or '()' if isinstance(value, tuple) else value}"

    def _part(self, part: Part) -> str:
        match part.extent:
            case None:
                told = "the rest"
            case Length(expr):
                told = print_expr(expr)
            case Open():
                told = "for the mapper to find"
            case Fit(capacity):
                told = f"fit {capacity if isinstance(capacity, str) else capacity.text}"
            case _:
                assert_never(part.extent)
        return f"{self._many(part.variable)} ({told})"

    def extent(self, variable: str) -> int | None:
        """The iterations of a variable, if the sizes are known."""
        if self.bound is None:
            return None
        nest = self.bound.nest
        found = nest.longest.get(variable, nest.extents.get(variable))
        return None if found is None else int(found)

    def _many(self, variable: str) -> str:
        extent = self.extent(variable)
        return variable if extent is None else f"{variable}={extent}"

    # ------------------------------------------------------------------------------------------------------- the tree

    @property
    def _body(self) -> Body:
        """The tree of loops; where the sizes are known, without cases and lists of tensors."""
        return self.bound.mapping.body if self.bound else self.mapping.body

    def _node(self, node: Node, around: Body, below: tuple[tuple[Tree, ...], ...]) -> Iterator[Tree]:
        match node:
            case For(overlap, variables):
                text = f"{overlap.value} {', '.join(map(self._many, variables))}{REMARKS.get(overlap, '')}"
                yield Tree(text, below[0])
            case Block(block):
                yield Tree(f"{block.value}{REMARKS.get(block, '')}", below[0])
            case Case(parameter, branches):
                words = (word for word, _ in branches)
                trees = tuple(Tree(f"if it says {word}", each) for word, each in zip(words, below, strict=True))
                yield Tree(f"as {parameter} says", trees)
            case Hold(level=level, unless=unless):
                held = ", ".join(map(_held, self.held(node, around)))
                exception = f" (unless in {unless})" if unless else ""
                yield Tree(f"{level} holds {held}{exception}{self._spilled(node)}")
            case UnitBlock():
                yield self._on(node)
            case leaf:
                yield Tree(_said(leaf))

    def _spilled(self, node: Hold) -> str:
        """The spilled share of a `hold` line, in words."""
        match node.spill:
            case None:
                return ""
            case Number(value):
                return f" ({float(value):.3g} of them spilled)"
            case Name(name) if self.bound is not None and isinstance(self.parameters.get(name), int | float):
                return f" ({self.parameters[name]:.3g} of them spilled)" if self.parameters[name] else ""
        return f" ({print_expr(node.spill)} of them spilled)"

    def held(self, node: Hold, around: Body) -> Iterator[HeldTile]:
        """The tensors of a `hold` line, each with its tile below the loops around."""
        loops = tuple(variable for each in around if isinstance(each, For) for variable in each.variables)
        return (self._tile(name, node.level, loops) for name in node.tensors)

    def _tile(self, tensor: str, level: str, loops: tuple[str, ...]) -> HeldTile:
        """A tile, with its bytes if the sizes are known."""
        if tensor not in self.checked.tensors:  # a parameter that lists tensors, and no sizes to choose it by
            return HeldTile(tensor, level, (), None)
        splits = with_places(self.checked, splits_of(self.checked, self.mapping))
        tile = tile_variables(self.checked.tensors[tensor], splits, loops)
        extents = [self.extent(variable) for variable in tile]
        if any(extent is None for extent in extents) or self.bound is None:
            return HeldTile(tensor, level, tile, None)
        words = prod(extent or 1 for extent in extents)
        return HeldTile(tensor, level, tile, bytes_of_words(words, self.arch.word_bits))

    def _on(self, node: UnitBlock) -> Tree:
        lengths = {unit.name: dict(unit.axes) for unit in self.arch.units}.get(node.unit, {})
        spread = []
        for axis, variable in node.axes:
            extent = self.extent(variable)
            filled = "" if extent is None else f", {extent} of {lengths.get(axis, '?')}"
            spread.append(f"{axis}: {variable}{filled}")
        texts = dict(self.texts())
        below = tuple(Tree(self._placed(placed, texts.get(placed.einsum, ""))) for placed in node.einsums)
        return Tree(f"{node.unit} ({'; '.join(spread)})" if spread else node.unit, below)

    def _placed(self, placed: PlacedEinsum, text: str) -> str:
        over = f" over {', '.join(map(self._many, placed.over))}" if placed.over else ""
        return f"{placed.einsum}{over}{' chained' if placed.chained else ''}:  {text}"

    def texts(self) -> Iterator[tuple[str, str]]:
        """Each Einsum's name with its text; of an iterative tensor the step."""
        for einsum in self.checked.einsums:
            if not einsum.initial:
                yield einsum.name, print_einsum(einsum.source)

    # ------------------------------------------------------------------------------------------------------ as a whole

    def residents(self) -> Iterator[tuple[int, HeldTile | tuple[str, PlacedEinsum]]]:
        """Every tile in a memory and every Einsum on its unit, with the number of its phase, from 1; 0 without phases."""
        phase = 0
        for node, around in located(self._body):
            phase += isinstance(node, Block) and not around
            match node:
                case Hold():
                    yield from ((phase, held) for held in self.held(node, around))
                case UnitBlock(unit=unit, einsums=einsums):
                    yield from ((phase, (unit, placed)) for placed in einsums)

    def summary(self, resident: HeldTile | tuple[str, PlacedEinsum]) -> str:
        """A tile or an Einsum, in a few words."""
        if isinstance(resident, HeldTile):
            return _held(resident)
        placed = resident[1]
        return f"{placed.einsum} over {', '.join(map(self._many, placed.over))}" if placed.over else placed.einsum


def _said(leaf: Leaf) -> str:
    """A statement without a picture of its own."""
    return f"wait until {leaf.tensor} has drained" if isinstance(leaf, Wait) else print_head(leaf)


def _held(held: HeldTile) -> str:
    """A tensor and its tile."""
    if held.size_bytes is not None:
        return f"{held.tensor} {readable_bytes(held.size_bytes)}"
    return f"{held.tensor}[{', '.join(held.tile)}]" if held.tile else held.tensor
