"""A reproduction in a folder: a picture for each figure, its tables as text, its values as CSV."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from fusemax.errors import FusemaxError
from fusemax.report.figures import figure_type, save
from fusemax.report.files import write_whole
from fusemax.report.fronts import draw_front
from fusemax.report.plots import draw_charts
from fusemax.report.reproduce import Reproduction
from fusemax.report.sizes import SizesReproduction

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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
        files[f"values-{each.study.name}.csv"] = _text(each.to_csv())
        match each:
            case Reproduction():
                files |= {
                    f"figure-{figure.number}.png": _drawn(partial(draw_charts, [chart]))
                    for figure, chart in each.charts()
                }
            case SizesReproduction():
                files[f"figure-{each.study.figure}.png"] = _drawn(partial(draw_front, each.front))
    for name, write in files.items():
        write_whole(folder / name, write)
    return tuple(folder / name for name in files)


def _text(text: str) -> Callable[[Path], None]:
    return lambda path: _write(path, text)


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


def _drawn(figure: Callable[[], Figure]) -> Callable[[Path], None]:
    return lambda path: save(figure(), path)
