"""A published study, evaluated again."""

import csv
import io
from dataclasses import replace
from pathlib import Path

import pytest

from fusemax import evaluate, load_arch, load_cascade, load_mapping
from fusemax.errors import FusemaxError
from fusemax.ir.study import Shows, Study
from fusemax.report.plots import Chart, StackedChart
from fusemax.report.reproduce import Reproduction, reproduce, utilization_by_einsum
from fusemax.report.reproduce_files import check_folder, write_folder
from fusemax.syntax.load import load_study
from tests.conftest import Golden

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def study() -> Study:
    """The published figures of attention."""
    return load_study("attention")


@pytest.fixture(scope="module")
def found(study: Study) -> Reproduction:
    """All of it, evaluated again."""
    return reproduce(study)


def test_every_published_value_is_reproduced(found: Reproduction) -> None:
    """Latency, traffic, utilization and their ratios to 1e-6; energy within the tolerances of the published values."""
    assert len(found.differences) == 30 * 7
    assert [d for d in found.differences if not d.within] == []
    exact = [d for d in found.differences if "energy" not in d.quantity]
    assert len(exact) == 30 * 5
    assert max(abs(d.relative) for d in exact) < 1e-6


def test_the_published_averages_are_reproduced(found: Reproduction) -> None:
    """Speed-ups over all models and lengths are those that the paper states; energy but for the source's overflow."""
    speedups = {a.mapping: a for a in found.averages if a.quantity == "speed-up"}
    assert len(speedups) == 3
    for average in speedups.values():
        assert average.value == pytest.approx(average.published, abs=5e-5)
    (energy,) = (a for a in found.averages if a.quantity == "energy ratio")
    assert energy.value == pytest.approx(0.794, abs=0.002)
    assert energy.published == 0.787


def test_the_report(found: Reproduction, golden: Golden) -> None:
    """The whole report as a person reads it."""
    golden(f"{found}\n", "reproduce/attention.txt")


def test_the_figures_are_those_of_the_study(found: Reproduction, study: Study) -> None:
    """Every figure is there, of all models and lengths, except the breakdown, which is of one model."""
    charts = [chart for _, chart in found.charts()]
    assert [figure.number for figure in study.figures] == ["6a", "6b", "7", "8", "9"]
    for chart in charts:
        match chart:
            case Chart():
                assert len(chart.places) == 24
                assert [series.label for series in chart.series] == list(study.mappings.values())
                assert sum(mark is not None for series in chart.series for mark in series.published) == 30
            case StackedChart():
                assert len(chart.stacks) == 30


def test_the_breakdown_adds_up(found: Reproduction) -> None:
    """The parts of a bar are the utilization of the unit."""
    (figure,) = (figure for figure in found.study.figures if figure.shows is Shows.BREAKDOWN)
    whole = {
        (found.study.mappings[row.mapping], row.seq): row.utilization[str(figure.unit)]
        for row in found.comparison.rows
        if row.model == figure.model
    }
    for stack in found.breakdowns[figure.number]:
        assert sum(stack.parts.values()) == pytest.approx(whole[stack.label, stack.place[1]], rel=1e-9)


def test_the_json(found: Reproduction) -> None:
    """Rows, averages and differences are there for programs."""
    data = found.to_json()
    assert list(data) == [
        "study", "source", "accounting", "baseline", "rows", "breakdowns", "averages", "differences", "largest",
    ]  # fmt: skip
    assert len(data["rows"]) == 120
    assert data["largest"]["energy"]["within"] is True
    assert set(data["differences"][0]) == {
        "quantity", "mapping", "model", "seq", "value", "published", "tolerance", "relative", "within",
    }  # fmt: skip
    assert data["breakdowns"]["7"][0]["einsums"].keys() == {"QK", "AV"}


def test_the_csv(found: Reproduction) -> None:
    """Every row is there, with what was published of it where something was."""
    rows = list(csv.DictReader(io.StringIO(found.to_csv())))
    assert len(rows) == 120
    published = [row for row in rows if row["published_latency_s"]]
    assert len(published) == 30
    assert all(
        float(row["published_latency_s"]) == pytest.approx(float(row["latency_s"]), rel=1e-6) for row in published
    )


def test_a_difference_outside_of_its_tolerance_is_marked(study: Study) -> None:
    """A published value that is another is named as the largest difference, and marked."""
    first = next(value for value in study.values if value.mapping == "flat")
    wrong = replace(first, latency_s=first.latency_s * 1.5)
    small = replace(study, models=("bert",), lengths=(1024,), values=(wrong,), figures=())
    found = reproduce(small)
    (largest,) = (d for d in found.largest if not d.within)
    assert (largest.quantity, largest.place) == ("latency", "flat, bert 1K")
    assert largest.relative == pytest.approx(-1 / 3)
    text = str(found)
    assert "-33.3% !" in text
    assert text.endswith("1 of 5 are outside (marked !)")


def test_in_a_notebook_it_is_tables(study: Study) -> None:
    """A reproduction shows itself as HTML."""
    small = replace(study, models=("bert",), lengths=(1024,), values=study.values[:1], figures=study.figures[:1])
    shown = reproduce(small)._repr_html_()
    assert shown.startswith("<div><b>Figure 6a: utilization of the 1D array</b></div><table>")


def test_a_breakdown_of_a_unit_that_there_is_not() -> None:
    """The unit of a breakdown is one of the architecture."""
    mapping = load_mapping("fusemax-binding")
    shapes = {"B": 1, "H": 1, "E": 64, "F": 64, "M": 256, "P": 256}
    arch = load_arch(mapping.arch)
    estimate = evaluate(load_cascade(mapping.cascade), arch, mapping, shapes)
    with pytest.raises(FusemaxError, match="'fusemax-cloud' has no unit 'array3d'"):
        utilization_by_einsum(estimate, arch, "array3d")


@pytest.mark.slow
def test_the_folder(found: Reproduction, tmp_path: Path) -> None:
    """A folder gets the report, the values and a picture for each figure; a second time they are written over."""
    folder = tmp_path / "figures"
    for _ in range(2):
        check_folder(folder)
        written = write_folder([found], folder)
    names = ["report.txt", "values-attention.csv", *(f"figure-{number}.png" for number in ("6a", "6b", "7", "8", "9"))]
    assert [path.name for path in written] == names
    assert sorted(path.name for path in folder.iterdir()) == sorted(names)
    assert (folder / "report.txt").read_text(encoding="utf-8") == f"{found}\n"
    assert (folder / "figure-8.png").read_bytes().startswith(b"\x89PNG")


def test_folders_that_cannot_be(tmp_path: Path) -> None:
    """A file is no folder, and a folder is made only in one that exists."""
    (tmp_path / "file").touch()
    with pytest.raises(FusemaxError, match="is a file\nhint: name a folder"):
        check_folder(tmp_path / "file")
    with pytest.raises(FusemaxError, match="\nhint: name a folder in one that exists"):
        check_folder(tmp_path / "missing" / "figures")
