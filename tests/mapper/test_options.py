"""Options of a search: one object, or keyword arguments named as its fields."""

from __future__ import annotations

from dataclasses import fields

import pytest

from fusemax import check, load_cascade, load_mapping
from fusemax.mapper import MapResult, SearchOptions, map_cascade
from fusemax.mapper.options import SearchKeywords
from fusemax.mapper.pareto import pareto
from fusemax.mapper.space.protocol import Cutoff
from tests.sim.machines import small

MATMUL = {"M": 8, "N": 4, "K": 6}
ARCH = small(lengths=4)


def texts(result: MapResult) -> list[str]:
    """The mappings found, as files have them."""
    return [str(found.mapping) for found in result.best]


def test_keywords_are_the_fields() -> None:
    """Every field of the options is a keyword argument with the same name, and there are no others."""
    assert tuple(SearchKeywords.__annotations__) == tuple(field.name for field in fields(SearchOptions))


def test_an_object_or_keywords() -> None:
    """Options as an object find the same mappings as keyword arguments, and keywords overrule the object."""
    whole = SearchOptions(objective="dram", top=2, fix=("n1=1",))
    assert texts(map_cascade("matmul", ARCH, MATMUL, whole)) == texts(
        map_cascade("matmul", ARCH, MATMUL, objective="dram", top=2, fix=["n1=1"])
    )
    assert len(map_cascade("matmul", ARCH, MATMUL, options=whole, top=1).best) == 1


def test_unknown_keywords() -> None:
    """A keyword that is no option is refused with its name, as Python refuses it."""
    with pytest.raises(TypeError, match="'objectives'"):
        map_cascade("matmul", ARCH, MATMUL, objectives="dram")  # type: ignore[call-arg]


def test_options_of_fronts() -> None:
    """A front takes the same options, a template as a mapping or by its name."""
    checked, sizes = check(load_cascade("matmul")), {"M": 64, "N": 32, "K": 16}
    named, loaded = (
        pareto(checked, small("flat-cloud", 4), sizes, SearchOptions(template=template, limit=20))
        for template in ("linear", load_mapping("linear"))
    )
    assert named == loaded


def test_cutoffs_together() -> None:
    """A bound of two parts that are left out is a bound of each."""
    both = Cutoff(1.0, 4.0).with_part(Cutoff(2.0, 3.0))
    assert (both.least_s, both.least_j) == (1.0, 3.0)
    assert Cutoff(1.0, 4.0).with_part(None) == Cutoff(1.0, 4.0)
