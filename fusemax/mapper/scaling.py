"""A machine in another size: axes, buffer, registers, and their areas where they are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from fusemax.errors import FusemaxError
from fusemax.ir.arch import Arch, Scale, Unit


def scaled(arch: Arch, dims: int, shapes: Mapping[str, int]) -> Arch:
    """The machine with `dims` elements along every axis, its buffer and registers as its table of sizes has them.

    Raises `FusemaxError` for a size that the table has not. Energies per access stay what they are.

    >>> from fusemax import load_arch
    >>> found = scaled(load_arch("fusemax-cloud"), 16, {"E": 64})
    >>> found.units[0].elements, found.innermost().size_bytes
    (256, 16384)
    """
    scale = _scale_of(arch, dims, shapes)
    buffer = arch.innermost()
    resized = replace(buffer, size_bytes=scale.size_bytes, area_m2=scale.area_m2)
    memories = tuple(resized if memory is buffer else memory for memory in arch.memories)
    units = tuple(_unit(unit, scale) for unit in arch.units)
    name = f"{arch.name}, {dims} elements an axis"
    return replace(arch, name=name, units=units, memories=memories)


def _scale_of(arch: Arch, dims: int, shapes: Mapping[str, int]) -> Scale:
    if not arch.scales:
        raise FusemaxError(f"'{arch.name}' tells no other sizes", "give its file a table: `scaling: FILE.csv`")
    fitting = [scale for scale in arch.scales if all(shapes.get(rank) == size for rank, size in scale.ranks)]
    if not fitting:
        ranks = dict.fromkeys(f"{rank}={size}" for scale in arch.scales for rank, size in scale.ranks)
        raise FusemaxError(f"'{arch.name}' tells other sizes for {' or '.join(ranks)} only", "add rows to its table")
    found = next((scale for scale in fitting if scale.dims == dims), None)
    if found is None:
        known = [str(scale.dims) for scale in fitting]
        raise FusemaxError(f"'{arch.name}' has no size with {dims} elements an axis", f"it has {', '.join(known)}")
    return found


def _unit(unit: Unit, scale: Scale) -> Unit:
    """A unit with other axes, and registers as deep as the table says."""
    axes = tuple((axis, scale.dims) for axis, _ in unit.axes)
    mine = next(((entries, area) for name, entries, area in scale.registers if name == unit.name), None)
    if mine is None or unit.registers is None:
        return replace(unit, axes=axes)
    entries = mine[0] if unit.registers.entries is not None else None
    return replace(unit, axes=axes, registers=replace(unit.registers, entries=entries, area_m2=mine[1]))
