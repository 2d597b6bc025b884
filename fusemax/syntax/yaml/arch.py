"""Architecture files: YAML -> `Arch`. Every number has a unit; every mistake is reported, with its line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from fusemax.errors import FusemaxError, Source, did_you_mean, in_order, listed
from fusemax.ir.arch import EXECUTED_AS, Arch, Memory, Operation, Registers, Scale, Unit
from fusemax.ir.operators import OPERATORS, REDUCERS
from fusemax.moved import moved_name
from fusemax.syntax.yaml.nodes import Mapping_, Node, Scalar, read_yaml
from fusemax.syntax.yaml.scales import read_scales
from fusemax.syntax.yaml.schema import SchemaReader, text_value
from fusemax.units import bits_of, bytes_of, quantity

KINDS = ({"mac"} | {o.kind for o in OPERATORS.values()} | {r.kind for r in REDUCERS.values()}) - EXECUTED_AS.keys()
"""The kinds of operations that a unit can have."""

WIDEST = 2**20
"""Bits of a word or an access; more is a slip of the pen."""


def parse_arch(text: str, name: str = "<arch>", folder: Path | None = None) -> Arch:
    """Parse the text of an architecture file; `name` is its name in errors, `folder` the place of its tables."""
    reader = _Reader(folder)
    arch = reader.arch(read_yaml(Source(name, text)))
    if reader.problems:
        raise FusemaxError(in_order(reader.problems))
    return arch


class _Reader(SchemaReader):
    """Reads the nodes of an architecture file, and the table beside it."""

    def __init__(self, folder: Path | None) -> None:
        super().__init__()
        self.folder = folder

    def arch(self, node: Node) -> Arch:
        """The whole file."""
        keys = self.keys(
            node, "an architecture", ("name", "source", "clock", "word", "memories", "units"), ("scaling",)
        )
        units = tuple(self.unit(name, inner) for name, inner in self.entries(keys.get("units"), "unit"))
        arch = Arch(
            self.value(keys, "name", text_value, ""),
            self.value(keys, "source", text_value, ""),
            self.value(keys, "clock", lambda text, what: quantity(text, "Hz", what), 1.0),
            self.value(keys, "word", _bits, 1),
            tuple(self.memory(name, inner) for name, inner in self.entries(keys.get("memories"), "memory")),
            units,
            self.value(keys, "scaling", lambda file, _: self.scales(file, [unit.name for unit in units]), ()),
        )
        outermost = next(iter(self.entries(keys.get("memories"), "memory")), None)
        if outermost and isinstance(outermost[1], Mapping_) and outermost[1].get("bandwidth") is None:
            self.refuse("the outermost memory has no bandwidth", outermost[1].span, "write `bandwidth: 400 GiB/s`")
        return arch

    def scales(self, file: str, units: list[str]) -> tuple[Scale, ...]:
        """The table of other sizes, whose registers are of units that there are."""
        found = read_scales((self.folder or Path()) / file)
        for name, _, _ in found[0].registers:
            if name not in units:
                raise FusemaxError(
                    f"'{file}' has registers of '{name}', which is no unit",
                    did_you_mean(name, units) or f"the units are {listed(units)}",
                )
        return found

    def memory(self, name: str, node: Node) -> Memory:
        """One entry of `memories`."""
        keys = self.keys(node, f"memory '{name}'", ("access", "energy"), ("size", "bandwidth", "area"))
        read_j, write_j = self.energies(keys.get("energy"), f"memory '{name}'")
        return Memory(
            name,
            self.value(keys, "size", bytes_of, None),
            self.value(keys, "bandwidth", lambda text, what: quantity(text, "byte/s", what), None),
            self.value(keys, "access", _bits, 1),
            read_j,
            write_j,
            self.area(keys),
        )

    def unit(self, name: str, node: Node) -> Unit:
        """One entry of `units`."""
        keys = self.keys(node, f"unit '{name}'", ("axes", "ops"), ("edges", "registers", "queue"))
        axes = tuple(
            (axis, self.integer(size, f"axis '{axis}'")) for axis, size in self.entries(keys.get("axes"), "axis")
        )
        edges = tuple(
            (edge, self.edge(edge, axis, dict(axes))) for edge, axis in self.entries(keys.get("edges"), "edge")
        )
        if "edges" in keys and edges and all(edge == "south" for edge, _ in edges):
            message = f"by no edge of unit '{name}' can operands enter"
            self.refuse(message, keys["edges"].span, "add one: `edges: {north: columns, south: columns}`")
        entries = self.entries(keys.get("ops"), "operation")
        ops = tuple(self.operation(op, inner) for op, inner in entries)
        own = [op.name for op in ops if op.same_as is None]
        for op, (_, inner) in zip(ops, entries, strict=True):
            if op.same_as is not None and op.same_as not in own:
                hint = did_you_mean(op.same_as, own) or "name an operation that has `slots`"
                self.refuse(
                    f"operation '{op.name}' is '{op.same_as}', which the unit does not have itself", inner.span, hint
                )
        registers = self.registers(keys["registers"]) if "registers" in keys else None
        queue = self.integer(keys["queue"], "`queue`") if "queue" in keys else None
        return Unit(name, axes, edges, registers, ops, queue)

    def edge(self, edge: str, node: Node, axes: Mapping[str, int]) -> str:
        """The axis whose length is the words per cycle of an edge."""
        value = node.value if isinstance(node, Scalar) else ""
        if value not in axes:
            self.refuse(
                f"edge '{edge}' names no axis of its unit", node.span, did_you_mean(value, axes) or "name an axis"
            )
        return value

    def registers(self, node: Node) -> Registers:
        """The `registers` of a unit."""
        keys = self.keys(node, "`registers`", ("energy",), ("entries", "area"))
        read_j, write_j = self.energies(keys.get("energy"), "`registers`")
        entries = self.integer(keys["entries"], "`entries`") if "entries" in keys else None
        return Registers(entries, read_j, write_j, self.area(keys))

    def operation(self, name: str, node: Node) -> Operation:
        """One entry of `ops`: `{slots, energy}`, or `{is: 6 mac}`."""
        if name in EXECUTED_AS:
            self.refuse(f"operation '{name}' is done as '{EXECUTED_AS[name]}'", node.span, "leave it out")
        elif name not in KINDS:
            hint = did_you_mean(name, KINDS) or f"there are {', '.join(sorted(KINDS))}"
            self.refuse(f"no cascade has an operation '{name}'", node.span, hint)
        if isinstance(node, Mapping_) and node.get("is") is not None:
            keys = self.keys(node, f"operation '{name}'", ("is",))
            match = re.fullmatch(r"(\d{1,6})\s+(\w+)", keys["is"].value if isinstance(keys["is"], Scalar) else "")
            if match is None or not int(match[1]):
                self.refuse(
                    f"`is` of operation '{name}' is not a number and an operation", keys["is"].span, "write `is: 6 mac`"
                )
                return Operation(name, 1, 0.0)
            return Operation(name, times=int(match[1]), same_as=match[2])
        keys = self.keys(node, f"operation '{name}'", ("slots", "energy"), ("area",))
        slots = self.integer(keys["slots"], "`slots`") if "slots" in keys else 1
        return Operation(name, slots, self.value(keys, "energy", _energy, 0.0), self.area(keys))

    # ------------------------------------------------------------------------------------------------------ the parts

    def energies(self, node: Node | None, what: str) -> tuple[float, float]:
        """`{read: ..., write: ...}`"""
        if node is None:
            return 0.0, 0.0
        keys = self.keys(node, f"`energy` of {what}", ("read", "write"))
        return self.value(keys, "read", _energy, 0.0), self.value(keys, "write", _energy, 0.0)

    def area(self, keys: Mapping[str, Node]) -> float | None:
        """`area: 84201374.5 um^2`"""
        return self.value(keys, "area", lambda text, what: quantity(text, "m^2", what), None)


def _energy(text: str, what: str) -> float:
    return quantity(text, "J", what)


def _bits(text: str, what: str) -> int:
    bits = bits_of(text, what)
    if bits > WIDEST:
        raise FusemaxError(f"{what} '{text}' is more than {WIDEST:,} bit", "write it like `16 bit`")
    return bits


def __getattr__(name: str) -> object:
    return moved_name(__name__, name)
