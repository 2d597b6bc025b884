"""Encoder layers: sums of attention and linear layers, the published averages, and mistakes in what a model's layers are."""

from __future__ import annotations

import csv
from functools import cache
from statistics import fmean

import pytest

from fusemax import Estimate, FusemaxError, evaluate, load_arch, load_mapping, resources
from fusemax.bind.parameters import chosen_for
from fusemax.mapper import map_cascade
from fusemax.study.compare import Comparison
from fusemax.study.encoder_layer import FOUND, end_to_end
from fusemax.syntax.load import load_workload
from fusemax.syntax.yaml.workload import parse_workload
from tests.model.test_published import LENGTHS, MODELS, at
from tests.model.test_published import published as published_table

pytestmark = pytest.mark.slow

FIVE = ("unfused", "flat", "fusemax-cascade", "fusemax-architecture", "fusemax-binding")


def attention(name: str, model: str, length: int, accounting: str = "full") -> Estimate:
    """Attention by a shipped mapping, with its table's choice."""
    mapping = load_mapping(name)
    chosen = chosen_for(mapping, model, length).values
    return evaluate(mapping.cascade, mapping.arch, mapping, at(model, length), parameters=chosen, accounting=accounting)


def products(model: str, length: int) -> list[dict[str, int]]:
    """The six products of matrices beside attention in an encoder layer, as every textbook has them."""
    sizes = load_workload(model).shapes
    rows, width, inner = sizes["B"] * length, sizes["D"], sizes["S"]
    heads = sizes["H"] * sizes["E"]
    return [{"M": rows, "K": width, "N": heads}] * 3 + [
        {"M": rows, "K": heads, "N": width},
        {"M": rows, "K": width, "N": inner},
        {"M": rows, "K": inner, "N": width},
    ]


# ---------------------------------------------------------------------------------------------------------------- sums


@pytest.mark.parametrize("accounting", ["full", "published"])
@pytest.mark.parametrize(("name", "model", "length"), [("flat", "bert", 1024), ("fusemax-binding", "xlm", 65536)])
def test_sums(name: str, model: str, length: int, accounting: str) -> None:
    """Time, energy and traffic of a layer are those of attention and of six products, each evaluated on its own."""
    alone = attention(name, model, length, accounting)
    linear, arch = load_mapping("linear"), load_mapping(name).arch
    parts = [alone]
    for sizes in products(model, length):
        best = map_cascade(linear.cascade, arch, sizes, template=linear, top=1).best[0].mapping
        parts.append(evaluate(linear.cascade, arch, best, sizes, accounting=accounting))
    (row,) = end_to_end([name], [model], [length], accounting=accounting).rows
    seconds = sum(float(part.latency_s) for part in parts)
    assert row.latency_s == pytest.approx(seconds, rel=1e-12)
    assert row.cycles == pytest.approx(sum(float(part.cycles) for part in parts), rel=1e-12)
    assert row.energy_j == pytest.approx(sum(float(part.energy_j) for part in parts), rel=1e-12)
    assert row.dram_bytes == sum(float(part.dram_bytes) for part in parts)
    for unit, share in row.utilization.items():
        busy = sum(float(part.utilization[unit]) * float(part.latency_s) for part in parts)
        assert share == pytest.approx(busy / seconds, rel=1e-12)
        assert 0 < share <= 1
    longest = max(parts[1:], key=lambda part: float(part.latency_s))
    assert row.bound == (alone.bound if 2 * float(alone.latency_s) >= seconds else longest.bound)


@pytest.mark.parametrize(
    "row", published_table("linear.csv"), ids=lambda row: f"{row['arch']}-{row['model']}-{row['seq']}"
)
def test_published_linear_layers(row: dict[str, str]) -> None:
    """The linear layers take the published time, and move and consume no more than published."""
    name = {"flat-cloud": "flat", "fusemax-cloud": "fusemax-binding"}[row["arch"]]
    model, length = row["model"].lower(), int(row["seq"].removesuffix("K")) * 1024
    (both,) = end_to_end([name], [model], [length], accounting="published").rows
    alone = attention(name, model, length, "published")
    assert both.latency_s - float(alone.latency_s) == pytest.approx(float(row["latency_s"]), rel=1e-6)
    assert both.dram_bytes - float(alone.dram_bytes) <= float(row["dram_bytes"]) * (1 + 1e-9)
    assert both.energy_j - float(alone.energy_j) == pytest.approx(float(row["energy_j"]), rel=0.01)


# ------------------------------------------------------------------------------------------------------------ published


@cache
def everything() -> Comparison:
    """All five designs for all models and lengths, as published: without register files and drains."""
    return end_to_end(FIVE, MODELS, LENGTHS, baseline="flat", accounting="published")


def test_published_averages() -> None:
    """FuseMax, section VI: 5.3 times as fast as FLAT, at 83 % of the energy; 84 % without the overflow in the artifact."""
    rows = {(row.mapping, row.model, row.seq): row for row in everything().rows}
    points = [(model, length) for model in MODELS for length in LENGTHS]
    pairs = [(rows["flat", *point], rows["fusemax-binding", *point]) for point in points]
    assert len(pairs) == 24
    assert fmean(flat.latency_s / binding.latency_s for flat, binding in pairs) == pytest.approx(5.3017, abs=5e-5)
    assert fmean(binding.energy_j / flat.energy_j for flat, binding in pairs) == pytest.approx(0.840, abs=0.002)


def test_published_layers() -> None:
    """Every published value of a layer is met: time and traffic, and energy but where the artifact overflows."""
    rows = {(row.mapping, row.model, row.seq): row for row in everything().rows}
    path = resources.directory("mappings") / "published" / "encoder.csv"
    lines = path.read_text(encoding="utf-8").splitlines()
    values = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    assert len(values) == 30
    for value in values:
        row = rows[value["mapping"], value["model"], int(value["seq"].removesuffix("K")) * 1024]
        assert row.latency_s == pytest.approx(float(value["latency_s"]), rel=1e-6)
        assert row.dram_bytes == pytest.approx(float(value["dram_bytes"]), rel=1e-6)
        assert row.energy_j == pytest.approx(float(value["energy_j"]), rel=float(value["energy_tolerance"]))
    assert sum(float(value["energy_tolerance"]) > 0.02 for value in values) <= 4


# --------------------------------------------------------------------------------------------------------------- search


def test_search() -> None:
    """With a search there is a row more for each mapping: the best for its cascade and machine, which is no slower."""
    told: list[str] = []
    found = end_to_end(["flat"], ["bert"], [1024], baseline="flat", search=True, progress=told.append)
    before, best = found.rows
    assert told == ["flat, bert 1024"]
    assert (before.mapping, best.mapping) == ("flat", FOUND + "flat")
    assert best.latency_s <= before.latency_s
    assert best.speedup == pytest.approx(before.latency_s / best.latency_s, rel=1e-12)
    assert len(found.others) == 2


def test_another_machine() -> None:
    """Attention and linear layers both run on the machine that is given."""
    here, there = (end_to_end(["unfused"], ["bert"], [1024], arch=arch).rows[0] for arch in (None, "fusemax-cloud"))
    on = evaluate("attention-3pass", "fusemax-cloud", load_mapping("unfused"), at("bert", 1024))
    peak = load_arch("fusemax-cloud").units[0].elements
    least = sum(s["M"] * s["K"] * s["N"] for s in products("bert", 1024)) / peak
    assert there.arch == "fusemax-cloud" != here.arch
    assert there.cycles >= float(on.cycles) + least


# ------------------------------------------------------------------------------------------------------------- mistakes

MODEL = """\
name: tiny
title: A tiny model
source: nowhere
sequence: [M, P]
shapes: {B: 1, H: 4, E: 64, F: 64, D: 256, M: 256, P: 256}
dense:
  mapping: linear
  layers:
    query: {M: [B, P], K: [D], N: [H, E]}
"""
QUERY = "query: {M: [B, P], K: [D], N: [H, E]}"


def marked(line: str, at_: str) -> str:
    """A line of the file with what is meant underlined."""
    return f"  {line}\n  {' ' * line.index(at_)}{'^' * len(at_)}"


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("  mapping: linear\n", "",
         f"7:3: `dense` has no `mapping`\n{marked('layers:', 'layers:')}\nhint: its keys are mapping, layers"),
        (f"  layers:\n    {QUERY}\n", "",
         f"7:3: `dense` has no `layers`\n{marked('mapping: linear', 'mapping: linear')}\nhint: its keys are mapping, layers"),
        ("  layers:", "  layer:",
         f"7:3: `dense` has no `layers`\n{marked('mapping: linear', 'mapping: linear')}\nhint: its keys are mapping, layers\n"
         f"t.yaml:8:3: unknown key 'layer' in `dense`\n{marked('layer:', 'layer')}\nhint: did you mean 'layers'?"),
        ("mapping: linear", "mapping: [linear]",
         f"7:12: `mapping` is not a single value\n{marked('mapping: [linear]', '[linear]')}\n"
         "hint: write `mapping: ...` on one line"),
        (f"layers:\n    {QUERY}", "layers: {}",
         f"8:11: no layer is named here\n{marked('layers: {}', '{}')}\nhint: write `NAME: ...`"),
        (QUERY, "query: 4", f"9:12: no rank is named here\n{marked('query: 4', '4')}\nhint: write `NAME: ...`"),
        ("K: [D]", "K: D",
         f"9:27: the size of 'K' is not a list of ranks\n{marked(QUERY.replace('[D]', 'D'), 'D')}\nhint: write `K: [B, P]`"),
        ("[H, E]", "[h, X]",
         f"9:36: 'N' is a multiple of 'h', which has no shape\n{marked(QUERY.replace('[H, E]', '[h, X]'), 'h')}\n"
         "hint: did you mean 'H'?\n"
         f"t.yaml:9:39: 'N' is a multiple of 'X', which has no shape\n{marked(QUERY.replace('[H, E]', '[h, X]'), 'X')}\n"
         "hint: give it one"),
        ("[H, E]", "[[H], E]",
         f"9:36: this is not the name of a rank\n{marked(QUERY.replace('[H, E]', '[[H], E]'), '[H]')}\n"
         "hint: write names alone, as in `[B, P]`"),
        ("sequence: [M, P]", "sequence: [M, {P: 1}]",
         f"4:15: this is not the name of a rank\n{marked('sequence: [M, {P: 1}]', '{P: 1}')}\n"
         "hint: write names alone, as in `[B, P]`"),
        (QUERY, f"{QUERY}\n    {QUERY}", f"10:5: key 'query' stands twice\n{marked(QUERY, 'query')}\nhint: keep one"),
    ],
)  # fmt: skip
def test_mistakes_in_layers(before: str, after: str, message: str) -> None:
    """The linear layers in the file of a model are checked, with the place of every mistake."""
    assert before in MODEL
    with pytest.raises(FusemaxError) as caught:
        parse_workload(MODEL.replace(before, after), "t.yaml")
    assert str(caught.value) == f"t.yaml:{message}"


def test_layers_of_ones_own() -> None:
    """A model of one's own has the layers that its file names, each as large as the product of its ranks."""
    (row,) = end_to_end(["fusemax-binding"], [parse_workload(MODEL)], [512]).rows
    shapes = {"B": 1, "H": 4, "E": 64, "F": 64, "M": 512, "P": 512}
    alone = evaluate("attention-1pass", "fusemax-cloud", load_mapping("fusemax-binding"), shapes)
    query = map_cascade("matmul", "fusemax-cloud", {"M": 512, "K": 256, "N": 256}, template="linear", top=1).best[0]
    assert row.latency_s == pytest.approx(float(alone.latency_s) + float(query.estimate.latency_s), rel=1e-12)


def test_what_a_layer_needs() -> None:
    """A model, and one whose file names linear layers by a mapping that there is."""
    with pytest.raises(FusemaxError) as none:
        end_to_end(["flat"], [], [1024])
    assert str(none.value) == "an encoder layer needs a model\nhint: add --model bert"
    with pytest.raises(FusemaxError) as bare:
        end_to_end(["flat"], ["llama3-8b"], [1024])
    assert str(bare.value) == "'llama3-8b' names no linear layers\nhint: give its file `dense:` with their sizes"
    with pytest.raises(FusemaxError) as unknown:
        end_to_end(["flat"], [parse_workload(MODEL.replace("mapping: linear", "mapping: linaer"))], [512])
    assert str(unknown.value) == "no file and no shipped mapping 'linaer'\nhint: did you mean 'linear'?"
