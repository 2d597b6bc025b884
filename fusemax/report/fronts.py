"""A front as a picture: a point for each mapping or machine, and a line through those that none dominates in a panel."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fusemax.mapper.objective import undominated
from fusemax.mapper.pareto import Front
from fusemax.report.plots import COLORS, figure_type, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

AXES = {"latency": ("latency (s)", 1.0), "energy": ("energy (J)", 1.0), "area": ("area (mm^2)", 1e6),
        "buffer": ("buffer (MiB)", 2.0**-20)}  # fmt: skip
"""How each axis is called, and by what its values are multiplied."""
MOST_TITLED = 12
"""Points have their titles beside them if there are no more than these."""
WIDE = 10.0
"""An axis whose values differ by more than this factor is logarithmic."""


def draw_front(front: Front, path: Path) -> None:
    """Draw a front of two axes, or three as two panels that share the first. Raises `FusemaxError` without matplotlib."""
    others = front.axes[1:]
    figure = figure_type()(figsize=(5.4 * len(others) + 0.4, 4.2), layout="constrained")
    panels = figure.subplots(1, len(others), squeeze=False)[0]
    for panel, other in zip(panels, others, strict=True):
        _draw(panel, front, other, front.axes[0])
    figure.suptitle(f"{front.cascade} on {front.arch}", fontsize=10)
    save(figure, path)


def _draw(axes: Axes, front: Front, across: str, up: str) -> None:
    """One panel. Of three axes it shows two: points that are only good by the third are off its line."""
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
