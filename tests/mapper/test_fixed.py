"""Fixed choices hold in all mappings found; impossible ones are refused, with the words of the user."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from fusemax import FusemaxError, check, evaluate, load_arch, load_cascade, load_mapping, parse
from fusemax.bind.splits import balanced
from fusemax.ir.mapping import Mapping
from fusemax.mapper import MapResult, map_cascade
from fusemax.mapper.constraints import Fixed
from fusemax.mapper.pareto import pareto
from fusemax.mapper.space.template import Template
from fusemax.syntax.mapping.parser import parse_mapping
from tests.sim.machines import small

pytestmark = pytest.mark.slow

MATMUL = {"M": 8, "N": 4, "K": 6}
ARCH = small(lengths=4)
ATTENTION = {"B": 1, "H": 1, "E": 4, "F": 4, "M": 16, "P": 4}
SPREAD = """
mapping spread
cascade matmul
arch fusemax-cloud
split m: m1, m0 = ?
pipeline n:
  for m1: on array2d (columns: m0): Z over k
"""
UNEVEN = """
mapping uneven
cascade matmul
arch fusemax-cloud
split m uneven: m2, m1 = ?, m0 = 4
split n: n1, n0 = 4
pipeline m2, n1:
  hold B in buffer
  for m1: on array2d (rows: m0, columns: n0): Z over k
"""
TWO = """
mapping two(where = narrow)
cascade matmul
arch fusemax-cloud
split m: m1, m0 = ?
pipeline n:
  case where:
    narrow:
      for m1: on array2d (rows: k, columns: m0): Z
    wide:
      for m1: on array2d (columns: m0): Z over k
"""


def matmul(**options: object) -> MapResult:
    """A search of all mappings of a product of matrices on a machine of 4 x 4."""
    return map_cascade("matmul", ARCH, MATMUL, **options)  # type: ignore[arg-type]


def refused(**options: object) -> tuple[str, str | None]:
    """The message and the hint of a search of the product of matrices that finds nothing."""
    with pytest.raises(FusemaxError) as caught:
        matmul(**options)
    return caught.value.problems[0].message, caught.value.problems[0].hint


def held(mapping: Mapping, level: str) -> set[str]:
    """The tensors that the lines of a mapping hold in a memory."""
    lines = re.findall(r"hold (.+?) in (\w+)", str(mapping))
    return {tensor for tensors, at in lines if at == level for tensor in tensors.split(", ")}


# ------------------------------------------------------------------------------------------------------------- lengths


def test_what_can_be_fixed() -> None:
    """Only a length that is open somewhere may be fixed; others are refused with the list of those."""
    assert refused(fix=["k1=2"]) == ("no open choice has the name 'k1'", "lengths that may be fixed are 'm1' and 'n1'")
    checked = check(parse("input A[M]\noutput Z\nZ = A[m]"))
    with pytest.raises(FusemaxError) as caught:
        map_cascade(checked, ARCH, {"M": 8}, fix=["m1=2"])
    assert caught.value.problems[0].hint == "no length may be fixed"


def test_a_chunk_whose_size_is_given() -> None:
    """A chunk is not fixed at one length while its size is given as another."""
    with pytest.raises(FusemaxError, match="M0 is fixed at 8, and its size is given as 4"):
        map_cascade("attention-2pass", ARCH, {**ATTENTION, "M0": 4}, fix=["M0=8"])


@pytest.mark.parametrize("strategy", ["exhaustive", "anneal"])
def test_fixed_blocks_that_fit_nowhere(strategy: str) -> None:
    """A block of more tiles than there are, or, of even tiles, one that does not divide them, is named."""
    more = "'m1' is fixed at 9, which is more than the 2 tiles of 'm'"
    message, hint = refused(fix=["m1=9"], strategy=strategy)
    assert message.startswith("no mapping is left: all were left out because 'm1' is fixed at 9, ")
    assert more in message
    assert hint == "fix and keep less"
    message, _ = refused(fix=["m1=3"], even=True, strategy=strategy)
    assert "'m1' is fixed at 3, which does not divide the 8 tiles of 'm'" in message


def test_fixed_blocks_that_fit_somewhere() -> None:
    """A block that is too long for some layouts is found in the others, at the length that is asked for."""
    best = matmul(fix=["m1=4"]).best
    assert best
    assert all("m1 = 4" in str(found.mapping) or "m1" not in str(found.mapping) for found in best)


def test_fixed_lengths_of_a_template() -> None:
    """A number for a template's length that does not divide is named, by the name that the user gave."""
    message, hint = refused(template=parse_mapping(UNEVEN.replace(" uneven:", ":")), fix=["m1=5"])
    assert message == (
        "with 'm1' fixed, no value of the open lengths divides the ranks that they split; with m1 = 5: 8 is not a multiple of 5"
    )
    assert hint == "fix another number, or leave it open"


# --------------------------------------------------------------------------------------------------------------- holds


def test_kept() -> None:
    """A tensor is held where it is to be kept in everything that is found, and with `dram` nowhere nearer."""
    for strategy in ("exhaustive", "anneal"):
        near = matmul(keep=["A=dram", "B=buffer"], top=50, strategy=strategy).best
        assert near
        assert all("B" in held(found.mapping, "buffer") for found in near)
        assert all("A" not in held(found.mapping, "buffer") for found in near)


def test_kept_though_it_could_stay_in_its_array() -> None:
    """A tensor to be kept in the buffer is in no mapping passed on within an array."""
    found = map_cascade("attention-3pass", small("flat-cloud", lengths=4), ATTENTION, keep=["QK=buffer"], top=20).best
    assert found
    assert all("QK" in held(each.mapping, "buffer") for each in found)


def test_kept_in_between() -> None:
    """A memory between the outermost and the nearest keeps what it is to keep."""
    dram, buffer = ARCH.memories
    three = replace(ARCH, memories=(dram, replace(buffer, name="middle"), buffer))
    found = map_cascade("matmul", three, MATMUL, keep=["A=middle"], top=20).best
    assert found
    assert all("A" in held(each.mapping, "middle") for each in found)


def test_kept_where_nothing_is() -> None:
    """A tensor that no unit touches is refused at once."""
    checked = check(parse("input A[M]\noutput Z\nshape M0 = 4, M1 = M / M0\nB[m1, m0] = A[m1*M0 + m0]\nZ = B[m1, m0]"))
    with pytest.raises(FusemaxError, match="no Einsum that a unit runs reads or writes 'A'"):
        map_cascade(checked, ARCH, {"M": 16}, keep=["A=buffer"])


@pytest.mark.parametrize("strategy", ["exhaustive", "anneal"])
def test_kept_where_nothing_can_be(strategy: str) -> None:
    """A tensor for which no mapping has a hold is named, with the memory."""
    checked = check(parse("input A[M], B[M]\noutput Z[M]\nZ[m] = A[m] * B[m]"))
    with pytest.raises(FusemaxError) as caught:
        map_cascade(checked, ARCH, {"M": 8}, keep=["Z=buffer"], strategy=strategy)
    message = "no mapping is left: all were left out because they have no place to hold 'Z' in 'buffer'"
    assert caught.value.problems[0].message == message


def test_kept_by_a_template() -> None:
    """With a template too a tensor is held where it is to be kept, and with `dram` nowhere nearer."""
    arch = small("flat-cloud", lengths=4)
    found = map_cascade("attention-3pass", arch, ATTENTION, template="flat", keep=["K=dram", "Q=buffer"], top=50).best
    assert found
    assert all("K" not in held(each.mapping, "buffer") for each in found)
    assert all("Q" in held(each.mapping, "buffer") for each in found)
    with pytest.raises(FusemaxError) as caught:
        map_cascade("attention-3pass", arch, ATTENTION, template="flat", keep=["GM=dram"])
    assert str(caught.value).startswith("no open choice of 'flat' keeps 'GM' in 'dram'")


# ----------------------------------------------------------------------------------------------------------- templates


def test_cases_of_which_one_does_not_suit() -> None:
    """Where the first case spreads too much over an axis, the second is still searched, and the first is told."""
    result = map_cascade("matmul", ARCH, MATMUL, template=parse_mapping(TWO))
    assert "over k" in str(result.best[0].mapping)
    assert result.statistics.refused == (("'k' has 6 points, but 'array2d' only 4 rows", 1),)


@pytest.mark.parametrize("word", ["here", "3"])
def test_cases_that_there_are_not(word: str) -> None:
    """A parameter that is fixed at a word for which there is no case is refused with those that there are."""
    message = f"'where' is fixed at '{word}', for which there is no case"
    assert refused(template=parse_mapping(TWO), fix=[f"where={word}"]) == (message, "it is 'narrow' or 'wide'")


def test_units_of_a_template() -> None:
    """A template has a unit for every Einsum: another one is refused, not passed over."""
    message = "'two' itself places 'Z'"
    assert refused(template=parse_mapping(TWO), fix=["Z=array1d"])[0] == message


def test_axes_that_are_too_short() -> None:
    """If no case suits the machine, its axis is the reason, not the lengths that are open."""
    shapes = {"B": 1, "H": 1, "E": 8, "F": 8, "M": 16, "P": 16}
    with pytest.raises(FusemaxError, match=r"'[ef]' has 8 points, but 'array2d' only 4 (rows|columns)"):
        map_cascade("attention-3pass", small("flat-cloud", lengths=4), shapes, template="flat")


def test_open_lengths_on_an_axis() -> None:
    """Of the values of a `?` those are costed with which the axis is long enough."""
    result = map_cascade("matmul", ARCH, {**MATMUL, "M": 16}, template=parse_mapping(SPREAD), top=9)
    assert result.statistics.costed == 3  # 1, 2 and 4 of the divisors of 16
    assert "m0 = 4" in str(result.best[0].mapping)


@pytest.mark.parametrize("m", [50, 52])
def test_open_lengths_of_uneven_splits(m: int) -> None:
    """A `?` of an uneven split takes all balanced lengths, and the best of them is found; with even tiles divisors."""
    checked, template, shapes = check(load_cascade("matmul")), parse_mapping(UNEVEN), {"M": m, "N": 8, "K": 6}
    lengths = balanced(-(-m // 4))
    assert Template(checked, ARCH, template, shapes, Fixed()).grid["m1_extent"].tolist() == lengths
    even = Template(checked, ARCH, template, shapes, Fixed(even=True)).grid["m1_extent"]
    assert np.all(m % even == 0)
    best = map_cascade("matmul", ARCH, shapes, template=template, objective="dram", top=1).best[0]
    each = [
        evaluate("matmul", ARCH, parse_mapping(UNEVEN.replace("?", str(length))), shapes).dram_bytes
        for length in lengths
    ]
    assert float(best.estimate.dram_bytes) == min(map(float, each))


# -------------------------------------------------------------------------------------------------------------- fronts


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "'fusemax-binding' is one mapping, and one machine gives one point"),
        ({"dims": [16], "fix": ["M0=256"]}, "'fusemax-binding' leaves no choice open for a search"),
        ({"dims": [16], "keep": ["K=buffer"]}, "'fusemax-binding' leaves no choice open for a search"),
        ({"dims": [16], "limit": 5}, "'fusemax-binding' leaves no choice open for a search"),
        ({"template": load_mapping("fusemax-binding")}, "a mapping, and a template to find one"),
    ],
)
def test_fronts_that_would_ignore_something(options: dict[str, object], message: str) -> None:
    """A front for which something that is asked for means nothing is refused."""
    checked, arch = check(load_cascade("attention-1pass")), load_arch("fusemax-cloud")
    shapes = {"B": 1, "H": 1, "E": 64, "F": 64, "M": 1024, "P": 1024}
    with pytest.raises(FusemaxError) as caught:
        pareto(checked, arch, shapes, mapping=load_mapping("fusemax-binding"), **options)  # type: ignore[arg-type]
    assert caught.value.problems[0].message == message
    assert caught.value.problems[0].hint
