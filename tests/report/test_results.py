"""Every result in every form: text, HTML, JSON, CSV, data frame and picture."""

from __future__ import annotations

import builtins
import csv
import io
import json
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

import numpy as np
import pytest
from matplotlib.figure import Figure

import fusemax
from fusemax import FusemaxError, commands
from fusemax.bind.extents import Amount
from fusemax.mapper.options import SearchOptions
from fusemax.report.catalog import catalog
from fusemax.report.checks import checked_file
from fusemax.report.reproduce import reproduce
from fusemax.report.sizes import reproduce_sizes
from fusemax.syntax.load import load_sizes_study, load_study
from fusemax.view import Result
from tests.markup import read_html

pytestmark = pytest.mark.slow

POINT = {"B": 1, "H": 2, "E": 64, "F": 64, "M": 1024, "P": 1024}
MATMUL = {"M": 256, "N": 256, "K": 256}
MADE: dict[str, Callable[[], Result]] = {
    "Analysis": lambda: commands.analyzed("attention-3pass", shapes=POINT, buffer_bytes=2**20),
    "Catalog": catalog,
    "CheckResult": lambda: checked_file("attention-1pass"),
    "Comparison": lambda: commands.compared(["flat", "fusemax-binding"], models=["bert"], lengths=[1024], shapes={}),
    "Estimate": lambda: commands.evaluated("flat", shapes={}, model="bert", length=1024),
    "Front": lambda: commands.traded("matmul", "fusemax-cloud", shapes=MATMUL, options=SearchOptions()),
    "MapResult": lambda: commands.mapped("matmul", "fusemax-cloud", shapes=MATMUL, options=SearchOptions(top=2)),
    "Reproduction": lambda: reproduce(load_study("attention")),
    "RunResult": lambda: commands.executed("matmul", shapes={"M": 2, "N": 3, "K": 4})[0],
    "ShownArch": lambda: commands.shown("fusemax-cloud", shapes={}),
    "ShownMapping": lambda: commands.shown("flat", shapes={}, model="bert", length=1024),
    "SizesReproduction": lambda: reproduce_sizes(load_sizes_study("chip-area")),
    "Trace": lambda: commands.simulated("fusemax-binding", shapes=POINT, window=(0, 2000)),
}
WITHOUT_PICTURE = ("Catalog", "CheckResult")
NAMES = tuple(MADE)


@cache
def made(name: str) -> Result:
    """A result of each class."""
    result = MADE[name]()
    assert type(result).__name__ == name
    return result


def results() -> Iterator[str]:
    """The names of all results that the package has."""
    for module in walk_packages(fusemax.__path__, "fusemax."):
        if not module.name.endswith("__main__"):
            import_module(module.name)
    waiting = [*Result.__subclasses__()]
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        if kind.__module__.startswith("fusemax."):
            yield kind.__name__


def test_no_result_is_left_out() -> None:
    """The tests of this file are about every result of the package."""
    assert sorted({name for name in results() if name != "Sum"}) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_text(name: str) -> None:
    """A result prints itself, each of its tables with its title."""
    result = made(name)
    shown = str(result)
    assert shown == result.text()
    for table in result.tables():
        assert table.title in shown


@pytest.mark.parametrize("name", NAMES)
def test_html(name: str) -> None:
    """A notebook shows the same cells."""
    result = made(name)
    rows, texts = read_html(result._repr_html_())
    tables = list(result.tables())
    assert rows == [list(row) for table in tables if table.rows for row in (table.headers, *table.rows)]
    assert {table.title for table in tables} <= set(texts)


@pytest.mark.parametrize("name", NAMES)
def test_json(name: str) -> None:
    """JSON data are plain: they are the same when they are read again."""
    data = made(name).to_json()
    assert json.loads(json.dumps(data, allow_nan=False)) == data


@pytest.mark.parametrize("name", NAMES)
def test_csv_and_data_frames(name: str) -> None:
    """A CSV has a line for each record, under the columns of the data frame."""
    result = made(name)
    lines = list(csv.DictReader(io.StringIO(result.to_csv())))
    frame = result.to_pandas()
    assert len(lines) == len(frame) == len(result.records())
    assert not lines or list(lines[0]) == list(frame.columns)
    assert "np." not in result.to_csv()


@pytest.mark.parametrize("name", [name for name in NAMES if name not in WITHOUT_PICTURE])
def test_pictures(name: str, tmp_path: Path) -> None:
    """A picture is a figure, written if a path is given; on given axes it is drawn there, beside others."""
    result = made(name)
    figure = result.plot(tmp_path / "a.png")
    assert figure.axes
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    own = Figure(figsize=(12, 4))
    left, right = own.subplots(1, 2)
    assert result.plot(ax=right) is own
    assert own.axes == [left, right]
    assert right.has_data() or right.patches or right.texts
    assert not left.has_data()


@pytest.mark.parametrize("name", WITHOUT_PICTURE)
def test_results_without_a_picture(name: str) -> None:
    """A result without a picture says so."""
    with pytest.raises(FusemaxError, match=f"a {name} has no picture"):
        made(name).plot()


def test_files_of_other_kinds_are_refused(tmp_path: Path) -> None:
    """The suffix is checked before anything is drawn."""
    with pytest.raises(FusemaxError, match=r"does not end in \.png or \.svg or \.pdf"):
        made("Estimate").plot(tmp_path / "a.txt")


@pytest.mark.parametrize(("package", "extra"), [("matplotlib", "plot"), ("pandas", "pandas")])
def test_missing_packages(package: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an optional package the message names the extra that has it."""
    real = builtins.__import__

    def without(name: str, *arguments: object, **keywords: object) -> object:
        if name.split(".")[0] == package:
            raise ImportError(name=package)
        return real(name, *arguments, **keywords)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without)
    found = made("Comparison")
    with pytest.raises(
        FusemaxError, match=rf"{package}, which is not installed\nhint: pip install 'fusemax\[{extra}\]'"
    ):
        found.plot() if package == "matplotlib" else found.to_pandas()


def test_a_grid_of_points() -> None:
    """An estimate of a grid has a row for each point, and lists of numbers in its JSON."""
    grid: dict[str, Amount] = {**POINT, "M": np.array([1024, 2048]), "P": np.array([1024, 2048])}
    found = fusemax.evaluate("attention-1pass", "fusemax-cloud", "fusemax-binding", grid)
    assert [row["M"] for row in found.records()] == [1024, 2048]
    data = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert data["shapes"]["M"] == [1024, 2048] and len(data["latency_s"]) == 2
