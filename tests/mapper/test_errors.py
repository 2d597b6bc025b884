"""Searches that find nothing, and `fusemax map` as a user calls it."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest

from fusemax import FusemaxError, evaluate, load_mapping
from fusemax.mapper import map_cascade
from fusemax.mapper.search.search import Search
from tests.conftest import Called, Golden
from tests.sim.machines import small

pytestmark = pytest.mark.slow

ATTENTION = {"B": 1, "H": 1, "E": 4, "F": 4, "M": 16, "P": 4}
MATMUL = ("map", "--cascade", "matmul", "--arch", "flat-edge", "--shape", "M=64,N=64,K=32")
SHAPES = {"M": 64, "N": 64, "K": 32}


# -------------------------------------------------------------------------------------------------------------- errors


def test_nothing_fits() -> None:
    """A buffer that is too small for the smallest tiles is told, with what is missing."""
    with pytest.raises(FusemaxError) as caught:
        map_cascade(
            "attention-3pass", small(lengths=4, buffer=2), ATTENTION, template="flat", fix=["rows=4", "kept=QK A V"]
        )
    assert re.match(r"nothing fits: 'buffer' has 2 B, and the smallest tiles need \d+ B, \d+ B more", str(caught.value))
    assert caught.value.problems[0].hint == "give it more room, or fix and keep less"


def test_the_room_that_is_missing() -> None:
    """With as much more room as the message says something fits, with a byte less nothing does."""
    fix = ["rows=4", "kept=QK A", "qk=output", "av=output", "share=0"]

    def searched(buffer: int) -> float:
        arch = small("flat-cloud", lengths=4, buffer=buffer)
        return map_cascade("attention-3pass", arch, ATTENTION, template="flat", fix=fix).best[0].value

    with pytest.raises(FusemaxError) as caught:
        searched(2)
    found = re.search(r"need (\d+) B, (\d+) B more", str(caught.value))
    assert found
    needed, more = map(int, found.groups())
    assert needed == 2 + more
    assert searched(needed) > 0
    with pytest.raises(FusemaxError, match="1 B more"):
        searched(needed - 1)


def test_the_room_of_what_was_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a space that was not looked through, only what was tried is told."""
    monkeypatch.setattr("fusemax.mapper.infeasible.TRIED", 3)
    with pytest.raises(FusemaxError) as caught:
        map_cascade("attention-3pass", small(lengths=4, buffer=2), ATTENTION, template="flat", fix=["rows=4"])
    told = r"nothing that was tried fits: 'buffer' has 2 B, and the least of 3 trees needs \d+ B, \d+ B more"
    assert re.match(told, str(caught.value))


def test_fixed_where_it_cannot_be() -> None:
    """An Einsum fixed to a unit without its operators leaves nothing."""
    with pytest.raises(
        FusemaxError, match="no assignment of the Einsums of 'attention-3pass' to the units of 'flat-cloud'"
    ):
        map_cascade("attention-3pass", "flat-cloud", ATTENTION, fix=["A=array2d"])


def test_fixed_lengths_that_do_not_divide() -> None:
    """A chunk of the cascade's own that does not divide its rank leaves nothing."""
    with pytest.raises(FusemaxError):
        map_cascade("attention-2pass", small(lengths=4), {**ATTENTION, "M": 8}, fix=["M0=3"])


# ------------------------------------------------------------------------------------------------------- command line


def test_operators_are_named(call: Called) -> None:
    """No unit of the machine has SiLU: the Einsum and the operator are named, nothing is written."""
    asked = ("--cascade", "ffn-gated", "--arch", "fusemax-cloud", "--shape", "B=1,P=4,D=4,S=4")
    status, out, err = call("map", *asked, "--out", "a.mapping")
    assert (status, out) == (1, "")
    what = "no unit of 'fusemax-cloud' can run 'A': 'array2d' lacks 'silu'; 'array1d' lacks 'silu'\n  A[b, p, s] = "
    assert err.startswith(f"ffn-gated.cascade:11:1: {what}")
    assert not Path("a.mapping").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--objective", "speed"), "error: no objective 'speed'\nhint: choose 'latency', 'energy', 'edp' or 'dram'\n"),
        (("--strategy", "guess"), "error: no strategy 'guess'\nhint: choose 'exhaustive' or 'anneal'\n"),
        (("--strategy", "aneal"), "error: no strategy 'aneal'\nhint: did you mean 'anneal'?\n"),
        (("--fix", "Z=array3d"), "error: 'flat-edge' has no unit 'array3d'\n"),
        (("--fix", "m1=2", "--fix", "m1=4"), "error: 'm1' is fixed at '2' and at '4'\nhint: keep one\n"),
        (("--keep", "A=cache"), "error: 'flat-edge' has no memory 'cache'\n"),
        (("--keep", "Y=buffer"), "error: 'matmul' has no tensor 'Y'\n"),
        (("--out", "a.txt"), "error: "),
        (("--csv", "a.txt"), "error: "),
    ],
)
def test_mistakes(call: Called, options: tuple[str, ...], message: str) -> None:
    """Unknown options are refused before the search, with the known ones."""
    status, out, err = call(*MATMUL, *options)
    assert status != 0
    assert out == ""
    assert err.startswith(message)


def test_what_is_needed(call: Called) -> None:
    """A search needs a cascade and an architecture, or a template that names both."""
    status, _, err = call("map", "--cascade", "matmul", "--shape", "M=4,N=4,K=4")
    assert status == 1
    assert err.startswith(
        "error: a search needs a cascade and an architecture\nhint: add --cascade and --arch, or --template"
    )


def test_text(call: Called, golden: Golden) -> None:
    """The best mappings with their costs, what was searched, why nothing is better, and the best in full."""
    status, out, err = call(*MATMUL, "--top", "3")
    assert (status, err) == (0, "")
    golden(re.sub(r"\d+\.\d s$", "SECONDS", out, flags=re.MULTILINE), "mapper/matmul.txt")


def test_files(call: Called) -> None:
    """A written mapping can be loaded, has the reported costs, and the file's name; the table has a row a mapping."""
    status, out, err = call(*MATMUL, "--top", "2", "--out", "mine.mapping", "--csv", "mine.csv", "--json")
    best = json.loads(out)["best"]
    assert status == 0
    assert "mine.mapping" in err
    assert "mine.csv" in err
    mapping = load_mapping("mine.mapping")
    assert mapping.name == "mine"
    found = evaluate("matmul", "flat-edge", mapping, SHAPES)
    assert (float(found.latency_s), float(found.energy_j)) == (best[0]["latency_s"], best[0]["energy_j"])
    assert str(mapping) == best[0]["mapping"]
    with Path("mine.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["latency_s"]) for row in rows] == [each["latency_s"] for each in best]
    assert len(rows) == 2
    assert call("evaluate", "--mapping", "mine.mapping", "--shape", "M=64,N=64,K=32")[0] == 0


def test_json(call: Called) -> None:
    """The JSON has the documented keys."""
    _, out, _ = call(*MATMUL, "--json")
    data = json.loads(out)
    assert list(data)[:10] == [
        "cascade", "arch", "objective", "shapes", "least", "proven", "space", "best", "reasons", "search",
    ]  # fmt: skip
    assert data["search"].keys() >= {
        "strategy", "considered", "trees", "costed", "fitting", "refused", "interrupted", "seconds",
    }  # fmt: skip
    assert data["best"][0].keys() >= {"place", "latency_s", "cycles", "energy_j", "dram_bytes", "bound", "mapping"}
    assert data["proven"]
    assert data["least"] == pytest.approx(data["best"][0]["latency_s"], rel=1e-8, abs=0)
    assert data["shapes"] == SHAPES


def test_limit(call: Called) -> None:
    """A search that is cut off proves nothing, and says so."""
    status, out, _ = call(*MATMUL, "--objective", "energy", "--limit", "1", "--json")
    data = json.loads(out)
    assert status == 0
    assert not data["proven"]
    assert data["search"]["trees"] < 50
    assert "not proven" in call(*MATMUL, "--objective", "energy", "--limit", "1")[1]


def test_against_and_check(call: Called) -> None:
    """The report has the changes to another mapping, and whether the simulator's numbers are right."""
    Path("old.mapping").write_text(
        "mapping old\ncascade matmul\narch flat-edge\nfor m, n: on array1d: Z over k\n", encoding="utf-8"
    )
    status, out, _ = call(*MATMUL, "--against", "old.mapping", "--check")
    assert status == 0
    assert "Changes against old, in cycles over the run" in out
    assert re.search(r"Z +array1d 131,072 +array2d \S+", out)
    assert "numbers right" in out


def test_interrupted(call: Called, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ends a search with the best so far: the status says so, and the file is written whole."""
    record = Search.record

    def interrupt(self: Search, *arguments: object) -> object:
        found = record(self, *arguments)  # type: ignore[arg-type]
        if self.costings > 20:
            raise KeyboardInterrupt
        return found

    monkeypatch.setattr(Search, "record", interrupt)
    status, out, _ = call(*MATMUL, "--objective", "energy", "--out", "best.mapping")
    assert status == 130
    assert "interrupted: this is the best so far" in out
    mapping = load_mapping("best.mapping")
    assert str(mapping).rstrip() == out[out.index("mapping best") :].rstrip()
    assert evaluate("matmul", "flat-edge", mapping, SHAPES).cycles > 0
    assert [path.name for path in Path().iterdir()] == ["best.mapping"]
