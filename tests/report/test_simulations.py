"""The report of a simulation: the numbers checked, and the tasks in a file for Perfetto."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from math import inf, nan
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fusemax import FusemaxError, check, load_arch, load_cascade, load_mapping
from fusemax.bind.bind import BoundMapping, bind
from fusemax.ir.arch import Arch
from fusemax.report.simulations import check_numbers, difference, write_trace
from fusemax.sim import perfetto
from fusemax.sim.simulate import run, task_count
from fusemax.sim.trace import Slice
from tests.sim.machines import small

pytestmark = pytest.mark.slow

EVERYTHING = (0.0, 1e9)
SIZES = {"B": 2, "H": 3, "E": 2, "F": 3, "M": 20, "P": 24}
WHERE = {"b": 2, "h": 3, "p2": 1, "m1": 5, "p1": 6}
"""The extents of the loops on an array of 4 x 4 elements."""


def bound(name: str = "fusemax-binding", arch: Arch | None = None, **sizes: int) -> BoundMapping:
    """A shipped mapping on a small machine."""
    mapping = load_mapping(name)
    checked = check(load_cascade(mapping.cascade))
    return bind(checked, arch or small(mapping.arch), mapping, {**SIZES, **sizes}, {})


def written(made: BoundMapping, path: Path, window: tuple[float, float] | None = None) -> dict[str, Any]:
    """The Perfetto file of a mapping, read again."""
    write_trace(made, path, window)
    data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return data


def slices(data: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The slices of a Perfetto file by track."""
    names = {e["tid"]: e["args"]["name"] for e in data["traceEvents"] if e["name"] == "thread_name"}
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in names.values()}
    for event in data["traceEvents"]:
        if event["ph"] == "X":
            found[names[event["tid"]]].append(event)
    return found


# ------------------------------------------------------------------------------------------------------------ Perfetto


def test_the_file_is_a_chrome_trace(tmp_path: Path) -> None:
    """Events are names of the process and of its tracks, or complete slices of a named track, with times from 0."""
    data = written(bound(), tmp_path / "a.json")
    assert set(data) == {"displayTimeUnit", "otherData", "traceEvents"}
    assert data["displayTimeUnit"] in ("ms", "ns")
    tracks = set()
    for event in data["traceEvents"]:
        assert type(event["pid"]) is int and isinstance(event["args"], dict)
        if event["ph"] == "M":
            assert event["name"] in ("process_name", "thread_name")
            assert set(event["args"]) == {"name"} and isinstance(event["args"]["name"], str)
            tracks |= {event["tid"]} if event["name"] == "thread_name" else set()
        else:
            assert event["ph"] == "X" and set(event) == {"ph", "pid", "tid", "name", "ts", "dur", "args"}
            assert event["tid"] in tracks and isinstance(event["name"], str)
            assert isinstance(event["ts"], float) and isinstance(event["dur"], float)
            assert event["ts"] >= 0 and event["dur"] >= 0
    assert data["traceEvents"][0]["args"]["name"] == "fusemax-binding"


@pytest.mark.parametrize("name", ["unfused", "flat", "fusemax-architecture", "fusemax-binding"])
def test_the_tracks_are_the_units_and_the_channel(name: str, tmp_path: Path) -> None:
    """A track has every task of its unit once, one after the other, and together they are its busy cycles."""
    made = bound(name)
    found = slices(written(made, tmp_path / "a.json"))
    trace = run(made, EVERYTHING)
    assert list(found) == [*(unit.name for unit in made.arch.units), made.arch.outermost.name]
    assert Counter(e["name"] for events in found.values() for e in events) == Counter(
        {series.name: 0 for series in trace.series}
    ) + Counter([name for series in trace.series for name in [series.name] * series.tasks])
    for track, events in found.items():
        assert len(events) == trace.server(track).tasks
        assert sum(event["dur"] for event in events) == pytest.approx(trace.server(track).busy, abs=5e-4 * len(events))
        for before, after in pairwise(events):
            assert before["ts"] + before["dur"] <= after["ts"] + 0.0015, "rounded to thousandths of a cycle"


def test_slices_are_the_iterations_of_the_loop_nest(tmp_path: Path) -> None:
    """Each Einsum has a slice for every iteration of the loops around it, with its coordinates; so have transfers."""
    found = slices(written(bound(), tmp_path / "a.json"))
    block = WHERE["b"] * WHERE["h"] * WHERE["p2"]
    tile = block * WHERE["m1"] * WHERE["p1"]
    expected = {
        "array2d": {name: tile for name in ("BQK", "LM", "SLN", "SLD", "SLNV")},
        "array1d": {"AV": block * WHERE["p1"]} | {name: tile for name in ("RM", "PRM", "SPD", "RD", "SPNV", "RNV")},
        "dram": {"load Q": block, "load BK": block * WHERE["m1"], "load BV": block * WHERE["m1"], "store AV": block},
    }
    assert {track: dict(Counter(e["name"] for e in events)) for track, events in found.items()} == expected
    for events in found.values():
        places = [(e["name"], *(e["args"][v] for v in WHERE if v in e["args"])) for e in events]
        assert len(set(places)) == len(places), "every slice is at a place of its own"
        for event in events:
            at = {key: value for key, value in event["args"].items() if key not in ("waited", "for")}
            assert all(0 <= value < WHERE[key] for key, value in at.items())
    assert list(found["array2d"][0]["args"])[:5] == list(WHERE)


@pytest.mark.parametrize("name", ["flat", "fusemax-architecture", "fusemax-binding"])
def test_slices_say_for_what_their_unit_waited(name: str, tmp_path: Path) -> None:
    """The gap before a slice is what it waited, and by reason the gaps of a track are the stalls of its unit."""
    made = bound(name)
    trace = run(made, EVERYTHING)
    for track, events in slices(written(made, tmp_path / "a.json")).items():
        stalls: dict[str, float] = {}
        end = 0.0
        for event in events:
            waited = event["args"].get("waited", 0.0)
            assert waited == pytest.approx(event["ts"] - end, abs=0.002)
            assert ("waited" in event["args"]) == ("for" in event["args"])
            if waited:
                stalls[event["args"]["for"]] = stalls.get(event["args"]["for"], 0.0) + waited
            end = event["ts"] + event["dur"]
        assert stalls == pytest.approx(
            {str(stall): cycles for stall, cycles in trace.server(track).stalls.items()}, abs=5e-4 * len(events)
        )


def test_a_window_has_the_slices_that_touch_it(tmp_path: Path) -> None:
    """A part of a run is the same slices as all of it, those which begin before its end and end after its begin."""
    made = bound()
    whole = [e for events in slices(written(made, tmp_path / "a.json")).values() for e in events]
    part = [e for events in slices(written(made, tmp_path / "b.json", (300.0, 420.5))).values() for e in events]
    assert part == [e for e in whole if e["ts"] + e["dur"] >= 299.9995 and e["ts"] < 420.4995]
    assert 10 < len(part) < len(whole) / 2


def test_a_trace_that_is_too_large_is_refused(tmp_path: Path) -> None:
    """Before anything runs: the message says how large it would be, and how to trace a part; nothing is written."""
    made = bound(arch=load_arch("fusemax-cloud"), B=64, H=12, E=64, F=64, M=2**18, P=2**18)
    assert task_count(made) > 10**9
    with pytest.raises(FusemaxError, match=r"would take about .*TiB, and 512 MiB is the limit") as refused:
        write_trace(made, tmp_path / "a.json", None)
    assert f"a trace of all {task_count(made):,} tasks" in str(refused.value)
    assert "--window 0:100000" in str(refused.value)
    assert not list(tmp_path.iterdir())
    found = slices(written(made, tmp_path / "a.json", (0.0, 20_000.0)))
    assert all(found.values())


def test_a_window_that_is_too_large_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As soon as the file has grown too much, and without a trace of it."""
    monkeypatch.setattr(perfetto, "MOST_TRACE_BYTES", 100 * perfetto.BYTES_PER_SLICE)
    with pytest.raises(FusemaxError, match="more tasks than a trace can hold") as refused:
        write_trace(bound(), tmp_path / "a.json", EVERYTHING)
    assert "give a smaller `--window`" in str(refused.value)
    assert not list(tmp_path.iterdir())


def test_a_slice_takes_about_as_many_bytes_as_are_reckoned(tmp_path: Path) -> None:
    """The limit is on an estimate, which is right within a factor of 2."""
    made = bound()
    written(made, tmp_path / "a.json")
    each = (tmp_path / "a.json").stat().st_size / task_count(made)
    assert perfetto.BYTES_PER_SLICE / 2 < each < perfetto.BYTES_PER_SLICE * 2


@pytest.mark.parametrize("window", [None, (100.0, 300.0)])
@pytest.mark.parametrize("before", [None, "before"])
def test_an_interrupt_leaves_no_trace(
    window: tuple[float, float] | None, before: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C after some slices: no file, none under a temporary name, and what was there before stays."""
    path, seen = tmp_path / "a.json", list[Slice]()
    if before:
        path.write_text(before, encoding="utf-8")
    original = perfetto.PerfettoWriter.write

    def interrupted(self: perfetto.PerfettoWriter, task: Slice) -> None:
        original(self, task)
        seen.append(task)
        if len(seen) == 10:
            raise KeyboardInterrupt

    monkeypatch.setattr(perfetto.PerfettoWriter, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_trace(bound(), path, window)
    assert len(seen) == 10
    assert [file.read_text(encoding="utf-8") for file in tmp_path.iterdir()] == ([before] if before else [])


# ------------------------------------------------------------------------------------------------------------- numbers


@pytest.mark.parametrize(
    ("found", "expected", "off"),
    [
        ([1.0, 2.0], [1.0, 2.0], 0.0),
        ([1.0, 2.0], [1.0, 4.0], 0.5),
        ([1.0, -6.0], [1.0, -4.0], 0.5),
        ([1.0, nan], [1.0, 2.0], inf),
        ([1.0, 2.0], [1.0, nan], inf),
        ([1.0, nan], [1.0, nan], inf),
        ([-inf, 2.0], [-inf, 2.0], 0.0),
        ([-inf, 2.5], [-inf, 2.0], 0.25),
        ([inf, 2.0], [-inf, 2.0], inf),
        ([inf, 2.0], [1.0, 2.0], inf),
        ([1.0, 2.0], [inf, 2.0], inf),
        ([inf, inf], [inf, inf], 0.0),
        ([0.0, 0.0], [0.0, 0.0], 0.0),
        ([0.0, -0.0], [-0.0, 0.0], 0.0),
        ([], [], 0.0),
    ],
)
def test_difference(found: list[float], expected: list[float], off: float) -> None:
    """The largest difference is relative to the largest finite number; no number is ever right, infinities may be."""
    assert difference({"Z": np.array(found)}, {"Z": np.array(expected)}) == off


def test_difference_of_several_arrays() -> None:
    """The worst of all outputs counts, each by its own scale; arrays may have no axes or no elements."""
    found = {"A": np.array(3.0), "B": np.zeros((0, 4)), "C": np.array([[100.0, 101.0]])}
    expected = {"A": np.array(4.0), "B": np.zeros((0, 4)), "C": np.array([[100.0, 100.0]])}
    assert difference(found, expected) == 0.25
    assert difference(found, {"C": expected["C"]}) == 0.01
    assert difference({"Z": np.array([1e-300])}, {"Z": np.array([0.0])}) > 1e7, "what should be 0 has no scale"
    assert difference({}, {}) == 0.0


@pytest.mark.parametrize(
    ("error", "wrong"), [(None, False), (0.0, False), (1e-9, False), (1.1e-9, True), (inf, True), (nan, True)]
)
def test_what_is_wrong(error: float | None, wrong: bool) -> None:
    """Numbers that differ by more than rounding are wrong, and the report says so first; unchecked ones are not."""
    report = replace(run(bound()), model="bert", seq=1024, error=error, notes=("chosen so",))
    assert report.wrong is wrong
    head = next(iter(report.tables()))
    assert head.below[-1] == "note: chosen so"
    assert "model bert at 1K" in head.below
    numbers = [line for line in head.below if line.startswith("numbers")]
    assert [line.split(":")[0] for line in numbers] == (
        [] if error is None else ["numbers wrong" if wrong else "numbers right"]
    )
    data = report.to_json()
    assert (data["model"], data["seq"], data["notes"]) == ("bert", 1024, ["chosen so"])
    assert list(data)[-2:] == ["error", "notes"]


@pytest.mark.parametrize("name", ["unfused", "flat", "fusemax-cascade", "fusemax-architecture", "fusemax-binding"])
def test_shipped_schedules_compute_the_right_numbers(name: str) -> None:
    """All numbers are computed, and they are the interpreter's."""
    assert check_numbers(bound(name)) < 1e-12
