"""Comparisons as pictures: bars by model and length for each mapping, in the manner of the field's papers.

`comparison_charts` gives the charts as plain data; `draw_charts` draws them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

from fusemax.report.figures import COLORS, HATCHES, labelled, panels
from fusemax.study.compare import Comparison, Row
from fusemax.units import readable_length

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKS = "published"
MOST_ANNOTATED = 30
"""Values are written on bars up to this number of bars."""

ModelAndLength = tuple[str | None, int | None]
"""A model and a length."""


@dataclass(frozen=True, slots=True)
class Series:
    """Bars of one colour, one a place; `published` are marks beside them. A bar may stand on the one before it."""

    label: str
    values: tuple[float | None, ...]
    published: tuple[float | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Chart:
    """Bars by place: groups of series side by side or, if `stacked`, on each other in groups of their own.

    `one` is the height of a line to which the bars are relative; `percent` and `log` are about the vertical axis.
    """

    title: str
    axis: str
    places: tuple[ModelAndLength, ...]
    series: tuple[Series, ...]
    one: float | None = None
    percent: bool = False
    log: bool = False


@dataclass(frozen=True, slots=True)
class Stack:
    """One stacked bar: its place, its label, and its parts by name."""

    place: ModelAndLength
    label: str
    parts: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class StackedChart:
    """Stacked bars, grouped by place."""

    title: str
    axis: str
    stacks: tuple[Stack, ...]


def comparison_charts(comparison: Comparison) -> tuple[Chart, ...]:
    """Speed-up and energy relative to the baseline, or else latency and energy; then the utilization of each unit."""
    return tuple(_charts(comparison))


def _charts(comparison: Comparison) -> Iterator[Chart]:
    base = comparison.baseline
    if base is None:
        yield chart_of(comparison, "Latency", "seconds", lambda row: row.latency_s, log=True)
        yield chart_of(comparison, "Energy", "joules", lambda row: row.energy_j, log=True)
    else:
        yield chart_of(comparison, f"Speed-up over {base}", "times", lambda row: row.speedup, one=1.0)
        title = f"Energy relative to {base} (accounting: {comparison.accounting})"
        yield chart_of(comparison, title, "ratio", lambda row: row.energy_ratio, one=1.0)
    for unit in comparison.units:
        yield chart_of(comparison, f"Utilization of {unit}", "utilization", _utilization(unit), percent=True)


def _utilization(unit: str) -> Callable[[Row], float | None]:
    return lambda row: row.utilization.get(unit)


def chart_of(
    comparison: Comparison,
    title: str,
    axis: str,
    value: Callable[[Row], float | None],
    *,
    labels: Mapping[str, str] | None = None,
    published: Callable[[Row], float | None] | None = None,
    one: float | None = None,
    percent: bool = False,
    log: bool = False,
) -> Chart:
    """One quantity of every row of a comparison; `labels` are other names for mappings."""
    series = []
    for mapping in comparison.mappings:
        rows = comparison.of(mapping)
        marks = tuple(map(published, rows)) if published else ()
        series.append(Series((labels or {}).get(mapping, mapping), tuple(map(value, rows)), marks))
    return Chart(title, axis, comparison.points, tuple(series), one, percent, log)


# ------------------------------------------------------------------------------------------------------------ on paper


def draw_charts(charts: Sequence[Chart | StackedChart], ax: Axes | None = None) -> Figure:
    """Charts below each other, or the first on given axes. Raises `FusemaxError` without matplotlib."""
    width = max(map(_width, charts))
    figure, axes = panels(ax, len(charts), (width, (3.4 if width > 12 else 2.75) * len(charts) + 0.5))
    for panel, chart in zip(axes, charts, strict=False):
        match chart:
            case Chart():
                _draw_bars(panel, chart)
            case StackedChart():
                _draw_stacks(panel, chart)
    entries = labelled(axes)
    if MARKS in entries:
        entries[MARKS] = entries.pop(MARKS)  # behind the bars
    if ax is not None:
        ax.legend(list(entries.values()), list(entries), frameon=False, fontsize=8)
        return figure
    columns = max(1, min(len(entries), int(width / 1.9)))
    figure.legend(
        list(entries.values()), list(entries), loc="outside upper center", ncols=columns, frameon=False, fontsize=9
    )
    return figure


def _width(chart: Chart | StackedChart) -> float:
    """Inches: space for every bar, within a page."""
    if isinstance(chart, StackedChart):
        return max(6.4, min(18.0, 1.4 + 0.26 * len(chart.stacks)))
    bars = len(chart.places) * len(chart.series)
    return max(6.4, min(18.0, 1.4 + (0.36 if _annotated(chart) else 0.16) * bars))


def _annotated(chart: Chart) -> bool:
    """Whether values are written on the bars."""
    return len(chart.places) * len(chart.series) <= MOST_ANNOTATED


class _Style(TypedDict):
    """How a bar is drawn."""

    color: str
    hatch: str
    edgecolor: str
    linewidth: float


def _style(index: int) -> _Style:
    return {
        "color": COLORS[index % len(COLORS)],
        "hatch": HATCHES[index // len(COLORS) % len(HATCHES)],
        "edgecolor": "white" if index >= len(COLORS) else "#333333",
        "linewidth": 0.4,
    }


def _draw_bars(axes: Axes, chart: Chart) -> None:
    starts = _positions(chart.places)
    width = 0.84 / max(len(chart.series), 3)
    for number, series in enumerate(chart.series):
        xs = [start + (number - (len(chart.series) - 1) / 2) * width for start in starts]
        heights = [float("nan") if value is None else value for value in series.values]
        axes.bar(xs, heights, width, label=series.label, zorder=2, **_style(number))
        marks = [(x, mark) for x, mark in zip(xs, series.published, strict=False) if mark is not None]
        if marks:
            axes.plot(*zip(*marks, strict=True), "D", color="black", markersize=3, markeredgecolor="white",
                      markeredgewidth=0.5, label=MARKS, zorder=4)  # fmt: skip
        if _annotated(chart):
            _annotate(axes, xs, [None if value is None else _short(value, chart) for value in series.values], heights)
    if chart.one is not None:
        axes.axhline(chart.one, color="#333333", linewidth=0.8, linestyle="--", zorder=1.5)
    _finish(axes, chart.title, chart.axis, chart.places, starts)
    if chart.log and _apart(chart):
        axes.set_yscale("log")
    axes.margins(y=0.14 if _annotated(chart) else 0.06)
    if chart.percent:
        _as_percent(axes)
        axes.set_ylim(0, max(axes.get_ylim()[1], 1.0))


def _apart(chart: Chart) -> bool:
    """Whether the values differ too much for a linear axis."""
    values = [value for series in chart.series for value in series.values if value]
    return bool(values) and max(values) > 30 * min(values)


def _short(value: float, chart: Chart) -> str:
    """A value as it is written on a bar."""
    if chart.percent:
        return f"{value:.0%}"
    return f"{value:.2g}".replace("e+0", "e").replace("e-0", "e-") if chart.log else f"{value:.3g}"


def _annotate(axes: Axes, xs: Sequence[float], texts: Sequence[str | None], heights: Sequence[float]) -> None:
    """Write texts on bars."""
    for x, text, height in zip(xs, texts, heights, strict=True):
        if text is not None:
            axes.annotate(text, (x, height), (0, 2.5), textcoords="offset points", ha="center", fontsize=6.5, zorder=5,
                          bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.4, "alpha": 0.75})  # fmt: skip


def _as_percent(axes: Axes) -> None:
    from matplotlib.ticker import PercentFormatter

    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))


def _positions(places: Sequence[ModelAndLength]) -> list[float]:
    """The positions of the groups, side by side, with a gap between models."""
    found: list[float] = []
    for i, (model, _) in enumerate(places):
        step = 0.0 if not found else 1.0 if model == places[i - 1][0] else 1.4
        found.append((found[-1] if found else 0.0) + step)
    return found


def _finish(axes: Axes, title: str, axis: str, places: Sequence[ModelAndLength], xs: Sequence[float]) -> None:
    """Titles, the lengths below their groups, and the models below those."""
    axes.set_title(title, fontsize=10, loc="left")
    axes.set_ylabel(axis, fontsize=9)
    axes.set_xticks(list(xs), ["" if seq is None else readable_length(seq) for _, seq in places], fontsize=8)
    axes.tick_params(axis="x", length=0)
    axes.tick_params(axis="y", labelsize=8)
    axes.grid(axis="y", color="#dddddd", linewidth=0.6, zorder=0)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.set_xlim(min(xs) - 0.6, max(xs) + 0.6)
    for model in dict.fromkeys(model for model, _ in places if model is not None):
        mine = [x for x, (name, _) in zip(xs, places, strict=True) if name == model]
        axes.annotate(
            model, ((mine[0] + mine[-1]) / 2, 0), (0, -17), xycoords=axes.get_xaxis_transform(),
            textcoords="offset points", ha="center", va="top", fontsize=9, weight="bold", annotation_clip=False,
        )  # fmt: skip


def _draw_stacks(axes: Axes, chart: StackedChart) -> None:
    """Stacked bars, their labels upright inside of the axes' lower edge."""
    places = tuple(dict.fromkeys(stack.place for stack in chart.stacks))
    starts = dict(zip(places, _positions(places), strict=True))
    parts = list(dict.fromkeys(part for stack in chart.stacks for part in stack.parts))
    most = max(sum(stack.place == place for stack in chart.stacks) for place in places)
    width = 0.84 / most
    placed: dict[ModelAndLength, int] = dict.fromkeys(places, 0)
    for stack in chart.stacks:
        x = starts[stack.place] + (placed[stack.place] - (most - 1) / 2) * width
        placed[stack.place] += 1
        below = 0.0
        for part, value in stack.parts.items():
            label = part if stack is next(s for s in chart.stacks if part in s.parts) else None
            axes.bar(x, value, width * 0.9, bottom=below, label=label, zorder=2, **_style(parts.index(part)))
            below += value
        axes.annotate(stack.label, (x, below), (0, 3), textcoords="offset points", ha="center", va="bottom",
                      rotation=90, fontsize=6.5, zorder=5)  # fmt: skip
    _finish(axes, chart.title, chart.axis, places, list(starts.values()))
    _as_percent(axes)
    axes.set_ylim(0, 1.45)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1.0])
