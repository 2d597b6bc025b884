"""A small accelerator with round numbers, as a file would describe it, and mappings and cascades written in a test."""

from __future__ import annotations

from fusemax import check, parse
from fusemax.ir.arch import Arch
from fusemax.ir.checked import Checked
from fusemax.ir.mapping import Mapping
from fusemax.syntax.mapping.parser import parse_mapping
from fusemax.syntax.yaml.arch import parse_arch

MACHINE = """
name: tiny
source: written by hand
clock: 1 GHz
word: {word} bit
memories:
  dram: {{bandwidth: {bandwidth} GB/s, access: 64 bit, energy: {{read: 100 pJ, write: 120 pJ}}}}
{between}  buffer: {{size: {buffer} B, access: 32 bit, energy: {{read: 10 pJ, write: 12 pJ}}}}
units:
  array2d:
    axes: {{rows: {rows}, columns: {columns}}}
    edges: {{{edges}}}
    registers: {{{entries}energy: {{read: 1 pJ, write: 2 pJ}}}}
    ops:
      mac: {{slots: 1, energy: 5 pJ}}
      add: {{slots: 1, energy: 3 pJ}}
      max: {{slots: 1, energy: 1 pJ}}
      exp: {{is: 6 mac}}
{queue}  array1d:
    axes: {{lanes: {lanes}}}
    registers: {{energy: {{read: 1 pJ, write: 2 pJ}}}}
    ops:
      mac: {{slots: 1, energy: 5 pJ}}
      add: {{slots: 1, energy: 3 pJ}}
      max: {{slots: 1, energy: 1 pJ}}
      div: {{slots: 2, energy: 7 pJ}}
      exp: {{slots: {exp}, energy: 9 pJ}}
      rsqrt: {{slots: 3, energy: 8 pJ}}
      select: {{slots: 1, energy: 2 pJ}}
      log: {{slots: 1, energy: 4 pJ}}
      sqrt: {{slots: 1, energy: 4 pJ}}
      neg: {{slots: 1, energy: 4 pJ}}
      abs: {{slots: 1, energy: 4 pJ}}
{queue}"""
BETWEEN = "  middle: {{size: {middle} B, access: 64 bit, energy: {{read: 40 pJ, write: 50 pJ}}}}\n"
ENTERING = "north: columns, west: rows, south: columns"


def machine(
    rows: int = 4, columns: int = 4, lanes: int = 4, bandwidth: float = 8, buffer: int = 1 << 16, entries: int | None = 10,
    queue: int | None = None, middle: int | None = None, edges: str = ENTERING, word: int = 16, exp: int = 4,
) -> Arch:  # fmt: skip
    """A 2D and a 1D array at 1 GHz, so that `bandwidth` is bytes a cycle; with `middle` bytes a memory more. `exp` are its
    slots on the 1D array."""
    return parse_arch(
        MACHINE.format(
            rows=rows, columns=columns, lanes=lanes, bandwidth=bandwidth, buffer=buffer, edges=edges, word=word, exp=exp,
            entries="" if entries is None else f"entries: {entries}, ",
            queue="" if queue is None else f"    queue: {queue}\n",
            between="" if middle is None else BETWEEN.format(middle=middle),
        ),
        "tiny.yaml",
    )  # fmt: skip


def mapped(body: str, title: str = "own") -> Mapping:
    """A mapping of which only the body matters."""
    return parse_mapping(f"mapping {title}\ncascade own\narch tiny\n{body}", "own.mapping")


def cascade(text: str) -> Checked:
    """A cascade of its own."""
    return check(parse(text, "own.cascade"))
