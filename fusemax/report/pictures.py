"""The picture of each result, as `Result.plot` draws it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fusemax.analysis import Analysis
from fusemax.bind.bind import bind
from fusemax.errors import FusemaxError
from fusemax.mapper.pareto import Front
from fusemax.mapper.result import MapResult
from fusemax.model.estimate import Estimate
from fusemax.report.arch_picture import arch_sheet, draw_sheet, mapping_sheet
from fusemax.report.arch_tree import ShownArch
from fusemax.report.costs import draw_estimate
from fusemax.report.drawing import draw
from fusemax.report.figures import SUFFIXES, write
from fusemax.report.files import check_target
from fusemax.report.fronts import draw_front
from fusemax.report.gantt import draw_gantt
from fusemax.report.graph import picture_of
from fusemax.report.mapping_tree import ShownMapping
from fusemax.report.plots import comparison_charts, draw_charts
from fusemax.report.ranges import draw_ranges
from fusemax.report.reproduce import Reproduction
from fusemax.report.runs import RunResult
from fusemax.report.sizes import SizesReproduction
from fusemax.sim.trace import Trace
from fusemax.study.compare import Comparison, Point
from fusemax.view import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def plot(result: Result, path: Path | None, ax: Axes | None) -> Figure:
    """Draw a result, and write the figure if there is a path. Raises `FusemaxError` as `Result.plot` says."""
    if path is not None:
        check_target(path, SUFFIXES)
    figure = drawing_of(result, ax)
    if path is not None:
        write(figure, path)
    return figure


def drawing_of(result: Result, ax: Axes | None) -> Figure:
    """The figure of a result."""
    match result:
        case Analysis():
            return draw(picture_of(result), ax)
        case RunResult():
            return draw_ranges(result, ax)
        case Estimate():
            return draw_estimate(result, ax)
        case Comparison():
            return draw_charts(comparison_charts(result), ax)
        case Trace():
            return draw_gantt((result,), ax)
        case MapResult():
            return draw_sheet(mapping_sheet(best_mapping(result)), ax)
        case Front():
            return draw_front(result, ax)
        case Reproduction():
            return draw_charts([chart for _, chart in result.charts()], ax)
        case SizesReproduction():
            return draw_front(result.front, ax)
        case ShownArch():
            return draw_sheet(arch_sheet(result.arch), ax)
        case ShownMapping():
            return draw_sheet(mapping_sheet(result), ax)
    raise FusemaxError(f"a {type(result).__name__} has no picture", "print it, or use `.to_csv()`")


def best_mapping(result: MapResult) -> ShownMapping:
    """The best mapping of a search, with its sizes. Raises `FusemaxError` if the search has found none."""
    if not result.best:
        raise FusemaxError("a search without mappings has no picture", "let it go on until it has found some")
    best = result.best[0].mapping
    bound = bind(result.checked, result.machine, best, result.shapes, {})
    return ShownMapping(best, result.machine, result.checked, {}, bound, Point(result.model, result.seq, {}).title)
