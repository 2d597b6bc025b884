"""Arguments of `evaluate` and `compare`: names, one thing for a list, values of parameters, the wrong cascade."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fusemax import FusemaxError, check, compare, evaluate, load_arch, load_cascade, load_mapping, parse
from fusemax.bind.parameters import ParameterValue
from fusemax.model import Estimate
from fusemax.syntax.mapping.parser import parse_mapping

SHAPES = {"B": 1, "H": 4, "E": 64, "F": 64, "M": 1024, "P": 1024}


def flat(**parameters: ParameterValue) -> Estimate:
    """FLAT with some parameters."""
    return evaluate("attention-3pass", "flat-cloud", "flat", SHAPES, parameters=parameters)


def test_names() -> None:
    """Shipped files may be named."""
    named = evaluate("attention-1pass", "fusemax-cloud", "fusemax-binding", SHAPES)
    loaded = evaluate(
        load_cascade("attention-1pass"), load_arch("fusemax-cloud"), load_mapping("fusemax-binding"), SHAPES
    )
    assert named.latency_s == loaded.latency_s
    assert str(named.utilization["array1d"]) == "1.0"


def test_one_of_each() -> None:
    """One mapping, model or length needs no list."""
    assert compare("flat", "bert", 1024).rows == compare(["flat"], ["bert"], [1024]).rows


def test_sizes_that_overrule_the_length() -> None:
    """A row and its choice of parameters are for the length at which it is costed."""
    both = compare("flat", "bert", 1024, shapes={"M": 16384, "P": 16384})
    assert both.rows == compare("flat", "bert", 16384).rows
    (keys,) = compare("flat", "bert", 1024, shapes={"M": 2048}).rows
    assert keys.seq == 1024


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"rows": "512"}, "parameter 'rows' of 'flat': '512' is not a number\nhint: give a number"),
        ({"rows": None}, "parameter 'rows' of 'flat': None is not a number\nhint: give a number"),
        ({"share": ["a"]}, "parameter 'share' of 'flat': ['a'] is not a number\nhint: give a number"),
        ({"rows": True}, "parameter 'rows' of 'flat': True is not a number\nhint: give a number"),
    ],
)
def test_parameters_that_are_no_numbers(parameters: dict[str, Any], said: str) -> None:
    """A value that is no number is refused as a number."""
    with pytest.raises(FusemaxError) as caught:
        flat(**parameters)
    assert str(caught.value) == said


def test_parameters_of_any_kind() -> None:
    """Words in a text, a tuple or a list; numbers of Python, NumPy and grids, also whole ones with a point."""
    assert flat(kept="QK A").energy_j == flat(kept=("QK", "A")).energy_j == flat(kept=["QK", "A"]).energy_j
    int_of_numpy: Any = np.int64(512)
    assert flat(rows=512.0).energy_j == flat(rows=int_of_numpy).energy_j == flat(rows=512).energy_j
    grid = flat(rows=np.array([256.0, 512.0, 1024.0]))
    assert np.asarray(grid.energy_j).tolist() == [flat(rows=rows).energy_j for rows in (256, 512, 1024)]


CHUNKS = """\
mapping chunks(chunk = 128)
cascade attention-1pass
arch fusemax-cloud
split m: m1, m0 = chunk
split p: p1, p0 = array2d.columns
pipeline b, h:
  hold RM, RD, RNV in buffer
  for m1, p1:
    on array2d (rows: m0, columns: p0): BQK over e; LM; SLN; SLD; SLNV over f
    on array1d (lanes: p0): RM; PRM; SPD; RD; SPNV over f; RNV over f
  for p1: on array1d (lanes: p0): AV over f
"""


@pytest.mark.parametrize("default", ["128", "M / 8"])
def test_a_parameter_for_the_split_of_a_cascade(default: str) -> None:
    """The parts of a split that the cascade makes itself may be parameters, one at a time or a grid of them."""
    mapping = parse_mapping(CHUNKS.replace("128", default), "chunks.mapping")
    found = evaluate("attention-1pass", "fusemax-cloud", mapping, SHAPES)
    assert (found.shapes["M0"], found.shapes["M1"]) == (128, 8)
    other = evaluate("attention-1pass", "fusemax-cloud", mapping, SHAPES, parameters={"chunk": 64})
    assert (other.shapes["M0"], other.shapes["M1"]) == (64, 16)
    grid = evaluate("attention-1pass", "fusemax-cloud", mapping, SHAPES, parameters={"chunk": np.array([64, 128])})
    assert np.asarray(grid.energy_j).tolist() == [other.energy_j, found.energy_j]


def test_an_axis_that_there_is_not_is_told_once() -> None:
    """An axis is told at the first Einsum of its body."""
    mapping = parse_mapping(CHUNKS.replace("columns: p0", "column: p0"), "chunks.mapping")
    with pytest.raises(FusemaxError) as caught:
        evaluate("attention-1pass", "fusemax-cloud", mapping, SHAPES)
    assert str(caught.value) == (
        "chunks.mapping:9:40: 'array2d' has no axis 'column'\n"
        "  on array2d (rows: m0, column: p0): BQK over e; LM; SLN; SLD; SLNV over f\n"
        "                                     ^^^^^^^^^^\n"
        "hint: did you mean 'columns'?"
    )


def test_a_mapping_that_lacks_sizes_among_others() -> None:
    """A problem without a place in a file names its mapping."""
    product = parse_mapping("mapping a\ncascade matmul\narch flat-cloud\nfor m, n: on array1d: Z over k", "a.mapping")
    with pytest.raises(FusemaxError) as caught:
        compare(["fusemax-binding", product], "bert", 1024)
    assert str(caught.value) == "'a': no size for 'K' and 'N'\nhint: give it, for instance `--shape K=64 N=64`"


def test_files_of_another_kind(tmp_path: Path) -> None:
    """A file that cannot be what it is taken for is not read line by line."""
    for name in ("a.yaml", "a.mapping", "a.cascade"):
        (tmp_path / name).write_text("name: a\n", encoding="utf-8")
    for name in ("a.yaml", "a.cascade"):
        with pytest.raises(FusemaxError) as caught:
            load_mapping(tmp_path / name)
        assert str(caught.value) == f"'{tmp_path / name}' is not a mapping\nhint: a mapping is a .mapping file"
    for name in ("a.mapping", "a.cascade"):
        with pytest.raises(FusemaxError) as caught:
            load_arch(tmp_path / name)
        assert str(caught.value) == f"'{tmp_path / name}' is not an architecture\nhint: an architecture is a .yaml file"


def test_an_axis_that_is_too_short_is_told_once() -> None:
    """A variable that is too long for an axis is told at its first Einsum."""
    arch = load_arch("fusemax-cloud")
    short = replace(arch, units=(arch.units[0], replace(arch.units[1], axes=(("lanes", 64),))))
    with pytest.raises(FusemaxError) as caught:
        evaluate("attention-1pass", short, "fusemax-binding", SHAPES)
    (problem,) = caught.value.problems
    assert problem.message == "'p0' has 256 points, but 'array1d' only 64 lanes"
    assert problem.hint == "split 'p0': `= array1d.lanes`"


def test_a_mapping_of_another_cascade() -> None:
    """That the cascade is another one is told before what it lacks."""
    cascade = check(parse("input A[M]\noutput Y[M]\nY[m] = A[m] * 2", "doubled.cascade"))
    with pytest.raises(FusemaxError) as caught:
        mapping = parse_mapping(
            "mapping a\ncascade x/tripled.cascade\narch flat-cloud\nfor m: on array1d: Q", "a.mapping"
        )
        evaluate(cascade, "flat-cloud", mapping, {"M": 4})
    assert str(caught.value) == (
        "mapping 'a' is for 'tripled', not for 'doubled'\n"
        "hint: give it the cascade that it names, or write a mapping of this one\n"
        "a.mapping:4:20: no Einsum 'Q' in 'doubled'\n"
        "  for m: on array1d: Q\n"
        "                     ^\n"
        "hint: it has 'Y'"
    )


# ----------------------------------------------------------------------------------------------- ranks without a variable

HEADS = """\
mapping heads
cascade {cascade}
arch flat-cloud
split m: m1, m0 = array2d.rows
split p: p1, p0 = array2d.columns
pipeline b, {heads}, p1:
  hold Q, AV in buffer
  hold QK, A, GM, SN, SD in buffer
  for m1:
    hold K in buffer
    on array2d (rows: m0, columns: p0): QK over e
  for m1: on array1d (lanes: m0): GM over p0
  for m1: on array1d (lanes: m0): SN over p0; SD over p0
  for m1: on array1d (lanes: m0): A over p0
  for m1:
    hold V in buffer
    on array2d (rows: m0, columns: p0): AV over f
"""


def heads(cascade: str, variables: str, **groups: int) -> Estimate:
    """Attention with its heads one after another."""
    mapping = parse_mapping(HEADS.format(cascade=cascade, heads=variables), "heads.mapping")
    return evaluate(cascade, "flat-cloud", mapping, SHAPES | groups)


def test_heads_that_share_nothing() -> None:
    """With a key head for each query head, grouped-query attention costs what attention does."""
    plain, grouped = heads("attention-3pass", "h"), heads("attention-gqa", "j, g", J=4)
    assert grouped.latency_s == plain.latency_s
    assert grouped.energy_j == pytest.approx(plain.energy_j, rel=1e-15)
    assert grouped.words == plain.words


def test_heads_that_share_keys() -> None:
    """Each tile of queries is filled once, though its head `j*G + g` is no variable; keys and values for each of them."""
    found = heads("attention-gqa", "j, g", J=2)
    words = {(c.tensor, c.kind.value): c.words for c in found.counts if c.memory == "dram"}
    per_head = 1024 * 64
    tiles = 4 * 4  # heads, and tiles of queries
    assert words == {
        ("Q", "fill"): 4 * per_head, ("AV", "fill"): 0, ("AV", "drain"): 4 * per_head,
        ("K", "fill"): tiles * per_head, ("V", "fill"): tiles * per_head,
    }  # fmt: skip
