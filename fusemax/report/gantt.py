"""The window of a trace as a Gantt chart in the manner of the FuseMax paper's Figure 4: a band a unit, a colour an Einsum."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fusemax.errors import FusemaxError
from fusemax.report.figures import COLORS, HATCHES, labelled, panels
from fusemax.sim.tables import changing_loops, fixed_loops
from fusemax.sim.trace import Slice, Trace

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_DRAWN = 20_000
LABEL_CHARACTERS = 200
"""Characters of a label that would stand side by side over the whole width."""
EDGE_SHARE = 0.002
"""A task has an edge if it takes so much of the width; the edges of shorter ones would cover them."""
PLATE: dict[str, str | float] = {"boxstyle": "round,pad=0.1", "facecolor": "white", "alpha": 0.65, "linewidth": 0}
"""The background of labels, which keeps them readable on any colour and hatching."""


def draw_gantt(traces: Sequence[Trace], ax: Axes | None = None) -> Figure:
    """The windows of traces, one above the other, or of the first on given axes.

    Raises `FusemaxError` without matplotlib, and for far too many tasks.
    """
    for trace in traces:
        if len(trace.slices) > MOST_DRAWN:
            message = f"the window has {len(trace.slices):,} tasks, too many to tell apart in a picture"
            raise FusemaxError(message, "give a smaller `--window`, in cycles")
    kinds = list(
        dict.fromkeys(name for t in traces for name in (*(s.name for s in t.series), *(s.name for s in t.slices)))
    )
    figure, axes = panels(ax, len(traces), (14, 2.2 * len(traces) + 1.0))
    for panel, trace in zip(axes, traces, strict=False):
        _draw(panel, trace, kinds)
    entries = labelled(axes)
    shown = [kind for kind in kinds if kind in entries]
    handles = [entries[kind] for kind in shown]
    if ax is None:
        figure.legend(handles, shown, loc="outside right center", fontsize=7, frameon=False)
    else:
        ax.legend(handles, shown, loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=7, frameon=False)
    return figure


def _draw(axes: Axes, trace: Trace, kinds: Sequence[str]) -> None:
    """One run; an Einsum has the same colour in all of them."""
    begin, end = trace.window
    names = [server.name for server in trace.servers]
    changing = changing_loops(trace.slices)
    for row, name in enumerate(names):
        mine = [task for task in trace.slices if task.server == name]
        lanes = _lanes(mine)
        bars: dict[tuple[str, tuple[float, float]], list[tuple[float, float]]] = defaultdict(list)
        longest: dict[str, float] = defaultdict(float)
        for task, lane in zip(mine, lanes, strict=True):
            bars[task.name, lane].append((task.start, task.end - task.start))
            longest[task.name] = max(longest[task.name], task.end - task.start)
        for (kind, (low, high)), spans in bars.items():
            number = kinds.index(kind)
            color, hatch = COLORS[number % len(COLORS)], HATCHES[number // len(COLORS) % len(HATCHES)]
            narrow = longest[kind] < EDGE_SHARE * (end - begin)
            axes.broken_barh(
                spans, (row - 0.4 + 0.8 * low, 0.8 * (high - low)), facecolor=color,
                edgecolor=color if narrow else "white", linewidth=0.3, hatch=None if narrow else hatch, label=kind,
            )  # fmt: skip
        for task, (low, high) in zip(mine, lanes, strict=True):
            first, last = max(task.start, begin), min(task.end, end)
            text, middle = _label(task, changing), (first + last) / 2
            if max(map(len, text.split("\n"))) < LABEL_CHARACTERS * (last - first) / (end - begin):
                axes.text(
                    middle,
                    row - 0.4 + 0.4 * (low + high),
                    text,
                    ha="center",
                    va="center",
                    fontsize=6,
                    clip_on=True,
                    bbox=PLATE,
                )
    axes.set_xlim(begin, end)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlabel("cycles")
    fixed = fixed_loops(trace.slices, changing)
    title = f"{trace.mapping} ({trace.cascade} on {trace.arch})"
    axes.set_title(f"{title}, {fixed}" if fixed else title, fontsize=10, loc="left")


def _lanes(tasks: Sequence[Slice]) -> list[tuple[float, float]]:
    """The part of its band that each task takes, from top to bottom: tasks that share the unit cycle by cycle stand one above the other."""
    turns = Counter(task.start for task in tasks if task.end > task.start)
    seen: Counter[float] = Counter()
    lanes = []
    for task in tasks:
        number, many = seen[task.start], max(1, turns[task.start])
        seen[task.start] += task.end > task.start
        lanes.append((min(number, many - 1) / many, min(number + 1, many) / many))
    return lanes


def _label(task: Slice, changing: set[str]) -> str:
    """The Einsum and its tile: `BQK` over `1,2`."""
    at = ",".join(str(value) for variable, value in task.coordinates.items() if variable in changing)
    return f"{task.name}\n{at}" if at else task.name
