"""`fusemax pareto`, and encoder layers by `fusemax compare --end-to-end` and `fusemax reproduce`, as a user calls them."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.axes import Axes

from fusemax import evaluate
from fusemax.mapper.pareto import Front, FrontPoint, _Collector
from fusemax.syntax.load import load_mapping
from fusemax.syntax.mapping.parser import parse_mapping
from tests.conftest import ROOT, Called, Golden

pytestmark = pytest.mark.slow

MATMUL = ("pareto", "--cascade", "matmul", "--arch", "flat-edge", "--shape", "M=64,N=64,K=32")
SHAPES = {"M": 64, "N": 64, "K": 32}
DIMS = ("pareto", "--mapping", "fusemax-binding", "--model", "bert", "--seq", "256K", "--dims", "16,32,64,128,256,512")
LAYERS = ("compare", "flat", "fusemax-binding", "--end-to-end", "--model", "bert,xlm", "--seq", "1K,256K")


def texts(svg: Path) -> list[str]:
    """The texts of a picture, a line each."""
    root = ElementTree.parse(svg).getroot()
    return ["".join(node.itertext()).strip() for node in root.iter("{http://www.w3.org/2000/svg}text")]


def documented(command: str) -> str:
    """The part of docs/json.md about a command."""
    pages = (ROOT / "docs" / "json.md").read_text(encoding="utf-8")
    return pages.partition(f"# The JSON of `fusemax {command} --json`")[2].partition("\n# ")[0]


# -------------------------------------------------------------------------------------------------------------- pareto


@pytest.mark.parametrize("name", ["map", "pareto"])
def test_help(call: Called, golden: Golden, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands that search say how they are used."""
    monkeypatch.setenv("COLUMNS", "100")
    status, out, err = call(name, "--help")
    assert (status, err) == (0, "")
    golden(out, f"cli/help-{name}.txt")


def test_text_of_mappings(call: Called, golden: Golden) -> None:
    """A row for each mapping of the front, by the first axis, and how much was looked at."""
    status, out, err = call(*MATMUL, "--of", "latency,energy,buffer")
    assert (status, err) == (0, "")
    golden(out, "cli/pareto-matmul.txt")


def test_text_of_machines(call: Called, golden: Golden) -> None:
    """A row for each machine, with its area; Figure 12 of FuseMax."""
    status, out, err = call(*DIMS)
    assert (status, err) == (0, "")
    golden(out, "cli/pareto-dims.txt")


def test_dominated_machines_are_marked(call: Called) -> None:
    """A machine that another one beats in everything is said to be dominated; the areas are left out if nothing asks."""
    _, out, _ = call(*DIMS[:-1], "16,512", "--of", "latency,energy")
    _, headers, _, first, second, *_ = out.splitlines()
    assert headers.split() == ["latency", "energy", "buffer"]
    assert first.endswith("dominated")
    assert not second.endswith("dominated")


def test_json(call: Called) -> None:
    """The JSON has the documented keys, and mappings that cost what it says."""
    status, out, _ = call(*MATMUL, "--json")
    data = json.loads(out)
    assert status == 0
    assert list(data) == ["cascade", "arch", "axes", "shapes", "points", "costed", "whole", "interrupted"]
    assert [key for key in (*data, *data["points"][0]) if f"`{key}`" not in documented("pareto")] == []
    assert (data["axes"], data["shapes"], data["whole"]) == (["latency", "energy"], SHAPES, True)
    for point in data["points"]:
        found = evaluate("matmul", "flat-edge", parse_mapping(point["mapping"]), SHAPES)
        assert (float(found.latency_s), float(found.energy_j)) == (point["latency_s"], point["energy_j"])
        assert (point["area_m2"], point["best"]) == (None, True)


def test_csv_and_picture(call: Called) -> None:
    """The points are written as a table, and drawn with their titles."""
    status, out, err = call(*DIMS, "--csv", "a.csv", "--plot", "a.svg", "--json")
    assert (status, err) == (0, "wrote a.csv\nwrote a.svg\n")
    points = json.loads(out)["points"]
    with Path("a.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["title"], float(row["latency_s"]), float(row["area_m2"])) for row in rows] == [
        (point["title"], point["latency_s"], point["area_m2"]) for point in points
    ]
    shown = texts(Path("a.svg"))
    assert {"latency (s)", "area (mm^2)", "attention-1pass on fusemax-cloud"} <= set(shown)
    assert [text for text in shown if " x " in text] == [f"{n} x {n}" for n in (16, 32, 64, 128, 256, 512)]


def test_a_picture_of_three_axes(call: Called) -> None:
    """Three axes are two panels; a mapping that holds nothing is drawn too."""
    assert call(*MATMUL, "--of", "latency,energy,buffer", "--plot", "a.png")[0] == 0
    assert Path("a.png").read_bytes().startswith(b"\x89PNG")
    assert call(*MATMUL, "--of", "latency,energy,buffer", "--plot", "a.svg")[0] == 0
    assert [text for text in texts(Path("a.svg")) if "(" in text] == [
        "energy (J)", "latency (s)", "buffer (MiB)", "latency (s)",
    ]  # fmt: skip


def test_lines_of_panels() -> None:
    """In a panel the line is through what none beats in its two axes; what is good by the third is a point off the line."""
    by_energy, by_buffer = front((1.0, 30.0, 400.0), (2.0, 20.0, 900.0), (3.0, 40.0, 2.0)).plot().axes
    assert line(by_energy) == [(20.0, 2.0), (30.0, 1.0)]
    assert line(by_buffer) == [(2.0, 3.0), (400.0, 1.0)]
    assert (by_energy.get_xscale(), by_buffer.get_xscale(), by_buffer.get_yscale()) == ("linear", "log", "linear")


def line(panel: Axes) -> list[tuple[float, float]]:
    """The points on the line of a panel."""
    xs, ys = panel.lines[0].get_data()
    return list(zip(np.asarray(xs).tolist(), np.asarray(ys).tolist(), strict=True))


def front(*values: tuple[float, float, float]) -> Front:
    """A front by latency, energy and buffer (in MiB)."""
    mapping = load_mapping("flat")
    points = tuple(FrontPoint(str(i), s, j, None, mib * 2**20, mapping, True) for i, (s, j, mib) in enumerate(values))
    return Front("c", "a", ("latency", "energy", "buffer"), {}, points, len(points), True)


@pytest.mark.parametrize("after", [0, 5])
def test_interrupted(call: Called, monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """Ctrl-C ends a search with the front so far: it is printed with a remark and written, and the status says so."""
    price = _Collector.price

    def interrupt(self: _Collector, *arguments: object) -> None:
        if self.costings > after:
            raise KeyboardInterrupt
        price(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(_Collector, "price", interrupt)
    status, out, err = call(*MATMUL, "--csv", "a.csv", "--plot", "a.svg")
    assert status == 130
    assert out.endswith("candidates costed\n  interrupted: this is the front so far\n")
    assert err == ("wrote a.csv\nwrote a.svg\n" if after else "wrote a.csv\n")
    with Path("a.csv").open(encoding="utf-8") as file:
        assert bool(list(csv.DictReader(file))) == bool(after)
    data = json.loads(call(*MATMUL, "--json")[1])
    assert (data["interrupted"], data["whole"], bool(data["points"])) == (True, False, bool(after))


def test_cut_off(call: Called) -> None:
    """A front of a part of the space says so."""
    _, out, _ = call(*MATMUL, "--limit", "20")
    assert out.endswith("; the search was cut off: there may be better ones\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("pareto", "--cascade", "matmul", "--shape", "M=4,N=4,K=4"),
         "a front needs a cascade and an architecture\nhint: add --cascade and --arch, or --mapping, or --template"),
        ((*MATMUL, "--of", "latency,speed"), "no axis 'speed'\nhint: choose 'latency', 'energy', 'area' or 'buffer'"),
        ((*MATMUL, "--of", "latency"), "a front has two or three axes, not 1\nhint: write `--of latency,energy`"),
        ((*MATMUL, "--of", "latency,area"),
         "all mappings of one machine have the same area\nhint: add --dims 64,128,256, or leave `area` out"),
        ((*MATMUL, "--dims", "16"), "'flat-edge' tells no other sizes\nhint: give its file a table: `scaling: FILE.csv`"),
        ((*DIMS[:-1], "16,17"), "'fusemax-cloud' has no size with 17 elements an axis\nhint: it has 16, 32, 64, 128, 256, 512"),
        ((*DIMS[:-1], "0"), "number of elements: 0 is less than 1\nhint: give an integer of at least 1"),
        (DIMS[:-2],
         "'fusemax-binding' is one mapping, and one machine gives one point\n"
         "hint: add --dims for machines of other sizes, or search its open choices: --template fusemax-binding"),
        ((*MATMUL, "--csv", "a.txt"), "'a.txt' does not end in .csv\nhint: name it a.csv"),
        ((*MATMUL, "--plot", "a.txt"), "'a.txt' does not end in .png or .svg or .pdf\nhint: name it a.png"),
        ((*MATMUL, "--keep", "A=cache"), "'flat-edge' has no memory 'cache'\nhint: its memories are 'dram' and 'buffer'"),
    ],
)  # fmt: skip
def test_mistakes(call: Called, arguments: tuple[str, ...], message: str) -> None:
    """A request that cannot be met is refused in one message, without output or files."""
    assert call(*arguments) == (1, "", f"error: {message}\n")
    assert not list(Path().iterdir())


# --------------------------------------------------------------------------------------------------------- whole layers


def test_text_of_layers(call: Called, golden: Golden) -> None:
    """Whole encoder layers beside each other, with their averages."""
    status, out, err = call(*LAYERS, "--accounting", "published")
    assert (status, err) == (0, "")
    golden(out, "cli/compare-end-to-end.txt")


def test_files_of_layers(call: Called) -> None:
    """Rows of layers are those of the JSON, as a table and a picture; each takes longer than attention alone."""
    status, out, err = call(*LAYERS, "--csv", "a.csv", "--plot", "a.svg", "--json")
    assert (status, err) == (0, "wrote a.csv\nwrote a.svg\n")
    data = json.loads(out)
    assert [key for key in (*data, *data["rows"][0]) if f"`{key}`" not in documented("compare")] == []
    with Path("a.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["latency_s"]) for row in rows] == [row["latency_s"] for row in data["rows"]]
    assert "Speed-up over flat" in texts(Path("a.svg"))
    alone = json.loads(call(*(word for word in LAYERS if word != "--end-to-end"), "--json")[1])["rows"]
    assert [row["mapping"] for row in alone] == [row["mapping"] for row in data["rows"]]
    assert all(row["latency_s"] < whole["latency_s"] for row, whole in zip(alone, data["rows"], strict=True))


def test_layers_with_a_search(call: Called) -> None:
    """`--search` adds a row of the best that is found, under the name that the JSON's documentation gives."""
    _, out, _ = call("compare", "flat", "--end-to-end", "--search", "--model", "bert", "--seq", "1K", "--json")
    first, second = json.loads(out)["rows"]
    assert "`found for NAME`" in documented("compare")
    assert (first["mapping"], second["mapping"]) == ("flat", "found for flat")
    assert second["latency_s"] <= first["latency_s"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--end-to-end",), "an encoder layer needs a model\nhint: add --model bert"),
        (("--end-to-end", "--model", "bert", "--shape", "M=4"),
         "an encoder layer has the sizes of its model\nhint: leave --shape out"),
        (("--end-to-end", "--model", "llama3-8b", "--seq", "1K"),
         "'llama3-8b' names no linear layers\nhint: give its file `dense:` with their sizes"),
        (("--search", "--model", "bert"), "--search is about encoder layers\nhint: add --end-to-end, or use `fusemax map`"),
    ],
)  # fmt: skip
def test_mistakes_in_layers(call: Called, arguments: tuple[str, ...], message: str) -> None:
    """Encoder layers are of models that have them."""
    assert call("compare", "flat", *arguments) == (1, "", f"error: {message}\n")


def test_reproduce(call: Called, golden: Golden) -> None:
    """Encoder layers and machines of other sizes are as published, value by value."""
    status, out, err = call("reproduce", "encoder", "chip-area")
    assert (status, err) == (0, "")
    assert "all 150 are within their tolerances\n" in out
    golden(out, "reproduce/encoder-and-sizes.txt")


def test_published_values(call: Called) -> None:
    """The JSON has the published values beside the model's: averages of layers, seconds by size, and areas of chips."""
    _, out, _ = call("reproduce", "encoder", "chip-area", "--json")
    encoder, sizes = json.loads(out)["studies"]
    speedup, energy = encoder["averages"]
    assert (speedup["published"], energy["published"]) == (5.3017, 0.833)
    assert speedup["value"] == pytest.approx(5.3017, abs=5e-5)
    assert energy["value"] == pytest.approx(0.840, abs=0.002)
    assert [each for each in encoder["differences"] if not each["within"]] == []
    assert sizes["published_seconds"] == {"16": 30266.7, "512": 29.583}
    seconds = {point["title"].split()[0]: point["latency_s"] for point in sizes["points"]}
    for size, published in sizes["published_seconds"].items():
        assert seconds[size] == pytest.approx(published, rel=1e-5)
    assert sizes["published_areas_mm2"] == {"flat-cloud": 1391.8, "fusemax-cloud": 1303.0}
    areas = {name: area * 1e6 for name, area in sizes["areas_m2"].items()}
    assert areas == pytest.approx(sizes["published_areas_mm2"], rel=1e-4)
    assert 1 - areas["fusemax-cloud"] / areas["flat-cloud"] == pytest.approx(0.064, abs=5e-4)
    assert [key for key in sizes if f"`{key}`" not in documented("reproduce") + documented("pareto")] == []
