"""The command that runs mappings, as a user calls it, and the pictures that it draws."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from matplotlib.axes import Axes

from fusemax import FusemaxError, load_arch, load_cascade, load_mapping, resources, simulate
from fusemax.report import gantt
from fusemax.report.gantt import draw_gantt
from fusemax.sim.trace import Slice, Trace
from tests.conftest import Called, Golden
from tests.processes import FUSEMAX, started, wait_until

pytestmark = pytest.mark.slow

SIZES = {"B": 1, "H": 1, "E": 4, "F": 4, "M": 512, "P": 512}
SMALL = ("simulate", "--mapping", "fusemax-binding", "--shape", ",".join(f"{r}={n}" for r, n in SIZES.items()))
WINDOW = "hint: give two cycles, the smaller first: 0:4000, or `4000:` to the end\n"


@pytest.fixture(scope="module")
def trace() -> Trace:
    """The run that the small command makes."""
    mapping = load_mapping("fusemax-binding")
    return simulate(load_cascade(mapping.cascade), load_arch(mapping.arch), mapping, SIZES)


def texts(svg: Path) -> list[str]:
    """The texts of a picture, a line each."""
    root = ElementTree.parse(svg).getroot()
    return ["".join(node.itertext()).strip() for node in root.iter("{http://www.w3.org/2000/svg}text")]


# ------------------------------------------------------------------------------------------------------------- results


def test_text(call: Called, golden: Golden) -> None:
    """Totals, units with what they wait for, what is set aside, queues, and the waterfall of the window."""
    status, out, err = call(*SMALL)
    golden(out, "cli/simulate-fusemax-binding.txt")
    assert (status, err) == (0, "")


def test_help(call: Called, golden: Golden, monkeypatch: pytest.MonkeyPatch) -> None:
    """The arguments and options of the command."""
    monkeypatch.setenv("COLUMNS", "80")
    status, out, err = call("simulate", "--help")
    golden(out, "cli/help-simulate.txt")
    assert (status, err) == (0, "")


def test_json(call: Called, trace: Trace) -> None:
    """The JSON has the documented keys, and the numbers of the trace."""
    status, out, err = call(*SMALL, "--json")
    data = json.loads(out)
    assert (status, err) == (0, "")
    assert list(data) == [
        "model", "seq", "mapping", "cascade", "arch", "shapes", "makespan_cycles", "latency_s", "closed_form_cycles",
        "dram_bytes", "utilization", "servers", "series", "reserved_bytes", "queues_words", "tasks", "simulated", "error",
        "notes",
    ]  # fmt: skip
    assert (data["model"], data["seq"], data["error"], data["notes"]) == (None, None, None, [])
    assert data["shapes"] == {**SIZES, "M1": 2, "M0": 256}
    assert data["makespan_cycles"] == trace.makespan
    assert data["latency_s"] == pytest.approx(trace.makespan / 940e6)
    assert data["dram_bytes"] == 2 * (4 * 512 * 4), "Q, K, V and AV once, two bytes a word"
    assert [server["name"] for server in data["servers"]] == list(data["utilization"]) == ["array2d", "array1d", "dram"]
    assert list(data["servers"][0]) == ["name", "busy_cycles", "tasks", "stall_cycles"]
    assert list(data["series"][0]) == ["name", "server", "tasks", "bytes"]
    assert sum(series["tasks"] for series in data["series"]) == data["tasks"] == len(trace.slices)
    assert sum(series["bytes"] for series in data["series"]) == data["dram_bytes"]
    assert (
        sum(data["servers"][0]["stall_cycles"].values()) + data["servers"][0]["busy_cycles"] <= data["makespan_cycles"]
    )


def test_models(call: Called) -> None:
    """A model and a length choose the parameters of the mapping, and are in the report."""
    _, out, _ = call("simulate", "--mapping", "flat", "--model", "bert", "--seq", "1K")
    data = json.loads(call("simulate", "--mapping", "flat", "--model", "bert", "--seq", "1K", "--json")[1])
    assert "\n  model bert at 1K\n" in out
    assert (data["model"], data["seq"], data["shapes"]["P"]) == ("bert", 1024, 1024)


@pytest.mark.parametrize("name", ["fusemax-architecture", "fusemax-binding"])
def test_check(call: Called, name: str) -> None:
    """`--check` computes the numbers and says that they are right; the status is 0."""
    command = ("simulate", "--mapping", name, *SMALL[3:], "--check")
    status, out, err = call(*command)
    assert (status, err) == (0, "")
    (line,) = [line for line in out.splitlines() if "numbers" in line]
    assert line.startswith("  numbers right: off by ")
    assert 0 <= json.loads(call(*command, "--json")[1])["error"] < 1e-12


def test_check_of_wrong_numbers(call: Called, monkeypatch: pytest.MonkeyPatch) -> None:
    """A schedule that computes something else is told, with status 1."""
    monkeypatch.setattr("fusemax.report.simulations.difference", lambda *_: 0.25)
    status, out, err = call(*SMALL, "--check")
    assert (status, err) == (1, "")
    assert "\n  numbers wrong: off by 0.25 at most, relative to the interpreter's\n" in out


def test_windows(call: Called) -> None:
    """The waterfall is of the window, which ends with the run; K is 1024, and without a second cycle it is the rest."""
    assert call(*SMALL, "--window", "0:4000") == call(*SMALL)
    begins = [line.split()[0] for line in call(*SMALL, "--window", "270:310")[1].splitlines()[-40:]]
    assert begins == [str(270 + i) for i in range(40)]
    assert call(*SMALL, "--window", "0:") == call(*SMALL, "--window", ":1K") == call(*SMALL)
    late = (
        "error: nothing happens from cycle 5,000 on: the run ends after 598\nhint: give an earlier window, in cycles\n"
    )
    assert call(*SMALL, "--window", "5000:6000") == (1, "", late)


# --------------------------------------------------------------------------------------------------------------- files


def test_trace(call: Called, trace: Trace) -> None:
    """`--trace` writes all tasks, or those of the window, and says so beside the results."""
    status, out, err = call(*SMALL, "--trace", "a.json")
    assert (status, out, err) == (0, call(*SMALL)[1], "wrote a.json\n")
    events = json.loads(Path("a.json").read_text(encoding="utf-8"))["traceEvents"]
    assert sum(event["ph"] == "X" for event in events) == trace.tasks
    assert call(*SMALL, "--trace", "b.json", "--window", "0:20")[0] == 0
    events = json.loads(Path("b.json").read_text(encoding="utf-8"))["traceEvents"]
    assert 1 < sum(event["ph"] == "X" for event in events) < trace.tasks / 2


def test_a_trace_that_is_too_large(call: Called) -> None:
    """BERT at 256K has more tasks than a file can hold: one message, and nothing is written."""
    command = ("simulate", "--mapping", "fusemax-binding", "--model", "bert", "--seq", "256K", "--trace", "a.json")
    status, out, err = call(*command)
    assert (status, out) == (1, "")
    assert (
        err.startswith("error: a trace of all ") and "512 MiB is the limit\nhint: trace a part of it: `--window" in err
    )
    assert not list(Path().iterdir())
    status, _, err = call(*command, "--window", "0:100000")
    assert (status, err) == (0, "wrote a.json\n")
    assert json.loads(Path("a.json").read_text(encoding="utf-8"))["traceEvents"]


@pytest.mark.parametrize(
    ("name", "start"), [("a.png", b"\x89PNG"), ("a.svg", b"<?xml"), ("a.SVG", b"<?xml"), ("a.pdf", b"%PDF")]
)
def test_plot(call: Called, name: str, start: bytes) -> None:
    """`--plot` draws the window, in the way that the ending says, and the same bytes every time."""
    assert call(*SMALL, "--plot", name) == (0, call(*SMALL)[1], f"wrote {name}\n")
    first = Path(name).read_bytes()
    assert first.startswith(start)
    call(*SMALL, "--plot", name)
    assert Path(name).read_bytes() == first


def test_both_files(call: Called) -> None:
    """A trace and a picture of the same run."""
    status, out, err = call(*SMALL, "--plot", "a.svg", "--trace", "a.json", "--json")
    assert (status, err) == (0, "wrote a.json\nwrote a.svg\n")
    assert json.loads(out)["mapping"] == "fusemax-binding"
    assert sorted(path.name for path in Path().iterdir()) == ["a.json", "a.svg"]


def test_an_interrupt(call: Called, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while a trace is written: status 130, no traceback, no file."""
    seen: list[Slice] = []

    def interrupted(self: object, task: Slice) -> None:
        seen.append(task)
        if len(seen) == 5:
            raise KeyboardInterrupt

    monkeypatch.setattr("fusemax.sim.perfetto.PerfettoWriter.write", interrupted)
    status, out, err = call(*SMALL, "--trace", "a.json")
    assert (status, out, err.strip()) == (130, "", "interrupted")
    assert not list(Path().iterdir())


@pytest.mark.parametrize("interrupted", [False, True])
def test_progress(call: Called, monkeypatch: pytest.MonkeyPatch, interrupted: bool) -> None:
    """On a terminal what takes long shows how far it is, and is wiped away whatever happens; elsewhere nothing is shown."""
    monkeypatch.setattr("fusemax.cli.output.PATIENCE_S", -1.0)
    monkeypatch.setattr("fusemax.cli.output.EVERY_S", -1.0)
    monkeypatch.setattr("fusemax.sim.kernel.OFTEN", 16)
    assert call(*SMALL)[2] == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    if interrupted:
        monkeypatch.setattr("fusemax.sim.recorder.Recorder.trace", raiser(KeyboardInterrupt()))
    status, out, err = call(*SMALL)
    assert (status, bool(out)) == ((130, False) if interrupted else (0, True))
    start, *shown, wiped, after = err.split("\r")
    assert (start, wiped.strip(), after.strip()) == ("", "", "interrupted" if interrupted else "")
    assert len(shown) > 3 and all(re.fullmatch(r"simulating: \d+%", text) for text in shown)
    shares = [int(text.split()[1].rstrip("%")) for text in shown]
    assert shares == sorted(shares) and 0 < shares[0] < shares[-1] <= 100
    assert len(wiped) == max(map(len, shown))


def raiser(error: BaseException) -> Callable[..., None]:
    """A function that fails."""

    def fail(*_: object) -> None:
        raise error

    return fail


def test_files_that_a_mapping_names_stand_beside_it(call: Called, tmp_path: Path) -> None:
    """A mapping in another folder names its cascade and its architecture from there; what is missing is pointed at."""
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "mine.cascade").write_text("cascade mine\ninput A[M]\noutput Z[M]\nZ[m] = A[m] + 1\n", encoding="utf-8")
    (folder / "mine.yaml").write_text(
        resources.path("arch", "flat-cloud", ".yaml").read_text("utf-8"), encoding="utf-8"
    )
    text = (
        "mapping mine\ncascade mine.cascade\narch mine.yaml\nsplit m: m1, m0 = 4\nfor m1: on array1d (lanes: m0): Z\n"
    )
    (folder / "mine.mapping").write_text(text, encoding="utf-8")
    command = ("simulate", "--mapping", "own/mine.mapping", "--shape", "M=16")
    status, out, err = call(*command)
    assert (status, err) == (0, "") and out.startswith("mine: mine on flat-cloud, simulated")
    (folder / "mine.yaml").unlink()
    assert call(*command) == (
        1, "", "own/mine.mapping:3:6: no file 'mine.yaml'\n  arch mine.yaml\n       ^^^^^^^^^\n"
        "hint: `fusemax list` shows what is shipped\n",
    )  # fmt: skip
    assert call(*command, "--arch", "flat-cloud")[0] == 0


def test_a_run_that_is_ended_leaves_nothing(tmp_path: Path) -> None:
    """SIGTERM in the middle of a trace: the half-written file goes away."""
    command = "simulate --mapping fusemax-binding --model bert --seq 1K --trace a.json"
    with started(*FUSEMAX, *command.split(), cwd=tmp_path) as process:
        wait_until(lambda: any(path.stat().st_size for path in tmp_path.iterdir()), process)
        process.terminate()
        assert process.wait(30) == 128 + signal.SIGTERM
    assert not list(tmp_path.iterdir())


# ------------------------------------------------------------------------------------------------------------ mistakes


@pytest.mark.parametrize(
    "window", ["4000", "5:1", "a:b", "-1:4", "0:inf", "nan:3", "0:nan", "7:7", ":", "", "1:2:3", "1e999:"]
)
def test_windows_that_are_none(call: Called, window: str) -> None:
    """Two cycles, the first not before 0, the second later and not for ever; else one message says how it is written."""
    assert call(*SMALL, "--window", window) == (1, "", f"error: '{window}' is not a window\n{WINDOW}")
    assert not list(Path().iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--trace", "a.txt"), "error: 'a.txt' does not end in .json\nhint: name it a.json\n"),
        (("--plot", "a.gif"), "error: 'a.gif' does not end in .png or .svg or .pdf\nhint: name it a.png\n"),
        (("--plot", "a"), "error: 'a' does not end in .png or .svg or .pdf\nhint: name it a.png\n"),
        (("--trace", "."), "error: '.' is a folder\nhint: name a file in it, such as out.json\n"),
        (
            ("--trace", "no/a.json"),
            "error: 'no/a.json' cannot be written: no folder 'no'\nhint: name a file in a folder that exists\n",
        ),
        (
            ("--plot", "a.svg", "--window", "600:700"),
            "error: nothing happens from cycle 600 on: the run ends after 598\n"
            "hint: give an earlier window, in cycles\n",
        ),
        (
            ("--mapping", "fusemax-bindin"),
            "error: no file and no shipped mapping 'fusemax-bindin'\nhint: did you mean 'fusemax-binding'?\n",
        ),
        (
            ("--mapping", "xyz"),
            "error: no file and no shipped mapping 'xyz'\nhint: `fusemax list` shows what is shipped\n",
        ),
    ],
)
def test_mistakes(call: Called, arguments: tuple[str, ...], message: str) -> None:
    """A request that cannot be met is refused in one message, without output or files."""
    assert call(*SMALL, *arguments) == (1, "", message)
    assert not list(Path().iterdir())


def test_a_mapping_is_needed(call: Called) -> None:
    """Without one there is nothing to run."""
    message = "error: missing option '--mapping'\nhint: `fusemax simulate --help` shows how it is used\n"
    assert call("simulate") == (1, "", message)


# --------------------------------------------------------------------------------------------------------------- Gantt


def test_a_picture_says_what_it_shows(trace: Trace, tmp_path: Path) -> None:
    """A band for each unit and the channel, a legend of the Einsums and transfers, and the cycles of the window."""
    trace.plot(tmp_path / "a.svg")
    shown = texts(tmp_path / "a.svg")
    assert [text for text in shown if text in ("array2d", "array1d", "dram")] == ["array2d", "array1d", "dram"]
    assert {task.name for task in trace.slices} <= set(shown)
    assert "cycles" in shown and "fusemax-binding (attention-1pass on fusemax-cloud), b=0, h=0, p2=0" in shown


def test_large_tasks_are_labelled(trace: Trace, tmp_path: Path) -> None:
    """In a narrow window each task has its Einsum and what changes of its coordinates, where it can be seen."""
    window = replace(trace, window=(275.0, 290.0), slices=touching(trace, 275.0, 290.0))
    (axes,) = drawn(window)
    labels = {text.get_text(): text.get_position()[0] for text in axes.texts}
    assert {label.split("\n")[0] for label in labels} >= {"SLN", "PRM"}
    assert all(275 < at < 290 for at in labels.values())
    assert all(text.get_clip_on() for text in axes.texts)
    assert "SLN\n1" in labels, "of all coordinates only p1 changes"


def test_a_task_that_is_longer_than_the_window(trace: Trace, tmp_path: Path) -> None:
    """What is seen of it is labelled in its middle, though it begins before and ends after."""
    long = Slice("array2d", "Z", 0, 0, {"m": 1}, 0.0, 0.0, 1000.0, None, None)
    early = Slice("array1d", "Y", 1, 0, {"m": 2}, 0.0, 50.0, 110.0, None, None)
    (axes,) = drawn(replace(trace, window=(100.0, 200.0), slices=(early, long)))
    assert [(text.get_text(), *text.get_position()) for text in axes.texts] == [("Z\n1", 150.0, 0), ("Y\n2", 105.0, 1)]
    assert axes.get_xlim() == (100.0, 200.0)


def test_several_runs_below_each_other(trace: Trace, tmp_path: Path) -> None:
    """As in the paper: the same window of two bindings."""
    axes = drawn(trace, replace(trace, mapping="other"))
    assert [one.get_title(loc="left").split()[0] for one in axes] == ["fusemax-binding", "other"]


def test_too_many_tasks_for_a_picture(
    trace: Trace, tmp_path: Path, call: Called, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A picture in which nothing could be told apart is refused, and the message offers a smaller window."""
    monkeypatch.setattr(gantt, "MOST_DRAWN", len(trace.slices) - 1)
    with pytest.raises(FusemaxError, match=f"the window has {len(trace.slices)} tasks") as refused:
        trace.plot(tmp_path / "a.svg")
    assert "give a smaller `--window`, in cycles" in str(refused.value)
    status, out, err = call(*SMALL, "--plot", "a.png")
    assert (status, out) == (1, "")
    assert err.startswith(f"error: the window has more than {len(trace.slices) - 1} tasks\n")
    assert not list(tmp_path.iterdir())
    assert call(*SMALL, "--plot", "a.png", "--window", "0:100")[0] == 0


def touching(trace: Trace, begin: float, end: float) -> tuple[Slice, ...]:
    """The tasks that a window shows."""
    return tuple(task for task in trace.slices if task.end >= begin and task.start < end)


def drawn(*traces: Trace) -> list[Axes]:
    """The panels of a picture."""
    return draw_gantt(traces).axes
