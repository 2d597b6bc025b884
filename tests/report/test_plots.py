"""Comparisons as pictures: what is shown, and that it gets onto paper."""

import builtins
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from fusemax.errors import FusemaxError
from fusemax.report.figures import COLORS, HATCHES, save
from fusemax.report.plots import (
    Chart,
    Series,
    Stack,
    StackedChart,
    chart_of,
    comparison_charts,
    draw_charts,
)
from fusemax.study.compare import Comparison, Row, compare

pytestmark = pytest.mark.slow


def row(mapping: str, model: str | None, seq: int | None, latency_s: float) -> Row:
    """A row in which only the latency differs from others."""
    return Row(mapping, model, seq, "machine", latency_s, 1e9 * latency_s, 2.0, 8.0, {"wide": 0.5, "long": 1.0}, "wide")


@pytest.fixture
def comparison() -> Comparison:
    """Two mappings at two models, one of them at two lengths."""
    points = [("bert", 1024), ("bert", 4096), ("xlm", 1024)]
    slow = [row("slow", model, seq, 4.0) for model, seq in points]
    fast = [row("fast", model, seq, 1.0) for model, seq in points]
    return Comparison((*slow, *fast), None, "full")


def test_without_a_baseline_latency_and_energy_are_shown(comparison: Comparison) -> None:
    """Absolute values may be far apart, and so have a logarithmic axis; utilization is a share of each unit."""
    charts = comparison_charts(comparison)
    assert [chart.title for chart in charts] == ["Latency", "Energy", "Utilization of wide", "Utilization of long"]
    assert [chart.log for chart in charts] == [True, True, False, False]
    assert [chart.percent for chart in charts] == [False, False, True, True]
    assert charts[0].places == (("bert", 1024), ("bert", 4096), ("xlm", 1024))
    assert charts[0].series == (Series("slow", (4.0, 4.0, 4.0)), Series("fast", (1.0, 1.0, 1.0)))


def test_with_a_baseline_ratios_are_shown(comparison: Comparison) -> None:
    """The first two charts are relative to the baseline, with a line where it is."""
    charts = comparison_charts(comparison.against("slow"))
    assert [chart.title for chart in charts[:2]] == ["Speed-up over slow", "Energy relative to slow (accounting: full)"]
    assert [chart.one for chart in charts] == [1.0, 1.0, None, None]
    assert charts[0].series[1] == Series("fast", (4.0, 4.0, 4.0))


def test_published_values_stand_beside_the_bars(comparison: Comparison) -> None:
    """A chart may have marks, and other names for its mappings."""
    chart = chart_of(comparison, "t", "a", lambda r: r.energy_j, labels={"slow": "Slow"}, published=lambda r: r.cycles)
    assert chart.series[0] == Series("Slow", (2.0, 2.0, 2.0), (4e9, 4e9, 4e9))


def test_the_colours_can_be_told_apart() -> None:
    """There are eight colours, each of a lightness or hue of its own, and hatches for more mappings."""
    assert len(set(COLORS)) == 8
    assert len(set(HATCHES)) == 4


def texts(svg: Path) -> list[str]:
    """The texts of a picture."""
    root = ElementTree.parse(svg).getroot()
    return ["".join(node.itertext()).strip() for node in root.iter("{http://www.w3.org/2000/svg}text")]


def test_a_picture_says_what_it_shows(comparison: Comparison, tmp_path: Path) -> None:
    """Titles, models, lengths, mappings and values stand in the picture."""
    save(draw_charts(comparison_charts(comparison.against("slow"))), tmp_path / "x.svg")
    shown = texts(tmp_path / "x.svg")
    for text in ("Speed-up over slow", "Utilization of wide", "bert", "xlm", "1K", "4K", "slow", "fast", "4", "50%"):
        assert text in shown


def test_the_same_comparison_gives_the_same_bytes(comparison: Comparison, tmp_path: Path) -> None:
    """A picture has no date and no random names in it."""
    for name in ("a.svg", "b.svg"):
        save(draw_charts(comparison_charts(comparison)), tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


@pytest.mark.parametrize(("suffix", "start"), [(".png", b"\x89PNG"), (".pdf", b"%PDF"), (".svg", b"<?xml")])
def test_every_kind_of_file(comparison: Comparison, tmp_path: Path, suffix: str, start: bytes) -> None:
    """The suffix decides what is written."""
    path = tmp_path / f"x{suffix}"
    save(draw_charts(comparison_charts(comparison)), path)
    assert path.read_bytes().startswith(start)


def test_stacked_bars(tmp_path: Path) -> None:
    """Each stack has its label, and each part is in the legend once."""
    stacks = (Stack(("bert", 1024), "one", {"QK": 0.25, "AV": 0.5}), Stack(("bert", 1024), "two", {"QK": 1.0}))
    save(draw_charts([StackedChart("by Einsum", "utilization", stacks)]), tmp_path / "x.svg")
    shown = texts(tmp_path / "x.svg")
    assert [shown.count(text) for text in ("one", "two", "QK", "AV", "by Einsum")] == [1, 1, 1, 1, 1]


def test_a_missing_value_leaves_its_place_empty(tmp_path: Path) -> None:
    """A mapping without a value at a point has no bar there, and the marks of others stay where they are."""
    chart = Chart("t", "a", (("m", 1), ("m", 2)), (Series("x", (None, 3.0), (None, 2.5)), Series("y", (1.0, None))))
    save(draw_charts([chart]), tmp_path / "x.svg")
    shown = texts(tmp_path / "x.svg")
    assert "3" in shown
    assert "published" in shown
    assert "nan" not in shown


def test_shapes_alone_have_no_names_below_the_axis(tmp_path: Path) -> None:
    """Without a model there is one group of bars, and nothing below it."""
    save(draw_charts(comparison_charts(Comparison((row("slow", None, None, 1.0),), None, "full"))), tmp_path / "x.svg")
    assert "None" not in texts(tmp_path / "x.svg")


def test_many_mappings_and_points(tmp_path: Path) -> None:
    """More mappings than colours, at more points than have room for values, still fit on a page."""
    rows = tuple(row(f"m{n}", model, 2**e, n + 1.0) for n in range(11) for model in ("a", "b") for e in range(8, 14))
    save(draw_charts(comparison_charts(Comparison(rows, None, "full").against("m0"))), tmp_path / "x.svg")
    shown = texts(tmp_path / "x.svg")
    assert {f"m{n}" for n in range(11)} <= set(shown)


def test_a_picture_is_written_whole_or_not_at_all(
    comparison: Comparison, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When drawing fails, the picture that was there before stays, and nothing is left beside it."""
    path = tmp_path / "x.png"
    path.write_bytes(b"before")

    def fail(figure: object, target: Path) -> None:
        target.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fusemax.report.figures.save", fail)
    with pytest.raises(FusemaxError, match="cannot be written: no space left on device"):
        comparison.plot(path)
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_without_matplotlib(comparison: Comparison, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who lacks matplotlib is told how to get it."""
    load = builtins.__import__

    def missing(name: str, *arguments: Any, **options: Any) -> Any:
        if name.split(".")[0] == "matplotlib":
            raise ImportError(name)
        return load(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(FusemaxError) as error:
        save(draw_charts(comparison_charts(comparison)), tmp_path / "x.png")
    assert str(error.value) == "pictures need matplotlib, which is not installed\nhint: pip install 'fusemax[plot]'"


@pytest.mark.slow
def test_the_published_five(tmp_path: Path) -> None:
    """A real comparison becomes a picture."""
    found = compare(["unfused", "flat", "fusemax-binding"], ["bert", "xlm"], [1024, 16384], baseline="flat")
    save(draw_charts(comparison_charts(found)), tmp_path / "x.png")
    assert (tmp_path / "x.png").stat().st_size > 20_000
