"""A reproduction in a folder: a picture for each figure, its tables as text, its values as CSV."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from fusemax.errors import FusemaxError
from fusemax.ir.study import Published
from fusemax.report.files import write_whole
from fusemax.report.fronts import draw_front
from fusemax.report.plots import Chart, StackedChart, draw_charts, figure_type
from fusemax.report.reproduce import Reproduction
from fusemax.report.sizes import SizesReproduction
from fusemax.study.compare import Row
from fusemax.view import csv_text


def check_folder(folder: Path) -> None:
    """Refuse a folder that could not be written, before work is done for it. Raises `FusemaxError`, also without
    matplotlib."""
    if folder.exists() and not folder.is_dir():
        raise FusemaxError(f"'{folder}' is a file", "name a folder")
    if not folder.absolute().parent.is_dir():
        raise FusemaxError(f"no folder '{folder.parent}'", "name a folder in one that exists")
    figure_type()


def write_folder(found: Sequence[Reproduction | SizesReproduction], folder: Path) -> tuple[Path, ...]:
    """Write all files of reproductions into a folder, which is made if it is missing; returns their paths."""
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise FusemaxError(f"'{folder}' cannot be made: {reason}", "name another folder") from None
    report = "\n\n".join(each.text() for each in found)
    files: dict[str, Callable[[Path], None]] = {"report.txt": _text(f"{report}\n")}
    for each in found:
        match each:
            case Reproduction():
                files[f"values-{each.study.name}.csv"] = _text(values_csv(each))
                files |= {f"figure-{figure.number}.png": _picture(chart) for figure, chart in each.charts()}
            case SizesReproduction():
                files[f"values-{each.study.name}.csv"] = _text(each.front.to_csv())
                files[f"figure-{each.study.figure}.png"] = partial(draw_front, each.front)
    for name, write in files.items():
        write_whole(folder / name, write)
    return tuple(folder / name for name in files)


def _text(text: str) -> Callable[[Path], None]:
    return lambda path: _write(path, text)


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


def _picture(chart: Chart | StackedChart) -> Callable[[Path], None]:
    return lambda path: draw_charts([chart], path)


def values_csv(reproduction: Reproduction) -> str:
    """All rows as CSV text: what the model says and, where there is one, what was published."""
    published = {(p.mapping, p.model, p.seq): p for p in reproduction.study.values}
    records = [
        _record(row, published.get((row.mapping, row.model or "", row.seq or 0)))
        for row in reproduction.comparison.rows
    ]
    return csv_text(records, "mapping")


def _record(row: Row, published: Published | None) -> dict[str, Any]:
    record = row.to_record()
    if published is not None:
        record |= {
            "published_latency_s": published.latency_s,
            "published_dram_bytes": published.dram_bytes,
            "published_energy_j": published.energy_j,
        }
        record |= {f"published_utilization_{unit}": share for unit, share in published.utilization.items()}
    return record
