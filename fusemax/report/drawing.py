"""A picture of a cascade, drawn by matplotlib."""

from __future__ import annotations

import textwrap
from itertools import pairwise
from typing import TYPE_CHECKING

from fusemax.report.figures import plane
from fusemax.report.graph import GAP, LOOP, Arrow, Barrier, Box, Corner, Picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INCH = 0.8
"""Of one unit of the picture."""
PASS_COLORS = ("#cfe3f7", "#fbd9b5", "#cfeccb", "#f6c9d4", "#dcd3ef", "#e9dccb", "#f4d9ee", "#dfe7b8")
LABEL = 14
"""Characters of an arrow's label; the box from which it comes has the whole name."""
NEUTRAL, INK, FAINT, RED = "#eeeeee", "#333333", "#888888", "#b03030"


def draw(picture: Picture, ax: Axes | None = None) -> Figure:
    """The picture as a figure, or on given axes. Raises `FusemaxError` without matplotlib."""
    left, right = (
        min(box.x - box.width / 2 for box in picture.boxes),
        max(box.x + box.width / 2 for box in picture.boxes),
    )
    left, right = left - (2.6 if picture.barriers else 0.5), right + LOOP + 0.5
    spare = max(0.0, 0.145 * len(picture.title) - (right - left)) / 2
    left, right = left - spare, right + spare
    low, high = min(box.bottom for box in picture.boxes) - 0.4, max(box.top for box in picture.boxes) + 1.1
    figure, axes = plane(ax, ((right - left) * INCH, (high - low) * INCH))
    axes.set(xlim=(left, right), ylim=(low, high))
    _text(axes, ((left + right) / 2, high - 0.2), picture.title, va="top", fontsize=13, weight="bold")
    _text(axes, ((left + right) / 2, high - 0.56), _legend(picture), va="top", fontsize=8, color=FAINT)
    for barrier in picture.barriers:
        _draw_barrier(axes, barrier, left, right)
    for arrow in picture.arrows:
        _draw_arrow(axes, arrow, picture.boxes[arrow.start])
    for box in picture.boxes:
        _draw_box(axes, box)
    return figure


def _legend(picture: Picture) -> str:
    """The meaning of grey boxes and dashed arrows, if there are any."""
    told = []
    if any(box.text and box.in_pass is None for box in picture.boxes):
        told.append(f"grey: does not traverse {picture.rank}")
    if any(arrow.back for arrow in picture.arrows):
        told.append("dashed: what the step before has left")
    return "; ".join(told)


def _text(axes: Axes, at: Corner, text: str, **how: object) -> None:
    """Text as it is, without mathematics."""
    axes.text(*at, text, **{"ha": "center", "zorder": 5, "parse_math": False, **how})  # type: ignore[arg-type]


def _draw_box(axes: Axes, box: Box) -> None:
    from matplotlib.patches import FancyBboxPatch

    color = NEUTRAL if box.in_pass is None else PASS_COLORS[(box.in_pass - 1) % len(PASS_COLORS)]
    style, face = ("square,pad=0", color) if box.text else ("round,pad=0,rounding_size=0.12", "white")
    corner = (box.x - box.width / 2, box.bottom)
    axes.add_patch(
        FancyBboxPatch(corner, box.width, box.height, boxstyle=style, facecolor=face, edgecolor=INK, zorder=3)
    )
    if not box.text:
        _text(axes, (box.x, box.y), box.name, va="center", fontsize=10)
        return
    number = "" if box.in_pass is None else f"   pass {box.in_pass}"
    _text(axes, (box.x, box.top - 0.05), f"{box.name}{number}", va="top", fontsize=9, weight="bold")
    _text(axes, (box.x, box.top - 0.27), "\n".join(box.lines), va="top", fontsize=7, linespacing=1.15)


def _draw_arrow(axes: Axes, arrow: Arrow, start: Box) -> None:
    """A smooth line from row to row, dashed if it comes from the step before; a small loop from a box to itself."""
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path as Curve

    corners, codes = [arrow.way[0] if arrow.way else (start.x + start.width / 2, start.y - 0.1)], [Curve.MOVETO]
    curves = map(_bent, *zip(*pairwise(arrow.way), strict=True)) if arrow.way else [_loop(start)]
    for curve in curves:
        corners += curve
        codes += [Curve.CURVE4] * 3
    style, color = ("--", FAINT) if arrow.back else ("-", INK)
    axes.add_patch(
        FancyArrowPatch(
            path=Curve(corners, codes), arrowstyle="-|>", mutation_scale=9, linewidth=0.9, zorder=2, shrinkA=0, shrinkB=0,
            linestyle=style, color=color,
        )
    )  # fmt: skip
    if start.text and arrow.way:
        (x0, y0), (x1, y1) = next(leg for leg in pairwise(arrow.way) if _between_rows(*leg))
        at = (x0 + 0.22 * (x1 - x0), y0 + 0.34 * (y1 - y0)) if y0 != y1 else ((x0 + x1) / 2, y0 + 0.5 * GAP)
        box = {"facecolor": "white", "edgecolor": "none", "pad": 0.6, "alpha": 0.85}
        _text(
            axes,
            at,
            arrow.tensor if len(arrow.tensor) <= LABEL else f"{arrow.tensor[: LABEL - 3]}...",
            va="center",
            fontsize=7,
            color=color,
            bbox=box,
        )


def _between_rows(start: Corner, end: Corner) -> bool:
    return abs(start[1] - end[1]) > 0.9 * GAP or start[1] == end[1]


def _bent(start: Corner, end: Corner) -> tuple[Corner, Corner, Corner]:
    """A curve that leaves and arrives upright; between places of one row an arch."""
    (x0, y0), (x1, y1) = start, end
    middle = (y0 + y1) / 2 if y0 != y1 else y0 + 0.7 * GAP * (x0 != x1)
    return (x0, middle), (x1, middle), end


def _loop(box: Box) -> tuple[Corner, Corner, Corner]:
    """A curve from the right edge of a box back to it."""
    edge, far = box.x + box.width / 2, box.x + box.width / 2 + 1.3 * LOOP
    return (far, box.y - 0.1), (far, box.y + 0.1), (edge, box.y + 0.1)


def _draw_barrier(axes: Axes, barrier: Barrier, left: float, right: float) -> None:
    axes.plot([left, right], [barrier.y, barrier.y], color=RED, linestyle=(0, (6, 3)), linewidth=1.4, zorder=1)
    for text, va, y in ((barrier.above, "bottom", 0.05), (barrier.below, "top", -0.08)):
        _text(axes, (left + 0.15, barrier.y + y), textwrap.fill(text, 32), ha="left", va=va, fontsize=8, color=RED)
