"""The commands about mappings and machines, as a user calls them."""

import csv
import json
import os
import sys
from pathlib import Path

import pytest

from fusemax.cli import group
from tests.conftest import ROOT, Called, Golden
from tests.processes import ran

pytestmark = pytest.mark.slow

FIVE = ("unfused", "flat", "fusemax-cascade", "fusemax-architecture", "fusemax-binding")
BERT = ("--model", "bert", "--seq", "1K")


# -------------------------------------------------------------------------------------------------------------- evaluate


@pytest.mark.parametrize("mapping", ["flat", "fusemax-binding", "unfused"])
def test_evaluate(call: Called, golden: Golden, mapping: str) -> None:
    """One estimate: totals, units, memories, phases if there are several, Einsums, traffic."""
    status, out, err = call("evaluate", "--mapping", mapping, *BERT)
    assert (status, err) == (0, "")
    golden(out, f"cli/evaluate-{mapping}.txt")


def test_evaluate_as_json(call: Called) -> None:
    """The JSON has the documented keys, and the numbers of the published run."""
    status, out, _ = call("evaluate", "--mapping", "fusemax-binding", *BERT, "--accounting", "published", "--json")
    data = json.loads(out)
    assert status == 0
    assert list(data) == [
        "mapping", "cascade", "arch", "model", "seq", "shapes", "parameters", "accounting", "latency_s", "cycles", "energy_j",
        "dram_bytes", "utilization", "bound", "operations", "memories", "einsums", "phases", "traffic", "notes",
    ]  # fmt: skip
    assert data["latency_s"] == pytest.approx(0.002013140425531915, rel=1e-6)
    assert data["dram_bytes"] == 402653184
    assert data["energy_j"] == pytest.approx(1.950645149855266, rel=0.01)
    assert data["operations"]["div"] == 64 * 12 * 64 * 1024
    assert data["memories"]["dram"]["reads"] == 150994944
    assert list(data["einsums"][0]) == [
        "einsum",
        "unit",
        "slot_cycles",
        "edge_cycles",
        "utilization",
        "operations",
        "energy_j",
    ]
    assert list(data["traffic"][0]) == ["memory", "tensor", "einsum", "kind", "reads", "words"]
    assert sum(phase["latency_s"] for phase in data["phases"]) == pytest.approx(data["latency_s"])


def test_settings(call: Called) -> None:
    """`--set` overrules the table: numbers with K, and lists of tensors."""
    _, out, _ = call("evaluate", "--mapping", "flat", "--model", "bert", "--seq", "16K", "--set", "rows=256",
                     "--set", "kept=QK A V", "--set", "share=0", "--json")  # fmt: skip
    assert json.loads(out)["parameters"] == {
        "rows": 256, "kept": ["QK", "A", "V"], "qk": ["output"], "av": ["output"], "share": 0,
    }  # fmt: skip


def test_shapes_alone(call: Called) -> None:
    """Sizes may be given rank by rank, with blanks between them; the table is of no help then, and that is noted."""
    status, out, _ = call(
        "evaluate", "--mapping", "flat", "--shape", "B=1", "H=1", "E=64", "F=64", "M=1K", "P=1K", "--json"
    )
    data = json.loads(out)
    assert status == 0
    assert (data["model"], data["seq"]) == (None, None)
    assert data["shapes"] == {"B": 1, "H": 1, "E": 64, "F": 64, "M": 1024, "P": 1024}
    assert data["notes"] == ["'flat' chooses its parameters by model and seq: without, they have their defaults"]


def test_another_architecture(call: Called) -> None:
    """A mapping may run on another machine, if that has what it needs."""
    status, out, _ = call("evaluate", "--mapping", "flat", *BERT, "--arch", "fusemax-cloud", "--json")
    assert (status, json.loads(out)["arch"]) == (0, "fusemax-cloud")


def test_mappings_of_ones_own(call: Called, tmp_path: Path) -> None:
    """A file is a mapping too; its mistakes are shown with their place."""
    text = "mapping mine\ncascade matmul\narch flat-cloud\nfor m, n: on array1d: Z over k\n"
    (tmp_path / "mine.mapping").write_text(text, encoding="utf-8")
    status, out, _ = call("evaluate", "--mapping", "mine.mapping", "--shape", "M=4", "N=8", "K=16", "--json")
    assert (status, json.loads(out)["mapping"]) == (0, "mine")
    (tmp_path / "mine.mapping").write_text(text.replace("array1d", "array3d"), encoding="utf-8")
    status, _, err = call("evaluate", "--mapping", "mine.mapping", "--shape", "M=4", "N=8", "K=16")
    assert status == 1
    assert err.startswith("mine.mapping:4:11: 'flat-cloud' has no unit 'array3d'\n")


# --------------------------------------------------------------------------------------------------------------- compare


def test_compare(call: Called, golden: Golden) -> None:
    """All five at three lengths of two models, against one of them."""
    status, out, err = call("compare", *FIVE, "--model", "bert,xlm", "--seq", "1K,16K,256K", "--baseline", "flat")
    assert (status, err) == (0, "")
    golden(out, "cli/compare.txt")


def test_the_first_mapping_is_the_baseline(call: Called) -> None:
    """Without `--baseline` ratios are to the first; of a single mapping there are none."""
    _, several, _ = call("compare", "flat", "unfused", *BERT, "--json")
    _, single, _ = call("compare", "flat", *BERT, "--json")
    assert (json.loads(several)["baseline"], json.loads(single)["baseline"]) == ("flat", None)


def test_compare_as_json(call: Called) -> None:
    """The rows have the documented keys and the published latencies, also with options repeated instead of commas."""
    _, out, _ = call("compare", "flat", "fusemax-binding", "--model", "bert", "--model", "xlm", "--seq", "1K", "--json")
    rows = json.loads(out)["rows"]
    assert [(row["mapping"], row["model"], row["seq"]) for row in rows] == [
        ("flat", "bert", 1024), ("flat", "xlm", 1024), ("fusemax-binding", "bert", 1024), ("fusemax-binding", "xlm", 1024),
    ]  # fmt: skip
    published = [0.013386076595744681, 0.017848102127659575, 0.002013140425531915, 0.005194076595744681]
    assert [row["latency_s"] for row in rows] == pytest.approx(published, rel=1e-6)
    assert rows[0].keys() >= {
        "mapping", "model", "seq", "latency_s", "cycles", "energy_j", "dram_bytes", "utilization", "bound",
    }  # fmt: skip
    assert rows[0]["utilization"] == {"array2d": 0.125, "array1d": 1.0}


def test_compare_writes_csv_and_a_plot(call: Called, tmp_path: Path) -> None:
    """Files are written beside the table, which is told apart from the output."""
    status, out, err = call("compare", "flat", "unfused", *BERT, "--csv", "x.csv", "--plot", "x.svg")
    assert status == 0
    assert out.startswith("Mappings (energy accounting: full, against flat)\n")
    assert err == "wrote x.csv\nwrote x.svg\n"
    rows = csv.DictReader((tmp_path / "x.csv").read_text(encoding="utf-8").splitlines())
    assert [row["mapping"] for row in rows] == ["flat", "unfused"]
    assert b"Speed-up over flat" in (tmp_path / "x.svg").read_bytes()


def test_a_baseline_by_its_file(call: Called, tmp_path: Path) -> None:
    """A baseline may be named as the mapping is in the arguments."""
    text = "mapping mine\ncascade matmul\narch flat-cloud\nfor m, n: on array1d: Z over k\n"
    (tmp_path / "a.mapping").write_text(text, encoding="utf-8")
    (tmp_path / "b.mapping").write_text(text.replace("mine", "other"), encoding="utf-8")
    shape = ("--shape", "M=4,N=8,K=16")
    _, out, _ = call("compare", "a.mapping", "b.mapping", *shape, "--baseline", "b.mapping", "--json")
    assert json.loads(out)["baseline"] == "other"


# -------------------------------------------------------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("evaluate", *BERT), "missing option '--mapping'\nhint: `fusemax evaluate --help` shows how it is used"),
        (("evaluate", "--mapping", "flta", *BERT), "no file and no shipped mapping 'flta'\nhint: did you mean 'flat'?"),
        (("evaluate", "--mapping", "flat"),
         "no model and no shapes\nhint: add --model bert --seq 1K, or give --shape for every rank"),
        (("evaluate", "--mapping", "flat", "--seq", "1K"),
         "a sequence length without a model\nhint: add --model, or give --shape M=1024 P=1024"),
        (("evaluate", "--mapping", "flat", "--model", "brt"), "no file and no shipped workload 'brt'\nhint: did you mean 'bert'?"),
        (("evaluate", "--mapping", "flat", *BERT, "--arch", "flat-clod"),
         "no file and no shipped architecture 'flat-clod'\nhint: did you mean 'flat-cloud'?"),
        (("evaluate", "--mapping", "flat", *BERT, "--set", "rows"),
         "'rows' is not a parameter and its value\nhint: write it like rows=1024"),
        (("evaluate", "--mapping", "flat", *BERT, "--set", "=1"),
         "'=1' is not a parameter and its value\nhint: write it like rows=1024"),
        (("evaluate", "--mapping", "flat", *BERT, "--set", "rws=1"),
         "mapping 'flat' has no parameter 'rws'\nhint: did you mean 'rows'?"),
        (("evaluate", "--mapping", "flat", *BERT, "--set", "rows=many"),
         "parameter 'rows' of 'flat': 'many' is not a number\nhint: write a number like 1024, 64K or 0.5"),
        (("evaluate", "--mapping", "flat", *BERT, "--set", "rows=1", "--set", "rows=2"),
         "two values for parameter 'rows': 1 and 2\nhint: give one"),
        (("evaluate", "--mapping", "flat", *BERT, "--accounting", "half"),
         "invalid value for '--accounting': 'half' is not one of 'full', 'published'\n"
         "hint: `fusemax evaluate --help` shows how it is used"),
        (("compare", *BERT), "missing argument 'NAME|FILE...'\nhint: `fusemax compare --help` shows how it is used"),
        (("compare", "flat", "unfsed", *BERT), "no file and no shipped mapping 'unfsed'\nhint: did you mean 'unfused'?"),
        (("compare", "flat", "flat", *BERT), "two mappings are named 'flat'\nhint: give each a name of its own"),
        (("compare", "flat"), "no model and no shapes\nhint: add --model bert --seq 1K, or give --shape for every rank"),
        (("compare", "flat", "unfused", *BERT, "--baseline", "flt"),
         "the baseline 'flt' is not among the mappings\nhint: did you mean 'flat'?"),
        (("compare", "flat", "--model", "bert,,xlm"), "'bert,,xlm' has an empty place between its commas\nhint: write it like a,b,c"),
        (("compare", "flat", "--model", "bert", "--seq", "1K,long"),
         "sequence length: 'long' is not an integer\nhint: write a number like 1024, 64K or 1M"),
        (("compare", "flat", *BERT, "--plot", "x.txt"), "'x.txt' does not end in .png or .svg or .pdf\nhint: name it x.png"),
        (("compare", "flat", *BERT, "--csv", "x.txt"), "'x.txt' does not end in .csv\nhint: name it x.csv"),
        (("compare", "flat", *BERT, "--plot", "no/x.png"),
         "'no/x.png' cannot be written: no folder 'no'\nhint: name a file in a folder that exists"),
        (("reproduce", "--out", "no/figures"), "no folder 'no'\nhint: name a folder in one that exists"),
        (("show", "fusemax-clod"), "no shipped architecture or mapping 'fusemax-clod'\nhint: did you mean 'fusemax-cloud'?"),
        (("show", "flat-edge", "--model", "bert"),
         "'flat-edge' is an architecture, which has no sizes\nhint: show a mapping with them"),
        (("show", "flat", "--out", "x"), "'x' does not end in .png or .svg or .pdf\nhint: name it x.png"),
    ],
)  # fmt: skip
def test_mistakes(call: Called, tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    """A user's mistake is told with a hint, exits with 1, and writes nothing."""
    assert call(*arguments) == (1, "", f"error: {said}\n")
    assert list(tmp_path.iterdir()) == []


def test_a_fusion_that_the_cascade_does_not_allow(call: Called, tmp_path: Path, golden: Golden) -> None:
    """Fusing across a pass boundary is refused with the place in the mapping and the analyzer's explanation."""
    text = """\
mapping wrong
cascade attention-3pass
arch    flat-cloud

split m: m1, m0 = array2d.rows
split p: p2, p1 = fit buffer, p0 = array2d.columns

pipeline b, h, p2:
  hold Q in buffer
  for m1:
    hold K, V in buffer
    for p1:
      on array2d (rows: m0, columns: p0): QK over e; AV over f
      on array1d (lanes: p0): GM over m0; SN over m0; SD over m0; A over m0
"""
    (tmp_path / "wrong.mapping").write_text(text, encoding="utf-8")
    status, out, err = call("evaluate", "--mapping", "wrong.mapping", *BERT)
    assert (status, out) == (1, "")
    golden(err, "cli/refused-fusion.txt")


# --------------------------------------------------------------------------------------------------- reproduce and show


@pytest.mark.slow
def test_reproduce(call: Called, tmp_path: Path) -> None:
    """The figures are printed, and written into a folder with their values."""
    status, out, err = call("reproduce", "--out", "figures")
    assert status == 0
    assert out.startswith("Figure 6a: utilization of the 1D array\n")
    assert "all 210 are within their tolerances\n" in out
    assert "all 150 are within their tolerances\n" in out
    assert out.endswith("fusemax-cloud  1303.0 mm^2    1303 mm^2\n")
    assert (tmp_path / "figures" / "report.txt").read_text(encoding="utf-8") == out
    assert err.splitlines()[0] == f"wrote {Path('figures') / 'report.txt'}"
    assert len(err.splitlines()) == 12


def test_reproduce_as_json(call: Called) -> None:
    """The JSON tells the largest difference of each quantity."""
    status, out, _ = call("reproduce", "--json")
    attention, encoder, sizes = json.loads(out)["studies"]
    largest = attention["largest"]
    assert status == 0
    assert [average["value"] for average in encoder["averages"]] == pytest.approx([5.3017, 0.8400], abs=1e-4)
    assert [point["latency_s"] for point in sizes["points"]][::5] == pytest.approx([30266.7, 29.583], rel=1e-5)
    assert list(largest) == [
        "latency", "DRAM traffic", "energy", "utilization of array2d", "utilization of array1d", "speed-up", "energy ratio",
    ]  # fmt: skip
    assert all(difference["within"] for difference in largest.values())


def test_show(call: Called, tmp_path: Path, golden: Golden) -> None:
    """A mapping is shown with its extents, and drawn."""
    status, out, err = call("show", "fusemax-binding", "--model", "bert", "--seq", "64K", "--out", "x.svg")
    assert (status, err) == (0, "wrote x.svg\n")
    golden(out, "show/fusemax-binding-bert-64K.txt")
    assert b"inputs and outputs: Q, K, V, AV" in (tmp_path / "x.svg").read_bytes()


def test_show_an_architecture(call: Called, golden: Golden) -> None:
    """An architecture is shown with its sizes and energies."""
    status, out, err = call("show", "fusemax-cloud")
    assert (status, err) == (0, "")
    golden(out, "show/fusemax-cloud.txt")


# ------------------------------------------------------------------------------------------------------------ the rest


@pytest.mark.parametrize(
    "arguments",
    [
        ("evaluate", "--mapping", "flat", *BERT, "--json"),
        ("compare", "flat", "unfused", *BERT, "--json"),
        ("reproduce", "--json"),
    ],
    ids=lambda arguments: str(arguments[0]),
)
def test_the_json_is_documented(call: Called, arguments: tuple[str, ...]) -> None:
    """Every key of the JSON is in docs/json.md."""
    documented = (ROOT / "docs" / "json.md").read_text(encoding="utf-8")
    section = documented.partition(f"# The JSON of `fusemax {arguments[0]} --json`")[2].partition("\n# ")[0]
    data = json.loads(call(*arguments)[1])
    inner = data["rows"][0] if arguments[0] == "compare" else {}
    assert [key for key in (*data, *inner) if f"`{key}`" not in section] == []


def test_list_has_the_mappings(call: Called) -> None:
    """Mappings are listed with the cascade and the architecture that they are for."""
    _, out, _ = call("list")
    _, data, _ = call("list", "--json")
    assert "Mappings (fusemax compare NAME...)" in out
    assert json.loads(data)["mappings"]["fusemax-binding"] == {
        "title": "FuseMax's +Binding: the 1-pass cascade with the two arrays working at the same time on different tiles",
        "cascade": "attention-1pass",
        "arch": "fusemax-cloud",
    }


def completions(words: str) -> list[str]:
    """The completions that the shell offers for the last of some words."""
    environment = os.environ | {
        "_FUSEMAX_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(words.count(" ")),
    }
    program = "from fusemax.cli import group; group(prog_name='fusemax')"
    finished = ran(sys.executable, "-c", program, env=environment)
    return [line.partition(",")[2] for line in finished.stdout.splitlines()]


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("fusemax compare unf", ["unfused"]),
        ("fusemax compare flat --model be", ["bert"]),
        ("fusemax compare flat --model xlm,be", ["xlm,bert"]),
        ("fusemax evaluate --mapping fusemax-b", ["fusemax-binding"]),
        ("fusemax show fusemax-c", ["fusemax-cloud", "fusemax-cascade"]),
    ],
)
def test_completion(words: str, offered: list[str]) -> None:
    """The shell completes names of mappings, architectures and workloads, also behind a comma."""
    found = completions(words)
    assert [name for name in found if name in offered] == offered


@pytest.mark.parametrize("name", ["evaluate", "compare", "reproduce", "show"])
def test_help(call: Called, golden: Golden, name: str) -> None:
    """Each command says how it is used."""
    assert name in group.commands
    status, out, _ = call(name, "--help")
    assert status == 0
    golden(out, f"cli/help-{name}.txt")


def loaded(arguments: list[str]) -> set[str]:
    """The modules that a command has loaded when it is done."""
    program = f"import sys; from fusemax.cli import run; run({arguments!r}); print(*sys.modules, file=sys.stderr)"
    return set(ran(sys.executable, "-c", program).stderr.split())


def test_help_is_light() -> None:
    """Nobody waits for NumPy to read how a command is used."""
    assert loaded(["compare", "--help"]) & {"numpy", "matplotlib", "pandas", "sympy", "pint"} == set()


def test_tables_need_no_matplotlib() -> None:
    """Without a picture matplotlib is not loaded."""
    assert loaded(["compare", "flat", *BERT]) & {"matplotlib", "pandas"} == set()
