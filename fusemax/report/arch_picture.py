"""An architecture as a picture of its memories and arrays; with a mapping, the tensors and Einsums in each."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fusemax.ir.arch import Arch, Unit
from fusemax.report.arch_tree import axes_text, cycles_of, edges_of, memory_facts, readable
from fusemax.report.figures import plane
from fusemax.report.mapping_tree import HeldTile, ShownMapping
from fusemax.units import readable_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINE, GAP, MARGIN = 0.2, 0.62, 0.25
CARD = 4.0
"""Inches: a line of text, between cards, around all, the width of the card of a unit."""
LETTERS = 14.5
"""Letters of a line of text in an inch."""
MEMORY, UNIT, INK, FAINT = "#dbe9f6", "#fdebd0", "#222222", "#666666"


@dataclass(frozen=True, slots=True)
class Card:
    """A memory or an array: its name, its facts, and its contents."""

    title: str
    facts: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sheet:
    """Memories below each other, outermost first, units side by side below them, and the rates of the links between."""

    title: str
    subtitle: str
    memories: tuple[Card, ...]
    units: tuple[Card, ...]
    links: tuple[str, ...]


def arch_sheet(arch: Arch) -> Sheet:
    """The picture of an architecture."""
    memories = tuple(Card(m.name, _size(m.size_bytes), (memory_facts(m)[-1],)) for m in arch.memories)
    units = tuple(Card(unit.name, axes_text(unit), tuple(_operations(unit))) for unit in arch.units)
    subtitle = f"{readable(arch.clock_hz, 'Hz')}, words of {arch.word_bits} bit"
    return Sheet(arch.name, subtitle, memories, units, tuple(_links(arch)))


def mapping_sheet(shown: ShownMapping) -> Sheet:
    """The picture of a mapping: the tensors in each memory, and the Einsums on each unit."""
    arch = shown.arch
    inside: dict[str, dict[int, list[str]]] = {}
    for phase, resident in shown.residents():
        place = resident.level if isinstance(resident, HeldTile) else resident[0]
        listed = inside.setdefault(place, {}).setdefault(phase, [])
        if shown.summary(resident) not in listed:
            listed.append(shown.summary(resident))
    ends = [t.name for t in (*shown.checked.inputs, *shown.checked.outputs)]
    memories = []
    for memory in arch.memories:
        first = [f"inputs and outputs: {', '.join(ends)}"] if memory is arch.outermost else []
        lines = _listed(inside.get(memory.name, {}), "holds ", ", ")
        memories.append(Card(memory.name, _size(memory.size_bytes), (*first, *lines)))
    units = tuple(Card(u.name, axes_text(u), tuple(_listed(inside.get(u.name, {}), "", "; "))) for u in arch.units)
    subtitle = f"{shown.mapping.cascade} on {arch.name}{f', {shown.at}' if shown.at else ''}"
    return Sheet(shown.mapping.name, subtitle, tuple(memories), units, tuple(_links(arch)))


def _size(size_bytes: int | None) -> str:
    return "" if size_bytes is None else readable_bytes(size_bytes)


def _operations(unit: Unit) -> Iterator[str]:
    if unit.registers is not None and unit.registers.entries is not None:
        yield f"{unit.registers.entries} registers an element"
    for op in unit.ops:
        same = (
            f"{op.times} {op.same_as}"
            if op.same_as
            else f"{cycles_of(op.slots or 0)}, {readable(op.energy_j or 0.0, 'J')}"
        )
        yield f"{op.name}: {same}"


def _links(arch: Arch) -> Iterator[str]:
    """The rates between each memory and the next, then between the innermost and each unit."""
    for memory in arch.memories[:-1]:
        yield "" if memory.bandwidth_bytes_s is None else f"{readable_bytes(memory.bandwidth_bytes_s)}/s"
    for unit in arch.units:
        yield f"words a cycle: {edges_of(unit)}" if unit.edges else ""


def _listed(by_phase: dict[int, list[str]], before: str, between: str) -> Iterator[str]:
    """One line for each phase."""
    for phase, names in by_phase.items():
        yield f"{f'phase {phase}: ' if phase else ''}{before}{between.join(names)}"


# ------------------------------------------------------------------------------------------------------------ on paper


def draw_sheet(sheet: Sheet, ax: Axes | None = None) -> Figure:
    """The picture as a figure, or on given axes. Raises `FusemaxError` without matplotlib."""
    width = max(2, len(sheet.units)) * (CARD + 0.3) - 0.3
    memories = [_wrapped(card, width) for card in sheet.memories]
    units = [_wrapped(card, CARD) for card in sheet.units]
    tallest = max(map(_height, units))
    height = sum(map(_height, memories)) + GAP * len(memories) + tallest + 2 * MARGIN + 0.55
    figure, axes = plane(ax, (width + 2 * MARGIN, height))
    axes.set(xlim=(-MARGIN, width + MARGIN), ylim=(-height, 0))
    axes.text(0, -MARGIN, sheet.title, fontsize=13, weight="bold", va="top", color=INK)
    axes.text(0, -MARGIN - 0.27, sheet.subtitle, fontsize=9, va="top", color=FAINT)
    top = -MARGIN - 0.6
    for number, card in enumerate(memories):
        _draw_card(axes, card, 0, top, width, _height(card), MEMORY)
        top -= _height(card)
        if number < len(memories) - 1:
            _draw_link(axes, width / 2, top, sheet.links[number])
        top -= GAP
    left = (width - len(units) * (CARD + 0.3) + 0.3) / 2
    for number, card in enumerate(units):
        at = left + number * (CARD + 0.3)
        _draw_link(axes, at + CARD / 2, top + GAP, sheet.links[len(memories) - 1 + number])
        _draw_card(axes, card, at, top, CARD, tallest, UNIT)
    return figure


def _wrapped(card: Card, width: float) -> Card:
    letters = int((width - 0.3) * LETTERS)
    lines = [part for line in card.lines for part in textwrap.wrap(line, letters, subsequent_indent="  ")]
    return Card(card.title, card.facts, tuple(lines))


def _height(card: Card) -> float:
    return 0.42 + LINE * len(card.lines) + (0.1 if card.lines else 0.0)


def _draw_card(axes: Axes, card: Card, left: float, top: float, width: float, height: float, color: str) -> None:
    from matplotlib.patches import FancyBboxPatch

    style = "round,pad=0,rounding_size=0.08"
    axes.add_patch(
        FancyBboxPatch((left, top - height), width, height, boxstyle=style, facecolor=color, edgecolor="#555555")
    )
    axes.text(left + 0.14, top - 0.12, card.title, fontsize=11, weight="bold", va="top", color=INK)
    axes.text(left + width - 0.14, top - 0.145, card.facts, fontsize=8.5, va="top", ha="right", color=INK)
    for number, line in enumerate(card.lines):
        axes.text(left + 0.14, top - 0.44 - LINE * number, line, fontsize=8, va="top", color=INK)


def _draw_link(axes: Axes, x: float, top: float, text: str) -> None:
    axes.annotate(
        "", (x, top - GAP), (x, top), arrowprops={"arrowstyle": "<|-|>", "color": "#555555", "shrinkA": 0, "shrinkB": 0}
    )
    axes.text(x + 0.12, top - GAP / 2, text, fontsize=8, va="center", color=FAINT)
