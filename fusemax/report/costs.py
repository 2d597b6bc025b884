"""An estimate as a picture: the cycles of each unit by Einsum, and the energy of each memory and unit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fusemax.model.estimate import Estimate
from fusemax.model.tables import one, unit_j
from fusemax.report.figures import COLORS, HATCHES, panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw_estimate(estimate: Estimate, ax: Axes | None = None) -> Figure:
    """Cycles and energy below each other, or the cycles on given axes; of a grid of points, the first.

    Raises `FusemaxError` without matplotlib.
    """
    places = len(estimate.utilization) + len(estimate.memory_j)
    figure, axes = panels(ax, 2, (9.0, 1.8 + 0.4 * places))
    _draw_cycles(axes[0], estimate)
    for panel in axes[1:]:
        _draw_energy(panel, estimate)
    return figure


def _draw_cycles(axes: Axes, estimate: Estimate) -> None:
    """A bar for each unit, made of its Einsums, and a line at the cycles of the whole run."""
    ends = dict.fromkeys(estimate.utilization, 0.0)
    for number, einsum in enumerate(estimate.einsums):
        cycles = one(einsum.cycles)
        axes.barh(
            einsum.unit, cycles, left=ends[einsum.unit], label=einsum.einsum, color=COLORS[number % len(COLORS)],
            hatch=HATCHES[number // len(COLORS) % len(HATCHES)], edgecolor="white", linewidth=0.4,
        )  # fmt: skip
        ends[einsum.unit] += cycles
    axes.axvline(one(estimate.cycles), color="#333333", linewidth=0.8, linestyle="--")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=7, frameon=False)
    axes.set_title(f"{estimate.mapping} ({estimate.cascade} on {estimate.arch})", fontsize=10, loc="left")
    _finish(axes, "cycles")


def _draw_energy(axes: Axes, estimate: Estimate) -> None:
    """A bar for each memory and each unit."""
    joules = {memory: one(value) for memory, value in estimate.memory_j.items()}
    joules |= {unit: unit_j(estimate, unit) for unit in estimate.utilization}
    axes.barh(list(joules), list(joules.values()), color=COLORS[4])
    _finish(axes, f"energy (J, accounting: {estimate.accounting})")


def _finish(axes: Axes, label: str) -> None:
    axes.invert_yaxis()
    axes.set_xlabel(label)
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
