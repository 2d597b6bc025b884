"""An architecture as a tree of text: memories with their sizes, units with their axes and operations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fusemax import resources
from fusemax.errors import FusemaxError, did_you_mean
from fusemax.ir.arch import Arch, Memory, Operation, Registers, Unit
from fusemax.ir.mapping import Mapping as MappingFile
from fusemax.syntax.load import load_arch, load_mapping
from fusemax.units import readable_bytes
from fusemax.view import Json, Record, Result, Table


@dataclass(frozen=True, slots=True)
class Tree:
    """A line of text and the trees below it."""

    text: str
    below: tuple[Tree, ...] = ()

    def lines(self, depth: int = 0) -> Iterator[str]:
        """The lines of the whole tree, indented by depth."""
        yield "  " * depth + self.text
        for tree in self.below:
            yield from tree.lines(depth + 1)

    def table(self) -> Table:
        """The tree as a table without rows: the text, and the trees below it as remarks."""
        return Table(self.text, below=tuple(line for tree in self.below for line in tree.lines()))

    def __str__(self) -> str:
        return self.table().text()


@dataclass(frozen=True)
class ShownArch(Result):
    """An architecture, shown as a tree."""

    arch: Arch

    def tables(self) -> Iterator[Table]:
        """The tree."""
        yield arch_tree(self.arch).table()

    def records(self) -> list[Record]:
        """A row for each memory and each unit."""
        memories: list[Record] = [{"kind": "memory", **_memory_json(memory)} for memory in self.arch.memories]
        units: list[Record] = [
            {"kind": "unit", "name": unit.name, "axes": axes_text(unit), "elements": unit.elements,
             "operations": " ".join(op.name for op in unit.ops)}
            for unit in self.arch.units
        ]  # fmt: skip
        return [*memories, *units]

    def to_json(self) -> Json:
        """The architecture as JSON data (docs/json.md)."""
        return {
            "name": self.arch.name,
            "source": self.arch.source,
            "clock_hz": self.arch.clock_hz,
            "word_bits": self.arch.word_bits,
            "memories": [_memory_json(memory) for memory in self.arch.memories],
            "units": [_unit_json(unit) for unit in self.arch.units],
        }


def _memory_json(memory: Memory) -> Json:
    return {name: getattr(memory, name) for name in Memory.__slots__}


def _unit_json(unit: Unit) -> Json:
    registers = unit.registers
    return {
        "name": unit.name,
        "axes": dict(unit.axes),
        "edges": dict(unit.edges),
        "queue_words": unit.queue_words,
        "registers": None if registers is None else {name: getattr(registers, name) for name in Registers.__slots__},
        "operations": [{name: getattr(op, name) for name in Operation.__slots__} for op in unit.ops],
    }


def load_shown(name: str) -> Arch | MappingFile:
    """The architecture or mapping of a file or a shipped name. Raises `FusemaxError` if it is neither."""
    arches, mappings = resources.names("arch", ".yaml"), resources.names("mappings", ".mapping")
    suffix = Path(name).suffix
    if name in arches or (name not in mappings and suffix in (".yaml", ".yml")):
        return load_arch(name)
    if name in mappings or suffix == ".mapping" or name == "-":
        return load_mapping(name)
    near = did_you_mean(name, [*arches, *mappings])
    what = f"no shipped architecture or mapping '{name[:80]}'"
    if Path(name).is_file():
        what, near = f"'{name}' ends neither in .yaml nor in .mapping", "an architecture is a .yaml file"
    raise FusemaxError(what, near or "`fusemax list` shows what is shipped; a file ends in .yaml or .mapping")


def readable(value: float, unit: str) -> str:
    """A quantity with the prefix that makes it short.

    >>> readable(940e6, "Hz"), readable(2.496e-10, "J"), readable(0.0, "J")
    ('940 MHz', '249.6 pJ', '0 J')
    """
    for factor, prefix in (
        (1e9, "G"),
        (1e6, "M"),
        (1e3, "k"),
        (1.0, ""),
        (1e-3, "m"),
        (1e-6, "u"),
        (1e-9, "n"),
        (1e-12, "p"),
    ):
        if value >= factor * 0.9999:
            return f"{value / factor:.4g} {prefix}{unit}"
    return f"{value / 1e-15:.4g} f{unit}" if value else f"0 {unit}"


def readable_area(square_metres: float) -> str:
    """An area in mm^2 or um^2.

    >>> readable_area(84.2e-6), readable_area(16837.58e-12)
    ('84.2 mm^2', '16,838 um^2')
    """
    return f"{square_metres * 1e6:.4g} mm^2" if square_metres >= 1e-7 else f"{square_metres * 1e12:,.5g} um^2"


# ------------------------------------------------------------------------------------------------------- architectures


def arch_tree(arch: Arch) -> Tree:
    """Memories, outermost first, each around the next; the units below the innermost."""
    inner = tuple(_unit(unit) for unit in arch.units)
    for memory in reversed(arch.memories):
        inner = (Tree(f"{memory.name}: {'; '.join(memory_facts(memory))}", inner),)
    return Tree(
        f"{arch.name}: {readable(arch.clock_hz, 'Hz')}, words of {arch.word_bits} bit", (Tree(arch.source), *inner)
    )


def memory_facts(memory: Memory) -> tuple[str, ...]:
    """The size, bandwidth, area and energies of a memory, as far as they are known."""
    return (
        *([] if memory.size_bytes is None else [readable_bytes(memory.size_bytes)]),
        *([] if memory.bandwidth_bytes_s is None else [f"{readable_bytes(memory.bandwidth_bytes_s)}/s"]),
        *([] if memory.area_m2 is None else [readable_area(memory.area_m2)]),
        f"an access of {memory.access_bits} bit: {_energies(memory.read_j, memory.write_j)}",
    )


def _energies(read_j: float, write_j: float) -> str:
    return f"read {readable(read_j, 'J')}, write {readable(write_j, 'J')}"


def _unit(unit: Unit) -> Tree:
    below = [
        *([] if not unit.edges else [Tree(f"words per cycle at its edges: {edges_of(unit)}")]),
        *([] if unit.registers is None else [Tree(f"registers: {'; '.join(_registers(unit))}")]),
        *([] if unit.queue_words is None else [Tree(f"queue: {unit.queue_words} words of an operand an element")]),
    ]
    for op in unit.ops:
        area = "" if op.area_m2 is None else f", {readable_area(op.area_m2)}"
        if op.same_as is not None:
            below.append(Tree(f"{op.name}: as {op.times} {op.same_as}"))
        else:
            below.append(Tree(f"{op.name}: {cycles_of(op.slots or 0)}, {readable(op.energy_j or 0.0, 'J')}{area}"))
    return Tree(f"{unit.name}: {axes_text(unit)}", tuple(below))


def _registers(unit: Unit) -> Iterator[str]:
    assert unit.registers is not None
    if unit.registers.entries is not None:
        yield f"{unit.registers.entries} an element"
    yield _energies(unit.registers.read_j, unit.registers.write_j)
    if unit.registers.area_m2 is not None:
        yield readable_area(unit.registers.area_m2)


def axes_text(unit: Unit) -> str:
    """`256 rows by 256 columns = 65,536 elements`"""
    axes = " by ".join(f"{size} {axis}" for axis, size in unit.axes)
    return f"{axes} = {unit.elements:,} elements" if len(unit.axes) > 1 else axes


def edges_of(unit: Unit) -> str:
    """`north 256, west 256`"""
    lengths = dict(unit.axes)
    return ", ".join(f"{edge} {lengths[axis]}" for edge, axis in unit.edges)


def cycles_of(number: int) -> str:
    """`1 cycle`, `2 cycles`"""
    return f"{number} cycle{'s' * (number != 1)}"
