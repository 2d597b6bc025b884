"""Small machines and changed programs for simulations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from fusemax import load_arch
from fusemax.ir.arch import Arch
from fusemax.sim.program.program import Dependence, Program, Until
from fusemax.sim.stall import Stall, StallKind


def small(
    name: str = "fusemax-cloud", lengths: int = 4, entries: int | None = 10, buffer: int | None = None,
    bandwidth: float | None = None, queue: int | None = None,
) -> Arch:  # fmt: skip
    """A shipped machine with axes of so many elements, registers, bytes of buffer, bytes a second of DRAM, and queues of
    so many words an element."""
    arch = load_arch(name)
    units = []
    for unit in arch.units:
        registers = unit.registers and replace(unit.registers, entries=entries if len(unit.axes) == 2 else None)
        axes = tuple((axis, lengths) for axis, _ in unit.axes)
        units.append(replace(unit, axes=axes, registers=registers, queue_words=queue))
    memories = [replace(arch.memories[0], bandwidth_bytes_s=bandwidth or arch.memories[0].bandwidth_bytes_s)]
    memories += [replace(memory, size_bytes=buffer or memory.size_bytes) for memory in arch.memories[1:]]
    return replace(arch, units=tuple(units), memories=tuple(memories))


def with_dependence(program: Program, stream: str, source: str, index: Callable[[int], int]) -> Program:
    """A program in which task n of a stream waits for task `index(n)` of another, too."""
    first, second = (next(s for s in program.streams if s.name == name) for name in (stream, source))
    more = Dependence(first, second, index, Until.ARRIVED, Stall(StallKind.OPERAND, source))
    return replace(program, dependences=(*program.dependences, more))
