"""A run as a picture: the range and the mean of each output."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fusemax.report.figures import COLORS, panels
from fusemax.report.runs import RunResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw_ranges(run: RunResult, ax: Axes | None = None) -> Figure:
    """A line from the smallest to the largest value of each output, with a mark at the mean.

    Raises `FusemaxError` without matplotlib.
    """
    figure, (axes,) = panels(ax, 1, (6.4, 1.2 + 0.4 * len(run.outputs)))
    rows = range(len(run.outputs))
    axes.hlines(rows, [o.least for o in run.outputs], [o.largest for o in run.outputs], color=COLORS[0], linewidth=3)
    axes.plot([o.mean for o in run.outputs], rows, "o", color=COLORS[4], label="mean")
    axes.set_yticks(rows, [o.name for o in run.outputs])
    axes.margins(y=0.5)
    axes.set_title(run.cascade, fontsize=10, loc="left")
    axes.legend(frameon=False, fontsize=8)
    return figure
