"""The window of a trace as a Gantt chart in the manner of the FuseMax paper's Figure 4: a band a unit, a colour an Einsum."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusemax.errors import FusemaxError
from fusemax.report.plots import COLORS, HATCHES, figure_type, save
from fusemax.sim.text import changing_loops
from fusemax.sim.trace import Slice, Trace

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_SLICES = 20_000
LABEL_SHARE = 0.018
"""A task is labelled if what is seen of it takes so much of the width."""
PLATE: dict[str, Any] = {"boxstyle": "round,pad=0.1", "facecolor": "white", "alpha": 0.65, "linewidth": 0}
"""What labels stand on, to be read on any colour and hatching."""


def draw_gantt(traces: tuple[Trace, ...], path: Path) -> None:
    """Draw the windows of traces, one above the other.

    Raises `FusemaxError` without matplotlib, for far too many tasks, and for a window in which there is none.
    """
    for trace in traces:
        if len(trace.slices) > MOST_SLICES:
            message = f"the window has {len(trace.slices):,} tasks, too many to tell apart in a picture"
            raise FusemaxError(message, "give a smaller `--window`, in cycles")
        if not trace.slices:
            message = f"nothing happens in the window: the run ends after {trace.makespan:,.0f} cycles"
            raise FusemaxError(message, "give an earlier `--window`, in cycles")
    figure = figure_type()(figsize=(14, 2.2 * len(traces) + 1.0), layout="constrained")
    kinds = list(dict.fromkeys(task.name for trace in traces for task in trace.slices))
    panels = [figure.add_subplot(len(traces), 1, i + 1) for i in range(len(traces))]
    for panel, trace in zip(panels, traces, strict=True):
        _draw(panel, trace, kinds)
    entries = {
        label: handle for panel in panels for handle, label in zip(*panel.get_legend_handles_labels(), strict=True)
    }
    shown = [kind for kind in kinds if kind in entries]
    figure.legend([entries[kind] for kind in shown], shown, loc="outside right center", fontsize=7, frameon=False)
    save(figure, path)


def _draw(axes: Axes, trace: Trace, kinds: Sequence[str]) -> None:
    """One run; an Einsum has the same colour in all of them."""
    begin, end = trace.window
    names = [server.name for server in trace.servers]
    changing = changing_loops(trace.slices)
    for row, name in enumerate(names):
        mine = [task for task in trace.slices if task.server == name]
        for kind in dict.fromkeys(task.name for task in mine):
            number = kinds.index(kind)
            bars = [(task.start, task.end - task.start) for task in mine if task.name == kind]
            axes.broken_barh(
                bars, (row - 0.4, 0.8), facecolor=COLORS[number % len(COLORS)], edgecolor="white", linewidth=0.3,
                hatch=HATCHES[number // len(COLORS) % len(HATCHES)], label=kind,
            )  # fmt: skip
        for task in mine:
            first, last = max(task.start, begin), min(task.end, end)
            if last - first > LABEL_SHARE * (end - begin):
                text, middle = _label(task, changing), (first + last) / 2
                axes.text(middle, row, text, ha="center", va="center", fontsize=6, clip_on=True, bbox=PLATE)
    axes.set_xlim(begin, end)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlabel("cycles")
    axes.set_title(f"{trace.mapping} ({trace.cascade} on {trace.arch})", fontsize=10, loc="left")


def _label(task: Slice, changing: set[str]) -> str:
    """The Einsum and its tile: `BQK` over `1,2`."""
    at = ",".join(str(value) for variable, value in task.coordinates.items() if variable in changing)
    return f"{task.name}\n{at}" if at else task.name
