"""Figures of matplotlib: how they are made, and how they are written."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from math import sqrt
from pathlib import Path
from typing import TYPE_CHECKING

from fusemax.errors import FusemaxError
from fusemax.report.files import write_whole

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = ("#999999", "#56b4e9", "#e69f00", "#009e73", "#0072b2", "#d55e00", "#cc79a7", "#f0e442")
"""Told apart with any kind of colour vision (Okabe and Ito, 2008)."""
HATCHES = ("", "///", "...", "xxx")
"""For the second, third and fourth time that the colours are used."""
SUFFIXES = (".png", ".svg", ".pdf")
DPI, MOST_DOTS, MOST_IN_ALL = 160, 60_000, 2e8
"""Dots an inch of a file, but at most so many along a side and in all."""


def figure_type() -> type[Figure]:
    """The type of matplotlib's figures. Raises `FusemaxError` without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise FusemaxError("pictures need matplotlib, which is not installed", "pip install 'fusemax[plot]'") from None
    return Figure


def panels(
    ax: Axes | None, count: int, size: tuple[float, float], beside: bool = False
) -> tuple[Figure, Sequence[Axes]]:
    """A new figure of a size in inches with panels below or beside each other; or the axes given, for the first panel."""
    if ax is not None:
        return figure_of(ax), [ax]
    figure = figure_type()(figsize=size, layout="constrained")
    grid = figure.subplots(*((1, count) if beside else (count, 1)), squeeze=False)
    return figure, list(grid.flat)


def plane(ax: Axes | None, size: tuple[float, float]) -> tuple[Figure, Axes]:
    """A new figure of a size in inches, all of it one plane without axes; or the axes given, without their lines."""
    if ax is None:
        figure = figure_type()(figsize=size)
        ax = figure.add_axes((0, 0, 1, 1))
    ax.set_axis_off()
    return figure_of(ax), ax


def figure_of(ax: Axes) -> Figure:
    """The figure in which axes stand."""
    figure = ax.figure.figure
    assert isinstance(figure, figure_type()), "axes stand in a figure"
    return figure


def labelled(axes: Sequence[Axes]) -> dict[str, Artist]:
    """An entry of a legend for each label of any of the axes."""
    return {label: handle for each in axes for handle, label in zip(*each.get_legend_handles_labels(), strict=True)}


def write(figure: Figure, path: Path) -> None:
    """Write a figure, whole or not at all. Raises `FusemaxError` for a file that cannot be written."""
    write_whole(path, lambda temporary: save(figure, temporary))


def save(figure: Figure, path: Path) -> None:
    """Write a figure; the suffix says how. The same figure gives the same bytes."""
    import matplotlib

    dated = {".svg": "Date", ".pdf": "CreationDate"}.get(path.suffix.lower())
    width, height = figure.get_size_inches()
    dpi = min(DPI, MOST_DOTS / max(width, height), sqrt(MOST_IN_ALL / (width * height)))
    with matplotlib.rc_context({"svg.hashsalt": "fusemax", "svg.fonttype": "none"}), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of letters that the font lacks
        figure.savefig(path, dpi=dpi, metadata={dated: None} if dated else None, facecolor="white")
