"""Mappings beside each other."""

import csv
import io
import json
from dataclasses import replace

import pytest

from fusemax import compare, load_arch, load_mapping
from fusemax.errors import FusemaxError
from fusemax.study.compare import Comparison
from fusemax.study.tables import averages
from tests.conftest import Golden

pytestmark = pytest.mark.slow

FIVE = ("unfused", "flat", "fusemax-cascade", "fusemax-architecture", "fusemax-binding")
KEYS = (
    "mapping", "model", "seq", "arch", "latency_s", "cycles", "energy_j", "dram_bytes", "utilization", "bound", "speedup",
    "energy_ratio",
)  # fmt: skip


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    """All five at four points."""
    return compare(FIVE, ["bert", "xlm"], [1024, 16384], baseline="flat")


def test_the_table(comparison: Comparison, golden: Golden) -> None:
    """The comparison as a person reads it."""
    golden(f"{comparison}\n", "compare/five.txt")


def test_one_mapping_at_one_point(golden: Golden) -> None:
    """Without a baseline there are no ratios and no averages."""
    golden(f"{compare(['fusemax-binding'], ['t5'], [4096])}\n", "compare/one.txt")


def test_shapes_alone(golden: Golden) -> None:
    """Without a model the sizes are those that are given, and a table of parameters is of no help."""
    shapes = {"B": 1, "H": 1, "E": 64, "F": 64, "M": 1024, "P": 1024}
    golden(f"{compare(['flat', 'unfused'], shapes=shapes, baseline='flat')}\n", "compare/shapes.txt")


def test_rows_are_in_the_order_of_the_arguments(comparison: Comparison) -> None:
    """Mapping by mapping, and of each model by model, length by length."""
    assert comparison.mappings == FIVE
    assert comparison.points == (("bert", 1024), ("bert", 16384), ("xlm", 1024), ("xlm", 16384))
    assert [(row.model, row.seq) for row in comparison.of("flat")] == list(comparison.points)


def test_ratios_are_to_the_baseline(comparison: Comparison) -> None:
    """Speed-up and energy ratio are those of the row of the baseline at the same model and length."""
    base = {(row.model, row.seq): row for row in comparison.of("flat")}
    for row in comparison.rows:
        other = base[row.model, row.seq]
        assert row.speedup == pytest.approx(other.latency_s / row.latency_s)
        assert row.energy_ratio == pytest.approx(row.energy_j / other.energy_j)


def test_another_baseline(comparison: Comparison) -> None:
    """The same rows can be related to another mapping, or to none."""
    again = comparison.against("unfused")
    assert again == compare(FIVE, ["bert", "xlm"], [1024, 16384], baseline="unfused")
    assert {row.speedup for row in comparison.against(None).rows} == {None}
    with pytest.raises(FusemaxError, match="the baseline 'flt' is not among the mappings"):
        comparison.against("flt")


def test_averages(comparison: Comparison) -> None:
    """Of speed-ups there are the arithmetic and the geometric mean, of energy ratios the arithmetic one."""
    speedups = [row.speedup or 0.0 for row in comparison.of("unfused")]
    arithmetic, geometric, _ = averages(comparison)["unfused"]
    assert arithmetic == pytest.approx(sum(speedups) / 4)
    assert geometric**4 == pytest.approx(speedups[0] * speedups[1] * speedups[2] * speedups[3])
    assert averages(comparison)["flat"] == (1.0, 1.0, 1.0)


def test_the_notes_say_what_the_accounting_changes(comparison: Comparison) -> None:
    """A mapping whose energy ratio depends on the accounting is named, with both ratios, whichever is asked for."""
    artifact = compare(FIVE, ["bert", "xlm"], [1024, 16384], baseline="flat", accounting="published")
    assert comparison.others == artifact.rows
    assert artifact.others == comparison.rows
    full, other = (averages(c)["unfused"][2] for c in (comparison, artifact))
    assert full != pytest.approx(other, rel=0.01)
    start = "energy of unfused over flat's: "
    assert (
        f"{start}{full:.4g} under full accounting, {other:.4g} under published ({other / full - 1:+.1%})"
        in comparison.notes
    )
    assert (
        f"{start}{other:.4g} under published accounting, {full:.4g} under full ({full / other - 1:+.1%})"
        in artifact.notes
    )
    assert not any("energy of flat " in note for note in comparison.notes)


def test_points_at_once_are_points_one_by_one() -> None:
    """Points that are costed at once get what each gets by itself, also where parameters and words differ."""
    for mapping in FIVE:
        lengths = [4**n * 1024 for n in range(6)]
        together = compare([mapping], ["bert", "xlm"], lengths).rows
        alone = [compare([mapping], [model], [length]).rows[0] for model in ("bert", "xlm") for length in lengths]
        for one, other in zip(together, alone, strict=True):
            assert one.latency_s == pytest.approx(other.latency_s, rel=1e-12)
            assert one.energy_j == pytest.approx(other.energy_j, rel=1e-12)
            assert one.dram_bytes == pytest.approx(other.dram_bytes, rel=1e-12)
            assert (one.bound, one.mapping, one.model, one.seq) == (other.bound, other.mapping, other.model, other.seq)


def test_counts_beyond_64_bits() -> None:
    """Several points at once do not overflow, however long their sequences are."""
    lengths = [2**20, 2**24, 2**27]
    together = compare(["fusemax-binding"], ["bert"], lengths).rows
    assert [row.energy_j for row in together] == sorted(row.energy_j for row in together)
    for row, length in zip(together, lengths, strict=True):
        assert row == compare(["fusemax-binding"], ["bert"], [length]).rows[0]
        assert 0.99 < row.utilization["array2d"] < 1


def test_an_architecture_for_all() -> None:
    """Mappings may run on another architecture than their own, by name or as data."""
    own = load_arch("fusemax-cloud")
    slower = replace(own, name="slow", clock_hz=own.clock_hz / 2)
    named = compare(["fusemax-binding", "unfused"], ["bert"], [1024], arch="fusemax-cloud")
    halved = compare(["fusemax-binding", "unfused"], ["bert"], [1024], arch=slower)
    assert {row.arch for row in named.rows} == {"fusemax-cloud"}
    assert {row.arch for row in halved.rows} == {"slow"}
    assert halved.of("fusemax-binding")[0].latency_s == 2 * named.of("fusemax-binding")[0].latency_s


def test_mappings_as_data() -> None:
    """A mapping may be changed like any data, under a name of its own."""
    changed = replace(load_mapping("fusemax-binding"), name="mine")
    rows = compare(["fusemax-binding", changed], ["bert"], [1024], baseline="mine").rows
    assert [row.mapping for row in rows] == ["fusemax-binding", "mine"]
    assert rows[0].speedup == 1.0


def test_lengths_and_shapes_of_the_model() -> None:
    """Without lengths a model has its own; given sizes overrule the model's, and of a model named twice one is taken."""
    own = compare(["fusemax-binding"], ["bert", "bert"]).rows
    assert [(row.model, row.seq) for row in own] == [("bert", 1024)]
    smaller = compare(["fusemax-binding"], ["bert"], shapes={"B": 32}).rows
    assert smaller[0].latency_s == pytest.approx(own[0].latency_s / 2)


def test_a_length_that_the_table_lacks_is_noted() -> None:
    """Where a table has no choice, the defaults are taken, and that is said, also when they do not do."""
    note = "'flat' has no choice for bert 2K: its parameters have their defaults"
    assert note in compare(["flat", "unfused"], ["bert"], [2048], baseline="flat").notes
    with pytest.raises(FusemaxError) as error:
        compare(["flat"], ["bert"], [2**19])
    assert "less than the tiles held at once" in error.value.problems[0].message
    assert error.value.problems[1].message == "'flat' has no choice for bert 512K: its parameters have their defaults"


def test_the_json(comparison: Comparison) -> None:
    """The JSON has the documented keys, and holds only what JSON can."""
    data = json.loads(json.dumps(comparison.to_json(), allow_nan=False))
    assert list(data) == ["baseline", "accounting", "rows", "averages", "notes"]
    assert all(tuple(row) == KEYS for row in data["rows"])
    assert data["rows"][0]["utilization"].keys() == {"array2d", "array1d"}
    assert data["averages"]["flat"] == {"speedup": 1.0, "speedup_geometric": 1.0, "energy_ratio": 1.0}
    assert compare(["unfused"], ["bert"]).to_json()["averages"] == {}


def test_the_csv(comparison: Comparison) -> None:
    """The CSV has a column for each number, with all of its digits."""
    rows = list(csv.DictReader(io.StringIO(comparison.to_csv())))
    assert len(rows) == len(comparison.rows)
    for text, row in zip(rows, comparison.rows, strict=True):
        assert float(text["latency_s"]) == row.latency_s
        assert float(text["utilization_array1d"]) == row.utilization["array1d"]
        assert (text["mapping"], text["seq"], text["bound"]) == (row.mapping, str(row.seq), row.bound)


def test_to_pandas(comparison: Comparison) -> None:
    """A data frame has the columns of the CSV."""
    pandas = pytest.importorskip("pandas")
    frame = comparison.to_pandas()
    assert isinstance(frame, pandas.DataFrame)
    assert list(frame.columns) == comparison.to_csv().splitlines()[0].split(",")
    best = frame.groupby("mapping")["speedup"].mean()
    assert best["fusemax-binding"] == pytest.approx(averages(comparison)["fusemax-binding"][0])


def test_without_pandas(comparison: Comparison, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who lacks pandas is told how to get it."""
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(FusemaxError) as error:
        comparison.to_pandas()
    assert str(error.value) == "data frames need pandas, which is not installed\nhint: pip install 'fusemax[pandas]'"


def test_in_a_notebook_it_is_tables(comparison: Comparison) -> None:
    """A comparison shows itself as HTML: rows, averages and notes."""
    shown = comparison._repr_html_()
    assert shown.count("<table>") == 2
    assert "<b>Averages over 4 points, against flat</b>" in shown
    assert "<td style='text-align:right'>6.649x</td>" in shown


@pytest.mark.parametrize(
    ("mappings", "models", "options", "said"),
    [
        ([], ["bert"], {}, "no mapping to compare\nhint: name at least one"),
        (["flat", "flat"], ["bert"], {}, "two mappings are named 'flat'\nhint: give each a name of its own"),
        (["flta"], ["bert"], {}, "no file and no shipped mapping 'flta'\nhint: did you mean 'flat'?"),
        (["flat"], ["brt"], {}, "no file and no shipped workload 'brt'\nhint: did you mean 'bert'?"),
        (["flat"], ["bert"], {"arch": "flat-clod"}, "no file and no shipped architecture 'flat-clod'\nhint: did you mean 'flat-cloud'?"),
        (["flat"], ["bert"], {"baseline": "unfused"}, "the baseline 'unfused' is not among the mappings\nhint: compared are 'flat'"),
        (["flat"], ["bert"], {"accounting": "ful"}, "no accounting 'ful'\nhint: did you mean 'full'?"),
        (["flat"], [], {}, "no model and no shapes\nhint: add --model bert --seq 1K, or give --shape for every rank"),
        (["flat"], [], {"lengths": [1]}, "a sequence length without a model\nhint: add --model, or give --shape M=1024 P=1024"),
        (["flat"], ["bert"], {"shapes": {"Z": 1}},
         "a size for 'Z', which is no rank of the mappings' cascades\nhint: ranks are 'B', 'H', 'E', 'P', 'M' and 'F'"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared(mappings: list[str], models: list[str], options: dict[str, object], said: str) -> None:
    """Mistakes are refused with what is wrong and how to mend it."""
    with pytest.raises(FusemaxError) as error:
        compare(mappings, models, **options)  # type: ignore[arg-type]
    assert str(error.value) == said
