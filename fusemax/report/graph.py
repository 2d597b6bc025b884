"""A cascade as a picture: Einsums as boxes coloured by pass, tensors as arrows, barriers as lines.

`picture_of` decides what stands where, as plain data; `draw` puts it on paper with matplotlib.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusemax.analysis.facts import Analysis
from fusemax.analysis.passes import GroupPasses
from fusemax.errors import FusemaxError, did_you_mean, listed
from fusemax.ir.checked import Checked, When

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH, HEIGHT = 3.1, 0.6
COLUMN, ROW = 3.6, 1.2
COLORS = ("#cfe3f7", "#fbd9b5", "#cfeccb", "#f6c9d4", "#dcd3ef", "#e9dccb", "#f4d9ee", "#dfe7b8")
NEUTRAL = "#eeeeee"

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Box:
    """An Einsum, or, without a text, an input: where it stands and in which pass, if it is in one."""

    name: str
    text: str
    x: float
    y: float
    in_pass: int | None


@dataclass(frozen=True, slots=True)
class Arrow:
    """A tensor from the box that makes it to one that reads it, by points; `back` to the next step of an iteration."""

    tensor: str
    start: int
    end: int
    back: bool
    way: tuple[Point, ...] = ()


@dataclass(frozen=True, slots=True)
class Barrier:
    """The end of a pass, at a height, and what it completes."""

    y: float
    text: str


@dataclass(frozen=True, slots=True)
class Picture:
    """Boxes, arrows between them by number, and barriers."""

    title: str
    rank: str
    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]
    barriers: tuple[Barrier, ...]


def picture_of(checked: Checked, analysis: Analysis, rank: str | None = None) -> Picture:
    """Lay a cascade out, in rows from top to bottom, every pass over a rank below the one before.

    Raises `FusemaxError` for a rank that no Einsum traverses, and without the packages for pictures.
    """
    passes = _chosen(analysis, rank)
    inputs = [tensor.name for tensor in checked.inputs]
    arrows = _arrows(checked, inputs)
    moments = _moments(checked, passes, len(inputs), arrows)
    rows = _rows(len(inputs), moments, arrows)
    places, ways = _places(rows, arrows)
    names = [*inputs, *(einsum.name for einsum in checked.einsums)]
    texts = ["" for _ in inputs] + [einsum.text for einsum in analysis.einsums]
    numbers = [None for _ in inputs] + [passes.placed.get(i) for i in range(len(checked.einsums))]
    boxes = tuple(Box(*box) for box in zip(names, texts, *zip(*places, strict=True), numbers, strict=True))
    routed = tuple(replace(arrow, way=way) for arrow, way in zip(arrows, ways, strict=True))
    steps = f", per step of {', '.join(passes.per_step_of)}" if passes.per_step_of else ""
    title = f"{analysis.cascade}: {passes.passes} pass{'es' * (passes.passes > 1)} over {passes.group.name}{steps}"
    return Picture(title, passes.group.name, boxes, routed, _barriers(passes, rows[len(inputs) :], moments[len(inputs) :]))


def _chosen(analysis: Analysis, rank: str | None) -> GroupPasses:
    """The group that is asked for, else the one with most passes, families before their parts."""
    groups = {name: facts.passes for name, facts in analysis.groups.items()}
    if not groups:
        raise FusemaxError("a cascade of scalars has no passes to draw", "draw one with a rank")
    if rank is None:
        return max(groups.values(), key=lambda passes: (passes.passes, len(passes.group.parts)))
    found = next((passes for name, passes in groups.items() if name.lower() == rank.lower()), None)
    if found is None:
        raise FusemaxError(f"no Einsum traverses a rank '{rank}'", did_you_mean(rank, groups) or f"its ranks are {listed(groups)}")
    return found


def _arrows(checked: Checked, inputs: Sequence[str]) -> tuple[Arrow, ...]:
    """One arrow for each tensor and reader; an iteration's step before comes back from the step."""
    made: dict[str, list[int]] = {name: [i] for i, name in enumerate(inputs)}
    for i, einsum in enumerate(checked.einsums, len(inputs)):
        made.setdefault(einsum.name, []).append(i)
    found: dict[tuple[str, int, int, bool], Arrow] = {}
    for i, einsum in enumerate(checked.einsums, len(inputs)):
        for use in einsum.reads:
            for maker in made[use.tensor]:
                initial = checked.einsums[maker - len(inputs)].initial if maker >= len(inputs) else False
                if initial and use.when in (When.NEW, When.FINAL):
                    continue
                back = use.when is When.OLD and not initial
                found.setdefault((use.tensor, maker, i, back), Arrow(use.tensor, maker, i, back))
    return tuple(found.values())


def _moments(checked: Checked, passes: GroupPasses, inputs: int, arrows: Sequence[Arrow]) -> list[float]:
    """When each box reads, at the latest, and not before what it reads; inputs last of all, as they wait for nobody."""
    moments = [0.0] * inputs
    for i in range(len(checked.einsums)):
        before = [moments[a.start] for a in arrows if a.end == inputs + i and not a.back]
        moments.append(max([passes.placed.get(i, passes.moments.get(i, 0.0)), *before]))
    return moments


def _rows(inputs: int, moments: Sequence[float], arrows: Sequence[Arrow]) -> list[int]:
    """The row of each box: below all that it reads and all of earlier moments; what reads nothing above a reader."""
    forward = [arrow for arrow in arrows if not arrow.back]
    rows = [0] * len(moments)
    base = 1
    for moment in sorted(set(moments[inputs:])):
        members = [i for i in range(inputs, len(moments)) if moments[i] == moment]
        for i in members:
            rows[i] = max([base, *(rows[a.start] + 1 for a in forward if a.end == i)])
        base = max(rows[i] for i in members) + 1
    readers = {i: [rows[a.end] for a in forward if a.start == i] for i in range(len(rows))}
    reading = {a.end for a in forward}
    return [rows[i] if i in reading else min(readers[i], default=1) - 1 for i in range(len(rows))]


def _places(rows: Sequence[int], arrows: Sequence[Arrow]) -> tuple[list[Point], list[tuple[Point, ...]]]:
    """Where boxes stand, and the points by which arrows over several rows pass: a Sugiyama layout with fixed rows."""
    igraph = packages()[0]
    levels = list(rows)
    edges: list[tuple[int, int]] = []
    passing: list[list[int]] = []
    for arrow in arrows:
        between = range(rows[arrow.start] + 1, rows[arrow.end]) if not arrow.back else range(0)
        way = list(range(len(levels), len(levels) + len(between)))
        levels += between
        passing.append(way)
        if not arrow.back:
            stops = [arrow.start, *way, arrow.end]
            edges += zip(stops, stops[1:], strict=False)
    graph = igraph.Graph(n=len(levels), edges=edges, directed=True)
    layout = graph.layout_sugiyama(layers=levels, hgap=COLUMN, vgap=ROW, maxiter=300).coords
    points = _apart([(x, -level * ROW) for (x, _), level in zip(layout, levels, strict=False)], len(rows))
    return points[: len(rows)], [tuple(points[i] for i in way) for way in passing]


def _apart(points: list[Point], boxes: int) -> list[Point]:
    """The points of a row moved right where boxes would overlap; those behind the boxes are mere points of arrows."""
    moved = list(points)
    for row in {y for _, y in points}:
        members = sorted((i for i in range(len(points)) if points[i][1] == row), key=lambda i: points[i][0])
        for left, right in zip(members, members[1:], strict=False):
            gap = COLUMN / 2 * ((left < boxes) + (right < boxes)) or COLUMN / 6
            moved[right] = max(moved[right][0], moved[left][0] + gap), row
    return moved


def packages() -> tuple[Any, Any]:
    """igraph and matplotlib, or, without them, an error that says how to get them."""
    try:
        import igraph
        import matplotlib
    except ImportError as error:
        raise FusemaxError(f"pictures need {error.name}, which is not installed", "pip install 'fusemax[plot]'") from None
    return igraph, matplotlib


def _barriers(passes: GroupPasses, rows: Sequence[int], moments: Sequence[float]) -> tuple[Barrier, ...]:
    """A line below everything that happens in a pass."""
    found = []
    for after in range(1, passes.passes):
        lowest = max(row for row, moment in zip(rows, moments, strict=True) if moment <= after)
        completed = dict.fromkeys(b.completes for b in passes.boundaries if b.after == after)
        text = f"pass {after} over {passes.group.name} completes {', '.join(completed)}"
        kept = f"; across lives {', '.join(passes.live[after])}" if passes.live[after] else ""
        found.append(Barrier(-(lowest + 0.5) * ROW, text + kept))
    return tuple(found)


# ---------------------------------------------------------------------------------------------------------- on paper


def draw(picture: Picture, path: Path) -> None:
    """Write the picture; the suffix says how. Raises `FusemaxError` without matplotlib."""
    matplotlib = packages()[1]
    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    xs, ys = [box.x for box in picture.boxes], [box.y for box in picture.boxes]
    left, right, low, high = min(xs) - WIDTH, max(xs) + WIDTH, min(ys) - ROW * 0.7, max(ys) + ROW * 0.9
    figure = Figure(figsize=((right - left) * 0.8, (high - low) * 0.8))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(left, right), ylim=(low, high))
    axes.set_axis_off()
    axes.text((left + right) / 2, high - 0.25, picture.title, ha="center", va="top", fontsize=13, weight="bold")
    for barrier in picture.barriers:
        _draw_barrier(axes, barrier, left, right)
    for arrow in picture.arrows:
        _draw_arrow(axes, arrow, picture.boxes[arrow.start], picture.boxes[arrow.end])
    for box in picture.boxes:
        _draw_box(axes, box)
    with matplotlib.rc_context({"svg.hashsalt": "fusemax", "svg.fonttype": "none"}):
        figure.savefig(path, dpi=130, metadata={"Date": None} if path.suffix == ".svg" else None)


def _draw_box(axes: Axes, box: Box) -> None:
    from matplotlib.patches import FancyBboxPatch

    color = NEUTRAL if box.in_pass is None else COLORS[(box.in_pass - 1) % len(COLORS)]
    half, tall = (WIDTH, HEIGHT) if box.text else (0.3 + 0.13 * max(3, len(box.name)), 0.34)
    style = "round,pad=0.02,rounding_size=0.12" if not box.text else "square,pad=0.02"
    face = "white" if not box.text else color
    corner = (box.x - half / 2, box.y - tall / 2)
    axes.add_patch(FancyBboxPatch(corner, half, tall, boxstyle=style, facecolor=face, edgecolor="#444444", zorder=3))
    if not box.text:
        axes.text(box.x, box.y, box.name, ha="center", va="center", fontsize=10, zorder=4)
        return
    lines = textwrap.wrap(box.text, 52, break_long_words=False)
    shown = "\n".join([lines[0], lines[1] + " ..."] if len(lines) > 2 else lines)
    number = "" if box.in_pass is None else f"   pass {box.in_pass}"
    top = box.y + tall / 2 - 0.04
    axes.text(box.x, top, f"{box.name}{number}", ha="center", va="top", fontsize=9, weight="bold", zorder=4)
    axes.text(box.x, top - 0.19, shown, ha="center", va="top", fontsize=6, linespacing=1.05, zorder=4)


def _draw_arrow(axes: Axes, arrow: Arrow, start: Box, end: Box) -> None:
    """A smooth line from row to row; dashed and back up on the right for an iteration."""
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path as Curve

    points = _back_points(start, end) if arrow.back else _points(arrow, start, end)
    corners, codes = [points[0]], [Curve.MOVETO]
    for (x0, y0), (x1, y1) in zip(points, points[1:], strict=False):
        bent = [(x0, (y0 + y1) / 2), (x1, (y0 + y1) / 2)] if not arrow.back else [(x0, y0), (x1, y1)]
        corners += [*bent, (x1, y1)]
        codes += [Curve.CURVE4] * 3
    axes.add_patch(
        FancyArrowPatch(
            path=Curve(corners, codes), arrowstyle="-|>", mutation_scale=9, linewidth=0.9, zorder=2, shrinkA=0,
            linestyle="--" if arrow.back else "-", color="#888888" if arrow.back else "#333333", shrinkB=2,
        )
    )  # fmt: skip
    (x0, y0), (x1, y1) = points[-2:] if arrow.back else points[:2]
    at = ((x0 + x1) / 2, (y0 + y1) / 2)
    axes.text(*at, arrow.tensor, fontsize=7, ha="center", va="center", color="#222222", zorder=5,
              bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6, "alpha": 0.85})  # fmt: skip


def _points(arrow: Arrow, start: Box, end: Box) -> list[Point]:
    tall = HEIGHT if start.text else 0.34
    spread = max(-1.0, min(1.0, (end.x - start.x) / COLUMN)) * WIDTH * 0.3
    way = [point for x, y in arrow.way for point in ((x, y + HEIGHT / 2), (x, y - HEIGHT / 2))]
    aim = arrow.way[-1][0] if arrow.way else start.x
    land = max(-1.0, min(1.0, (aim - end.x) / COLUMN)) * WIDTH * 0.3
    return [(start.x + spread * bool(start.text), start.y - tall / 2), *way, (end.x + land, end.y + HEIGHT / 2)]


def _back_points(start: Box, end: Box) -> list[Point]:
    """Out of the right side, up, and into the right side of an earlier box; a small loop for a box itself."""
    right = max(start.x, end.x) + WIDTH / 2 + 0.22
    lower, upper = start.y - 0.12, end.y + (0.12 if start is end else -0.12)
    return [(start.x + WIDTH / 2, lower), (right, lower), (right, upper), (end.x + WIDTH / 2, upper)]


def _draw_barrier(axes: Axes, barrier: Barrier, left: float, right: float) -> None:
    axes.plot([left, right], [barrier.y, barrier.y], color="#b03030", linestyle=(0, (6, 3)), linewidth=1.4, zorder=1)
    axes.text(left + 0.15, barrier.y + 0.05, barrier.text, ha="left", va="bottom", fontsize=8, color="#b03030", zorder=5)
