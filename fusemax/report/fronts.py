"""A front as a picture: a point for each mapping or machine, and a line through the undominated points of each panel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fusemax.errors import FusemaxError
from fusemax.mapper.objective import undominated
from fusemax.mapper.pareto import Front
from fusemax.report.figures import COLORS, panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

AXES = {"latency": ("latency (s)", 1.0), "energy": ("energy (J)", 1.0), "area": ("area (mm^2)", 1e6),
        "buffer": ("buffer (MiB)", 2.0**-20)}  # fmt: skip
"""The label of each axis, and the factor of its values."""
MOST_TITLED = 12
"""Titles stand beside points up to this number of points."""
WIDE = 10.0
"""An axis whose values differ by more than this factor is logarithmic."""


def draw_front(front: Front, ax: Axes | None = None) -> Figure:
    """A front of two axes, or of three as two panels that share the first. Raises `FusemaxError` without matplotlib, and
    without points."""
    if not front.points:
        raise FusemaxError("a front without points has no picture", "let the search go on until it has found some")
    others = front.axes[1:]
    figure, axes = panels(ax, len(others), (5.4 * len(others) + 0.4, 4.2), beside=True)
    for panel, other in zip(axes, others, strict=False):
        _draw(panel, front, other, front.axes[0])
    title = f"{front.cascade} on {front.arch}"
    if ax is None:
        figure.suptitle(title, fontsize=10)
    else:
        ax.set_title(title, fontsize=10)
    return figure


def _draw(axes: Axes, front: Front, across: str, up: str) -> None:
    """One panel. Of three axes it shows two: points that are undominated by the third axis alone are off its line."""
    (label_x, times_x), (label_y, times_y) = AXES[across], AXES[up]
    xs = np.array([point.value(across) * times_x for point in front.points])
    ys = np.array([point.value(up) * times_y for point in front.points])
    best = np.array([point.best for point in front.points])
    line = np.flatnonzero(undominated(np.column_stack([xs, ys])))
    line = line[np.argsort(xs[line])]
    axes.plot(xs[line], ys[line], color=COLORS[4])
    axes.plot(xs[best], ys[best], "o", color=COLORS[4], label="not dominated")
    if not best.all():
        axes.plot(xs[~best], ys[~best], "o", color=COLORS[0], label="dominated")
        axes.legend(frameon=False, fontsize=8)
    if len(front.points) <= MOST_TITLED:
        for x, y, point in zip(xs, ys, front.points, strict=True):
            axes.annotate(point.title, (x, y), (5, 5), textcoords="offset points", fontsize=8)
    if 0 < xs.min() < xs.max() / WIDE:
        axes.set_xscale("log")
    if 0 < ys.min() < ys.max() / WIDE:
        axes.set_yscale("log")
    axes.margins(0.2)
    axes.set_xlabel(label_x)
    axes.set_ylabel(label_y)
    axes.grid(True, which="major", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
