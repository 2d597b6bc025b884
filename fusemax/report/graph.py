"""A cascade as a picture: Einsums as boxes, tensors as arrows, the ends of passes as lines; the layout, as data.

`fusemax.report.drawing` draws it. Lengths are in units of 0.8 inch; y grows upwards.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from types import ModuleType

from fusemax.analysis.passes import GroupPasses
from fusemax.analysis.result import Analysis, GroupFacts
from fusemax.errors import FusemaxError
from fusemax.ir.checked import Checked, When
from fusemax.view import folded

WIDTH, HEAD, LINE = 3.4, 0.34, 0.15
"""A box, its first line, and each further line."""
BETWEEN, LOOP = 0.45, 0.4
"""Between boxes and arrows side by side, and the room of an arrow from a box to itself."""
SPREAD = 2.2
"""From one to the next as the layout sees it, which takes boxes for points."""
GAP, BARRIER = 0.62, 0.45
"""From row to row, and the addition of a barrier."""
CHARACTERS, MOST_LINES = 50, 6
PLACES = 6
"""Decimal places, so that edges that meet have the same number."""

Corner = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Box:
    """An Einsum, or, without a text, an input: its middle, and its pass, if it is in one."""

    name: str
    text: str
    x: float
    y: float
    in_pass: int | None

    @property
    def lines(self) -> tuple[str, ...]:
        """The text as it fits into a box."""
        lines = folded(self.text, int(CHARACTERS * self.width / WIDTH))
        return tuple([*lines[: MOST_LINES - 1], "..."] if len(lines) > MOST_LINES else lines)

    @property
    def width(self) -> float:
        """From left to right."""
        return max(WIDTH, 0.11 * len(f"{self.name}   pass 1")) if self.text else 0.3 + 0.13 * max(3, len(self.name))

    @property
    def height(self) -> float:
        """From top to bottom."""
        return HEAD + LINE * len(self.lines)

    @property
    def top(self) -> float:
        """The height of its upper edge."""
        return round(self.y + self.height / 2, PLACES)

    @property
    def bottom(self) -> float:
        """The height of its lower edge."""
        return round(self.y - self.height / 2, PLACES)


@dataclass(frozen=True, slots=True)
class Arrow:
    """A tensor from the box that makes it to one that reads it; `back` if it reads the step before of an iteration.

    `way` are the points by which it goes, from edge to edge; none for an arrow from a box to itself.
    """

    tensor: str
    start: int
    end: int
    back: bool
    way: tuple[Corner, ...] = ()


@dataclass(frozen=True, slots=True)
class Barrier:
    """The end of a pass, at a height: the tensors that it completes, and those that live across it."""

    y: float
    above: str
    below: str


@dataclass(frozen=True, slots=True)
class Picture:
    """Boxes, arrows between them by number, and barriers."""

    title: str
    rank: str
    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]
    barriers: tuple[Barrier, ...]


def picture_of(analysis: Analysis, rank: str | None = None) -> Picture:
    """Lay a cascade out, in rows from top to bottom, every pass over a rank below the one before.

    Raises `FusemaxError` for a rank that no Einsum traverses, and without the packages for pictures.
    """
    passes, checked = _chosen(analysis, rank).passes, analysis.checked
    inputs = [tensor.name for tensor in checked.inputs]
    arrows = _arrows(checked, inputs)
    moments = _moments(checked, passes, len(inputs), arrows)
    rows = _rows(len(inputs), moments, arrows)
    ends = _ends(passes, rows[len(inputs) :], moments[len(inputs) :])
    boxes = [Box(name, "", 0.0, 0.0, None) for name in inputs] + [
        Box(einsum.output, einsum.text, 0.0, 0.0, passes.placed.get(i)) for i, einsum in enumerate(analysis.einsums)
    ]
    edges = _edges(boxes, rows, ends)
    boxes, routed = _placed(boxes, rows, arrows, edges)
    barriers = tuple(_barrier(passes, after, (edges[row][1] + edges[row + 1][0]) / 2) for after, row in ends.items())
    steps = f", per step of {', '.join(passes.per_step_of)}" if passes.per_step_of else ""
    title = f"{analysis.cascade}: {passes.passes} pass{'es' * (passes.passes > 1)} over {passes.group.name}{steps}"
    return Picture(title, passes.group.name, tuple(boxes), routed, barriers)


def _chosen(analysis: Analysis, rank: str | None) -> GroupFacts:
    """The group of a rank, else the one with most passes, preferably with a live footprint."""
    if rank is not None:
        return analysis.group(rank)
    if not analysis.groups:
        raise FusemaxError("a cascade of scalars has no passes to draw", "draw one with a rank")
    keys: Callable[[GroupFacts], tuple[int, bool, int]] = lambda facts: (  # noqa: E731
        facts.passes.passes,
        facts.footprint.elements != 0,
        len(facts.passes.group.parts),
    )
    return max(analysis.groups.values(), key=keys)


# --------------------------------------------------------------------------------------------------------- its parts


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
    """When each box reads, at the latest, and not before the tensors that it reads; inputs last of all, as they depend on nothing."""
    before: dict[int, list[int]] = {}
    for arrow in arrows:
        if not arrow.back:
            before.setdefault(arrow.end, []).append(arrow.start)
    moments = [0.0] * inputs
    for i in range(len(checked.einsums)):
        own = passes.placed.get(i, passes.moments.get(i, 0.0))
        moments.append(max([own, *(moments[j] for j in before.get(inputs + i, ()))]))
    return moments


def _rows(inputs: int, moments: Sequence[float], arrows: Sequence[Arrow]) -> list[int]:
    """The row of each box: below all that it reads and all of earlier moments; a box that reads nothing stands above a reader."""
    before: dict[int, list[int]] = {}
    after: dict[int, list[int]] = {}
    for arrow in arrows:
        if not arrow.back:
            before.setdefault(arrow.end, []).append(arrow.start)
            after.setdefault(arrow.start, []).append(arrow.end)
    rows = [0] * len(moments)
    base = 1
    for moment in sorted(set(moments[inputs:])):
        members = [i for i in range(inputs, len(moments)) if moments[i] == moment]
        for i in members:
            rows[i] = max([base, *(rows[j] + 1 for j in before.get(i, ()))])
        base = max(rows[i] for i in members) + 1
    return [
        row if i in before else min((rows[j] for j in after.get(i, ())), default=1) - 1 for i, row in enumerate(rows)
    ]


def _ends(passes: GroupPasses, rows: Sequence[int], moments: Sequence[float]) -> dict[int, int]:
    """The last row of everything that happens in each pass but the last."""
    return {
        after: max(row for row, moment in zip(rows, moments, strict=True) if moment <= after)
        for after in range(1, passes.passes)
    }


# --------------------------------------------------------------------------------------------------- where it stands


def _edges(boxes: Sequence[Box], rows: Sequence[int], ends: dict[int, int]) -> list[Corner]:
    """The upper and lower edge of each row."""
    tall = [0.0] * (max(rows) + 1)
    for box, row in zip(boxes, rows, strict=True):
        tall[row] = max(tall[row], box.height)
    edges: list[Corner] = []
    y = 0.0
    for row, height in enumerate(tall):
        edges.append((round(y, PLACES), round(y - height, PLACES)))
        y -= height + GAP + BARRIER * (row in ends.values())
    return edges


def _placed(
    boxes: Sequence[Box], rows: Sequence[int], arrows: Sequence[Arrow], edges: Sequence[Corner]
) -> tuple[list[Box], tuple[Arrow, ...]]:
    """Boxes where they stand and arrows with their ways: a Sugiyama layout with fixed rows, ports in order."""
    levels = list(rows)
    links: list[tuple[int, int]] = []
    lanes: list[list[int]] = []
    for arrow in arrows:
        upper, lower = sorted((arrow.start, arrow.end), key=lambda i: rows[i])
        lane = list(range(len(levels), len(levels) + max(0, rows[lower] - rows[upper] - 1)))
        levels += range(rows[upper] + 1, rows[upper] + 1 + len(lane))
        lanes.append(lane)
        if rows[lower] > rows[upper]:
            links += pairwise([upper, *lane, lower])
    widths = [box.width for box in boxes] + [0.0] * (len(levels) - len(boxes))
    loops = {arrow.start for arrow in arrows if arrow.start == arrow.end}
    xs = _apart(_layout(levels, links), levels, widths, loops)
    stood = [
        replace(box, x=xs[i], y=sum(edges[rows[i]]) / 2 if box.text else edges[rows[i]][1] + box.height / 2)
        for i, box in enumerate(boxes)
    ]
    ways = [[(xs[i], edge) for i in lane for edge in edges[levels[i]]] for lane in lanes]
    ways = [way if rows[a.start] <= rows[a.end] else way[::-1] for a, way in zip(arrows, ways, strict=True)]
    return stood, _with_ports(stood, [edges[row] for row in rows], arrows, ways)


def _layout(levels: Sequence[int], links: Sequence[tuple[int, int]]) -> list[float]:
    graph = _igraph().Graph(n=len(levels), edges=list(dict.fromkeys(links)), directed=True)
    layout = graph.layout_sugiyama(layers=list(levels), hgap=SPREAD, vgap=1, maxiter=300)
    return [x for x, _ in layout.coords[: len(levels)]]


def _apart(xs: Sequence[float], levels: Sequence[int], widths: Sequence[float], loops: set[int]) -> list[float]:
    """The places in a row moved right where they would overlap."""
    moved = list(xs)
    members: dict[int, list[int]] = {}
    for i in sorted(range(len(xs)), key=lambda i: xs[i]):
        members.setdefault(levels[i], []).append(i)
    for row in members.values():
        for left, right in pairwise(row):
            moved[right] = max(
                moved[right], moved[left] + (widths[left] + widths[right]) / 2 + BETWEEN + LOOP * (left in loops)
            )
    return moved


def _with_ports(
    boxes: Sequence[Box], edges: Sequence[Corner], arrows: Sequence[Arrow], lanes: Sequence[Sequence[Corner]]
) -> tuple[Arrow, ...]:
    """The arrows with their ways; they leave and reach an edge of a box side by side, in the order of their other ends.

    `edges` are those of each box's row: up to them an arrow goes straight, so that it crosses no taller box beside.
    """
    sides: dict[tuple[int, bool], list[tuple[float, int]]] = {}
    for i, (arrow, lane) in enumerate(zip(arrows, lanes, strict=True)):
        start, end = boxes[arrow.start], boxes[arrow.end]
        if start is not end:
            sides.setdefault((arrow.start, _leaves_up(start, end)), []).append((lane[0][0] if lane else end.x, 2 * i))
            sides.setdefault((arrow.end, _enters_down(start, end)), []).append(
                (lane[-1][0] if lane else start.x, 2 * i + 1)
            )
    ports: dict[int, tuple[Corner, Corner]] = {}
    for (number, up), towards in sides.items():
        box, ends = boxes[number], [end for _, end in sorted(towards)]
        spacing = min(0.45, 0.8 * box.width / len(ends))
        for j, end_ in enumerate(ends):
            x = box.x + (j - (len(ends) - 1) / 2) * spacing
            ports[end_] = ((x, box.top), (x, edges[number][0])) if up else ((x, box.bottom), (x, edges[number][1]))
    return tuple(
        replace(arrow, way=tuple(dict.fromkeys((*ports[2 * i], *lane, *reversed(ports[2 * i + 1])))))
        if 2 * i in ports
        else arrow
        for i, (arrow, lane) in enumerate(zip(arrows, lanes, strict=True))
    )


def _leaves_up(start: Box, end: Box) -> bool:
    return end.top >= start.top


def _enters_down(start: Box, end: Box) -> bool:
    return start.bottom >= end.bottom


def _barrier(passes: GroupPasses, after: int, y: float) -> Barrier:
    completed = dict.fromkeys(b.completes for b in passes.boundaries if b.after == after)
    live = passes.live[after]
    across = f"{', '.join(live)} live{'s' * (len(live) == 1)} across" if live else "nothing lives across"
    return Barrier(y, f"pass {after} over {passes.group.name} completes {', '.join(completed)}", across)


def _igraph() -> ModuleType:
    """The package that lays graphs out. Raises `FusemaxError` without it."""
    try:
        import igraph
    except ImportError:
        raise FusemaxError("pictures need igraph, which is not installed", "pip install 'fusemax[plot]'") from None
    found: ModuleType = igraph
    return found
