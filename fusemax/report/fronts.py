"""A front as a picture: a point for each mapping or machine, and a line through those that none dominates."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fusemax.mapper.pareto import Front
from fusemax.report.plots import COLORS, figure_type, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

AXES = {"latency": ("latency (s)", 1.0), "energy": ("energy (J)", 1.0), "area": ("area (mm^2)", 1e6),
        "buffer": ("buffer (MiB)", 2.0**-20)}  # fmt: skip
"""How each axis is called, and by what its values are multiplied."""
MOST_TITLED = 12
"""Points have their titles beside them if there are no more than these."""


def draw_front(front: Front, path: Path) -> None:
    """Draw a front of two axes, or three as two panels over the same latency. Raises `FusemaxError` without matplotlib."""
    others = front.axes[1:]
    figure = figure_type()(figsize=(5.4 * len(others) + 0.4, 4.2), layout="constrained")
    panels = figure.subplots(1, len(others), squeeze=False)[0]
    for panel, other in zip(panels, others, strict=True):
        _draw(panel, front, other, front.axes[0])
    figure.suptitle(f"{front.cascade} on {front.arch}", fontsize=10)
    save(figure, path)


def _draw(axes: Axes, front: Front, across: str, up: str) -> None:
    """One panel: logarithmic, for machines and mappings differ by factors."""
    (label_x, times_x), (label_y, times_y) = AXES[across], AXES[up]
    xs = [point.value(across) * times_x for point in front.points]
    ys = [point.value(up) * times_y for point in front.points]
    best = sorted((x, y) for x, y, point in zip(xs, ys, front.points, strict=True) if point.best)
    rest = [(x, y) for x, y, point in zip(xs, ys, front.points, strict=True) if not point.best]
    axes.plot([x for x, _ in best], [y for _, y in best], marker="o", color=COLORS[4], label="not dominated")
    if rest:
        axes.plot([x for x, _ in rest], [y for _, y in rest], "o", color=COLORS[0], label="dominated")
        axes.legend(frameon=False, fontsize=8)
    if len(front.points) <= MOST_TITLED:
        for x, y, point in zip(xs, ys, front.points, strict=True):
            axes.annotate(point.title, (x, y), (5, 5), textcoords="offset points", fontsize=8)
    wide = max(max(xs) / min(xs), max(ys) / min(ys)) > 10
    if wide:
        axes.set_xscale("log")
        axes.set_yscale("log")
    axes.margins(0.2)
    axes.set_xlabel(label_x)
    axes.set_ylabel(label_y)
    axes.grid(True, which="major", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
